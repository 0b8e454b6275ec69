"""The books: double entry in whole micros. What a lease or a verification moves is moved by the statement that changes
it.
"""

import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from trunkline import money, paging
from trunkline.audit import acts
from trunkline.audit.acts import Actor
from trunkline.errors import InvalidRequest
from trunkline.ledger import views
from trunkline.ledger.views import Transaction
from trunkline.storage.database import Database, Querier, Row
from trunkline.storage.queries import bind, queries

SQL = queries(__package__)

CHUNK = 250_000  # transfers or leases looked at by one statement
MOST_NAMED = 100  # of each kind of wrong thing
STATEMENT_SECONDS = 3600


@dataclasses.dataclass(frozen=True, slots=True)
class Balance:
    """An account's money in its currency: what can be spent, and what is held for leases that still wait."""

    currency: str
    available_micros: int
    held_micros: int


async def balance(connection: Querier, account_id: int) -> Balance:
    row = await connection.fetchrow(SQL.balance, account_id)
    assert row is not None
    return Balance(**dict(row))


async def page(
    connection: Querier, account_id: int, *, before: int = paging.NEWEST, limit: int
) -> paging.Page[Transaction]:
    """An account's transfers, newest first."""
    rows = await connection.fetch(SQL.transfers, account_id, before, limit + 1)
    return paging.cut(rows, limit, views.transaction, lambda row: row["transfer_id"])


async def credit(connection: Querier, actor: Actor, account_id: int, micros: int, note: str | None = None) -> Balance:
    """Money from outside onto an account's balance, by the operator; the balance afterwards. Runs in a transaction.

    Raises InvalidRequest for nothing at all.
    """
    if not micros:
        raise InvalidRequest("A credit is more than 0.", field="amount")
    facts = {"amount": money.show(micros), "currency": (await balance(connection, account_id)).currency, "note": note}
    act_id = await acts.record(
        connection, actor, "account.credited", f"account:{account_id}", facts, account_id=account_id
    )
    await book_credit(connection, account_id, micros, act_id)
    return await balance(connection, account_id)


async def book_credit(connection: Querier, account_id: int, micros: int, act_id: int) -> None:
    """The transfer of a credit, for which its act of the audit stands: one that says this very amount."""
    if micros:
        await connection.execute(*bind(SQL.credit, account=account_id, micros=micros, act=act_id))


async def completed_this_month(connection: Querier, account_id: int) -> int:
    """Leases of the calendar month (UTC) that got a text: what price tiers go by."""
    completed: int = await connection.fetchval(SQL.completed_this_month, account_id)
    return completed


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """What a look over all the books found; ``off`` names each thing that is wrong."""

    ok: bool
    transfers: int
    accounts: int
    revenue_micros: int  # of all currencies together, as is the next
    held_micros: int
    off: list[dict[str, Any]]


async def verify(database: Database, progress: Callable[[int, int], object] = lambda _done, _of: None) -> Verdict:
    """Proves the books, all from one snapshot, and names what is off:

    ``currency_unbalanced``: the postings of a currency do not sum to zero. ``balance_wrong``: a balance is not the sum
    of its postings, or below zero. ``lease_wrong``: a lease was not held once and ended once, as its state says.
    ``verification_wrong``: the same of a verification. ``usage_wrong``: what was used on a day is not what its leases
    and verifications cost. ``deposit_wrong``: a paid deposit without its
    one credit, or a credit without its deposit. ``credit_wrong``: a credit without the operator's act of its amount, or
    an act without its credit.

    ``progress`` is told how many rows of how many are looked at. The snapshot writes nothing, so nobody waits for it.
    """
    async with database.transaction(seconds=math.inf) as connection:
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        await connection.execute("SET LOCAL enable_seqscan = on")  # here whole tables are what is asked for

        async def ask(query: str, *args: int) -> list[Any]:
            return list(await connection.fetch(query, *args, timeout=STATEMENT_SECONDS))

        extent = (await ask(SQL.extent))[0]
        transfers = list(_ranges(extent["first_transfer"], extent["last_transfer"]))
        leases = list(_ranges(extent["first_lease"], extent["last_lease"]))
        verifications = list(_ranges(extent["first_verification"], extent["last_verification"]))
        rows = sum(last - first + 1 for first, last in transfers + leases + verifications)
        done = 0
        books = _Books()
        for query, take, chunks in (
            (SQL.moved, books.take_moved, transfers),
            (SQL.leases, books.take_leases, leases),
            (SQL.verifications, books.take_verifications, verifications),
        ):
            for first, last in chunks:
                take(await ask(query, first, last))
                done += last - first + 1
                progress(done, rows)
        books.compare_balances(await ask(SQL.balances))
        books.compare_usage(await ask(SQL.used))
        for row in await ask(SQL.wrong_deposits):
            books.note("deposit_wrong", **dict(row))
        for row in await ask(SQL.wrong_credits):
            books.note("credit_wrong", **dict(row))
    return books.verdict()


def _ranges(first: int, last: int) -> Iterator[tuple[int, int]]:
    for start in range(first, last + 1, CHUNK):
        yield start, min(start + CHUNK - 1, last)


class _Books:
    """The sums so far: by account, and by account and day."""

    def __init__(self) -> None:
        self._transfers = 0
        self._accounts = 0
        self._off: dict[str, list[dict[str, Any]]] = {}
        self._totals: dict[str, Counter[str]] = {}  # by currency, then book
        self._booked: dict[tuple[int, str], tuple[int, int]] = {}  # account and currency → available, held
        self._used: dict[tuple[int, Any], tuple[int, int]] = {}  # account and day → micros, leases that got a text

    def note(self, what: str, **facts: Any) -> None:
        named = self._off.setdefault(what, [])
        if len(named) < MOST_NAMED:
            named.append({"what": what, **facts})

    def take_moved(self, rows: list[Row]) -> None:
        for row in rows:
            self._transfers += row["transfers"]
            total = self._totals.setdefault(row["currency"], Counter())
            total.update({book: row[book] for book in ("available", "held", "revenue", "funding")})
            own = row["account_id"], row["currency"]
            available, held = self._booked.get(own, (0, 0))
            self._booked[own] = available + row["available"], held + row["held"]

    def take_leases(self, rows: list[Row]) -> None:
        self._take("lease_wrong", rows)

    def take_verifications(self, rows: list[Row]) -> None:
        self._take("verification_wrong", rows)

    def _take(self, wrong: str, rows: list[Row]) -> None:
        for row in rows:
            for facts in msgspec.json.decode(row["wrong"]) if row["wrong"] else ():
                self.note(wrong, **facts)
            if row["day"] is not None:  # transfers without a lease have none, and stand among the wrong
                own = row["account_id"], row["day"]
                micros, completed = self._used.get(own, (0, 0))
                self._used[own] = micros + row["micros"], completed + row["completed"]

    def compare_balances(self, rows: list[Row]) -> None:
        for currency, total in self._totals.items():
            if off_micros := sum(total.values()):
                self.note("currency_unbalanced", currency=currency, off_micros=off_micros)
        self._accounts = len(rows)
        kept = {(row["account_id"], row["currency"]): (row["available_micros"], row["held_micros"]) for row in rows}
        for own in sorted(kept.keys() | self._booked.keys()):
            shown, booked = kept.get(own), self._booked.get(own, (0, 0))
            if shown != booked or min(shown) < 0:
                available, held = shown or (None, None)
                self.note(
                    "balance_wrong", account_id=own[0], currency=own[1], available_micros=available, held_micros=held,
                    booked_available_micros=booked[0], booked_held_micros=booked[1],
                )  # fmt: skip

    def compare_usage(self, rows: list[Row]) -> None:
        said = {(row["account_id"], row["day"], row["dimension"]): (row["micros"], row["received"]) for row in rows}
        for own in sorted(self._used.keys() | {(account_id, day) for account_id, day, _ in said}):
            for dimension in ("key", "service", "country"):
                shown, booked = said.get((*own, dimension), (0, 0)), self._used.get(own, (0, 0))
                if shown != booked:
                    self.note(
                        "usage_wrong", account_id=own[0], day=own[1].isoformat(), dimension=dimension, micros=shown[0],
                        booked_micros=booked[0], received=shown[1], booked_received=booked[1],
                    )  # fmt: skip

    def verdict(self) -> Verdict:
        off = [each for named in self._off.values() for each in named]
        return Verdict(
            ok=not off,
            transfers=self._transfers,
            accounts=self._accounts,
            revenue_micros=sum(total["revenue"] for total in self._totals.values()),
            held_micros=sum(held for _, held in self._booked.values()),
            off=off,
        )
