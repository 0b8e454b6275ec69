"""How fast codes are started and checked over HTTP against the database alone, with a long past, and on their way."""

import itertools
import random
import re
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import asyncpg

from bench import load, pgbench, report
from bench.stage import SQL as BENCH
from bench.stage import Customer, Stage, customers
from trunkline import config
from trunkline.storage import secret_file
from trunkline.storage.queries import bind
from trunkline.verify import replaying
from trunkline.verify.passcodes import Seals
from trunkline.verify.profiles import SQL

CLIENTS = 16
SETTINGS = """
[carriers.north]
kind = "smpp"
url = "smpp://user:secret@127.0.0.1:1"
[verify]
countries = ["de"]
routes = [{ prefix = "+49", carrier = "north" }]
starts_per_address = 1000
[verify.guard]
shadow = ["prefix_volume", "prefix_conversion", "velocity",
          "spend_prefix", "spend_country", "spend_profile", "spend_account"]
"""
CODE = "482913"


def measure(stage: Stage) -> list[report.Figure]:
    url = stage.database()
    file = stage.directory / "verify.toml"
    file.write_text(SETTINGS)
    accounts = stage.run(lambda: _accounts(url, CLIENTS))
    return [
        _starts(stage, url, file, accounts),
        _checks(stage, url, file, accounts),
        *_with_a_past(stage),
        _replayed(stage),
    ]


async def _accounts(url: str, count: int) -> list[Customer]:
    connection = await asyncpg.connect(url)
    found = await customers(connection, count)
    await connection.execute("VACUUM ANALYZE")
    await connection.execute("CHECKPOINT")
    await connection.close()
    return found


def _statement(query: str, values: Mapping[str, str]) -> str:
    """A statement of the product with SQL in place of its parameters."""
    statement, *ordered = bind(query, **values)
    return re.sub(r"\$(\d+)", lambda found: str(ordered[int(found[1]) - 1]), statement) + ";"


_FACTS = {
    "account": ":account::bigint", "key": "0::bigint", "test": "false", "profile": "'default'::text",
    "e164": "('+4915' || :line::text)", "country": "'de'::text", "prefix": "left('+4915' || :line::text, -4)",
    "address": "NULL", "micros": "50000::bigint", "address_seconds": "3600",
}  # fmt: skip


def _start(verification: str) -> dict[str, str]:
    return {
        "verification": verification, "account": ":account::bigint", "key": "0::bigint", "test": "false",
        "profile": "'default'::text", "e164": "('+4915' || :line::text)", "country": "'de'::text",
        "prefix": "left('+4915' || :line::text, -4)", "address": "NULL", "blocked": "false",
        "mac": "decode(repeat('5a', 32), 'hex')", "sealed": "decode(repeat('5a', 90), 'hex')", "locale": "'de'::text",
        "template": "'default'::text", "digits": "6", "bound": "false", "checks": "5", "sends": "4",
        "charge": "'approved'::text", "cost": "50000::bigint", "currency": "'USD'::text", "metadata": "NULL",
        "decisions": "'[]'", "ttl": "300", "resend": "30", "send": "true", "carrier": "'north'::text",
        "sender": "'TRUNKLINE'::text", "others": "'[]'", "segments": "1",
    }  # fmt: skip


def _starts(stage: Stage, url: str, file: Path, accounts: Sequence[Customer]) -> report.Figure:
    """In both: the facts under the account's lock, and the row with its hold, its text and its event."""
    script = stage.directory / "start.pgbench"
    facts = _statement(SQL.facts, _FACTS).rstrip(";")
    script.write_text(
        f"\\set account {accounts[0].account_id} + :client_id\n\\set line random(100000000, 999999999)\nBEGIN;\n"
        + f"{facts} \\gset\n{_statement(SQL.start, _start(':verification_id::bigint'))}\nCOMMIT;\n"
    )
    api = stage.serve(url, "--role", "api", TRUNKLINE_CONFIG=str(file))
    lines = itertools.count(100_000_000)
    rounds, seconds = (3, 2) if stage.quick else (7, 4)
    http, alone = [], []
    for _ in range(rounds):
        alone.append(pgbench.run(url, script, clients=CLIENTS, seconds=seconds, environment=stage.environment(url)))
        streams = [[_post(each, f"+4915{next(lines) * 7 % 10**9:09d}") for _ in range(2_000)] for each in accounts]
        http.append(load.put_on(load.Plan(api.port, streams, seconds)).per_second)
    return report.Figure(
        f"start of a verification over HTTP, against pgbench running the same statements, {CLIENTS} clients each",
        [one / other for one, other in zip(http, alone, strict=True)],
        0.6,
        raw=f"{report.per_second('HTTP', http)}, {report.per_second('pgbench', alone)}",
    )


def _post(customer: Customer, number: str) -> str:
    return load.post("/api/v1/verifications", customer.key, f'{{"phone_number":"{number}","brand":"ACME"}}')


def _checks(stage: Stage, url: str, file: Path, accounts: Sequence[Customer]) -> report.Figure:
    """Right codes, each of another verification: approved, captured and told of."""
    environment = stage.environment(url)
    folder = Path(environment["TRUNKLINE_DATA_DIR"])
    seals = Seals(secret_file.read(folder / "verify-secret"))
    rounds, seconds, each = (3, 2, 6_000) if stage.quick else (7, 3, 14_000)
    numbers = itertools.count(50_000_000)
    pending = {
        customer.account_id: [(next(numbers), f"+4916{line:09d}") for line in range(each)] for customer in accounts
    }
    stage.run(lambda: _put(url, seals, pending))
    script = stage.directory / "check.pgbench"
    values = {
        "account": "one.account_id", "test": "false", "verification": "one.verification_id", "mac": "one.mac",
        "most_failed": "20",
    }  # fmt: skip
    inner = _statement(SQL.check, values).rstrip(";")
    script.write_text(
        f"\\set account {accounts[0].account_id} + :client_id\n"
        "SELECT verification_id AS id FROM bench_pending WHERE place = "
        "(SELECT nextval('bench_check_' || :client_id::text)) \\gset\n"
        f"SELECT said.* FROM verification AS one, LATERAL ({inner}) AS said WHERE one.verification_id = :id::bigint;\n"
    )
    api = stage.serve(url, "--role", "api", TRUNKLINE_CONFIG=str(file))
    shares = {customer.account_id: iter(pending[customer.account_id][each // 2 :]) for customer in accounts}
    http, alone = [], []
    for _ in range(rounds):
        alone.append(pgbench.run(url, script, clients=CLIENTS, seconds=seconds, environment=environment))
        streams = [
            [
                load.post(f"/api/v1/verifications/ver_{number}/check", customer.key, f'{{"code":"{CODE}"}}')
                for number, _ in itertools.islice(shares[customer.account_id], each // 2 // rounds)
            ]
            for customer in accounts
        ]
        http.append(load.put_on(load.Plan(api.port, streams, seconds * 0.6)).per_second)
    return report.Figure(
        f"check of a right code over HTTP, against pgbench running the same statement, {CLIENTS} clients each",
        [one / other for one, other in zip(http, alone, strict=True)],
        0.6,
        raw=f"{report.per_second('HTTP', http)}, {report.per_second('pgbench', alone)}",
    )


async def _put(url: str, seals: Seals, pending: Mapping[int, Sequence[tuple[int, str]]]) -> None:
    """Pending verifications with a code that is known here, held as a start holds them."""
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE bench_pending (place bigint, client int, verification_id bigint)")
    for client, (account_id, rows) in enumerate(pending.items()):
        macs = [(number, account_id, e164, seals.mac(number, e164, CODE)) for number, e164 in rows]
        await connection.executemany(BENCH.pending_verification, macs)
        await connection.execute(f"CREATE SEQUENCE bench_check_{client} START WITH {client * 1_000_000 + 1}")
        await connection.executemany(
            "INSERT INTO bench_pending VALUES ($1, $2, $3)",
            [
                (client * 1_000_000 + place, client, number)
                for place, (number, _) in enumerate(rows[: len(rows) // 2], 1)
            ],
        )
    await connection.execute("CREATE INDEX ON bench_pending (place)")
    await connection.execute(BENCH.held_verifications)
    await connection.execute("VACUUM ANALYZE")
    await connection.execute("CHECKPOINT")
    await connection.close()


def _with_a_past(stage: Stage) -> list[report.Figure]:
    past = 200_000 if stage.quick else 10_000_000
    long, none = stage.database(), stage.database()
    [old] = stage.run(lambda: _accounts(long, 1))
    [new] = stage.run(lambda: _accounts(none, 1))
    stage.run(lambda: _fill(long, old, past))
    rounds, calls = (3, 100) if stage.quick else (7, 200)
    return stage.run(lambda: _compare(long, old, none, new, past, rounds, calls))


async def _fill(url: str, customer: Customer, past: int) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("SET synchronous_commit = off")
    for first in range(1, past + 1, 1_000_000):
        rows = bind(BENCH.past_verifications, account=customer.account_id, first=first, last=min(first + 999_999, past))
        await connection.execute(*rows, timeout=900)
    await connection.execute("VACUUM ANALYZE verification", timeout=900)
    await connection.execute("CHECKPOINT", timeout=900)
    await connection.close()


async def _compare(
    long: str, old: Customer, none: str, new: Customer, past: int, rounds: int, calls: int
) -> list[report.Figure]:
    big, small = await asyncpg.connect(long), await asyncpg.connect(none)
    times: dict[str, list[float]] = {"start": [], "check": [], "start before": [], "check before": []}
    for _ in range(rounds + 1):
        for connection, customer, before in ((small, new, " before"), (big, old, "")):
            start, check = await _medians_us(connection, customer, calls)
            times["start" + before].append(start)
            times["check" + before].append(check)
    await big.close()
    await small.close()
    return [
        report.Figure(
            f"{what} of a verification, median with {past:,} past ones, against none",
            [one / other for one, other in zip(times[what][1:], times[f"{what} before"][1:], strict=True)],
            1.2,
            at_most=True,
            raw=", ".join(f"{statistics.median(times[name][1:]):,.0f} µs" for name in (what, f"{what} before")),
        )
        for what in ("start", "check")
    ]


async def _medians_us(connection: Any, customer: Customer, calls: int) -> tuple[float, float]:
    starts, checks = [], []
    for _ in range(calls):
        line = random.randrange(10**8, 10**9)
        texts = {":account::bigint": f"{customer.account_id}::bigint", ":line::text": f"'{line}'"}
        began = time.perf_counter()
        async with connection.transaction():
            row = await connection.fetchrow(_put_in(_statement(SQL.facts, _FACTS), texts))
            number = row["verification_id"]
            await connection.fetchrow(_put_in(_statement(SQL.start, _start(f"{number}::bigint")), texts))
        starts.append((time.perf_counter() - began) * 1e6)
        began = time.perf_counter()
        statement, *arguments = bind(
            SQL.check, account=customer.account_id, test=False, verification=number, mac=bytes(32), most_failed=20
        )
        await connection.fetchrow(statement, *arguments)
        checks.append((time.perf_counter() - began) * 1e6)
    return statistics.median(starts), statistics.median(checks)


def _put_in(statement: str, texts: Mapping[str, str]) -> str:
    for name, value in texts.items():
        statement = statement.replace(name, value)
    return statement


def _replayed(stage: Stage) -> report.Figure:
    """Through the windows alone: rows as they come from the database, of 20,000 prefixes."""
    count = 100_000 if stage.quick else 1_000_000
    windows, result = replaying.Windows(config.load({}).verify.guard), replaying.Replayed()
    draw = random.Random(7)
    began = time.perf_counter()
    for n in range(count):
        at = 1_760_000_000 + n * 0.6
        windows.start(
            {
                "account_id": 1, "test": False, "profile": "default", "country": "de", "at": at, "ended": at + 40,
                "prefix": f"+4915{draw.randrange(20_000):05d}", "cost_micros": 50_000, "captured_micros": 50_000,
                "state": "approved",
            },
            result,
        )  # fmt: skip
    seconds = (time.perf_counter() - began) * 1_000_000 / count
    return report.Figure(
        "replay of the guard over 1,000,000 past starts", [seconds], 60, at_most=True, unit="s",
        raw=f"{count:,} were replayed",
    )  # fmt: skip
