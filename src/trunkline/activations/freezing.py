"""Suspension: a frozen account's keys and purchases are refused, a frozen number is leased no more; leases end."""

from trunkline.accounts.policy import check_reason
from trunkline.audit import acts
from trunkline.audit.acts import Actor
from trunkline.catalog import numbers
from trunkline.errors import OperatorError
from trunkline.storage.database import Querier
from trunkline.storage.queries import bind, queries

SQL = queries(__package__)


async def freeze(connection: Querier, actor: Actor, account_id: int, reason: str) -> int:
    """Refuses the account from this transaction's commit on and ends its leases; how many these were.

    Raises InvalidRequest for a reason that customers cannot be shown, OperatorError where it is frozen already.
    """
    check_reason(reason)
    if await connection.fetchval(*bind(SQL.freeze, account=account_id, reason=reason)) is None:
        raise OperatorError("The account is frozen already.")
    ended: int = await connection.fetchval(SQL.end_all_of, account_id)
    facts = {"reason": reason, "leases_ended": ended}
    await acts.record(connection, actor, "account.frozen", f"account:{account_id}", facts, account_id=account_id)
    return ended


async def unfreeze(connection: Querier, actor: Actor, account_id: int) -> None:
    """Lets the account's keys work again. Raises OperatorError where it is not frozen."""
    if await connection.fetchval(SQL.unfreeze, account_id) is None:
        raise OperatorError("The account is not frozen.")
    await acts.record(connection, actor, "account.unfrozen", f"account:{account_id}", account_id=account_id)


async def freeze_number(connection: Querier, actor: Actor, e164: str, reason: str) -> int:
    """Takes a number off the shelf and ends its leases, those without a text with a full refund; how many these were.

    Raises InvalidRequest for a reason that is none, OperatorError where the pool has no such number, or it is frozen.
    """
    check_reason(reason)
    number_id = await numbers.freeze(connection, e164, reason)
    ended: int = await connection.fetchval(SQL.end_all_on, number_id)
    facts = {"reason": reason, "leases_ended": ended}
    await acts.record(connection, actor, "number.frozen", f"number:{e164}", facts)
    return ended
