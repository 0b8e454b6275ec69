"""How leases ended, for everybody to see: shares of texts that came and how long they took, over the last days."""

import asyncio
import dataclasses
import functools
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Literal, cast

from trunkline import intervals
from trunkline.errors import InvalidRequest, Unavailable
from trunkline.intervals import Estimate
from trunkline.storage.database import Querier, Row
from trunkline.storage.queries import bind, queries

SQL = queries(__package__)
log = logging.getLogger("trunkline.stats")

Column = Literal["country", "service", "operator", "carrier"]
COLUMNS: tuple[Column, ...] = ("country", "service", "operator", "carrier")
Window = Literal["24h", "7d", "30d"]
Mode = Literal["live", "test"]
WINDOWS: dict[Window, tuple[int | None, int | None]] = {"24h": (24, None), "7d": (None, 7), "30d": (None, 30)}

FRESH_SECONDS = 10.0  # how long a process may show old arrivals
LEAST_REST = 20  # times as long as counting them took

KEEP_HOURS_DAYS = 8
KEEP_DAYS = 400
FORGET_EVERY_SECONDS = 3600.0
GROUP = 5_000  # rows forgotten in one statement
MOST_GROUPS = 200  # in a round


@dataclasses.dataclass(frozen=True)
class Outcomes:
    """Leases that got a text or ended without one; a column that was not asked for is None."""

    country: str | None
    service: str | None
    operator: str | None
    carrier: str | None
    histogram: Mapping[int, int]  # how long the text took, by bucket, → leases; -1: none came

    @functools.cached_property
    def leases(self) -> int:
        return sum(self.histogram.values())

    @functools.cached_property
    def texts(self) -> int:
        return self.leases - self.histogram.get(-1, 0)

    @functools.cached_property
    def delivery_rate(self) -> Estimate | None:
        """The share of the leases that got a text."""
        return intervals.share(self.texts, self.leases)

    @functools.cached_property
    def median_seconds(self) -> Estimate | None:
        return intervals.quantile(self.histogram, 50)

    @functools.cached_property
    def p95_seconds(self) -> Estimate | None:
        return intervals.quantile(self.histogram, 95)


def columns(text: str) -> tuple[Column, ...]:
    """What ``country,service`` asks to group by, in the order of COLUMNS; nothing: one group. Raises InvalidRequest."""
    asked = [name.strip() for name in text.split(",")] if text.strip() else []
    for place, name in enumerate(asked):
        if name not in COLUMNS:
            raise InvalidRequest(f"There is no grouping {name!r}; there are {', '.join(COLUMNS)}.", field="by")
        if name in asked[:place]:
            raise InvalidRequest(f"The grouping {name!r} is given twice.", field="by")
    return tuple(column for column in COLUMNS if column in asked)


async def outcomes(
    connection: Querier,
    by: Sequence[Column],
    window: Window,
    *,
    test: bool,
    only: Mapping[Column, str] | None = None,
    least: int = 1,
    limit: int | None = None,
    offset: int = 0,
) -> list[Outcomes]:
    """Groups of at least ``least`` leases, the largest first; ``only`` counts what has these values."""
    wanted = only or {}
    hours, days = WINDOWS[window]
    rows = await connection.fetch(
        *bind(
            SQL.groups,
            by=["service_id" if column == "service" else column for column in by],
            test=test,
            hours=hours,
            days=days,
            country=wanted.get("country"),
            service=wanted.get("service"),
            operator=wanted.get("operator"),
            carrier=wanted.get("carrier"),
            least=least,
            limit=limit,
            offset=offset,
        ),
    )
    return [_outcomes(row) for row in rows]


def _outcomes(row: Row) -> Outcomes:
    histogram = dict(zip(row["buckets"], row["leases"], strict=True))
    return Outcomes(row["country"], row["service"], row["operator"], row["carrier"], histogram)


class Statistics:
    """How live leases of the last 7 days went, by country and service, as of some seconds ago."""

    def __init__(self, database: Querier) -> None:
        self._database = database
        self._counted: dict[tuple[str, str], Outcomes] | None = None
        self._due = 0.0
        self._counting = asyncio.Lock()

    async def arrivals(self) -> Mapping[tuple[str, str], Outcomes]:
        """Country and service → outcomes, for those with enough leases to tell; a busy database counts less often."""
        if self._counted is None or (time.monotonic() >= self._due and not self._counting.locked()):
            async with self._counting:
                if self._counted is None or time.monotonic() >= self._due:
                    began = time.monotonic()
                    found = await outcomes(
                        self._database, ("country", "service"), "7d", test=False, least=intervals.LEAST
                    )
                    self._counted = {(cast(str, each.country), cast(str, each.service)): each for each in found}
                    now = time.monotonic()
                    self._due = now + max(FRESH_SECONDS, LEAST_REST * (now - began))
        return self._counted


async def forget(database: Querier) -> int:
    """Drops hours and days that no window will show any more; how many rows. Safe to run in several processes at once.

    What is left after a round's share is the next round's.
    """
    gone = 0
    for statement, keep_days in ((SQL.forget_hours, KEEP_HOURS_DAYS), (SQL.forget_days, KEEP_DAYS)):
        for _ in range(MOST_GROUPS):
            count = int((await database.execute(statement, keep_days, GROUP)).split()[-1])
            gone += count
            if count < GROUP:
                break
    return gone


async def sweep(database: Querier) -> None:
    """Forgets hourly, until cancelled; a database that is away is tried again the next hour."""
    while True:
        try:
            if gone := await forget(database):
                log.info("%d rows of old statistics forgotten", gone)
        except Unavailable as error:
            log.warning("forgetting old statistics is put off: %s", error.detail)
        except Exception:
            log.exception("forgetting old statistics failed")
        await asyncio.sleep(FORGET_EVERY_SECONDS)
