"""The table of routes and its OpenAPI document, made without a server."""

from types import SimpleNamespace
from typing import Any

import jsonschema  # type: ignore[import-untyped]

from trunkline.accounts import issuing
from trunkline.ledger.deposits import Bounds
from trunkline.surfaces import BASE
from trunkline.surfaces.api import (
    account,
    activations,
    audit,
    catalog,
    control,
    deliveries,
    deposits,
    events,
    keys,
    purchasing,
    statement,
    stats,
    status,
    verifications,
    verify_profiles,
    webhooks,
)  # fmt: skip
from trunkline.surfaces.api.openapi import document
from trunkline.surfaces.callbacks import StripeEvents
from trunkline.surfaces.compat.statuspage import Statuspage
from trunkline.surfaces.http.route import Route
from trunkline.surfaces.http.surface import Surface

NOTHING: Any = SimpleNamespace(current=None)  # stands for what only a running server has
TABLE: list[Route] = [
    *purchasing.Purchasing(registry=None, policy=None, ttl_seconds=1200).routes(),  # type: ignore[arg-type]
    *activations.Numbers(live=None, policy=None).routes(),  # type: ignore[arg-type]
    *catalog.routes(catalog=None, statistics=None, currency="USD"),  # type: ignore[arg-type]
    *account.Accounts(account_per_minute=600, retention_days=1, longest_retention_days=30).routes(),
    *audit.Audit().routes(),
    *control.routes(database=None, names=None, records=None, allow=()),  # type: ignore[arg-type]
    *deposits.Deposits(database=None, checkout=None, bounds=Bounds(1, 1)).routes(),  # type: ignore[arg-type]
    *events.Events(hub=None).routes(),  # type: ignore[arg-type]
    *keys.Keys(issuing.Room(100, 300)).routes(),
    *statement.Statement().routes(),
    *stats.routes(database=None, catalog=None),  # type: ignore[arg-type]
    *status.Status(NOTHING).routes(),
    *deliveries.Deliveries().routes(),
    *verifications.Verifications(policy=None).routes(),  # type: ignore[arg-type]
    *verify_profiles.Profiles().routes(),
    *webhooks.Webhooks(names=None, allow=(), most=20).routes(),  # type: ignore[arg-type]
]
SURFACES = [
    Surface(BASE, TABLE),
    Statuspage(BASE, NOTHING, name="Trunkline", url=""),
    StripeEvents(BASE, NOTHING, None),
]
OPERATIONS = [(surface, route) for surface in SURFACES for route in surface.routes]
DOCUMENT = document.document(SURFACES, version="1.2.3")


def check(value: Any, schema: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator(
        schema | {"components": DOCUMENT["components"]}, format_checker=jsonschema.FormatChecker()
    ).validate(value)
