"""The books: double entry in whole micros. What a lease moves is moved by the statement that changes the lease."""

import dataclasses
from typing import Any

from trunkline.storage.database import Database, Querier
from trunkline.storage.queries import queries

SQL = queries(__package__)


async def credit(connection: Querier, account_id: int, micros: int) -> None:
    """Money from outside onto an account's balance, in the account's currency."""
    if micros:
        await connection.execute(SQL.credit, account_id, micros)


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """What a look over all the books found; ``off`` names each thing that is wrong."""

    ok: bool
    transfers: int
    accounts: int
    revenue_micros: int
    held_micros: int
    off: list[dict[str, Any]]


async def verify(database: Database) -> Verdict:
    """Proves the books, all from one snapshot: postings sum to zero for each currency, every balance is the sum of its
    postings and not below zero, every lease is held once and ended once, by what its state says."""
    async with database.transaction() as connection:
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        await connection.execute("SET LOCAL statement_timeout = 0")
        await connection.execute("SET LOCAL enable_seqscan = on")  # here whole tables are what is asked for
        off: list[dict[str, Any]] = []
        for what, query in (
            ("currency_unbalanced", SQL.unbalanced_currencies),
            ("balance_wrong", SQL.wrong_balances),
            ("lease_wrong", SQL.wrong_leases),
        ):
            off += [{"what": what, **dict(row)} for row in await connection.fetch(query, timeout=3600)]
        counts = await connection.fetchrow(SQL.counts, timeout=3600)
    assert counts is not None
    return Verdict(ok=not off, off=off, **dict(counts))
