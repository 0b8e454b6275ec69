"""How fast polls are answered, against the least that the same server could do."""

import os
import statistics
import sys
from dataclasses import dataclass

import asyncpg

from bench import load, report
from bench.stage import FIRST_NUMBER, SQL, Customer, Lease, Server, Stage, customers, halves, leases, pinned
from trunkline.storage.queries import bind

LEASES = 500
CONNECTIONS = 32


def measure(stage: Stage) -> list[report.Figure]:
    """One API process on one core; the load and the database on the others."""
    url = stage.database()
    measured, others = halves()
    if others:  # its backends inherit it
        os.sched_setaffinity(stage.postmaster(), others)
    try:
        customer, polled = stage.run(lambda: _prepare(url))
        with pinned(measured):
            api = stage.serve(url, "--role", "api")
            least = stage.noop()
            trusting = stage.start([sys.executable, "-m", "bench.trusting", customer.key], stage.environment(url))
        return _compare(stage, api, least, trusting, customer, polled, others)
    finally:
        if measured and others:
            os.sched_setaffinity(stage.postmaster(), measured | others)


async def _prepare(url: str) -> tuple[Customer, list[Lease]]:
    connection = await asyncpg.connect(url)
    await connection.execute(*bind(SQL.numbers, carrier="simulated", first=FIRST_NUMBER, count=LEASES))
    [customer] = await customers(connection, 1)
    polled = await leases(connection, [customer], "whatsapp", LEASES)
    await connection.execute("VACUUM ANALYZE")
    await connection.close()
    return customer, polled


def _compare(
    stage: Stage,
    api: Server,
    least: Server,
    trusting: Server,
    customer: Customer,
    polled: list[Lease],
    cores: set[int] | None,
) -> list[report.Figure]:
    requests = [load.get(f"/api/v1/numbers/status/{lease.activation_id}", customer.key) for lease in polled]
    share = len(requests) // CONNECTIONS
    streams = [requests[at * share :] + requests[: at * share] for at in range(CONNECTIONS)]
    rounds, seconds = (3, 1.5) if stage.quick else (7, 3.0)
    noops, polls, trusted = [], [], []
    for _ in range(rounds):
        noops.append(_round(least, load.Plan(least.port, streams, seconds), cores))
        polls.append(_round(api, load.Plan(api.port, streams, seconds), cores))
        trusted.append(_round(trusting, load.Plan(trusting.port, streams, seconds), cores))
    return [
        report.Figure(
            "status poll of a live lease, from memory, with key, limit and headers, against a no-op ASGI app under "
            "uvicorn on the same core, by CPU time of the server",
            [poll.efficiency / noop.efficiency for poll, noop in zip(polls, noops, strict=True)],
            0.6,
            raw=f"polls {_shown(polls)}; no-op {_shown(noops)}",
        ),
        report.Figure(
            "what key check, limit and headers take of a status poll, by CPU time of the server",
            [1 - poll.efficiency / free.efficiency for poll, free in zip(polls, trusted, strict=True)],
            0.25,
            at_most=True,
            raw=f"with them {_shown(polls)}; without {_shown(trusted)}",
        ),
    ]


@dataclass(frozen=True)
class _Round:
    per_second: float
    efficiency: float  # answers for each second of the server's CPU; of the clock where that cannot be read
    busy: float


def _round(server: Server, plan: load.Plan, cores: set[int] | None) -> _Round:
    """Neighbours on the machine slow the load and leave the server idle: the clock alone would flatter the polls."""
    before = server.cpu_seconds()
    outcome = load.put_on(plan, cores)
    after = server.cpu_seconds()
    if before is None or after is None:
        return _Round(outcome.per_second, outcome.per_second, 1)
    spent = after - before
    return _Round(outcome.per_second, outcome.all_answers / spent, spent / (plan.seconds + load.WARM_UP_SECONDS))


def _shown(rounds: list[_Round]) -> str:
    cost = statistics.median(1e6 / each.efficiency for each in rounds)
    rate = statistics.median(each.per_second for each in rounds)
    busy = statistics.median(each.busy for each in rounds)
    return f"{cost:.0f} µs of CPU each, {rate:,.0f}/s by the clock with the server {busy:.0%} busy"
