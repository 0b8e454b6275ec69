"""Accounts: made, shown, and how many requests their keys may send."""

import dataclasses
import re
from decimal import Decimal
from typing import Any

from trunkline import money
from trunkline.accounts import issuing, limits, policy
from trunkline.accounts.keys import MODES
from trunkline.accounts.views import Account, Limits, PriceTier
from trunkline.audit import acts
from trunkline.audit.acts import Actor
from trunkline.catalog import prices
from trunkline.errors import InvalidRequest, OperatorError
from trunkline.ledger import journal
from trunkline.storage.database import Querier
from trunkline.storage.queries import bind, queries

SQL = queries(__package__)

_EMAIL = re.compile(r"[^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+")
MOST_PER_MINUTE = 10_000_000


@dataclasses.dataclass(frozen=True, slots=True)
class NewAccount:
    """An account and the secrets of its two keys, which nobody can show again."""

    account_id: int
    email: str
    live_key: str
    test_key: str


async def create(
    connection: Querier, actor: Actor, email: str, *, currency: str, per_minute: int, credit_micros: int = 0
) -> NewAccount:
    """An account with a live and a test key, and money to begin with. ``connection`` is a transaction.

    Raises InvalidRequest for what is no e-mail address, OperatorError where the address has an account.
    """
    if not _EMAIL.fullmatch(email) or len(email) > 254:
        raise InvalidRequest(f"{email!r} is not an e-mail address.", field="email")
    account_id = await connection.fetchval(SQL.create, email, currency, per_minute)
    if account_id is None:
        raise OperatorError(f"There is an account for {email} already.")
    live, test = [await issuing.first(connection, account_id, mode) for mode in MODES]
    facts = {"email": email, "credit": money.show(credit_micros), "currency": currency}
    act_id = await acts.record(
        connection, actor, "account.created", f"account:{account_id}", facts, account_id=account_id
    )
    await journal.book_credit(connection, account_id, credit_micros, act_id)
    return NewAccount(account_id, email, live.key, test.key)


async def show(
    connection: Querier, account_id: int, *, test: bool, account_per_minute: int, retention_days: int
) -> Account:
    """An account as its owner sees it; by a test key, without money.

    ``account_per_minute`` and ``retention_days`` count where it has none of its own.
    """
    row = await connection.fetchrow(SQL.by_id, account_id)
    assert row is not None
    balance = await journal.balance(connection, account_id)
    own = await policy.of(connection, account_id)
    completed = 0 if test else await journal.completed_this_month(connection, account_id)
    tiers = await prices.tiers(connection)

    def limit(micros: int | None) -> Decimal | None:
        return None if test or micros is None else money.show(micros)

    return Account(
        account_id=str(account_id),
        email=row["email"],
        mode="test" if test else "live",
        balance=money.show(0 if test else balance.available_micros),
        held=money.show(0 if test else balance.held_micros),
        currency=balance.currency,
        limits=Limits(
            row["per_minute"],
            limits.account_share(row["per_minute"], row["account_per_minute"], account_per_minute),
            row["burst"] or row["per_minute"],
        ),
        low_balance=limit(own.low_balance_micros),
        spend_cap_day=limit(own.cap_day_micros),
        spend_cap_month=limit(own.cap_month_micros),
        retention_days=own.retention_days if own.retention_days is not None else retention_days,
        completed_this_month=completed,
        price_tiers=[PriceTier(tier.from_completed, tier.percent_off) for tier in tiers],
    )


async def find(connection: Querier, email: str) -> dict[str, Any]:
    """The account of an e-mail address, as a row. Raises OperatorError where there is none."""
    row = await connection.fetchrow(SQL.by_email, email)
    if row is None:
        raise OperatorError(f"There is no account for {email}.")
    return dict(row)


async def set_limits(
    connection: Querier,
    actor: Actor,
    account_id: int,
    *,
    per_minute: int | None = None,
    account_per_minute: int | None = None,
    burst: int | None = None,
) -> dict[str, Any]:
    """Sets what is given and returns all three; 0 gives the last two their default back. Runs in a transaction.

    Raises InvalidRequest for what is out of range.
    """
    for field, value, least in (
        ("per_minute", per_minute, 1), ("account_per_minute", account_per_minute, 0), ("burst", burst, 0)
    ):  # fmt: skip
        if value is not None and not least <= value <= MOST_PER_MINUTE:
            raise InvalidRequest(
                f"{field}: a limit is {least} to {MOST_PER_MINUTE} requests a minute, not {value}.", field=field
            )
    old = await connection.fetchrow(SQL.by_id, account_id)
    new = await connection.fetchrow(
        *bind(
            SQL.set_limits,
            account=account_id,
            per_minute=per_minute,
            account_per_minute=account_per_minute,
            burst=burst,
        )
    )
    assert old is not None
    assert new is not None
    changed = {name: {"from": old[name], "to": value} for name, value in new.items() if old[name] != value}
    await acts.record(connection, actor, "account.limits_set", f"account:{account_id}", changed, account_id=account_id)
    return dict(new)
