"""What a server holds while a thousand streams are open, and how soon an event is on all of them."""

import asyncio
import contextlib
import statistics
import time

import asyncpg

from bench import load, report
from bench.stage import FIRST_NUMBER, SQL, Stage, customers
from trunkline.storage.queries import bind

STREAMS = 1_000
ACCOUNTS = 10
EVENTS = 50


def measure(stage: Stage) -> list[report.Figure]:
    """Resident memory of one process with every role, PostgreSQL not counted, after events have gone to all streams."""
    url = stage.database()
    server = stage.serve(url)
    idle = server.resident_mib()

    async def open_all() -> tuple[float, list[float]]:
        connection = await asyncpg.connect(url)
        await connection.execute(*bind(SQL.numbers, carrier="simulated", first=FIRST_NUMBER, count=1))
        owners = await customers(connection, ACCOUNTS)
        accounts, keys = [owner.account_id for owner in owners], [owner.key for owner in owners]
        streams = []
        for number in range(STREAMS):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=2**14)
            writer.write(load.get("/api/v1/events?types=webhook.test", keys[number % ACCOUNTS]).encode())
            streams.append((reader, writer))
        for reader, _ in streams:
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
        delays = []
        for number in range(EVENTS):
            mark = f"bench {number}"
            await connection.execute(
                "INSERT INTO event (account_id, test, type, data)"
                " SELECT account_id, false, 'webhook.test', jsonb_build_object('message', $2::text)"
                "   FROM unnest($1::bigint[]) AS account_id",
                accounts,
                mark,
            )
            written = time.monotonic()
            await asyncio.gather(*(reader.readuntil(f'"{mark}"'.encode()) for reader, _ in streams))
            delays.append((time.monotonic() - written) * 1000)
        held = server.resident_mib()
        for _, writer in streams:
            writer.transport.abort()
        await connection.close()
        return held, delays

    with contextlib.suppress(ImportError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4 * STREAMS)), hard))
    held, delays = stage.run(open_all)
    return [
        report.Figure(
            f"resident memory of the server with {STREAMS:,} open streams, without PostgreSQL",
            [held],
            150,
            at_most=True,
            unit="MB",
            raw=f"{idle:.0f} MB idle; an event was on all of them after {statistics.median(delays):.0f} ms (median of "
            f"{EVENTS}), read by one process",
        )
    ]
