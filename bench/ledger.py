"""How long it takes to prove the books of a platform that has been at work for years."""

import json
import subprocess
import sys
import time

import asyncpg

from bench import report
from bench.stage import FIRST_NUMBER, SQL, Stage, customers
from trunkline.storage.queries import bind

ACCOUNTS = 1_000
CHUNK = 100_000


def measure(stage: Stage) -> list[report.Figure]:
    """``trunkline ledger verify`` from start to end; each lease is two transfers, each transfer two postings."""
    postings = 200_000 if stage.quick else 10_000_000
    url = stage.database()
    stage.run(lambda: fill(url, postings // 4))
    seconds = []
    for _ in range(1 if stage.quick else 3):
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "trunkline", "ledger", "verify", "--json"],
            env=stage.environment(url), capture_output=True, text=True, check=True,
        )  # fmt: skip
        seconds.append(time.monotonic() - started)
        assert json.loads(done.stdout)["transfers"] == postings // 2 + ACCOUNTS
    return [
        report.Figure(
            f"the books proved, {postings:,} postings",
            seconds,
            120 * postings / 10_000_000,
            at_most=True,
            unit="s",
            raw=f"{postings // 4:,} leases of {ACCOUNTS:,} accounts over 60 days",
        )
    ]


async def fill(url: str, leases: int) -> None:
    """Leases that have ended, with everything that the triggers would have kept."""
    connection = await asyncpg.connect(url)
    owners = await customers(connection, ACCOUNTS)
    await connection.execute("SET session_replication_role = replica")  # no triggers: a row at a time takes hours
    for first in range(0, leases, CHUNK):
        last = min(first + CHUNK, leases)
        await connection.execute(
            *bind(
                SQL.ended_leases,
                account=owners[0].account_id,
                accounts=ACCOUNTS,
                first_number=FIRST_NUMBER,
                first=first,
                last=last,
                leases=float(leases),
            )
        )
    await connection.execute(SQL.totals)
    await connection.execute("VACUUM ANALYZE")
    await connection.close()
