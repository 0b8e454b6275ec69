"""Accounts and what the operator does to them."""

import dataclasses
import re
from typing import Any

from trunkline.accounts.keys import ALL_SCOPES, new_secret
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
    secrets = {}
    for mode in ("live", "test"):
        secrets[mode], secret_hash = new_secret(mode)
        await connection.fetchval(SQL.add_key, account_id, mode, f"first {mode} key", secret_hash, ALL_SCOPES)
    return NewAccount(account_id, email, secrets["live"], secrets["test"])


async def find(connection: Querier, email: str) -> dict[str, Any]:
    """The account of an e-mail address, as a row. Raises OperatorError where there is none."""
    row = await connection.fetchrow(SQL.by_email, email)
    if row is None:
        raise OperatorError(f"There is no account for {email}.")
    return dict(row)


async def set_limit(connection: Querier, account_id: int, per_minute: int) -> None:
    """Raises InvalidRequest for less than 1 request a minute."""
    if not 1 <= per_minute <= MOST_PER_MINUTE:
        raise InvalidRequest(f"The limit is 1 to {MOST_PER_MINUTE} requests a minute.", field="per_minute")
    await connection.execute(SQL.set_limit, account_id, per_minute)
