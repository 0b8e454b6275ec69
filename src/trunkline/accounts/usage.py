"""What an account used: leases and money by day, service, country, key or label, kept with the leases themselves."""

import dataclasses
import datetime

from trunkline.errors import InvalidRequest
from trunkline.storage.database import Querier, Row
from trunkline.storage.queries import queries

SQL = queries(__package__)

MOST_DAYS = 366
MOST_GROUPS = 1000
GROUPINGS = ("day", "service", "country", "key")
LABEL = "label."


@dataclasses.dataclass(frozen=True, slots=True)
class Usage:
    """Days are of UTC, both ends included; a lease counts on the day of its purchase."""

    first: datetime.date
    last: datetime.date
    grouped_by: str
    total: Row
    groups: list[Row]  # group, leases, received, cancelled, expired, micros: by day, else the dearest first
    truncated: bool  # there are more groups than are shown; the total counts them


def period(first: str | None, last: str | None, today: datetime.date) -> tuple[datetime.date, datetime.date]:
    """The days from ``first`` to ``last``, as in 2026-04-19; by default this month's until today.

    Raises InvalidRequest for what is no date, ends before it begins, or is longer than 366 days.
    """
    until = _day(last, "to") if last is not None else today
    since = _day(first, "from") if first is not None else min(until, today).replace(day=1)
    if since > until:
        raise InvalidRequest("The period ends before it begins.", field="from")
    if (until - since).days >= MOST_DAYS:
        raise InvalidRequest(f"A period has at most {MOST_DAYS} days.", field="from")
    return since, until


def _day(text: str, field: str) -> datetime.date:
    try:
        if len(text) != len("2026-04-19"):
            raise ValueError
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise InvalidRequest(f"{field} is a day, as in 2026-04-19.", field=field) from None


async def usage(
    connection: Querier, account_id: int, *, test: bool, first: datetime.date, last: datetime.date, grouped_by: str
) -> Usage:
    """Raises InvalidRequest for a grouping that does not exist: ``day``, ``service``, ``country``, ``key``,
    ``label.NAME``."""
    total = await connection.fetchrow(SQL.usage_total, account_id, test, first, last)
    assert total is not None
    if grouped_by == "day":
        rows = await connection.fetch(SQL.usage_by_day, account_id, test, first, last)
    elif grouped_by in GROUPINGS or (grouped_by.startswith(LABEL) and grouped_by != LABEL):
        rows = await connection.fetch(SQL.usage_by, account_id, test, first, last, grouped_by, MOST_GROUPS + 1)
    else:
        known = ", ".join((*GROUPINGS, "label.NAME"))
        raise InvalidRequest(f"There is no grouping {grouped_by!r}; there are {known}.", field="group_by")
    return Usage(first, last, grouped_by, total, list(rows[:MOST_GROUPS]), len(rows) > MOST_GROUPS)
