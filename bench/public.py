"""What calls without a key cost over a large catalog, and what a loop of them does to a customer's polls."""

import asyncio
import functools
import statistics
import time

import asyncpg

from bench import load, report
from bench.stage import FIRST_NUMBER, SQL, Server, Stage, customers, leases
from trunkline.catalog.countries import countries
from trunkline.storage.queries import bind

SERVICES = 5_000
LEASES = 100
# Paths, and how many polls a call may cost at most.
CALLS = {
    "/prices?limit=1": 10.0,
    "/prices?country=us": 40.0,
    "/services": 40.0,
    "/services?q=b+e+n+c+h": 40.0,
    "/countries": 10.0,
    "/status": 10.0,
}
LOOPED = ("/prices?limit=1", "/services?q=b+e+n+c+h", "/prices?country=us")
CONNECTIONS = 16
POLLS_PER_SECOND = 50


def measure(stage: Stage) -> list[report.Figure]:
    url = stage.database()
    polls = stage.run(lambda: _prepare(url))
    unlimited = stage.serve(url, "--role", "api", TRUNKLINE_SERVER__PUBLIC_REQUESTS_PER_MINUTE="0")
    seconds, rounds = (0.5, 1) if stage.quick else (2.0, 3)
    figures = []
    for path, most in CALLS.items():
        request = f"GET /api/v1{path} HTTP/1.1\r\nHost: bench\r\n\r\n"
        ratios = [_cost(unlimited, [request], seconds) / _cost(unlimited, polls, seconds) for _ in range(rounds)]
        figures.append(
            report.Figure(f"CPU of `GET {path}`, {SERVICES:,} services, against a poll", ratios, most, at_most=True)
        )
    limited = stage.serve(url, "--role", "api")
    for path in LOOPED:
        calm = [stage.run(lambda: _poll(limited.port, polls, seconds)) for _ in range(rounds)]
        looped = [stage.run(functools.partial(_beside, limited.port, polls, seconds, path)) for _ in range(rounds)]
        figures.append(
            report.Figure(
                f"median of a customer's polls while {CONNECTIONS} connections of one address loop on `GET {path}`, "
                "against the same without them",
                [busy / idle for busy, idle in zip(looped, calm, strict=True)],
                1.2,
                at_most=True,
                raw=f"{statistics.median(calm) * 1000:.2f} ms alone, {statistics.median(looped) * 1000:.2f} ms beside",
            )
        )
    return figures


async def _prepare(url: str) -> list[str]:
    connection = await asyncpg.connect(url)
    await connection.execute(SQL.services, SERVICES)
    await connection.execute(SQL.stock_everywhere, list(countries()))
    await connection.execute(*bind(SQL.numbers, carrier="simulated", first=FIRST_NUMBER, count=LEASES))
    [customer] = await customers(connection, 1)
    polled = await leases(connection, [customer], "whatsapp", LEASES)
    await connection.execute("VACUUM ANALYZE")
    await connection.close()
    return [load.get(f"/api/v1/numbers/status/{lease.activation_id}", customer.key) for lease in polled]


def _cost(server: Server, requests: list[str], seconds: float) -> float:
    """Seconds of the server's CPU for each answer, or of the clock where the kernel does not count."""
    before = server.cpu_seconds()
    outcome = load.put_on(load.Plan(server.port, [requests] * 4, seconds))
    after = server.cpu_seconds()
    if before is None or after is None:
        return 1 / outcome.per_second
    return (after - before) / outcome.all_answers


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> None:
    writer.write(request)
    data = b""
    while load.body_of(data) is None:
        chunk = await reader.read(65536)
        if not chunk:
            raise RuntimeError("the connection was lost")
        data += chunk


async def _poll(port: int, polls: list[str], seconds: float) -> float:
    """The median of polls at a customer's pace."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    took: list[float] = []
    end = time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        await _ask(reader, writer, polls[len(took) % len(polls)].encode())
        took.append(time.perf_counter() - began)
        await asyncio.sleep(1 / POLLS_PER_SECOND)
    writer.close()
    return statistics.median(took)


async def _beside(port: int, polls: list[str], seconds: float, path: str) -> float:
    async def loop() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while True:
            await _ask(reader, writer, f"GET /api/v1{path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())

    loops = [asyncio.create_task(loop()) for _ in range(CONNECTIONS)]
    try:
        await asyncio.sleep(seconds)  # until the burst is used up
        return await _poll(port, polls, seconds)
    finally:
        for each in loops:
            each.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
