"""The API over a platform: the whole table of routes, and what a process knows of what happens."""

import dataclasses
from collections.abc import Sequence

from trunkline import egress, money
from trunkline.accounts.bulkheads import Bulkheads
from trunkline.accounts.issuing import Room
from trunkline.accounts.keys import Keyring
from trunkline.accounts.limits import Limiter
from trunkline.accounts.shared_limits import SharedLimiter
from trunkline.activations.lifecycle import Policy
from trunkline.activations.live import Live
from trunkline.activations.outcomes import Statistics
from trunkline.app import VERSION, Platform
from trunkline.config import Config
from trunkline.egress.names import Names
from trunkline.events.hub import Hub
from trunkline.events.tail import Event, Gap, Tail
from trunkline.ledger.checkout import Checkout
from trunkline.ledger.deposits import Bounds
from trunkline.monitoring import components
from trunkline.monitoring.page import Board
from trunkline.surfaces import BASE
from trunkline.surfaces.api import account as account_api
from trunkline.surfaces.api import activations as activations_api
from trunkline.surfaces.api import audit as audit_api
from trunkline.surfaces.api import catalog as catalog_api
from trunkline.surfaces.api import control as control_api
from trunkline.surfaces.api import deliveries as deliveries_api
from trunkline.surfaces.api import deposits as deposits_api
from trunkline.surfaces.api import events as events_api
from trunkline.surfaces.api import keys as keys_api
from trunkline.surfaces.api import purchasing as purchasing_api
from trunkline.surfaces.api import statement as statement_api
from trunkline.surfaces.api import stats as stats_api
from trunkline.surfaces.api import status as status_api
from trunkline.surfaces.api import usage as usage_api
from trunkline.surfaces.api import verifications as verifications_api
from trunkline.surfaces.api import verify_profiles as verify_profiles_api
from trunkline.surfaces.api import webhooks as webhooks_api
from trunkline.surfaces.api.openapi import document as openapi
from trunkline.surfaces.callbacks import StripeEvents
from trunkline.surfaces.compat.statuspage import Statuspage
from trunkline.surfaces.http import wire
from trunkline.surfaces.http.addresses import Addresses
from trunkline.surfaces.http.application import Application
from trunkline.surfaces.http.probes import Probes
from trunkline.surfaces.http.route import Route
from trunkline.surfaces.http.strangers import Strangers
from trunkline.surfaces.http.surface import Surface
from trunkline.surfaces.web import reference


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
        built.database,
        tail,
        streams_per_key=options.streams_per_key,
        streams_per_account=options.streams_per_account,
        heartbeat_seconds=options.heartbeat_seconds,
    )
    live = Live(built.database, tail)

    def tell_live(news: Sequence[Event] | Gap) -> None:
        live.told(None if isinstance(news, Gap) else {event.activation_id for event in news if event.activation_id})

    tail.follow(tell_live)
    tail.follow(hub.told)
    built.inbox.follow(live.told)  # without the few milliseconds until the tail's next look
    return Push(tail, live, hub)


def _policy(config: Config) -> Policy:
    return Policy(
        fee_micros=money.parse(config.money.cancel_fee),
        caps=config.policy,
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


def surfaces(config: Config, built: Platform, pushed: Push) -> list[Surface]:
    """Everything that clients speak to; the first speaks where no other does."""
    board = Board(built.database, components.names(built.registry))
    checkout = _checkout(config)
    return [
        Surface(BASE, _api(config, built, pushed, board, checkout)),
        Statuspage(BASE, board, name=config.status.name, url=config.status.url),
        StripeEvents(BASE, built.database, checkout),
    ]


def _api(config: Config, built: Platform, pushed: Push, board: Board, checkout: Checkout | None) -> list[Route]:
    """The table of the house's own API."""
    names, allow = Names(config.webhooks.addresses()), egress.networks(config.webhooks.allow)
    nameservers, policy = config.control.addresses(), _policy(config)
    return [
        *purchasing_api.Purchasing(built.registry, policy, config.pool.ttl_seconds).routes(),
        *activations_api.Numbers(pushed.live, policy).routes(),
        *events_api.Events(pushed.hub).routes(),
        *webhooks_api.Webhooks(names, allow, config.webhooks.most_endpoints).routes(),
        *deliveries_api.Deliveries().routes(),
        *catalog_api.routes(
            catalog=built.catalog, statistics=Statistics(built.database), currency=config.money.currency
        ),
        *account_api.Accounts(
            account_per_minute=config.server.account_requests_per_minute,
            retention_days=config.retention.days,
            longest_retention_days=config.retention.longest_days,
        ).routes(),
        *audit_api.Audit().routes(),
        *control_api.routes(
            database=built.database,
            names=names,
            records=Names(nameservers) if nameservers else names,
            allow=allow,
        ),
        *deposits_api.Deposits(
            built.database,
            checkout,
            Bounds(money.parse(config.stripe.minimum), money.parse(config.stripe.maximum)),
        ).routes(),
        *keys_api.Keys(Room(config.policy.most_keys, config.policy.keys_per_day)).routes(),
        *statement_api.Statement().routes(),
        *stats_api.routes(database=built.database, catalog=built.catalog),
        *status_api.Status(board).routes(),
        *usage_api.Usage().routes(),
        *verifications_api.Verifications(built.verify).routes(),
        *verify_profiles_api.Profiles().routes(),
    ]


def bulkheads(config: Config) -> Bulkheads:
    return Bulkheads(
        concurrency=config.server.account_concurrency,
        held=config.server.account_held_calls,
    )


def application(
    config: Config,
    built: Platform,
    pushed: Push,
    keyring: Keyring,
    limiter: Limiter | SharedLimiter,
    asked: Probes,
    strangers: Strangers | None = None,
) -> Application:
    """The ASGI application."""
    faces = surfaces(config, built, pushed)
    document = openapi.document(faces, version=VERSION)
    return Application(
        faces,
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
        strangers=strangers,
        bulkheads=bulkheads(config),
    )
