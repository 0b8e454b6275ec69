"""What an account used: leases and money by day, service, country, key or label, kept with the leases themselves."""

import datetime

from trunkline.accounts import views
from trunkline.accounts.views import Report
from trunkline.errors import InvalidRequest
from trunkline.storage.database import Querier
from trunkline.storage.queries import bind, queries

SQL = queries(__package__)

MOST_DAYS = 366
MOST_GROUPS = 1000
GROUPINGS = ("day", "service", "country", "key")
LABEL = "label."


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


async def report(
    connection: Querier, account_id: int, *, test: bool, first: datetime.date, last: datetime.date, group_by: str
) -> Report:
    """What was used in these days, in groups by day, else the dearest first. The total counts those not shown too.

    Raises InvalidRequest for a grouping that does not exist: ``day``, ``service``, ``country``, ``key``,
    ``label.NAME``.
    """
    total = await connection.fetchrow(*bind(SQL.usage_total, account=account_id, test=test, first=first, last=last))
    assert total is not None
    if group_by == "day":
        rows = await connection.fetch(*bind(SQL.usage_by_day, account=account_id, test=test, first=first, last=last))
    elif group_by in GROUPINGS or (group_by.startswith(LABEL) and group_by != LABEL):
        rows = await connection.fetch(
            *bind(
                SQL.usage_by,
                account=account_id,
                test=test,
                first=first,
                last=last,
                dimension=group_by,
                limit=MOST_GROUPS + 1,
            )
        )
    else:
        known = ", ".join((*GROUPINGS, "label.NAME"))
        raise InvalidRequest(f"There is no grouping {group_by!r}; there are {known}.", field="group_by")
    return Report(
        first=first.isoformat(),
        last=last.isoformat(),
        group_by=group_by,
        currency=total["currency"],
        total=views.used(total),
        groups=[views.group(row) for row in rows[:MOST_GROUPS]],
        truncated=len(rows) > MOST_GROUPS,
    )
