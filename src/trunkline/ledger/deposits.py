"""Deposits: money that customers pay in. A deposit is pending, then paid or expired; paid, it is one credit.

No transaction is open while the provider is asked: the pending row is committed before, the session after. What a crash
leaves in between can be paid by nobody, since nobody has been given its address, and expires.
"""

import asyncio
import dataclasses
import logging
from decimal import Decimal
from typing import Literal

import asyncpg

from trunkline import money, paging
from trunkline.audit import acts
from trunkline.audit.acts import Actor
from trunkline.errors import IdempotencyKeyReused, InvalidRequest, NotFound, Unavailable
from trunkline.ledger import views
from trunkline.ledger.checkout import Checkout, NotOpened, Told, to_minor
from trunkline.ledger.problems import DepositMismatch, DepositsOff
from trunkline.ledger.views import Deposit
from trunkline.storage.database import Database, Querier, Row
from trunkline.storage.queries import bind, queries

SQL = queries(__package__)
log = logging.getLogger("trunkline.deposits")

SWEEP_SECONDS = 600

Outcome = Literal["paid", "expired", "repeated", "unknown"]


@dataclasses.dataclass(frozen=True, slots=True)
class Bounds:
    """How much one deposit may be."""

    least_micros: int
    most_micros: int


async def create(
    database: Database,
    checkout: Checkout | None,
    bounds: Bounds,
    actor: Actor,
    account_id: int,
    amount: Decimal,
    idempotency_key: str | None,
) -> Deposit:
    """A pending deposit with the address where it is paid; without a ``checkout``, there are none.

    Raises DepositsOff, InvalidRequest for an amount that the currency or the bounds do not have, IdempotencyKeyReused
    for another amount, Unavailable or IdempotencyInFlight.
    """
    if actor.test:
        raise DepositsOff("A test key has no money: nothing is charged to it, and nothing is paid in.")
    if checkout is None:
        raise DepositsOff("The operator takes no payments here; ask them for credit.")
    micros = money.parse(amount)
    if not bounds.least_micros <= micros <= bounds.most_micros:
        least, most = money.show(bounds.least_micros), money.show(bounds.most_micros)
        raise InvalidRequest(f"A deposit is {least:f} to {most:f}.", field="amount")
    begun = await database.transact(lambda connection: begin(connection, actor, account_id, micros, idempotency_key))
    return views.deposit(await _open_checkout(database, checkout, begun))


async def begin(connection: Querier, actor: Actor, account_id: int, micros: int, idempotency_key: str | None) -> Row:
    """A pending deposit that has no address yet; the same key begins it once. Runs in a transaction.

    Raises InvalidRequest for an amount that the currency does not have, IdempotencyKeyReused for another amount.
    """
    currency: str = await connection.fetchval(SQL.own_currency, account_id)
    to_minor(micros, currency)
    if idempotency_key is not None:
        begun = await connection.fetchrow(SQL.deposit_begun, account_id, idempotency_key)
        if begun is not None:
            if begun["amount_micros"] != micros:
                raise IdempotencyKeyReused("This Idempotency-Key was used for a deposit of another amount.")
            return begun
    made = await connection.fetchrow(
        *bind(SQL.begin_deposit, account=account_id, micros=micros, currency=currency, idempotency_key=idempotency_key)
    )
    assert made is not None
    facts = {"amount": money.show(micros), "currency": currency}
    await acts.record(connection, actor, "deposit.created", _target(made), facts, account_id=account_id)
    return made


async def _open_checkout(database: Database, checkout: Checkout, deposit: Row) -> Row:
    if deposit["provider_ref"] is not None:
        return deposit
    try:
        session = await checkout.open(
            deposit["account_id"], deposit["deposit_id"], deposit["amount_micros"], deposit["currency"]
        )
    except NotOpened as refused:
        await database.execute(SQL.deposit_failed, deposit["deposit_id"])
        raise refused.error from None
    opened: asyncpg.Record | None = await database.fetchrow(
        *bind(SQL.deposit_opened, deposit=deposit["deposit_id"], session=session.ref, url=session.url)
    )
    assert opened is not None
    return opened


async def page(
    connection: Querier, account_id: int, *, before: int = paging.NEWEST, limit: int
) -> paging.Page[Deposit]:
    """An account's deposits, newest first."""
    rows = await connection.fetch(SQL.deposits, account_id, before, limit + 1)
    return paging.cut(rows, limit, views.deposit, lambda row: row["deposit_id"])


async def show(connection: Querier, account_id: int, deposit_id: int | None) -> Deposit:
    """Raises NotFound, also for a deposit of somebody else."""
    row = await connection.fetchrow(SQL.deposit, deposit_id, account_id) if deposit_id is not None else None
    if row is None:
        raise NotFound("There is no such deposit.")
    return views.deposit(row)


async def settle(connection: Querier, actor: Actor, told: Told) -> Outcome | DepositMismatch:
    """What a message of the provider does to its deposit; told again, nothing. Runs in a transaction.

    Answers a DepositMismatch, which is to be kept as an act, and changes nothing else, where what was paid is not what
    the deposit says.
    """
    deposit = await connection.fetchrow(SQL.deposit_of_session, told.session)
    if deposit is None:
        return "unknown"
    outcome = await _settle(connection, deposit, told)
    if outcome != "repeated":
        action = "deposit.refused" if isinstance(outcome, DepositMismatch) else f"deposit.{outcome}"
        facts = {
            "amount": money.show(deposit["amount_micros"]), "currency": deposit["currency"], "event": told.event_id,
            "told_minor": told.minor, "told_currency": told.currency,
        }  # fmt: skip
        await acts.record(connection, actor, action, _target(deposit), facts, account_id=deposit["account_id"])
    return outcome


async def _settle(connection: Querier, deposit: Row, told: Told) -> Outcome | DepositMismatch:
    if told.what == "ended":
        if deposit["state"] != "pending":
            return "repeated"
        await connection.execute(SQL.deposit_expired, deposit["deposit_id"])
        return "expired"
    if (told.minor, told.currency) != (to_minor(deposit["amount_micros"], deposit["currency"]), deposit["currency"]):
        return DepositMismatch("What was paid is not the deposit's amount in its currency.")
    if deposit["state"] == "paid":
        return "repeated"
    await connection.execute(SQL.deposit_paid, deposit["deposit_id"])
    return "paid"


async def refuse_unsigned(connection: Querier, actor: Actor, why: str, *, left_out_before: int) -> None:
    """Keeps as an act that a message was refused which nobody proves to be the provider's."""
    facts = {"why": why, "left_out_before": left_out_before}
    await acts.record(connection, actor, "deposit.refused", "unsigned", facts)


def _target(deposit: Row) -> str:
    return f"deposit:{deposit['deposit_id']}"


async def sweep(database: Database) -> None:
    """Expires what will not be paid any more, until cancelled."""
    while True:
        try:
            await database.execute(SQL.expire_deposits)
        except Unavailable as error:
            log.warning("the sweep is put off: %s", error.detail)
        except Exception:
            log.exception("the sweep failed")
        await asyncio.sleep(SWEEP_SECONDS)
