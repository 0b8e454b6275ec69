"""Statements: an account's transfers of some days as CSV, with the balance after each.

An account's transfers have their ids in the order in which they were committed, so pages by id miss none, and no
transaction is open while a slow reader reads. Days are those of UTC, both ends included.
"""

import csv
import datetime
import io
from collections.abc import AsyncGenerator, Iterable

from trunkline import money
from trunkline.audit import acts
from trunkline.audit.acts import Actor
from trunkline.clock import iso
from trunkline.storage.database import Querier, Row
from trunkline.storage.queries import bind, queries

SQL = queries(__package__)

COLUMNS = (
    "transfer_id", "created_at", "kind", "activation_id", "deposit_id", "service", "country", "phone_number", "amount",
    "balance_after", "currency",
)  # fmt: skip
PAGE = 2_000
OPENING_PAGE = 100_000
# A transfer's time is that of its transaction's beginning, so neighbours may stand in another order than their times;
# no transaction is as long as this.
OUT_OF_ORDER = datetime.timedelta(hours=1)

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def file_name(account_id: int, first: datetime.date, last: datetime.date) -> str:
    return f"statement-{account_id}-{first}-{last}.csv"


async def export(
    connection: Querier, actor: Actor, account_id: int, first: datetime.date, last: datetime.date
) -> AsyncGenerator[bytes, None]:
    """The statement in pieces of whole lines, of which the first is the header alone. Nothing of a test key is in it.

    It is as things stand when it is begun, however long it takes to read and however much money moves meanwhile.
    """
    facts = {"from": first, "to": last}
    await acts.record(connection, actor, "statement.exported", f"account:{account_id}", facts, account_id=account_id)
    return _pieces(connection, None if actor.test else account_id, first, last)


async def _pieces(
    connection: Querier, account_id: int | None, first: datetime.date, last: datetime.date
) -> AsyncGenerator[bytes, None]:
    yield _csv([COLUMNS])
    if account_id is None:
        return
    until = await connection.fetchval(SQL.last_transfer, account_id)
    since = datetime.datetime.combine(first, datetime.time(), datetime.UTC)
    balance, after, is_end = 0, 0, False
    while not is_end:
        opening = await connection.fetchrow(
            *bind(SQL.opening, account=account_id, after=after, since=since, limit=OPENING_PAGE)
        )
        assert opening is not None
        balance += opening["micros"]
        after, is_end = opening["last"], opening["is_end"]
    while rows := await connection.fetch(
        *bind(SQL.statement, account=account_id, after=after, limit=PAGE, until=until)
    ):
        shown = []
        for row in rows:
            balance += row["micros"]
            if first <= row["created_at"].date() <= last:
                shown.append(_cells(row, balance))
        if shown:
            yield _csv(shown)
        after = rows[-1]["transfer_id"]
        if len(rows) < PAGE or (rows[-1]["created_at"] - OUT_OF_ORDER).date() > last:
            return


def _cells(row: Row, balance: int) -> list[str]:
    texts = (row["kind"], row["activation_id"], row["deposit_id"], row["service"], row["country"], row["e164"])
    return [
        str(row["transfer_id"]),
        iso(row["created_at"]),
        *("" if text is None else _safe(str(text)) for text in texts),
        f"{money.show(row['micros']):f}",
        f"{money.show(balance):f}",
        row["currency"],
    ]


def _safe(text: str) -> str:
    """A text that no spreadsheet takes for a formula (OWASP, CSV injection): after an apostrophe it is a text."""
    return "'" + text if text.startswith(_FORMULA) else text


def _csv(rows: Iterable[Iterable[str]]) -> bytes:
    """RFC 4180: lines end with CR LF."""
    page = io.StringIO(newline="")
    csv.writer(page).writerows(rows)
    return page.getvalue().encode()
