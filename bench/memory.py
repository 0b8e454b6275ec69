"""What a server holds while a hundred thousand leases are live."""

import asyncpg

from bench import load, report
from bench.stage import FIRST_NUMBER, SQL, Customer, Lease, Stage, customers, leases
from trunkline.storage.queries import bind

ACCOUNTS = 10
CONNECTIONS = 16


def measure(stage: Stage) -> list[report.Figure]:
    """Resident memory of one process with every role, PostgreSQL not counted, after most leases have been polled."""
    count = 20_000 if stage.quick else 100_000
    url = stage.database()
    owners, leased = stage.run(lambda: _stocked(url, count))
    keys = {owner.account_id: owner.key for owner in owners}
    server = stage.serve(url)
    idle = server.resident_mib()
    requests = [load.get(f"/api/v1/numbers/status/{lease.activation_id}", keys[lease.account_id]) for lease in leased]
    streams = [requests[at::CONNECTIONS] for at in range(CONNECTIONS)]
    polled = load.put_on(load.Plan(server.port, streams, 5 if stage.quick else 15)).answers
    return [
        report.Figure(
            f"resident memory of the server with {count:,} live leases, without PostgreSQL",
            [server.resident_mib()],
            250,
            at_most=True,
            unit="MB",
            raw=f"{idle:.0f} MB idle, then {min(polled, count):,} of the leases polled",
        )
    ]


async def _stocked(url: str, count: int) -> tuple[list[Customer], list[Lease]]:
    connection = await asyncpg.connect(url)
    await connection.execute(*bind(SQL.numbers, carrier="simulated", first=FIRST_NUMBER, count=count))
    owners = await customers(connection, ACCOUNTS)
    leased = await leases(connection, owners, "whatsapp", count)
    await connection.execute("VACUUM ANALYZE")
    await connection.close()
    return owners, leased
