"""How fast acts are linked, and how long the proof of the whole audit takes."""

import time

import asyncpg

from bench import report
from bench.stage import SQL, Stage
from trunkline.audit import chain, heads, proof
from trunkline.storage.database import Database


def measure(stage: Stage) -> list[report.Figure]:
    """The acts are written beforehand; linking and proving run in this process, on the embedded database."""
    count = 50_000 if stage.quick else 1_000_000
    url = stage.database()
    linking, proving = stage.run(lambda: _measured(stage, url, count))
    how = f"{count:,} acts, one process"
    return [
        report.Figure("acts linked into the audit chain and signed", [count / linking], 2_000, unit="/s", raw=how),
        report.Figure(
            f"proof of an audit of {count:,} acts", [proving], 60 * count / 1_000_000, at_most=True, unit="s", raw=how
        ),
    ]


async def _measured(stage: Stage, url: str, count: int) -> tuple[float, float]:
    connection = await asyncpg.connect(url)
    await connection.execute(SQL.acts, count)
    await connection.close()
    keys = heads.make_keys(stage.directory / "audit-bench.pem")
    database = await Database.open(url, connections=2)
    started = time.perf_counter()
    assert await chain.link(database, keys) == count
    linked = time.perf_counter()
    verdict = await proof.verify(database, keys.trusted)
    proved = time.perf_counter()
    assert verdict.ok, verdict.off
    await database.close()
    return linked - started, proved - linked
