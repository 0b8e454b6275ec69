"""Keyset pagination (the seek method), newest first: a page is what lies before a position in a list.

A verb that lists takes ``before`` and ``limit`` and asks the database for one row more than the limit; ``cut`` makes a
page of what came. Each surface shows the position of the next page in its own way; the API as an opaque cursor.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

NEWEST = 2**63 - 1  # the position before which everything lies

Row = TypeVar("Row")
Item = TypeVar("Item")


@dataclasses.dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """What stands on it, and the position before which the next page lies; None: this is the last one."""

    data: list[Item]
    next_before: int | None


def cut(rows: Sequence[Row], limit: int, view: Callable[[Row], Item], position: Callable[[Row], int]) -> Page[Item]:
    """The page of at most ``limit`` rows, of up to ``limit + 1`` that were found."""
    shown = rows[:limit]
    return Page([view(row) for row in shown], position(shown[-1]) if len(rows) > limit else None)
