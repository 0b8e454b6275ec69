"""What the public sees: components, their up time, incidents. Read once a second at most, and shown from memory."""

import asyncio
import dataclasses
import datetime
import logging
import time
from collections.abc import Mapping, Sequence

from trunkline import clock
from trunkline.errors import Unavailable
from trunkline.monitoring import components, incidents
from trunkline.monitoring.components import IMPACTS, Impact, State
from trunkline.monitoring.incidents import Incident
from trunkline.storage.database import Querier, Row
from trunkline.storage.queries import queries

SQL = queries(__package__)
log = logging.getLogger("trunkline.status")

DAYS = 90
INCIDENTS_FOR = datetime.timedelta(days=14)  # after their end
MOST_INCIDENTS = 50
FRESH_SECONDS = 1.0
PATIENCE_SECONDS = 2.0  # with a database that does not answer
OLD_SECONDS = 30.0  # from when on a copy is not shown as what is


@dataclasses.dataclass(frozen=True, slots=True)
class Component:
    name: str
    title: str
    state: State
    since: datetime.datetime
    created_at: datetime.datetime
    checked_at: datetime.datetime
    days: Mapping[datetime.date, tuple[float, float]]  # UTC → seconds up, seconds down; without those nobody watched


@dataclasses.dataclass(frozen=True, slots=True)
class Page:
    components: Sequence[Component]
    incidents: Sequence[Incident]  # open ones first, then the newest
    made_at: datetime.datetime

    @property
    def indicator(self) -> Impact:
        """The worst of what components and open incidents mean."""
        found = [components.impact(each.name, each.state) for each in self.components]
        found += [each.impact for each in self.incidents if each.closed_at is None]
        return max(found, key=IMPACTS.index, default="none")


async def read(database: Querier, names: Sequence[str]) -> Page:
    """The page as it is now; components that nobody has looked at yet are not there."""
    now = clock.now()
    rows = await database.fetch(SQL.components, names, DAYS)
    told = await incidents.find(database, closed_since=now - INCIDENTS_FOR, most=MOST_INCIDENTS)
    return Page([_component(row) for row in rows], told, now)


def without_database(page: Page | None, away_since: datetime.datetime) -> Page:
    """What can be said while the database does not answer: the last page, with what is out for certain."""
    now = clock.now()
    known = {} if page is None else {each.name: each for each in page.components}
    for name in (components.API, components.DATABASE):
        before = known.get(name) or Component(name, components.title(name), "operational", now, now, now, {})
        known[name] = dataclasses.replace(before, state=components.outage(name), since=away_since)
    return Page(list(known.values()), [] if page is None else page.incidents, now)


class Board:
    """The current page. While the database is away it shows the last one, and never waits for long."""

    def __init__(self, database: Querier, names: Sequence[str]) -> None:
        self._database = database
        self._names = names
        self._read: Page | None = None
        self._shown: Page | None = None
        self._asked = self._fresh_at = float("-inf")
        self._away_since: datetime.datetime | None = None
        self._reading: asyncio.Task[None] | None = None

    async def current(self) -> Page:
        """The same object until it is read again."""
        is_idle = self._reading is None or self._reading.done()
        if is_idle and time.monotonic() - self._asked >= FRESH_SECONDS:
            self._asked = time.monotonic()
            self._reading = asyncio.create_task(self._look())
        if self._reading is not None and not self._reading.done():
            # What does not answer is left to its own deadline; callers that come meanwhile do not wait for it again.
            await asyncio.wait({self._reading}, timeout=max(0, self._asked + PATIENCE_SECONDS - time.monotonic()))
        if self._shown is None or (self._away_since is None and time.monotonic() - self._fresh_at > OLD_SECONDS):
            self._lose()
        assert self._shown is not None
        return self._shown

    async def _look(self) -> None:
        asked = time.monotonic()
        try:
            self._read = self._shown = await read(self._database, self._names)
            self._fresh_at, self._away_since = asked, None
        except Unavailable:
            self._lose()
        except Exception:
            log.exception("the status cannot be read")
            self._lose()

    def _lose(self) -> None:
        self._away_since = self._away_since or clock.now()
        self._shown = without_database(self._read, self._away_since)


def _component(row: Row) -> Component:
    seconds = zip(row["up"] or (), row["down"] or (), strict=True)
    return Component(
        name=row["name"],
        title=components.title(row["name"]),
        state=row["state"],
        since=row["since"],
        created_at=row["created_at"],
        checked_at=row["checked_at"],
        days=dict(zip(row["days"] or (), seconds, strict=True)),
    )
