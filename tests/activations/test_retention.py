"""Texts and codes are kept for as long as was promised; then nobody gets them back, from a dump, a copy or a log."""

import asyncio
import logging
import os
import pathlib
import re
import subprocess
from typing import Any

import asyncpg
import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import Serve, Trunkline
from tests.house import Buyer, House, data, opened, problem

from trunkline import config, logs, phone
from trunkline.activations import erasure
from trunkline.activations.inbox import Inbox
from trunkline.carriers.carrier import Alphabet, InboundText, Part
from trunkline.carriers.simulated import carrier as simulator
from trunkline.errors import OperatorError
from trunkline.storage import embedded, vault
from trunkline.storage.database import REWRITE_WAITS_MS, SERVING
from trunkline.storage.vault import TextKey, Vault, unseal, unseal_part

DAY = 86_400.0
PATIENCE_SECONDS = 60
TEXT = "Your WhatsApp code: 84729163. Zebras quartz vex."
CODE = "84729163"
STRAY = "Mismatched zebras. Your code is 55501234."

pytestmark = pytest.mark.asyncio(loop_scope="function")

own_programs = pytest.mark.skipif(
    "TRUNKLINE_TEST_DATABASE_URL" in os.environ, reason="pg_dump must be of the server's version"
)


async def received(house: House, buyer: Buyer, text: str = TEXT) -> dict[str, Any]:
    """A lease that got a text and was completed."""
    lease: dict[str, Any] = await buyer.lease(country="us")
    inbox = Inbox(house.platform.database, house.platform.catalog)  # which remembers no key of a day that was moved
    [outcome] = await inbox.receive([simulator.inbound("INFO", lease["phone_number"], text)])
    assert outcome.what == "delivered"
    await buyer.complete(lease)
    return lease


async def shown(buyer: Buyer, lease: dict[str, Any]) -> tuple[str | None, str | None, bool]:
    sms = (await buyer.status(lease))["sms"]
    return sms["full_text"], sms["code"], sms["erased"]


KEPT = (TEXT, CODE, False)
ERASED = (None, None, True)


def program(name: str, *arguments: str) -> bytes:
    command = [str(embedded.programs() / name), *arguments]
    return subprocess.run(command, capture_output=True, check=True, timeout=120).stdout


def dump(url: str) -> str:
    """All that pg_dump takes out of a database, but for the pool's numbers, in which any digits may stand."""
    return program("pg_dump", "--exclude-table-data=number", url).decode()


async def secrets_of(house: House) -> list[bytes]:
    """What a text could be had back from: keys, sealed texts, fingerprints."""
    database = house.platform.database
    rows = await database.fetch(
        "SELECT key AS octets FROM text_key UNION ALL SELECT sealed FROM message"
        " UNION ALL SELECT fingerprint FROM message"
    )
    return [row["octets"] for row in rows if row["octets"] is not None]


# How long


@pytest.mark.parametrize("days", [1, 0, 3, 30])
async def test_a_leases_texts_are_kept_for_the_days_of_its_account_after_its_end(house: House, days: int) -> None:
    buyer, other = await house.buyer(), await house.buyer()
    if days != 1:
        await house.platform.database.execute(
            "UPDATE account SET retention_days = $1 WHERE account_id = $2", days, buyer.account_id
        )
    running = await buyer.lease(country="us", ttl=3600)
    await house.text(running["phone_number"], TEXT)
    lease, others = await received(house, buyer), await received(house, other)
    assert await shown(buyer, lease) == await shown(other, others) == KEPT
    await house.later(max(days * DAY - 60, 0))
    assert await shown(buyer, lease) == (KEPT if days else ERASED)
    assert await shown(other, others) == (KEPT if days <= 1 else ERASED)
    await house.later(60)
    assert await shown(buyer, lease) == ERASED
    assert await shown(other, others) == (KEPT if days == 0 else ERASED)
    if days == 0:
        assert await shown(buyer, running) == KEPT, "the days count from a lease's end"


async def test_the_operators_setting_counts_for_accounts_without_one_and_for_texts_that_are_nobodys(url: str) -> None:
    async with opened(url, TRUNKLINE_RETENTION__DAYS="3") as house:
        buyer = await house.buyer()
        lease = await received(house, buyer)
        assert (await house.text("+376300000", STRAY)).what == "unmatched"
        await house.later(3 * DAY - 60)
        assert await shown(buyer, lease) == KEPT
        assert [kept.body for kept in await house.kept()] == [TEXT, STRAY]
        await house.later(60)
        assert await shown(buyer, lease) == ERASED
        assert [kept.body for kept in await house.kept()] == [None, None]


@pytest.mark.parametrize("days", ["-1", "31", "one"])
async def test_a_retention_of_fewer_than_0_or_more_than_30_days_is_refused(days: str) -> None:
    with pytest.raises(OperatorError, match="settings are wrong"):
        config.load({"TRUNKLINE_RETENTION__DAYS": days})


async def test_of_an_erased_text_everything_else_stays(house: House) -> None:
    buyer = await house.buyer()
    lease = await received(house, buyer)
    before = (await buyer.status(lease))["sms"]
    await house.later(DAY)
    after = data(await buyer.get(f"/numbers/{lease['activation_id']}"))
    assert after["status"] == "completed"
    assert after["sms"] == before | {"code": None, "full_text": None, "erased": True}
    [step] = [step for step in after["timeline"] if step["type"] == "sms.received"]
    assert step["detail"] == "A text arrived; it has been erased since."
    assert step["why"] == ["This lease got it because the text names its service."]
    [listed] = (await buyer.get("/numbers")).json()["data"]
    assert listed["messages"] == [after["sms"]]
    assert (await buyer.complete(lease))["sms"] == after["sms"], "saying the word again does no harm"
    problem(await buyer.finish(lease, "cancelled"), 409, "activation_finished")


async def test_the_operator_sees_what_came_but_no_erased_text(house: House, trunkline: Trunkline) -> None:
    await received(house, await house.buyer())
    await house.text("+376300000", STRAY)
    await house.later(DAY)
    await received(house, await house.buyer(), "Your WhatsApp code: 555012")
    texts = trunkline("inbox", "--all")["texts"]
    assert [(text["text"], text["code"], text["erased"]) for text in texts] == [
        ("Your WhatsApp code: 555012", "555012", False),
        (None, None, True),
        (None, None, True),
    ]
    assert texts[1]["reason"] == "the number is not in the pool"
    assert trunkline.run("inbox", "--all").stdout.count("(erased)") == 2


# Erasing


async def test_texts_are_erased_once_however_many_erase_at_once(house: House) -> None:
    buyer = await house.buyer("500.00")
    wanted = {"items": [{"country": "us", "service": "whatsapp"}] * 20}
    answers = [data(await buyer.post("/numbers/purchase/batch", wanted)) for _ in range(15)]
    leases = [each["data"] for answer in answers for each in answer]
    coming = [
        InboundText("simulated", "INFO", lease["phone_number"], f"{TEXT} {place}".encode(), Alphabet.UTF8)
        for lease in leases
        for place in range(2)
    ]
    await house.platform.inbox.receive(coming)
    await house.texts("+376300000", *(f"{STRAY} {place}" for place in range(900)))
    database = house.platform.database
    await database.execute("UPDATE activation SET expires_at = now()")
    assert await database.fetchval("SELECT expire_due(1000)") == 300
    assert await erasure.erase_due(database) == 0
    await database.execute("UPDATE activation SET erase_after = now()")
    await database.execute("UPDATE message SET erase_after = now() WHERE activation_id IS NULL")
    erased = await asyncio.gather(*(erasure.erase_due(database) for _ in range(6)))
    assert sum(erased) == 300 + 900
    assert await erasure.erase_due(database) == 0
    assert {(kept.body, kept.row["sealed"]) for kept in await house.kept()} == {(None, None)}


async def test_a_text_can_come_again_once_it_is_erased_and_is_known_before(house: House) -> None:
    assert (await house.text("+376300000", STRAY)).what == "unmatched"
    assert (await house.text("+376300000", STRAY)).what == "repeated"
    await house.later(DAY)
    assert (await house.text("+376300000", STRAY)).what == "unmatched"


async def test_texts_from_before_there_were_keys_are_shown_and_erased_alike(house: House) -> None:
    buyer = await house.buyer()
    lease = await received(house, buyer)
    await house.text("+376300000", STRAY)
    database = house.platform.database
    await database.execute(
        "UPDATE message SET sealed = NULL, key_id = NULL, body = $1, code = $2 WHERE activation_id IS NOT NULL",
        TEXT,
        CODE,
    )
    await database.execute(
        "UPDATE message SET sealed = NULL, key_id = NULL, body = $1 WHERE activation_id IS NULL", STRAY
    )
    assert await shown(buyer, lease) == KEPT
    assert [kept.body for kept in await house.kept()] == [TEXT, STRAY]
    await house.later(DAY)
    assert await shown(buyer, lease) == ERASED
    assert await database.fetchval("SELECT count(*) FROM message WHERE num_nonnulls(body, code, sealed) > 0") == 0


async def test_a_finish_said_again_with_its_idempotency_key_answers_again_but_keeps_no_text(house: House) -> None:
    buyer = await house.buyer()
    lease = await buyer.lease(country="us")
    await house.text(lease["phone_number"], TEXT)
    path, word = f"/numbers/finish/{lease['activation_id']}", {"status": "completed"}
    first = await buyer.post(path, word, **{"Idempotency-Key": "the-end"})
    again = await buyer.post(path, word, **{"Idempotency-Key": "the-end"})
    assert data(first) == data(again)
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    other = await buyer.post(path, {"status": "cancelled"}, **{"Idempotency-Key": "the-end"})
    problem(other, 422, "idempotency_key_reused")
    assert await house.platform.database.fetchval("SELECT answer FROM idempotent_answer WHERE key = 'the-end'") == b""
    await house.later(DAY)
    erased = data(await buyer.post(path, word, **{"Idempotency-Key": "the-end"}))
    assert erased["sms"]["full_text"] is None


# Keys


async def test_processes_that_need_a_key_at_once_agree_on_one(url: str, house: House) -> None:
    connections = [await asyncpg.connect(url) for _ in range(8)]
    keys = await asyncio.gather(*(Vault().key(connection, None, 7) for connection in connections))
    assert len(set(keys)) == 1
    for connection in connections:
        await connection.close()


async def test_a_key_that_was_made_in_vain_is_not_remembered(url: str, house: House) -> None:
    connection, vault = await asyncpg.connect(url), Vault()
    transaction = connection.transaction()
    await transaction.start()
    in_vain = await vault.key(connection, None, 7)
    assert await vault.key(connection, None, 7) == in_vain
    await transaction.rollback()
    key = await vault.key(connection, None, 7)
    assert key != in_vain
    assert await vault.key(connection, None, 7) == key
    await connection.close()


async def test_a_key_is_thrown_away_when_all_of_its_texts_are_due(house: House) -> None:
    buyer, database = await house.buyer(), house.platform.database
    await received(house, buyer)
    secret = await database.fetchval("SELECT key FROM text_key")
    await house.later(DAY)
    assert await vault.throw_keys_away(database) == 0
    assert await database.fetchval("SELECT key FROM text_key") == secret, "leases of that day may have texts to keep"
    await house.later(2 * DAY)
    assert await vault.throw_keys_away(database) == 1
    assert await database.fetchval("SELECT count(*) FROM text_key") == 0
    again = await received(house, buyer)
    assert await shown(buyer, again) == KEPT


async def test_a_text_whose_key_is_gone_shows_as_erased(house: House) -> None:
    buyer = await house.buyer()
    lease = await received(house, buyer)
    await house.platform.database.execute("UPDATE text_key SET key = NULL")
    assert await shown(buyer, lease) == ERASED
    await house.platform.database.execute("DELETE FROM text_key")
    assert await shown(buyer, lease) == ERASED
    assert data(await buyer.get(f"/numbers/{lease['activation_id']}"))["sms"]["erased"] is True
    assert [kept.body for kept in await house.kept()] == [None]


async def test_a_dump_under_way_puts_off_the_new_file_and_holds_up_no_poll(url: str, house: House) -> None:
    buyer, database = await house.buyer(), house.platform.database
    lease = await received(house, buyer)
    await database.execute("UPDATE text_key SET day = day - 9")
    await received(house, buyer)
    dumping = await asyncpg.connect(url)
    transaction = dumping.transaction(isolation="repeatable_read")
    await transaction.start()
    await dumping.execute("LOCK TABLE text_key IN ACCESS SHARE MODE")
    assert REWRITE_WAITS_MS < 1000
    throwing = asyncio.create_task(vault.throw_keys_away(database))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not throwing.done():
            assert await shown(buyer, lease) in (KEPT, ERASED)
    assert throwing.result() == 0
    assert await shown(buyer, lease) == ERASED
    assert await database.fetchval("SELECT count(*) FROM text_key WHERE key IS NULL") == 1, "to be gone on with"
    await transaction.rollback()
    await dumping.close()
    assert await vault.throw_keys_away(database) == 1
    assert await database.fetchval("SELECT count(*) FROM text_key") == 1
    assert await database.fetchval("SHOW lock_timeout") == f"{SERVING.lock_seconds:g}s"


# Parts of long texts


def parts(text: str) -> list[InboundText]:
    pieces = [text[start : start + 20].encode() for start in range(0, len(text), 20)]
    return [
        InboundText("simulated", "INFO", "+376300000", piece, Alphabet.UTF8, Part(9, len(pieces), number))
        for number, piece in enumerate(pieces, 1)
    ]


async def test_parts_of_a_text_that_is_not_whole_are_sealed_and_make_it_whole_after_midnight(house: House) -> None:
    first, second, third = parts(TEXT)
    platform = house.platform
    await platform.inbox.receive([first, second])
    payloads = await platform.database.fetch("SELECT payload FROM assembly_part ORDER BY number")
    assert [
        unseal_part(await platform.database.fetchval("SELECT key FROM text_key"), row["payload"]) for row in payloads
    ] == [
        first.payload,
        second.payload,
    ]
    assert not any(part.payload in row["payload"] for part, row in zip((first, second), payloads, strict=True))
    await platform.database.execute("UPDATE text_key SET day = day - 1")
    tomorrow = Inbox(platform.database, platform.catalog)
    outcomes = await tomorrow.receive([second, third])
    assert [outcome.what for outcome in outcomes] == ["part", "unmatched"]
    assert [kept.body for kept in await house.kept()] == [TEXT]


# What is left for others to find


@own_programs
async def test_a_dump_holds_no_text_in_the_clear_and_a_later_one_nothing_to_read_it_with(
    url: str, house: House
) -> None:
    buyer = await house.buyer()
    lease = await received(house, buyer)
    await house.text("+376300000", STRAY)
    await house.platform.inbox.receive(parts("An unfinished text about zebras in three parts.")[:2])
    before = dump(url)
    secrets = await secrets_of(house)
    assert await shown(buyer, lease) == KEPT
    for word in (TEXT, CODE, STRAY, "55501234", "zebras"):
        assert word not in before
    assert len(secrets) == 5
    assert all(secret.hex() in before for secret in secrets)
    await house.later(3 * DAY)
    await vault.throw_keys_away(house.platform.database)
    after = dump(url)
    assert not any(secret.hex() in after for secret in secrets)


def octets(folder: pathlib.Path) -> bytes:
    return b"\n".join(file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file())


@own_programs
async def test_a_copy_of_the_databases_files_made_later_has_no_key_even_in_its_remains(tmp_path: pathlib.Path) -> None:
    server = await asyncio.to_thread(embedded.start, tmp_path / "data")

    async def copied(name: str) -> bytes:
        folder = tmp_path / name
        connection = server.url.replace("/trunkline?", "/?")
        await asyncio.to_thread(
            program, "pg_basebackup", "-d", connection, "-D", str(folder), "-X", "fetch", "-c", "fast", "--no-sync"
        )
        return octets(folder)

    try:
        async with opened(server.url) as house:
            lease = await received(house, await house.buyer())
            key = await house.platform.database.fetchval("SELECT key FROM text_key")
            before = await copied("before")
            assert lease["phone_number"].encode() in before
            assert key in before
            assert TEXT.encode() not in before
            await house.later(3 * DAY)
            async with house.pushed.tail._looking:  # a look that began before may still see the key, so that it is kept
                assert await vault.throw_keys_away(house.platform.database) == 1
            after = await copied("after")
            assert lease["phone_number"].encode() in after
            assert key not in after
    finally:
        server.release()
        await asyncio.to_thread(embedded.wait_until_stopped, tmp_path / "data")


async def test_a_server_erases_by_itself_and_its_log_shows_neither_number_nor_text(url: str, serve: Serve) -> None:
    async with opened(url, TRUNKLINE_RETENTION__DAYS="0") as house:
        key = (await house.buyer()).account.live_key
        server = serve(TRUNKLINE_RETENTION__DAYS="0")
        bearer = {"Authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(base_url=server.api, headers=bearer, timeout=60) as client:
            lease = data(await client.post("/numbers/purchase", json={"country": "us", "service": "whatsapp"}))
            number, path = lease["phone_number"], f"/numbers/status/{lease['activation_id']}"
            await house.text(number, TEXT)
            await house.text("+376300000", STRAY)
            assert data(await client.get(path))["sms"]["code"] == CODE
            finished = f"/numbers/finish/{lease['activation_id']}"
            data(await client.post(finished, json={"status": "completed"}))
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not data(await client.get(path))["sms"]["erased"]:
                    await asyncio.sleep(0.05)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while "texts of" not in server.log.read_text():  # which is written after the commit
            await asyncio.sleep(0.05)
    assert server.stop() == 0
    log = server.log.read_text()
    for word in (number, number[1:], "376300000", TEXT, CODE, STRAY, key):
        assert word not in log


async def test_the_log_masks_every_number_and_leaves_out_the_rows_that_the_database_quotes(url: str) -> None:
    connection = await asyncpg.connect(url)
    record = logging.LogRecord("trunkline", logging.ERROR, "", 0, "a text to %s failed", ("+14155550123",), None)
    row = "('north', 'a secret', '+14155550123', 1, 1)"
    with pytest.raises(asyncpg.CheckViolationError, match="a secret") as raised:
        await connection.execute(f"INSERT INTO assembly (carrier, sender, recipient, reference, total) VALUES {row}")
    record.exc_info = (raised.type, raised.value, raised.tb)
    as_json, as_text = logs.JsonFormatter().format(record), logs.TextFormatter().format(record)
    await connection.close()
    for written in (as_json, as_text):
        assert "a text to +14…23 failed" in written
        assert "CheckViolationError" in written
        assert "a secret" not in written
        assert "14155550123" not in written


@own_programs
async def test_the_embedded_server_writes_no_rows_into_its_log(tmp_path: pathlib.Path) -> None:
    server = await asyncio.to_thread(embedded.start, tmp_path)
    try:
        connection = await asyncpg.connect(server.url)
        await connection.execute("CREATE TABLE kept (body text CHECK (length(body) < 5))")
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.execute("INSERT INTO kept VALUES ($1)", "a secret text")
        await connection.close()
    finally:
        server.release()
        await asyncio.to_thread(embedded.wait_until_stopped, tmp_path)
    log = (tmp_path / "postgres" / "postgres.log").read_text()
    assert "violates check constraint" in log
    assert "secret" not in log


# Sealing

KEYS = st.builds(TextKey, st.integers(1, 2**62), st.binary(min_size=32, max_size=32))
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)


@settings(deadline=None)
@given(key=KEYS, other=KEYS, body=WORDS, code=st.none() | WORDS, place=st.integers(0))
async def test_what_is_sealed_comes_back_with_its_key_alone(
    key: TextKey, other: TextKey, body: str, code: str | None, place: int
) -> None:
    sealed = key.seal(body, code)
    assert unseal(key.key, sealed) == (body, code)
    assert key.seal(body, code) != sealed
    if other.key != key.key:
        assert unseal(other.key, sealed) is None
        assert key.fingerprint(body) != other.fingerprint(body)
    spoilt = bytearray(sealed)
    spoilt[place % len(sealed)] ^= 1
    assert unseal(key.key, bytes(spoilt)) is None
    assert unseal(None, sealed) is unseal(key.key, None) is None
    payload = body.encode()
    part = key.seal_part(payload)
    assert part == key.seal_part(payload)
    assert unseal_part(key.key, part) == payload


@given(before=st.text(max_size=30), digits=st.from_regex(r"\A[1-9][0-9]{7,14}\Z"), after=st.text("abc -.", max_size=9))
async def test_no_number_is_left_in_a_masked_text(before: str, digits: str, after: str) -> None:
    masked = phone.mask_all(f"{before}+{digits}{after}")
    assert f"+{digits}" not in masked
    assert not re.search(r"\+[1-9][0-9]{7}", masked)
