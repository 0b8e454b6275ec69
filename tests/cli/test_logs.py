"""What a server writes about itself: lines of text or of JSON, each with the request that it is about."""

import asyncio
import datetime
import json
import logging
import re
from typing import Any

import asyncpg
import httpx
import pytest
from tests.conftest import Serve, Server, Trunkline
from tests.database_line import Line
from tests.house import problem

from trunkline import logs
from trunkline.activations import lifecycle
from trunkline.storage import database as storage

JSON = {"TRUNKLINE_LOG__FORMAT": "json"}


def lines(server: Server) -> list[dict[str, Any]]:
    """Every line is an object, also before and after requests."""
    whole = server.log.read_text().rpartition("\n")[0]  # the last may be on its way
    return [json.loads(line) for line in whole.splitlines()]


async def about(server: Server, answer: httpx.Response, count: int) -> list[dict[str, Any]]:
    """So many lines are, or will be in a moment: whoever is answered does not wait for the log's reader."""
    async with asyncio.timeout(60):
        while True:
            found = [line for line in lines(server) if line["request_id"] == answer.headers["x-request-id"]]
            if len(found) >= count:
                return found
            await asyncio.sleep(0.02)


def record(message: str, **more: Any) -> logging.LogRecord:
    made = logging.LogRecord("trunkline.test", logging.WARNING, "", 0, message, (), None)
    made.__dict__.update(more)
    return made


@pytest.mark.asyncio
async def test_a_request_that_fails_is_in_the_log_under_the_id_that_its_caller_was_told(
    url: str, serve: Serve, trunkline: Trunkline
) -> None:
    customer = await asyncio.to_thread(trunkline.customer)
    server = await asyncio.to_thread(serve, **JSON)
    connection, watching = await asyncpg.connect(url), await asyncpg.connect(url)
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        client.headers["Authorization"] = f"Bearer {customer.live_key}"
        fine = await client.get(f"{server.api}/numbers")
        key_id = (await client.get(f"{server.api}/keys")).json()["data"][0]["key_id"]
        await connection.execute("ALTER TABLE activation RENAME TO gone")
        failed = await client.get(f"{server.api}/numbers/12345")
        await connection.execute("ALTER TABLE gone RENAME TO activation")
        lock = connection.transaction()
        await lock.start()
        await connection.execute("LOCK TABLE activation")
        asking = asyncio.create_task(client.get(f"{server.api}/numbers"))
        async with asyncio.timeout(60):
            while not await watching.fetchval(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock' AND query = $1",
                lifecycle.SQL.list,
            ):
                await asyncio.sleep(0.01)
        await asyncio.sleep(1.3)
        await lock.rollback()
        slow = await asking
        order = {"country": "us", "service": "whatsapp"}
        lease = (await client.post(f"{server.api}/numbers/purchase", json=order)).json()["data"]
        held = await client.get(f"{server.api}/numbers/status/{lease['activation_id']}", params={"wait": 1.3})
    await connection.close()
    await watching.close()
    assert (fine.status_code, failed.status_code, slow.status_code, held.status_code) == (200, 500, 200, 200)
    assert failed.json()["request_id"] == failed.headers["x-request-id"]
    crash, line = await about(server, failed, 2)
    assert crash["level"] == "error"
    assert crash["message"] == "the request failed"
    assert "UndefinedTableError" in crash["exception"]
    shown = {name: line[name] for name in ("logger", "level", "method", "route", "status", "key_id")}
    assert shown == {
        "logger": "trunkline.api", "level": "warning", "method": "GET", "route": "/numbers/{activation_id}",
        "status": 500, "key_id": key_id,
    }  # fmt: skip
    assert "12345" not in line["message"]
    [line] = await about(server, slow, 1)
    assert await about(server, held, 0) == []
    assert all(line["ms"] > 1000 for line in await about(server, fine, 0)), "only where the machine was slow"
    assert (line["route"], line["status"]) == ("/numbers", 200)
    assert line["ms"] > 1000
    for line in lines(server):
        assert line["time"].endswith("Z")
        assert len(line["time"]) == len("2026-04-19T14:35:22.120Z")
        datetime.datetime.fromisoformat(line["time"])


@pytest.mark.asyncio
async def test_what_is_written_far_below_a_request_carries_its_id_too(
    url: str, serve: Serve, trunkline: Trunkline
) -> None:
    customer = await asyncio.to_thread(trunkline.customer)
    server = await asyncio.to_thread(serve)
    connection = await asyncpg.connect(url)
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client, connection.transaction():
        await connection.execute("LOCK TABLE transfer")  # which nobody else reads
        client.headers["Authorization"] = f"Bearer {customer.live_key}"
        away = await client.get(f"{server.api}/account/transactions")
    await connection.close()
    assert problem(away, 503, "unavailable")
    request_id = away.headers["x-request-id"]
    async with asyncio.timeout(60):
        while len(written := [line for line in server.log.read_text().splitlines() if f"[{request_id}]" in line]) < 2:
            await asyncio.sleep(0.02)
    assert re.search(r"Z WARNING trunkline\.storage: \[req_\w+\] a statement waited too long for a lock", written[0])
    assert re.search(
        r"Z WARNING trunkline\.api: \[req_\w+\] GET /account/transactions: 503 after \d+ ms, key", written[1]
    )


@pytest.mark.asyncio
async def test_a_database_that_says_nothing_is_in_the_log_with_what_is_wrong(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with Line.laid(url) as line:
        database = await storage.Database.open(line.url)
        line.swallow_answers(0)
        for _ in range(50):
            with pytest.raises(storage.DatabaseAway):
                await database.fetchval("SELECT 1")
        line.cut()
        await database.close()
    said = [each.getMessage() for each in caplog.records if each.name == "trunkline.storage"]
    assert said[0].startswith("database away: no answer ")
    assert len(said) < 5, "not one for each call"


def test_a_task_that_outlives_the_request_that_started_it_is_nobodys() -> None:
    request = logs.begin("req_1", "/numbers")
    during = record("during")
    logs._note_request(during)
    logs.end(request)
    after = record("after")
    logs._note_request(after)
    assert "[req_1] during" in logs.TextFormatter().format(during)
    assert logs.TextFormatter().format(after).endswith("trunkline.test: after")
    assert json.loads(logs.JsonFormatter().format(during))["request_id"] == "req_1"
    assert json.loads(logs.JsonFormatter().format(after))["request_id"] is None


@pytest.mark.asyncio
@pytest.mark.parametrize("formatter", [logs.TextFormatter(), logs.JsonFormatter()])
async def test_what_the_database_quotes_in_its_errors_is_not_written(url: str, formatter: logging.Formatter) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE said (body text CHECK (false))")

    async def fails(statement: str, *given: str) -> asyncpg.PostgresError:
        with pytest.raises(asyncpg.PostgresError) as failure:
            await connection.execute(statement, *given)
        return failure.value

    row = await fails("INSERT INTO said VALUES ($1)", "code: 847291")
    value = await fails("SELECT $1::text::integer", "code: 847291")
    unsent = await fails("SELECT $1::text", "code: 847291 \ud83d")
    await connection.close()
    around = ValueError("around")
    around.__cause__ = ExceptionGroup("several", [RuntimeError("one"), row])
    around.__context__ = value
    around.__cause__.__context__ = around  # round in a circle
    unsent.__context__ = row
    for failure in (row, value, unsent, around):
        written = formatter.format(record("failed", exc_info=(type(failure), failure, failure.__traceback__)))
        assert type(failure).__name__ in written
        assert "847291" not in written
    assert "invalid input for query argument $1" in str(unsent)


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("two\r\nlines", r"two\r\nlines"),
        ("\x1b[2J\x9b1m\x07 red", r"\x1b[2J\x9b1m\x07 red"),
        ("left \u202etfel\u2028 \ufeff", r"left \u202etfel\u2028 \ufeff"),
        ("half a pair \ud83d", r"half a pair \ud83d"),
        ("Grüße, 你好, привет 👋", "Grüße, 你好, привет 👋"),
    ],
)
def test_whatever_is_written_is_one_line_of_text_that_no_terminal_acts_upon(message: str, shown: str) -> None:
    written = logs.TextFormatter().format(record(message))
    assert written.endswith(f" WARNING trunkline.test: {shown}")
    as_json = logs.JsonFormatter().format(record(message))
    assert all(character.isprintable() for character in as_json)
    assert json.loads(as_json)["message"] == message.replace("\ud83d", "\\ud83d")


def test_the_same_warning_of_the_background_is_written_once_in_a_while_with_how_many_there_were(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr("trunkline.logs.time.monotonic", lambda: now)
    repetitions = logs.Repetitions()

    def said(message: str, level: int = logging.WARNING, request_id: str = "", by: str = "tail.py") -> str | None:
        record = logging.LogRecord("trunkline.events", level, by, 0, "%s", (message,), None)
        record.request_id = request_id
        return record.getMessage() if repetitions.filter(record) else None

    assert [said("events wait: 100 %") for _ in range(5)] == ["events wait: 100 %", *[None] * 4]
    assert said("the sweep is put off", by="sweeper.py") == "the sweep is put off", "others speak for themselves"
    assert said("events wait: 100 %", request_id="req_1") == "events wait: 100 %", "a request's is always written"
    assert [said("6 texts erased", logging.INFO) for _ in range(2)] == ["6 texts erased"] * 2
    now += logs.AGAIN_SECONDS
    assert said("events wait: 100 %") == "events wait: 100 % (4 more since the last line)"
    lines = [said("it is away", request_id="req_2"), said("it is back"), said("it is away"), said("it is back")]
    assert None not in lines, "what changes is news"


def test_a_traceback_is_readable_and_no_line_of_it_passes_for_an_entry() -> None:
    try:
        raise ValueError("wrong\n2026-04-19T14:35:22.120Z INFO trunkline: all is well\x1b[2J")
    except ValueError as error:
        failed = record("it failed", exc_info=(ValueError, error, error.__traceback__), created=1776609322.12)
    first, *rest = logs.TextFormatter().format(failed).splitlines()
    assert first == "2026-04-19T14:35:22.120Z WARNING trunkline.test: it failed"
    assert rest[0] == "    Traceback (most recent call last):"
    assert rest[-1] == r"    2026-04-19T14:35:22.120Z INFO trunkline: all is well\x1b[2J"
    assert all(line.startswith("    ") for line in rest)


@pytest.mark.parametrize("message", ["two\nlines", 'a "quoted" one', "half a pair \ud83d", "\x00", "+14155550123"])
def test_whatever_is_written_is_one_line_of_json_without_numbers(message: str) -> None:
    written = logs.JsonFormatter().format(record(message))
    assert "\n" not in written
    assert "4155550" not in written
    json.loads(written.encode())
