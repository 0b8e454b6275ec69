"""Comma-separated values as people have them: RFC 4180, and what spreadsheets make of it.

A file is UTF-8, or UTF-16 with its mark; a semicolon or a tab may separate, as European and older ones write it.
"""

import codecs
import csv
import dataclasses
import io
import itertools
import re
from collections.abc import Collection, Iterable, Iterator

from trunkline.errors import InvalidRequest

_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_SHORTENED = re.compile(r"[+-]?\d([.,]\d+)?e\+?\d+", re.IGNORECASE)
_A_NUMBER = re.compile(r"\+?\d[\d ().-]{5,}")


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """One row: the line it begins with, its cells without blanks around them, and what is wrong with it, if it is."""

    line: int
    cells: list[str]
    fault: str | None = None


def lines(octets: bytes) -> Iterator[str]:
    """The lines of a file, each with its end. Raises InvalidRequest where it is in no encoding that is known."""
    mark, encoding = next((each for each in _MARKS if octets.startswith(each[0])), (b"", "utf-8"))
    try:
        text = octets[len(mark) :].decode(encoding)
    except UnicodeDecodeError:
        raise InvalidRequest("The file is neither UTF-8 nor UTF-16 with a byte order mark.") from None
    return iter(io.StringIO(text, newline=""))


def records(file: Iterable[str], columns: Collection[str]) -> Iterator[Record]:
    """The rows that are not blank, without the empty cells at their ends. ``columns``: the names that the first row may
    have, by which the separator is known."""
    rest = iter(file)
    ahead = list(itertools.islice(rest, 1))
    while ahead and not ahead[-1].strip() and (more := next(rest, None)) is not None:
        ahead.append(more)
    first = ahead[-1].removeprefix("\ufeff") if ahead else ""
    if ahead:
        ahead[-1] = first
    reader = csv.reader(itertools.chain(ahead, rest), delimiter=_separator(first, columns), strict=True)
    while True:
        begins = reader.line_num + 1
        try:
            cells = [cell.strip() for cell in next(reader)]
        except StopIteration:
            return
        except csv.Error as error:
            ended = "unexpected end" in str(error)
            yield Record(begins, [], "a quotation mark is never closed" if ended else f"no CSV: {error}")
            continue
        while cells and not cells[-1]:
            cells.pop()
        if cells:
            yield Record(begins, cells)


def shortened(cell: str) -> bool:
    """Whether a spreadsheet has put a long number down as 4.915E+12: the rest of its digits is lost."""
    return _SHORTENED.fullmatch(cell) is not None


def _separator(line: str, columns: Collection[str]) -> str:
    for separator in (";", "\t"):
        cells = [cell.strip().strip('"') for cell in line.rstrip("\r\n").split(separator)]
        if len(cells) > 1 and (cells[0].casefold() in columns or _A_NUMBER.fullmatch(cells[0])):
            return separator
    return ","
