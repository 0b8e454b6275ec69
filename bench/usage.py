"""How long a busy customer waits for the report of a month."""

import time

import asyncpg
import httpx

from bench import report
from bench.stage import SQL, Customer, Stage, customers

LEASES = 1_000_000
GROUPINGS = ("day", "service", "country", "key", "label.run_id")


def measure(stage: Stage) -> list[report.Figure]:
    """The slowest of all groupings, over HTTP."""
    url = stage.database()
    customer, rows = stage.run(lambda: _prepare(url))
    api = stage.serve(url, "--role", "api")
    headers = {"authorization": f"Bearer {customer.key}"}
    with httpx.Client(base_url=f"http://127.0.0.1:{api.port}/api/v1", headers=headers, timeout=30) as client:
        rounds = range(3 if stage.quick else 7)
        slowest = [max(_milliseconds(client, grouping) for grouping in GROUPINGS) for _ in rounds]
    how = f"the slowest of five groupings; {rows:,} rows of usage"
    return [
        report.Figure(
            f"usage over a month of {LEASES:,} leases", slowest, 200, at_most=True, unit="ms", raw=how
        )
    ]  # fmt: skip


async def _prepare(url: str) -> tuple[Customer, int]:
    connection = await asyncpg.connect(url)
    [customer] = await customers(connection, 1)
    await connection.execute(SQL.month_of_usage, customer.account_id, LEASES)
    await connection.execute("VACUUM ANALYZE")
    rows = await connection.fetchval("SELECT count(*) FROM usage")
    assert await connection.fetchval("SELECT sum(leases) FROM usage WHERE dimension = 'key'") == LEASES
    await connection.close()
    return customer, rows


def _milliseconds(client: httpx.Client, grouping: str) -> float:
    asked = {"group_by": grouping, "from": "2026-04-01", "to": "2026-04-30"}
    started = time.perf_counter()
    answer = client.get("/account/usage", params=asked)
    took = (time.perf_counter() - started) * 1000
    assert answer.json()["data"]["total"]["leases"] == LEASES, answer.text[:500]
    return took
