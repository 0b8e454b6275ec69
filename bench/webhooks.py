"""How soon and how fast events reach those who want them, and what those who never answer do to the others."""

import asyncio
import functools
import json
import os
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence

import asyncpg

from bench import report
from bench.stage import FIRST_NUMBER, SQL, Customer, Server, Stage, customers, halves, leases, pinned
from trunkline.activations.inbox import Inbox
from trunkline.carriers.carrier import Alphabet, InboundText
from trunkline.catalog.prices import Catalog
from trunkline.events.contents import PREFIX
from trunkline.storage.database import Database
from trunkline.storage.queries import bind

ALLOW = {"TRUNKLINE_WEBHOOKS__ALLOW": "127.0.0.0/8"}
AT_A_TIME = 32  # of one endpoint, as the product's default is
TEXTS_PER_SECOND = 100
EVENTS_PER_SECOND = 500
ACCOUNTS = 100  # each with one endpoint; 15 hang, 15 fail
PATIENCE_SECONDS = 60
START_SECONDS = 3  # what a worker does as it starts is not measured


def measure(stage: Stage) -> list[report.Figure]:
    measured, others = halves()
    with pinned(others):
        receiver = stage.start([sys.executable, "-m", "bench.receivers"], stage.environment(""))
    if others:  # its backends inherit it
        os.sched_setaffinity(stage.postmaster(), others)
    try:
        fast = _fast(stage, receiver, measured)
    finally:
        if measured and others:
            os.sched_setaffinity(stage.postmaster(), measured | others)
    return [_soon(stage, receiver), *fast, _beside_bad_ones(stage, receiver)]


def _ask(receiver: Server, path: str) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{receiver.port}{path}", timeout=30) as answer:
        read: bytes = answer.read()
        return read


def _came(receiver: Server) -> dict[int, float]:
    return {int(shown.removeprefix(PREFIX)): at for shown, at in json.loads(_ask(receiver, "/tally")).items()}


async def _endpoints(
    connection: "asyncpg.Connection[asyncpg.Record]", owners: Sequence[Customer], urls: Sequence[str]
) -> None:
    ids = [owner.account_id for owner in owners]
    await connection.execute(SQL.endpoints, ids, list(urls))


def _soon(stage: Stage, receiver: Server) -> report.Figure:
    """From the row of the text to the request at the receiver, on the clock of one machine."""
    texts = TEXTS_PER_SECOND * (5 if stage.quick else 20)
    url = stage.database()

    async def send() -> list[float]:
        connection = await asyncpg.connect(url)
        await connection.execute(*bind(SQL.numbers, carrier="simulated", first=FIRST_NUMBER, count=texts))
        owners = await customers(connection, 1)
        leased = await leases(connection, owners, "whatsapp", texts)
        await _endpoints(connection, owners, [f"http://127.0.0.1:{receiver.port}/good"])
        await connection.execute("VACUUM ANALYZE")
        stage.serve(url, "--role", "worker", **ALLOW)
        database = await Database.open(url, connections=4)
        inbox = Inbox(database, Catalog(database, ["simulated"]))
        started = time.monotonic()
        for number, lease in enumerate(leased):
            await asyncio.sleep(max(0, started + number / TEXTS_PER_SECOND - time.monotonic()))
            text = f"Your WhatsApp code: {100_000 + number}".encode()
            await inbox.receive([InboundText("simulated", "WhatsApp", lease.e164, text, Alphabet.UTF8)])
        rows = await connection.fetch("SELECT event_id, created_at FROM event WHERE type = 'sms.received'")
        written = {row["event_id"]: row["created_at"].timestamp() for row in rows}
        came = await _all_of(receiver, written)
        await database.close()
        await connection.close()
        return sorted((came[event] - at) * 1000 for event, at in written.items())

    _ask(receiver, "/forget")
    times = stage.run(send)
    return report.Figure(
        f"text written to webhook received, p99, at {TEXTS_PER_SECOND} texts a second, one worker",
        [times[int(len(times) * 0.99)]],
        100,
        at_most=True,
        unit="ms",
        raw=f"{len(times):,} texts, p50 {statistics.median(times):.1f} ms, worst {times[-1]:.0f} ms",
    )


async def _all_of(receiver: Server, wanted: "dict[int, float]") -> dict[int, float]:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        # the whole tally would take the receiver's time while it is measured
        if int(await asyncio.to_thread(_ask, receiver, "/count")) >= len(wanted) or time.monotonic() > deadline:
            came = await asyncio.to_thread(_came, receiver)
            if wanted.keys() <= came.keys():
                return came
        if time.monotonic() > deadline:
            raise RuntimeError(f"{len(wanted.keys() - came.keys())} of {len(wanted)} never came")
        await asyncio.sleep(0.2)


def _fast(stage: Stage, receiver: Server, measured: set[int] | None) -> list[report.Figure]:
    """Many events at once for one endpoint, sent by one worker, against a loop of the same client calls.

    Each has one core; the receiver, and the worker's database, share what others there are. By the clock the worker
    pays for that too; its CPU time tells what a worker could do whose database had a core of its own.
    """
    count, rounds = (2_000, 2) if stage.quick else (30_000, 5)
    target = f"http://127.0.0.1:{receiver.port}/good"
    sent, bare, of_worker, of_loop = [], [], [], []
    for _ in range(rounds):
        with pinned(measured):
            done = subprocess.run(
                [sys.executable, "-m", "bench.bare", target, str(count), str(AT_A_TIME)],
                capture_output=True,
                check=True,
            )
        rate, spent = (float(word) for word in done.stdout.split())
        bare.append(rate)
        of_loop.append(spent * 1e6)
        _ask(receiver, "/forget")
        url = stage.database()
        owners = stage.run(functools.partial(_subscribed, url, target, count))
        with pinned(measured):
            worker = stage.serve(url, "--role", "worker", **ALLOW)
        time.sleep(START_SECONDS)
        before = worker.cpu_seconds()
        events = stage.run(functools.partial(_told, url, owners))
        came = sorted(stage.run(functools.partial(_all_of, receiver, events)).values())
        after = worker.cpu_seconds()
        worker.process.terminate()
        sent.append(len(came) / (came[-1] - came[0]))
        if before is not None and after is not None:
            of_worker.append((after - before) / count * 1e6)
    what = "webhooks delivered by one worker, against a bare loop of the same client to the same receiver"
    figures = [
        report.Figure(
            f"{what}, by the clock",
            [each / least for each, least in zip(sent, bare, strict=True)],
            0.5,
            raw=f"{report.per_second('worker', sent)}, {report.per_second('loop', bare)}, {AT_A_TIME} at a time",
        )
    ]
    if of_worker:
        figures.append(
            report.Figure(
                f"{what}, by their CPU time",
                [least / each for each, least in zip(of_worker, of_loop, strict=True)],
                0.5,
                raw=f"worker {statistics.median(of_worker):.0f} µs for each, loop {statistics.median(of_loop):.0f} µs",
            )
        )
    return figures


async def _subscribed(url: str, target: str, count: int) -> list[int]:
    """Accounts with so many leases and an endpoint."""
    connection = await asyncpg.connect(url)
    await connection.execute(*bind(SQL.numbers, carrier="simulated", first=FIRST_NUMBER, count=count))
    owners = await customers(connection, 1)
    await leases(connection, owners, "whatsapp", count)
    await _endpoints(connection, owners, [target])
    await connection.execute("VACUUM ANALYZE")
    await connection.close()
    return [owner.account_id for owner in owners]


async def _told(url: str, owners: Sequence[int]) -> dict[int, float]:
    """An event for each lease, by id."""
    connection = await asyncpg.connect(url)
    await connection.execute(SQL.events, list(owners))
    rows = await connection.fetch("SELECT event_id FROM event WHERE type = 'activation.completed'")
    await connection.close()
    return {row["event_id"]: 0.0 for row in rows}


def _beside_bad_ones(stage: Stage, receiver: Server) -> report.Figure:
    count = 5_000 if stage.quick else 100_000
    url = stage.database()
    base = f"http://127.0.0.1:{receiver.port}"
    kinds = ["hang"] * 15 + ["fail"] * 15 + ["good"] * 70

    async def send() -> tuple[list[float], int]:
        connection = await asyncpg.connect(url)
        owners = await customers(connection, ACCOUNTS)
        await _endpoints(connection, owners, [f"{base}/{kind}/{at}" for at, kind in enumerate(kinds)])
        worker = stage.serve(url, "--role", "worker", **ALLOW)
        ids = [owner.account_id for owner in owners]
        step = EVENTS_PER_SECOND // 50
        started = time.monotonic()
        for number in range(0, count, step):
            await asyncio.sleep(max(0, started + number / EVENTS_PER_SECOND - time.monotonic()))
            await connection.execute(SQL.tell, [ids[(number + one) % ACCOUNTS] for one in range(step)])
        rows = await connection.fetch(
            "SELECT event_id, created_at, account_id = ANY ($1) AS good FROM event WHERE type = 'key.created'"
            " AND data ? 'key_id' AND data ->> 'key_id' = '0'",
            [owner.account_id for owner, kind in zip(owners, kinds, strict=True) if kind == "good"],
        )
        good = {row["event_id"]: row["created_at"].timestamp() for row in rows if row["good"]}
        came = await _all_of(receiver, good)
        kept = await connection.fetchval(
            "SELECT count(*) FROM webhook_delivery WHERE event_id = ANY ($1)", [row["event_id"] for row in rows]
        )
        await connection.close()
        worker.process.terminate()
        return sorted((came[event] - at) * 1000 for event, at in good.items()), len(rows) - kept

    _ask(receiver, "/forget")
    times, lost = stage.run(send)
    if lost:
        raise RuntimeError(f"{lost} events have neither arrived nor an attempt that is due")
    return report.Figure(
        f"event written to webhook received, p99 of the healthy, while 15 of {ACCOUNTS} endpoints hang and 15 fail",
        [times[int(len(times) * 0.99)]],
        2_000,
        at_most=True,
        unit="ms",
        raw=f"{count:,} events at {EVENTS_PER_SECOND}/s, none lost; p50 {statistics.median(times):.0f} ms, "
        f"worst {times[-1]:.0f} ms",
    )
