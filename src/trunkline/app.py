"""What stands on the settings: an open database and the slices on it. ``asgi`` adds the API, ``roles`` let both run."""

import asyncio
import contextlib
import dataclasses
import pathlib
from collections.abc import AsyncIterator

import asyncpg

from trunkline import money
from trunkline.activations import repeats
from trunkline.activations.inbox import Inbox
from trunkline.carriers import registry
from trunkline.carriers.carrier import SIMULATED
from trunkline.carriers.registry import Registry, Terms
from trunkline.carriers.simulated import carrier as simulator
from trunkline.catalog import numbers, prices, services
from trunkline.catalog.prices import Catalog
from trunkline.config import Config
from trunkline.errors import OperatorError
from trunkline.events import tail as outbox
from trunkline.storage import embedded, first_contact
from trunkline.storage.database import SERVING, Budget, Database
from trunkline.storage.migrate import migrate
from trunkline.verify import passcodes
from trunkline.verify.passcodes import Seals
from trunkline.verify.policy import VerifyPolicy
from trunkline.verify.routes import Routes

VERSION = "0.1.0"
SEED_LOCK = 0x73656564
START_SECONDS = 120.0  # for what a start does to a new database, or to one that has been off for long


@dataclasses.dataclass(frozen=True, slots=True)
class Platform:
    """An open database with everything that stands on it."""

    database: Database
    catalog: Catalog
    registry: Registry
    inbox: Inbox
    verify: VerifyPolicy


@contextlib.asynccontextmanager
async def platform(
    config: Config, data_dir: pathlib.Path, *, connections: int | None = None, budget: Budget = SERVING
) -> AsyncIterator[Platform]:
    """Opens the database (starting the embedded one where none is named), brings it up to date, and wires the slices.

    ``budget``: the time that a statement has. Raises OperatorError and DatabaseAway.
    """
    usual = Terms(config.pool.cancel_wait_seconds, config.pool.quarantine_seconds)
    everyone = registry.registry(config.carriers, usual, simulated=config.pool.simulated)
    server = None if config.database_url else await asyncio.to_thread(embedded.start, data_dir)
    healing = asyncio.create_task(server.watch(), name="the embedded PostgreSQL's watch") if server else None
    try:
        serving_url = server.serving_url if server else config.database_url
        owner_url = server.url if server else config.database_owner_url or config.database_url
        database = await Database.open(
            serving_url, connections=connections or config.server.database_connections, budget=budget
        )
        try:
            serving = await database.fetchval("SELECT current_user::text") if owner_url != serving_url else None
            await migrate(owner_url, serving)
            if serving and await database.fetchval("SELECT to_regclass('schema_version') IS NULL"):
                raise OperatorError("database_owner_url and database_url lead to different databases.")
            async with database.transaction(seconds=START_SECONDS) as connection:
                await connection.fetchval(outbox.SQL.keep_days, config.events.days)
            await _seed(database, config)
            catalog = Catalog(database, list(everyone.visible(test=False)))
            inbox = Inbox(
                database,
                catalog,
                group_size=config.inbox.group_size,
                backlog=config.inbox.backlog,
                retention_days=config.retention.days,
                part_wait_seconds=config.inbox.part_wait_seconds,
                secret=await asyncio.to_thread(repeats.read_secret, config.inbox.secret_path(data_dir)),
            )
            everyone.simulated.connect(database, inbox.put)
            verifying = VerifyPolicy(
                config.verify,
                Seals(await asyncio.to_thread(passcodes.read_secret, config.verify.secret_path(data_dir))),
                Routes(config.verify.routes, everyone.carriers, config.verify.sender),
            )
            yield Platform(database, catalog, everyone, inbox, verifying)
        except asyncpg.InsufficientPrivilegeError as error:
            raise OperatorError(f"The role of the database URL lacks rights: {error}. {first_contact.OWN}") from error
        finally:
            await database.close()
    finally:
        if server and healing:
            healing.cancel()
            server.release()


async def _seed(database: Database, config: Config) -> None:
    """What a new database holds: the starter set of services, a default price, the simulated network's numbers."""
    if await database.fetchval(numbers.SQL.has_numbers, SIMULATED):
        return
    live, test = await asyncio.to_thread(simulator.numbers, config.pool.simulated_seed)
    async with database.transaction(seconds=START_SECONDS) as connection:
        await connection.execute("SET LOCAL lock_timeout = 0")  # whoever starts at the same time waits for one of them
        await connection.execute("SELECT pg_advisory_xact_lock($1)", SEED_LOCK)
        if await connection.fetchval(numbers.SQL.has_numbers, SIMULATED):
            return
        await services.put(connection, services.starter_set())
        default_price = money.parse(config.money.default_price)
        await connection.execute(prices.SQL.seed_price, config.money.currency, default_price)
        for found, is_test in ((live, False), (test, True)):
            rows = (numbers.Row(0, number.e164, number.country, number.operator) for number in found)
            await numbers.stock(connection, rows, carrier=SIMULATED, test=is_test)
