"""How fast polls are answered, against the least that the same server could do."""

import os

import asyncpg

from bench import load, report
from bench.stage import FIRST_NUMBER, SQL, Customer, Lease, Server, Stage, customers, halves, leases, pinned

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
        return [_compare(stage, api, least, customer, polled, others)]
    finally:
        if measured and others:
            os.sched_setaffinity(stage.postmaster(), measured | others)


async def _prepare(url: str) -> tuple[Customer, list[Lease]]:
    connection = await asyncpg.connect(url)
    await connection.execute(SQL.numbers, "simulated", FIRST_NUMBER, LEASES)
    [customer] = await customers(connection, 1)
    polled = await leases(connection, [customer], "whatsapp", LEASES)
    await connection.execute("VACUUM ANALYZE")
    await connection.close()
    return customer, polled


def _compare(
    stage: Stage, api: Server, least: Server, customer: Customer, polled: list[Lease], cores: set[int] | None
) -> report.Figure:
    requests = [load.get(f"/api/v1/numbers/status/{lease.activation_id}", customer.key) for lease in polled]
    share = len(requests) // CONNECTIONS
    streams = [requests[at * share :] + requests[: at * share] for at in range(CONNECTIONS)]
    rounds, seconds = (3, 1.5) if stage.quick else (7, 3.0)
    polls, noops = [], []
    for _ in range(rounds):
        noops.append(load.put_on(load.Plan(least.port, streams, seconds), cores).per_second)
        polls.append(load.put_on(load.Plan(api.port, streams, seconds), cores).per_second)
    return report.Figure(
        "status poll over HTTP with key, limit and headers, against a no-op ASGI app on the same server and core",
        [poll / noop for poll, noop in zip(polls, noops, strict=True)],
        0.35,
        raw=f"{report.per_second('polls', polls)}, {report.per_second('no-op', noops)}",
    )
