"""The operator's numbers: import, the simulated ones, the list."""

import csv
import dataclasses
import itertools
from collections.abc import Callable, Container, Iterable, Iterator, Sequence

import asyncpg

from trunkline.errors import InvalidRequest, OperatorError
from trunkline.phone import parse_e164
from trunkline.storage import database as storage
from trunkline.storage.database import Querier
from trunkline.storage.queries import queries

SQL = queries(__package__)

CHUNK = 5_000


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


def read_rows(lines: Iterable[str], countries: Container[str]) -> Iterator[Row | BadRow]:
    """The rows of a CSV ``e164,country[,operator]``; a first line that names the columns is optional."""
    seen: dict[str, int] = {}
    reader = csv.reader(lines)
    for cells in reader:
        line = reader.line_num
        cells = [cell.strip() for cell in cells]
        if not any(cells) or (line == 1 and cells[0].lower() == "e164"):
            continue
        row = _read_row(line, cells, countries)
        if isinstance(row, Row):
            if row.e164 in seen:
                row = BadRow(line, f"{row.e164} stands in line {seen[row.e164]} already")
            else:
                seen[row.e164] = line
        yield row


def _read_row(line: int, cells: list[str], countries: Container[str]) -> Row | BadRow:
    if len(cells) not in (2, 3):
        return BadRow(line, f"{len(cells)} columns, expected e164,country[,operator]")
    try:
        e164 = parse_e164(cells[0])
    except InvalidRequest as error:
        return BadRow(line, error.detail)
    country = cells[1].lower()
    if country not in countries:
        return BadRow(line, f"{cells[1]!r} is no ISO 3166-1 alpha-2 country code")
    operator = cells[2] if len(cells) == 3 else ""
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
            SQL.stock, carrier, test, list(lines), [row.country for row in chunk], [row.operator for row in chunk]
        )
        known += [BadRow(lines[row[0]], f"{row[0]} is in the pool already") for row in had]
        progress(len(chunk))
    return known


async def import_rows(
    connection: "asyncpg.Connection[asyncpg.Record]",
    rows: Iterable[Row],
    *,
    carrier: str,
    skip_known: bool,
    progress: Callable[[int], object] = lambda _: None,
) -> list[BadRow]:
    """Imports all rows or, where the pool already has some and they are not to be skipped, none; those it had."""
    try:
        async with connection.transaction():
            known = await stock(connection, rows, carrier=carrier, progress=progress)
            if known and not skip_known:
                raise _Known(known)
    except _Known as refused:
        return refused.rows
    return known


async def freeze(connection: Querier, e164: str, reason: str) -> int:
    """Takes a number off the shelf: nobody leases it from now on, and its texts are nobody's. Its live leases are the
    caller's to end, after this and in the same transaction; the number's id.

    Raises OperatorError where the pool has no such number, or it is frozen already.
    """
    rows = await connection.fetch(SQL.freeze, e164, reason)
    return _moved(rows, e164, "is frozen already")


async def unfreeze(connection: Querier, e164: str) -> int:
    """Raises OperatorError where the pool has no such number, or it is not frozen."""
    rows = await connection.fetch(SQL.unfreeze, e164)
    return _moved(rows, e164, "is not frozen")


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
