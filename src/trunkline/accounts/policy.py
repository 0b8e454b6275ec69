"""What an account has of its own: its caps (the operator's), its limits on spending, how long its texts are kept; and
whether it is frozen."""

import dataclasses
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from trunkline import money
from trunkline.errors import InvalidRequest, OperatorError
from trunkline.storage.database import Querier
from trunkline.storage.queries import queries

SQL = queries(__package__)

Value = int | Decimal | None

MOST = 2**31 - 1
LONGEST_RETENTION_DAYS = 30
LONGEST_REASON = 200


@dataclasses.dataclass(frozen=True, slots=True)
class Policy:
    """None: the operator's setting counts, or where there is none, no limit. Money in micros."""

    max_active: int | None
    purchases_per_hour: int | None
    cancels_per_hour: int | None
    success_floor: Decimal | None  # 0 to 1, with three decimals
    retention_days: int | None
    low_balance_micros: int | None
    cap_day_micros: int | None
    cap_month_micros: int | None


async def of(connection: Querier, account_id: int) -> Policy:
    row = await connection.fetchrow(SQL.policy, account_id)
    assert row is not None
    return Policy(**dict(row))


async def change(connection: Querier, account_id: int, changes: Mapping[str, Value]) -> tuple[Policy, Policy]:
    """Sets the fields that are named and leaves the others; how it was and how it is. In the caller's transaction.

    Raises InvalidRequest, naming the field, for what is out of its range. Leases that run keep the days of theirs.
    """
    row = await connection.fetchrow(SQL.lock_policy, account_id)
    assert row is not None
    old = Policy(**dict(row))
    new = dataclasses.replace(old, **changes)  # type: ignore[arg-type] # checked next
    for name in changes:
        _check(name, getattr(new, name))
    await connection.execute(SQL.set_policy, account_id, *dataclasses.astuple(new))
    return old, new


def _check(name: str, value: Value) -> None:
    if value is None:
        return
    if name == "success_floor" and not (Decimal(value).is_finite() and 0 <= value <= 1 and value == round(value, 3)):
        raise InvalidRequest("success_floor is a share: 0 to 1, with at most three decimals.", field=name)
    if name == "retention_days" and not 0 <= value <= LONGEST_RETENTION_DAYS:
        raise InvalidRequest(f"retention_days is 0 to {LONGEST_RETENTION_DAYS}.", field=name)
    if name in ("max_active", "purchases_per_hour", "cancels_per_hour") and not 0 <= value <= MOST:
        raise InvalidRequest(f"{name} is 0 to {MOST}.", field=name)


async def freeze(connection: Querier, account_id: int, reason: str) -> None:
    """Refuses the account's keys and purchases from this transaction's commit on; its leases are the caller's to end,
    after this and in the same transaction.

    Raises InvalidRequest for a reason that customers cannot be shown, OperatorError where it is frozen already.
    """
    check_reason(reason)
    if await connection.fetchval(SQL.freeze, account_id, reason) is None:
        raise OperatorError("The account is frozen already.")


async def unfreeze(connection: Querier, account_id: int) -> None:
    """Raises OperatorError where it is not frozen."""
    if await connection.fetchval(SQL.unfreeze, account_id) is None:
        raise OperatorError("The account is not frozen.")


def check_reason(reason: str) -> None:
    if not 1 <= len(reason.strip()) <= LONGEST_REASON or not reason.isprintable():
        raise InvalidRequest(f"A reason has 1 to {LONGEST_REASON} printable characters.", field="reason")


def told(policy: Policy, names: Iterable[str]) -> dict[str, Any]:
    """What a policy says of some of its names, for the audit: amounts of money as such."""
    facts: dict[str, Any] = {}
    for name in names:
        value = getattr(policy, name)
        is_money = name.endswith("_micros") and value is not None
        facts[name.removesuffix("_micros")] = money.show(value) if is_money else value
    return facts
