"""How fast numbers are leased: over HTTP against the database alone, in a large pool, and by many buyers at once."""

import statistics
import time
from pathlib import Path
from typing import Any

import asyncpg

from bench import load, pgbench, report
from bench.stage import FIRST_NUMBER, SQL, Customer, Stage, customers
from trunkline.storage.queries import bind

CLIENTS = 16
CROWD = 32
SERVICES = 100
NUMBERS = 200_000  # more than all rounds could lease for one service


def measure(stage: Stage) -> list[report.Figure]:
    url = stage.database()
    buyers = stage.run(lambda: _stocked(url, NUMBERS, CROWD))
    return [_over_http(stage, url, buyers[:CLIENTS]), _crowded(stage, url, buyers), _large(stage)]


async def _stocked(url: str, numbers: int, accounts: int, *, used_share: float = 0) -> list[Customer]:
    connection = await asyncpg.connect(url)
    await connection.execute(SQL.empty_shelves)
    await connection.execute(SQL.services, SERVICES)
    await connection.execute(*bind(SQL.numbers, carrier="simulated", first=FIRST_NUMBER, count=numbers))
    if used_share:
        await connection.execute(SQL.used, "bench_0", int(numbers * used_share))
    buyers = await customers(connection, accounts)
    await connection.execute("VACUUM ANALYZE")
    await connection.execute("CHECKPOINT")
    await connection.close()
    return buyers


async def _leased(url: str) -> int:
    connection = await asyncpg.connect(url)
    row = await connection.fetchrow(SQL.counts)
    await connection.close()
    assert row is not None
    return int(row["leases"])


def _script(stage: Stage, buyers: list[Customer], services: int) -> Path:
    file = stage.directory / f"purchase-{services}.pgbench"
    file.write_text(stage.run(lambda: pgbench.script(buyers, services)))
    return file


def _run_pgbench(stage: Stage, url: str, file: Path, clients: int, seconds: float) -> float:
    """Purchases a second; a refused purchase is a failure here, though no error to pgbench."""
    before = stage.run(lambda: _leased(url))
    rate = pgbench.run(url, file, clients=clients, seconds=seconds, environment=stage.environment(url))
    leased = stage.run(lambda: _leased(url)) - before
    if leased < 0.9 * rate * max(1, round(seconds)):
        raise RuntimeError(f"only {leased} numbers were leased at {rate:.0f} statements a second")
    return rate


def _over_http(stage: Stage, url: str, buyers: list[Customer]) -> report.Figure:
    api = stage.serve(url, "--role", "api")
    file = _script(stage, buyers, SERVICES)
    streams = [_orders(buyer, at) for at, buyer in enumerate(buyers)]
    rounds, seconds = (3, 2) if stage.quick else (7, 4)
    over_http, statements = [], []
    for _ in range(rounds):
        statements.append(_run_pgbench(stage, url, file, CLIENTS, seconds))
        over_http.append(load.put_on(load.Plan(api.port, streams, seconds)).per_second)
    return report.Figure(
        f"durable purchase over HTTP, against pgbench running the same statement, {CLIENTS} clients each",
        [http / statement for http, statement in zip(over_http, statements, strict=True)],
        0.5,
        raw=f"{report.per_second('HTTP', over_http)}, {report.per_second('pgbench', statements)}",
    )


def _orders(buyer: Customer, at: int) -> list[str]:
    """One for each service; every connection begins at another."""
    services = [(at * 13 + turn * 7) % SERVICES for turn in range(SERVICES)]  # 7 has no divisor in common with 100
    return [
        load.post("/api/v1/numbers/purchase", buyer.key, f'{{"country":"us","service":"bench_{service}"}}')
        for service in services
    ]


def _crowded(stage: Stage, url: str, buyers: list[Customer]) -> report.Figure:
    one, many = _script(stage, buyers, 1), _script(stage, buyers, SERVICES)
    rounds, seconds = (3, 2) if stage.quick else (7, 4)
    on_one, on_many = [], []
    for _ in range(rounds):
        on_many.append(_run_pgbench(stage, url, many, CROWD, seconds))
        on_one.append(_run_pgbench(stage, url, one, CROWD, seconds))
    return report.Figure(
        f"{CROWD} buyers on one country and service, against {CROWD} spread over {SERVICES} services",
        [crowd / spread for crowd, spread in zip(on_one, on_many, strict=True)],
        0.7,
        raw=f"{report.per_second('one', on_one)}, {report.per_second('spread', on_many)}",
    )


def _large(stage: Stage) -> report.Figure:
    numbers = 100_000 if stage.quick else 1_000_000
    large, small = stage.database(), stage.database()
    [large_buyer] = stage.run(lambda: _stocked(large, numbers, 1, used_share=0.9))
    [small_buyer] = stage.run(lambda: _stocked(small, 1_000, 1))
    rounds, purchases = (3, 100) if stage.quick else (7, 120)  # 1,000 fresh numbers must last
    return stage.run(lambda: _compare_sizes(large, large_buyer, small, small_buyer, numbers, rounds, purchases))


async def _compare_sizes(
    large: str, large_buyer: Customer, small: str, small_buyer: Customer, numbers: int, rounds: int, purchases: int
) -> report.Figure:
    big, little = await asyncpg.connect(large), await asyncpg.connect(small)
    await _purchase_median_us(big, large_buyer, purchases // 2)
    await _purchase_median_us(little, small_buyer, purchases // 2)
    slow, fast = [], []
    for _ in range(rounds):
        fast.append(await _purchase_median_us(little, small_buyer, purchases))
        slow.append(await _purchase_median_us(big, large_buyer, purchases))
    await big.close()
    await little.close()
    return report.Figure(
        f"purchase median at {numbers:,} numbers, 90 % of them used for the service, against 1,000 fresh ones",
        [of_many / of_few for of_many, of_few in zip(slow, fast, strict=True)],
        1.5,
        at_most=True,
        raw=f"{numbers:,} {statistics.median(slow):,.0f} µs, 1,000 {statistics.median(fast):,.0f} µs",
    )


async def _purchase_median_us(connection: Any, buyer: Customer, purchases: int) -> float:
    statement, arguments = await pgbench.purchase(buyer.account_id, "bench_0")
    times = []
    for _ in range(purchases):
        started = time.perf_counter()
        [row] = await connection.fetch(statement, *arguments)
        times.append((time.perf_counter() - started) * 1e6)
        assert row["problem"] is None, row["problem"]
    return statistics.median(times)
