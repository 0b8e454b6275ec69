"""Handlers of /account/usage."""

from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import Meta

from trunkline import clock, money
from trunkline.accounts import accounts, usage
from trunkline.errors import InvalidRequest
from trunkline.storage.database import Row
from trunkline.surfaces.http.route import Call, Route


class Used(msgspec.Struct, frozen=True):
    """Leases by how they ended, and what they cost."""

    leases: Annotated[int, Meta(description="Numbers that were leased.")]
    received: Annotated[int, Meta(description="Of these, leases that got a text.")]
    cancelled: int
    expired: Annotated[int, Meta(description="Leases whose time was over without a text.")]
    spent: Annotated[Decimal, Meta(description="Captured, kept as a fee, or still held.")]


class Group(Used, frozen=True):
    """A day, a service, a country, a key or a label's value, and what was used of it."""

    group: Annotated[str, Meta(description="The day, slug, country code, key_id or label value.")]
    name: Annotated[str | None, Meta(description="Of a key: its name.")]


class Report(msgspec.Struct, frozen=True, rename={"first": "from", "last": "to"}):
    """What was used in some days of UTC; a lease counts on the day of its purchase."""

    first: str
    last: str
    group_by: str
    currency: str
    total: Used
    groups: list[Group]
    truncated: Annotated[bool, Meta(description="There are more than 1000 groups; the dearest are shown.")]


class UsageQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True, rename={"first": "from", "last": "to"}):
    first: Annotated[str, Meta(description="The first day, as in 2026-04-01. Default: of this month.")] | None = None
    last: Annotated[str, Meta(description="The last day. Default: today.")] | None = None
    group_by: Annotated[
        str, Meta(max_length=80, description="day, service, country, key, or label.NAME for a label of that name.")
    ] = "day"


async def usage_report(call: Call) -> Report:
    first, last = usage.period(call.query.first, call.query.last, clock.now().date())
    account = await call.connection.fetchrow(accounts.SQL.by_id, call.key.account_id)
    assert account is not None
    found = await usage.usage(
        call.connection,
        call.key.account_id,
        test=call.key.test,
        first=first,
        last=last,
        grouped_by=call.query.group_by,
    )
    return report(found, account["currency"])


def report(found: usage.Usage, currency: str) -> Report:
    """As the API and the command line show it."""
    return Report(
        found.first.isoformat(),
        found.last.isoformat(),
        found.grouped_by,
        currency,
        Used(*_measures(found.total)),
        [Group(*_measures(row), row["group"], row["name"]) for row in found.groups],
        found.truncated,
    )


def _measures(row: Row) -> tuple[int, int, int, int, Decimal]:
    return row["leases"], row["received"], row["cancelled"], row["expired"], money.show(row["micros"])


def routes() -> list[Route]:
    return [
        Route(
            method="GET",
            path="/account/usage",
            scope="account:read",
            handler=usage_report,
            share="dear",
            tag="Account",
            summary="What was used",
            description="Leases and money by day, service, country, key or label; exact to the ledger.",
            query=UsageQuery,
            answer=Report,
            errors=(InvalidRequest,),
        )
    ]
