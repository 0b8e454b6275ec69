"""Per-account overrides of settings: caps (the operator's), limits on spending, how long texts are kept."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from trunkline import money
from trunkline.accounts.caps import SHARES, Caps
from trunkline.accounts.keys import Key
from trunkline.accounts.views import LONGEST_RETENTION_DAYS
from trunkline.audit import acts
from trunkline.audit.acts import Actor
from trunkline.errors import Forbidden, InvalidRequest
from trunkline.storage.database import Querier
from trunkline.storage.queries import bind, queries

SQL = queries(__package__)

Value = int | Decimal | None

MOST = 2**31 - 1
LONGEST_REASON = 200


# What the customer sets themselves, as they call it.
SETTINGS = {
    "low_balance": "low_balance_micros",
    "spend_cap_day": "cap_day_micros",
    "spend_cap_month": "cap_month_micros",
    "retention_days": "retention_days",
}


class Overrides(Caps[int | None, Decimal | None], frozen=True):
    """None: the operator's setting counts, or where there is none, no limit. Shares have three decimals at most."""

    retention_days: int | None
    low_balance_micros: int | None
    cap_day_micros: int | None
    cap_month_micros: int | None


async def of(connection: Querier, account_id: int) -> Overrides:
    row = await connection.fetchrow(SQL.policy, account_id)
    assert row is not None
    return Overrides(**dict(row))


async def override(connection: Querier, actor: Actor, account_id: int, changes: Mapping[str, Value]) -> Overrides:
    """The operator sets the fields that are named and leaves the others; how all of them are. In a transaction.

    Raises InvalidRequest, naming the field, for what is out of its range. Leases that run keep the days of theirs.
    """
    return await _change(connection, actor, "account.policy_set", account_id, changes)


async def set_up(
    connection: Querier,
    actor: Actor,
    account_id: int,
    settings: Mapping[str, Value],
    *,
    by: Key,
    longest_retention_days: int,
) -> None:
    """The customer sets what is named of their ``SETTINGS``, money in units. In a transaction.

    Raises InvalidRequest for what is out of its range, Forbidden where a key that has limits itself would lift one of
    the account's.
    """
    changes = {
        SETTINGS[name]: money.parse(value, field=name) if isinstance(value, Decimal) else value
        for name, value in settings.items()
    }
    days = changes.get("retention_days")
    if days is not None and days > longest_retention_days:
        raise InvalidRequest(
            f"The operator keeps texts for {longest_retention_days} days at most.", field="retention_days"
        )
    if by.is_limited and {"spend_cap_day", "spend_cap_month"} & settings.keys():
        _only_lower(await of(connection, account_id), changes)
    if changes:
        await _change(connection, actor, "account.settings_changed", account_id, changes)


def _only_lower(own: Overrides, changes: Mapping[str, Value]) -> None:
    for name in ("spend_cap_day", "spend_cap_month"):
        field = SETTINGS[name]
        cap, wanted = getattr(own, field), changes.get(field)
        if field in changes and cap is not None and (wanted is None or wanted > cap):
            raise Forbidden(
                "A key with a cap, an end or CIDRs of its own cannot lift the account's caps: use one without.",
                field=name,
            )


async def _change(
    connection: Querier, actor: Actor, action: str, account_id: int, changes: Mapping[str, Value]
) -> Overrides:
    row = await connection.fetchrow(SQL.lock_policy, account_id)
    assert row is not None
    old = Overrides(**dict(row))
    new = Overrides(**{**dict(row), **changes})
    for name, value in changes.items():
        _check(name, value)
    await connection.execute(*bind(SQL.set_policy, account=account_id, **msgspec.structs.asdict(new)))
    told = {"old": _told(old, changes), "new": _told(new, changes)}
    await acts.record(connection, actor, action, f"account:{account_id}", told, account_id=account_id)
    return new


def _check(name: str, value: Value) -> None:
    if value is None:
        return
    if name in SHARES:
        if not (Decimal(value).is_finite() and 0 <= value <= 1 and value == round(value, 3)):
            raise InvalidRequest(f"{name} is a share: 0 to 1, with at most three decimals.", field=name)
    elif name in Caps.__struct_fields__ and not 0 <= value <= MOST:
        raise InvalidRequest(f"{name} is 0 to {MOST}.", field=name)
    if name == "retention_days" and not 0 <= value <= LONGEST_RETENTION_DAYS:
        raise InvalidRequest(f"retention_days is 0 to {LONGEST_RETENTION_DAYS}.", field=name)


def check_reason(reason: str) -> None:
    if not 1 <= len(reason.strip()) <= LONGEST_REASON or not reason.isprintable():
        raise InvalidRequest(f"A reason has 1 to {LONGEST_REASON} printable characters.", field="reason")


def _told(own: Overrides, names: Iterable[str]) -> dict[str, Any]:
    """Some of the fields, for the audit: amounts of money as such."""
    facts: dict[str, Any] = {}
    for name in names:
        value = getattr(own, name)
        is_money = name.endswith("_micros") and value is not None
        facts[name.removesuffix("_micros")] = money.show(value) if is_money else value
    return facts
