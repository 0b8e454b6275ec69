"""Deposits: money that customers pay in. A deposit is pending, then paid or expired; paid, it is one credit.

No transaction is open while the provider is asked: the pending row is committed before, the session after. What a crash
leaves in between can be paid by nobody, since nobody has been given its address, and expires.
"""

import asyncio
import logging
from typing import Literal

import asyncpg

from trunkline.errors import IdempotencyKeyReused, Unavailable
from trunkline.ledger.checkout import Checkout, NotOpened, Told, to_minor
from trunkline.ledger.problems import DepositMismatch
from trunkline.storage.database import Database, Querier, Row
from trunkline.storage.queries import queries

SQL = queries(__package__)
log = logging.getLogger("trunkline.deposits")

SWEEP_SECONDS = 600

Outcome = Literal["paid", "expired", "repeated", "unknown"]


async def currency_of(connection: Querier, account_id: int) -> str:
    """The account's currency; a transaction also keeps other deposits of the account from beginning."""
    currency: str = await connection.fetchval(SQL.own_currency, account_id)
    return currency


async def begin(connection: Querier, account_id: int, micros: int, idempotency_key: str | None) -> tuple[Row, bool]:
    """A pending deposit, and whether it is new: the same key begins it once. Runs in a transaction.

    Raises InvalidRequest for an amount that the currency does not have, IdempotencyKeyReused for another amount.
    """
    currency = await currency_of(connection, account_id)
    to_minor(micros, currency)
    if idempotency_key is not None:
        begun = await connection.fetchrow(SQL.deposit_begun, account_id, idempotency_key)
        if begun is not None:
            if begun["amount_micros"] != micros:
                raise IdempotencyKeyReused("This Idempotency-Key was used for a deposit of another amount.")
            return begun, False
    made = await connection.fetchrow(SQL.begin_deposit, account_id, micros, currency, idempotency_key)
    assert made is not None
    return made, True


async def open_checkout(database: Database, checkout: Checkout, deposit: Row) -> Row:
    """The deposit with the address where it is paid. Raises InvalidRequest, Unavailable or IdempotencyInFlight."""
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
        SQL.deposit_opened, deposit["deposit_id"], session.ref, session.url
    )
    assert opened is not None
    return opened


async def settle(connection: Querier, told: Told) -> tuple[Outcome | DepositMismatch, Row | None]:
    """What a message of the provider does to its deposit; told again, nothing. Runs in a transaction.

    Answers a DepositMismatch, and changes nothing, where what was paid is not what the deposit says.
    """
    deposit = await connection.fetchrow(SQL.deposit_of_session, told.session)
    if deposit is None:
        return "unknown", None
    if told.what == "ended":
        if deposit["state"] != "pending":
            return "repeated", deposit
        await connection.execute(SQL.deposit_expired, deposit["deposit_id"])
        return "expired", deposit
    if (told.minor, told.currency) != (to_minor(deposit["amount_micros"], deposit["currency"]), deposit["currency"]):
        return DepositMismatch("What was paid is not the deposit's amount in its currency."), deposit
    if deposit["state"] == "paid":
        return "repeated", deposit
    await connection.execute(SQL.deposit_paid, deposit["deposit_id"])
    return "paid", deposit


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
