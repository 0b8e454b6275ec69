"""Handlers of /account: the balance, and the ledger as its owner sees it."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from trunkline import money
from trunkline.accounts import accounts, limits, policy
from trunkline.audit import acts
from trunkline.catalog import prices
from trunkline.errors import Forbidden, InvalidRequest
from trunkline.ledger import journal
from trunkline.ledger.views import Transaction
from trunkline.paging import Page
from trunkline.surfaces.http.route import Call, PageQuery, Route

LowBalance = Annotated[Decimal, Meta(description="You are told when the balance falls below this.")]
SpendCapDay = Annotated[Decimal, Meta(description="What may be spent in a day of UTC.")]
SpendCapMonth = Annotated[Decimal, Meta(description="What may be spent in a calendar month of UTC.")]
RetentionDays = Annotated[
    int, Meta(ge=0, le=policy.LONGEST_RETENTION_DAYS, description="How long texts are kept after their lease's end.")
]


class Limits(msgspec.Struct, frozen=True):
    requests_per_minute: int
    account_requests_per_minute: int
    burst: int


class PriceTier(msgspec.Struct, frozen=True):
    from_completed: Annotated[
        int, Meta(description="With so many leases of the month that got a text.", examples=[1000])
    ]
    percent_off: Annotated[Decimal, Meta(description="What each lease after them costs less.", examples=[5])]


class Account(msgspec.Struct, frozen=True):
    account_id: str
    email: str
    mode: Literal["live", "test"]
    balance: Decimal
    held: Decimal
    currency: str
    limits: Limits
    low_balance: LowBalance | None
    spend_cap_day: SpendCapDay | None
    spend_cap_month: SpendCapMonth | None
    retention_days: RetentionDays
    completed_this_month: Annotated[int, Meta(description="Leases of the calendar month (UTC) that got a text.")]
    price_tiers: Annotated[list[PriceTier], Meta(description="What volume makes cheaper, lowest volume first.")]


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What the customer sets themselves. What is left out stays; null takes a limit away, or back to the operator's."""

    low_balance: LowBalance | UnsetType | None = UNSET
    spend_cap_day: SpendCapDay | UnsetType | None = UNSET
    spend_cap_month: SpendCapMonth | UnsetType | None = UNSET
    retention_days: RetentionDays | UnsetType | None = UNSET


_FIELDS = {
    "low_balance": "low_balance_micros",
    "spend_cap_day": "cap_day_micros",
    "spend_cap_month": "cap_month_micros",
    "retention_days": "retention_days",
}
_CAPS = {"cap_day_micros": "spend_cap_day", "cap_month_micros": "spend_cap_month"}


def live_only(call: Call) -> None:
    """Raises Forbidden for a test key, where what is changed is for live leases alone."""
    if call.key.test:
        raise Forbidden("A test key cannot change this: it is for live leases. Use a live key.")


async def transactions(call: Call) -> Page[Transaction]:
    query: PageQuery = call.query
    before = query.before
    if call.key.test:  # nothing of a test key is in the books
        return Page([], None)
    return await journal.page(call.connection, call.key.account_id, before=before, limit=query.limit)


def _only_lower(own: policy.Policy, changes: Mapping[str, policy.Value]) -> None:
    """Raises Forbidden where a key that has limits itself would lift one of the account's."""
    for field, name in _CAPS.items():
        cap, wanted = getattr(own, field), changes.get(field, UNSET)
        if wanted is not UNSET and cap is not None and (wanted is None or wanted > cap):
            raise Forbidden(
                "A key with a cap, an end or CIDRs of its own cannot lift the account's caps: use one without.",
                field=name,
            )


def _limit(call: Call, micros: int | None) -> Decimal | None:
    return None if call.key.test or micros is None else money.show(micros)


def routes(*, account_requests_per_minute: int, retention_days: int, longest_retention_days: int) -> list[Route]:
    """The table's lines for the account. The limit is that of an account without one of its own."""

    async def show(call: Call) -> Account:
        row = await call.connection.fetchrow(accounts.SQL.by_id, call.key.account_id)
        balance = await journal.balance(call.connection, call.key.account_id)
        own = await policy.of(call.connection, call.key.account_id)
        assert row is not None
        return Account(
            str(row["account_id"]),
            row["email"],
            "test" if call.key.test else "live",
            money.show(0 if call.key.test else balance.available_micros),
            money.show(0 if call.key.test else balance.held_micros),
            balance.currency,
            Limits(
                row["per_minute"],
                limits.account_share(row["per_minute"], row["account_per_minute"], account_requests_per_minute),
                row["burst"] or row["per_minute"],
            ),
            _limit(call, own.low_balance_micros),
            _limit(call, own.cap_day_micros),
            _limit(call, own.cap_month_micros),
            own.retention_days if own.retention_days is not None else retention_days,
            0 if call.key.test else await journal.completed_this_month(call.connection, call.key.account_id),
            [PriceTier(tier.from_completed, tier.percent_off) for tier in await prices.tiers(call.connection)],
        )

    async def change(call: Call) -> Account:
        live_only(call)
        changes: dict[str, policy.Value] = {}
        for name, field in _FIELDS.items():
            value = getattr(call.body, name)
            if isinstance(value, Decimal):
                changes[field] = money.parse(value, field=name)
            elif value is not UNSET:
                changes[field] = value
        days = changes.get("retention_days")
        if days is not None and days > longest_retention_days:
            raise InvalidRequest(
                f"The operator keeps texts for {longest_retention_days} days at most.", field="retention_days"
            )
        if call.key.is_limited and changes.keys() & _CAPS:
            _only_lower(await policy.of(call.connection, call.key.account_id), changes)
        if changes:
            old, new = await policy.change(call.connection, call.key.account_id, changes)
            data = {"old": policy.told(old, changes), "new": policy.told(new, changes)}
            await acts.record(
                call.connection, call.actor, "account.settings_changed", f"account:{call.key.account_id}", data
            )
        return await show(call)

    return [
        Route(
            method="GET",
            path="/account",
            scope="account:read",
            handler=show,
            tag="Account",
            summary="Balance and limits",
            answer=Account,
        ),
        Route(
            method="PATCH",
            path="/account",
            scope="admin",
            handler=change,
            tag="Account",
            summary="Change settings",
            description="What is left out stays. Leases that run keep the days for which their texts are kept.",
            body=Settings,
            answer=Account,
            transacts=True,
            errors=(InvalidRequest, Forbidden),
        ),
        Route(
            method="GET",
            path="/account/transactions",
            scope="account:read",
            handler=transactions,
            tag="Account",
            summary="The ledger's view",
            description="Newest first.",
            query=PageQuery,
            answer=list[Transaction],
            is_list=True,
            errors=(InvalidRequest,),
        ),
    ]
