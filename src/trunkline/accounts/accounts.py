"""Accounts and what the operator does to them."""

import dataclasses
import re
from typing import Any

from trunkline.accounts import issuing
from trunkline.accounts.keys import MODES
from trunkline.errors import InvalidRequest, OperatorError
from trunkline.storage.database import Querier
from trunkline.storage.queries import queries

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


async def create(connection: Querier, email: str, *, currency: str, per_minute: int) -> NewAccount:
    """Raises InvalidRequest for what is no e-mail address, OperatorError where the address has an account."""
    if not _EMAIL.fullmatch(email) or len(email) > 254:
        raise InvalidRequest(f"{email!r} is not an e-mail address.", field="email")
    account_id = await connection.fetchval(SQL.create, email, currency, per_minute)
    if account_id is None:
        raise OperatorError(f"There is an account for {email} already.")
    live, test = [await issuing.first(connection, account_id, mode) for mode in MODES]
    return NewAccount(account_id, email, live.key, test.key)


async def find(connection: Querier, email: str) -> dict[str, Any]:
    """The account of an e-mail address, as a row. Raises OperatorError where there is none."""
    row = await connection.fetchrow(SQL.by_email, email)
    if row is None:
        raise OperatorError(f"There is no account for {email}.")
    return dict(row)


async def set_limits(
    connection: Querier,
    account_id: int,
    *,
    per_minute: int | None = None,
    account_per_minute: int | None = None,
    burst: int | None = None,
) -> dict[str, Any]:
    """Sets what is given and returns all three; 0 gives the last two their default back.

    Raises InvalidRequest for what is out of range.
    """
    for field, value, least in (
        ("per_minute", per_minute, 1), ("account_per_minute", account_per_minute, 0), ("burst", burst, 0)
    ):  # fmt: skip
        if value is not None and not least <= value <= MOST_PER_MINUTE:
            raise InvalidRequest(
                f"{field}: a limit is {least} to {MOST_PER_MINUTE} requests a minute, not {value}.", field=field
            )
    row = await connection.fetchrow(SQL.set_limits, account_id, per_minute, account_per_minute, burst)
    assert row is not None
    return dict(row)
