"""The one place that builds and wires everything, from settings to the application; ``roles`` let it run."""

import asyncio
import contextlib
import dataclasses
import pathlib
from collections.abc import AsyncIterator, Sequence

from trunkline import egress, money
from trunkline.accounts.keys import Keyring
from trunkline.accounts.limits import Limiter
from trunkline.accounts.shared_limits import SharedLimiter
from trunkline.activations.inbox import Inbox
from trunkline.activations.lifecycle import Policy
from trunkline.activations.live import Live
from trunkline.api import account as account_api
from trunkline.api import activations as activations_api
from trunkline.api import audit as audit_api
from trunkline.api import catalog as catalog_api
from trunkline.api import control as control_api
from trunkline.api import deliveries as deliveries_api
from trunkline.api import deposits as deposits_api
from trunkline.api import events as events_api
from trunkline.api import keys as keys_api
from trunkline.api import openapi, wire
from trunkline.api import statement as statement_api
from trunkline.api import stats as stats_api
from trunkline.api import status as status_api
from trunkline.api import usage as usage_api
from trunkline.api import webhooks as webhooks_api
from trunkline.api.addresses import Addresses
from trunkline.api.probes import Probes
from trunkline.api.routes import BASE, Route
from trunkline.api.server import Api
from trunkline.carriers import registry, simulator
from trunkline.carriers.carrier import Carrier
from trunkline.carriers.registry import Registry, Terms
from trunkline.carriers.smpp.link import SmppCarrier
from trunkline.carriers.smpp.options import SmppOptions
from trunkline.catalog import prices, services
from trunkline.catalog.prices import Catalog
from trunkline.config import CarrierOptions, Config, PoolOptions
from trunkline.errors import OperatorError
from trunkline.events import tail as outbox
from trunkline.events.hub import Hub
from trunkline.events.tail import Event, Gap, Tail
from trunkline.ledger.checkout import Checkout
from trunkline.pool import numbers
from trunkline.stats.statistics import Statistics
from trunkline.status import components
from trunkline.status.page import Board
from trunkline.storage import embedded
from trunkline.storage.database import Database
from trunkline.storage.migrate import migrate
from trunkline.web import reference

VERSION = "0.1.0"
SEED_LOCK = 0x73656564


@dataclasses.dataclass(frozen=True, slots=True)
class Platform:
    """An open database with everything that stands on it."""

    database: Database
    catalog: Catalog
    registry: Registry
    inbox: Inbox


@contextlib.asynccontextmanager
async def platform(
    config: Config, data_dir: pathlib.Path, *, connections: int | None = None
) -> AsyncIterator[Platform]:
    """Opens the database (starting the embedded one where none is named), brings it up to date, and wires the slices.

    Raises OperatorError and DatabaseAway.
    """
    server = None if config.database_url else await asyncio.to_thread(embedded.start, data_dir)
    try:
        database = await Database.open(
            server.url if server else config.database_url, connections=connections or config.server.database_connections
        )
        try:
            await migrate(server.url if server else config.database_url)
            await database.fetchval(outbox.SQL.keep_days, config.events.days)
            await _seed(database, config)
            real = {
                name: _real(name, options, config.pool)
                for name, options in config.carriers.items()
                if (name, options.kind) != (simulator.NAME, simulator.NAME)  # it is always there, named or not
            }
            everyone = registry.registry(real, simulated=config.pool.simulated)
            catalog = Catalog(database, list(everyone.visible(test=False)))
            inbox = Inbox(
                database,
                catalog,
                group_size=config.inbox.group_size,
                backlog=config.inbox.backlog,
                retention_days=config.retention.days,
            )
            yield Platform(database, catalog, everyone, inbox)
        finally:
            await database.close()
    finally:
        if server:
            server.release()


async def _seed(database: Database, config: Config) -> None:
    """What a new database holds: the starter set of services, a default price, the simulated network's numbers."""
    if await database.fetchval(numbers.SQL.has_numbers, simulator.NAME):
        return
    live, test = await asyncio.to_thread(simulator.numbers, config.pool.simulated_seed)
    async with database.transaction() as connection:
        await connection.execute("SELECT pg_advisory_xact_lock($1)", SEED_LOCK)
        if await connection.fetchval(numbers.SQL.has_numbers, simulator.NAME):
            return
        await services.put(connection, services.starter_set())
        default_price = money.parse(config.money.default_price)
        await connection.execute(prices.SQL.seed_price, config.money.currency, default_price)
        for found, is_test in ((live, False), (test, True)):
            rows = (numbers.Row(0, number.e164, number.country, number.operator) for number in found)
            await numbers.stock(connection, rows, carrier=simulator.NAME, test=is_test)


def _real(name: str, options: CarrierOptions, pool: PoolOptions) -> tuple[Carrier, Terms]:
    if simulator.NAME in (name, options.kind):
        raise OperatorError(
            f"The carrier {name!r} cannot be used: the simulated network is always there, as 'simulated' alone."
        )
    try:
        carrier = SmppCarrier(
            name,
            SmppOptions(
                url=options.url,
                bind=options.bind,
                window=options.window,
                system_type=options.system_type,
                address_range=options.address_range,
                enquire_link_seconds=options.enquire_link_seconds,
                response_timeout_seconds=options.response_timeout_seconds,
                alphabets={int(coding): alphabet for coding, alphabet in options.alphabets.items()},
                tls_ca=pathlib.Path(options.tls_ca) if options.tls_ca else None,
                tls_verify=options.tls_verify,
            ),
        )
    except (ValueError, OSError) as error:
        raise OperatorError(f"The carrier {name!r} cannot be used: {error}.") from None
    rest = options.quarantine_seconds if options.quarantine_seconds is not None else pool.quarantine_seconds
    return carrier, Terms(pool.cancel_wait_seconds if options.charges else 0, rest)


def _policy(config: Config) -> Policy:
    return Policy(
        fee_micros=money.parse(config.money.cancel_fee),
        max_active=config.policy.max_active,
        purchases_per_hour=config.policy.purchases_per_hour,
        cancels_per_hour=config.policy.cancels_per_hour,
        success_floor=config.policy.success_floor,
        retention_days=config.retention.days,
        appeal=config.policy.appeal,
    )


def _checkout(config: Config) -> Checkout | None:
    options = config.stripe
    if not options.secret_key:
        return None
    return Checkout(
        secret_key=options.secret_key,
        webhook_secret=options.webhook_secret,
        success_url=options.success_url,
        cancel_url=options.cancel_url,
        api_base=options.api_base,
    )


@dataclasses.dataclass(frozen=True, slots=True)
class Push:
    """What a process knows of what happens, true as long as the tail runs."""

    tail: Tail
    live: Live
    hub: Hub

    def drain(self) -> None:
        """Lets held calls answer, and streams of events end."""
        self.live.drain()
        self.hub.drain()


def push(config: Config, built: Platform) -> Push:
    tail = Tail(built.database)
    options = config.events
    hub = Hub(
        built.database, tail, streams_per_key=options.streams_per_key, heartbeat_seconds=options.heartbeat_seconds
    )
    live = Live(built.database, tail, activations_api.render)

    def tell_live(news: Sequence[Event] | Gap) -> None:
        live.told(None if isinstance(news, Gap) else {event.activation_id for event in news if event.activation_id})

    tail.follow(tell_live)
    tail.follow(hub.told)
    built.inbox.follow(live.told)  # without the few milliseconds until the tail's next look
    return Push(tail, live, hub)


def routes(config: Config, built: Platform, pushed: Push) -> list[Route]:
    """The whole table."""
    return [
        *activations_api.routes(
            live=pushed.live,
            registry=built.registry,
            policy=_policy(config),
            ttl_seconds=config.pool.ttl_seconds,
        ),
        *catalog_api.routes(
            catalog=built.catalog, statistics=Statistics(built.database), currency=config.money.currency
        ),
        *account_api.routes(
            account_requests_per_minute=config.server.account_requests_per_minute,
            retention_days=config.retention.days,
            longest_retention_days=config.retention.longest_days,
        ),
        *audit_api.routes(),
        *control_api.routes(
            database=built.database,
            nameservers=config.control.addresses(),
            allow=egress.networks(config.webhooks.allow),
        ),
        *deliveries_api.routes(),
        *deposits_api.routes(
            database=built.database,
            checkout=_checkout(config),
            minimum_micros=money.parse(config.stripe.minimum),
            maximum_micros=money.parse(config.stripe.maximum),
        ),
        *events_api.routes(hub=pushed.hub),
        *keys_api.routes(),
        *statement_api.routes(),
        *stats_api.routes(database=built.database, catalog=built.catalog),
        *status_api.routes(
            board=Board(built.database, components.names(built.registry)),
            name=config.status.name,
            url=config.status.url,
        ),
        *usage_api.routes(),
        *webhooks_api.routes(allow=egress.networks(config.webhooks.allow), most=config.webhooks.most_endpoints),
    ]


def api(
    config: Config,
    built: Platform,
    pushed: Push,
    keyring: Keyring,
    limiter: Limiter | SharedLimiter,
    asked: Probes,
) -> Api:
    """The ASGI application."""
    table = routes(config, built, pushed)
    document = openapi.document(table, version=VERSION)
    return Api(
        table,
        database=built.database,
        keyring=keyring,
        limiter=limiter,
        addresses=Addresses(config.server.trusted_proxies),
        appeal=config.policy.appeal,
        files={
            f"{BASE}/openapi.json": (wire.JSON, wire.encode(document)),
            **reference.pages(document),
        },
        probes=asked,
    )
