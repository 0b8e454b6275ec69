"""The operator's numbers: import, the simulated ones, the list."""

import dataclasses
import itertools
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from typing import Any

import asyncpg

from trunkline import tables
from trunkline.audit import acts
from trunkline.audit.acts import Actor
from trunkline.errors import InvalidRequest, OperatorError
from trunkline.phone import calling_code_fits, parse_e164
from trunkline.storage import database as storage
from trunkline.storage.database import Querier
from trunkline.storage.queries import bind, queries

SQL = queries(__package__)

COLUMNS = ("e164", "country", "operator")
CHUNK = 5_000
SIMULATED = "simulated"  # its numbers are not the operator's to move
_SEPARATORS = str.maketrans("", "", " \u00a0-.()/")


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """A number as the operator's file names it."""

    line: int
    e164: str
    country: str
    operator: str


@dataclasses.dataclass(frozen=True, slots=True)
class BadRow:
    line: int
    reason: str
    carrier: str | None = None  # that has the number now, where it can be moved


def read_rows(lines: Iterable[str], countries: Container[str]) -> Iterator[Row | BadRow]:
    """The rows of a CSV ``e164,country[,operator]``; a first row that names the columns, in any order, is optional."""
    seen: dict[str, int] = {}
    order: tuple[str, ...] = COLUMNS
    for place, record in enumerate(tables.records(lines, COLUMNS)):
        names = tuple(cell.lower() for cell in record.cells)
        if place == 0 and {"e164", "country"} <= set(names) <= set(COLUMNS):
            order = names
            continue
        if place == 0 and names[:1] == ("e164",):
            yield BadRow(record.line, "the columns are e164,country and, where you like, operator")
            continue
        row = _read_row(record, order, countries)
        if isinstance(row, Row):
            if row.e164 in seen:
                row = BadRow(row.line, f"{row.e164} stands in line {seen[row.e164]} already")
            else:
                seen[row.e164] = row.line
        yield row


def read_number(cell: str) -> str:
    """A number out of a spreadsheet, with or without blanks and dashes in it. Raises InvalidRequest."""
    if tables.shortened(cell):
        raise InvalidRequest(f"{cell} is a number that a spreadsheet has shortened; format the column as text.")
    return parse_e164(cell.lstrip("'").translate(_SEPARATORS))


def _read_row(record: tables.Record, order: Sequence[str], countries: Container[str]) -> Row | BadRow:
    line, cells = record.line, record.cells
    if record.fault:
        return BadRow(line, record.fault)
    if not 2 <= len(cells) <= len(order):
        return BadRow(line, f"{len(cells)} columns, expected e164,country[,operator]")
    named = dict(zip(order, cells, strict=False))
    written, place, operator = (named.get(column, "") for column in COLUMNS)
    try:
        e164 = read_number(written)
    except InvalidRequest as error:
        return BadRow(line, error.detail)
    country = place.lower()
    if country not in countries:
        return BadRow(line, f"{place!r} is no ISO 3166-1 alpha-2 country code")
    if not calling_code_fits(e164, country):
        return BadRow(line, f"{e164} does not begin with the calling code of {country}")
    if len(operator) > 64:
        return BadRow(line, "the operator's name is longer than 64 characters")
    return Row(line, e164, country, operator)


async def stock(
    connection: Querier,
    rows: Iterable[Row],
    *,
    carrier: str,
    test: bool = False,
    progress: Callable[[int], object] = lambda _: None,
) -> list[BadRow]:
    """Puts numbers into the pool, in chunks; those that the pool already had come back as bad rows."""
    known = []
    pending = iter(rows)
    while chunk := list(itertools.islice(pending, CHUNK)):
        lines = {row.e164: row.line for row in chunk}
        had = await connection.fetch(
            *bind(
                SQL.put_numbers,
                carrier=carrier,
                test=test,
                numbers=list(lines),
                countries=[row.country for row in chunk],
                operators=[row.operator for row in chunk],
            )
        )
        known += [_known(lines[row["known"]], row["known"], row["known_carrier"], carrier) for row in had]
        progress(len(chunk))
    return known


def _known(line: int, e164: str, has: str, carrier: str) -> BadRow:
    if has == carrier:
        return BadRow(line, f"{e164} is in the pool already")
    way = f"; --move brings it to {carrier}" if SIMULATED not in (has, carrier) else ""
    return BadRow(line, f"{e164} is in the pool already, with the carrier {has}{way}", has if way else None)


async def import_rows(
    connection: "asyncpg.Connection[asyncpg.Record]",
    actor: Actor,
    rows: Sequence[Row],
    *,
    carrier: str,
    skip_known: bool,
    skip_moving: bool = False,
    progress: Callable[[int], object] = lambda _: None,
) -> list[BadRow]:
    """Imports all rows or, where the pool already has some and they are not to be skipped, none; those it had.

    ``skip_moving``: those of other carriers, which are to be moved afterwards, keep nothing out.
    """
    try:
        async with connection.transaction():
            known = await stock(connection, rows, carrier=carrier, progress=progress)
            if not skip_known and any(row.carrier is None or not skip_moving for row in known):
                raise _Known(known)
            if len(known) < len(rows):
                what = {"numbers": len(rows) - len(known)}
                await acts.record(connection, actor, "numbers.imported", f"carrier:{carrier}", what)
    except _Known as refused:
        return refused.rows
    return known


async def listing(connection: Querier, *, carrier: str | None, country: str | None, limit: int) -> list[dict[str, Any]]:
    """Numbers in the order of their import, each with its live leases, and with the reason where it is frozen."""
    where = {"carrier": carrier, "country": country.lower() if country else None}
    return [dict(row) for row in await connection.fetch(*bind(SQL.numbers, after=0, limit=limit, **where))]


async def freeze(connection: Querier, e164: str, reason: str) -> int:
    """Takes a number off the shelf: nobody leases it from now on, and its texts are nobody's. Its live leases are the
    caller's to end, after this and in the same transaction; the number's id.

    Raises OperatorError where the pool has no such number, or it is frozen already.
    """
    rows = await connection.fetch(SQL.freeze, e164, reason)
    return _moved(rows, e164, "is frozen already")


async def unfreeze(connection: Querier, actor: Actor, e164: str) -> None:
    """Raises OperatorError where the pool has no such number, or it is not frozen."""
    _moved(await connection.fetch(SQL.unfreeze, e164), e164, "is not frozen")
    await acts.record(connection, actor, "number.unfrozen", f"number:{e164}")


def _moved(rows: Sequence[storage.Row], e164: str, otherwise: str) -> int:
    if not rows:
        raise OperatorError(f"The pool has no number {e164}.")
    if rows[0]["number_id"] is None:
        raise OperatorError(f"{e164} {otherwise}.")
    number_id: int = rows[0]["number_id"]
    return number_id


class _Known(Exception):
    """Rolls an import back."""

    def __init__(self, rows: list[BadRow]) -> None:
        self.rows = rows
