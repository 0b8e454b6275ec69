"""The tail: one reader of the outbox in each process, that tells everyone in it what has been committed.

What is new is what the database's snapshot shows now and did not show before (docs/decisions/0015): that loses nothing
however late a transaction commits, and waits for none that is still running, neither ours nor anybody else's on the
same server. Nothing is kept here: whoever was told nothing, because the process or the database was away, reads the
database.
"""

import asyncio
import dataclasses
import datetime
import logging
import time
from collections.abc import Callable, Sequence

from trunkline.errors import Unavailable
from trunkline.storage.database import Querier
from trunkline.storage.queries import queries

SQL = queries(__package__)
log = logging.getLogger("trunkline.events")

BUSY_SECONDS = 0.004  # between two looks while something happens or somebody waits
POLLED_SECONDS = 0.01  # while memory answers for the database
IDLE_SECONDS = 0.03  # while nothing does
FOR_SECONDS = 0.5  # after the last event, call or poll
LOOK_SHARE = 4  # of the time that a look takes: looking never fills more than a quarter of a connection
LATE_SECONDS = 1.0  # from when on what memory says is not trusted
AWAY_SECONDS = 0.2  # until the next try where the database is away
MOST_AT_ONCE = 5_000  # events told together; more, after an outage, are told as a gap


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    """A row of the outbox without its data."""

    event_id: int
    account_id: int
    test: bool
    activation_id: int | None
    endpoint_id: int | None  # the one webhook that it is for; None: everybody's
    type: str
    created_at: datetime.datetime


class Gap:
    """Told in place of events that were not read: forget what you know, and read the database."""


GAP = Gap()
Follower = Callable[[Sequence[Event] | Gap], None]


class Tail:
    """Reads on, and tells its followers in the order in which they came. A follower must not wait."""

    def __init__(self, database: Querier) -> None:
        self._database = database
        self._followers: list[Follower] = []
        self._seen: str | None = None  # the snapshot up to which everything has been told
        self._clock: datetime.datetime | None = None  # what the database's clock showed then
        self._fresh_at = float("-inf")  # when the last look that succeeded began, unless the thread was lost since
        self._looked_at = float("-inf")  # when it began, whatever came after
        self._busy_until = self._polled_until = 0.0
        self._wake = asyncio.Event()
        self._looking = asyncio.Lock()

    def follow(self, follower: Follower) -> None:
        self._followers.append(follower)

    @property
    def is_late(self) -> bool:
        """Whether what has been told may be older than a second."""
        return time.monotonic() - self._fresh_at > LATE_SECONDS

    def behind_seconds(self) -> float:
        """How long the last look that succeeded is past; infinite before the first one."""
        return time.monotonic() - self._looked_at

    @property
    def seen(self) -> str | None:
        """The snapshot up to which everything has been told; None before the first look, and after a gap until one."""
        return self._seen

    def hurry(self) -> None:
        """Somebody waits: look often for a while."""
        now = time.monotonic()
        if self._busy_until < now:
            self._wake.set()
        self._busy_until = now + FOR_SECONDS

    def interest(self) -> None:
        """Somebody was answered from what has been told."""
        self._polled_until = time.monotonic() + FOR_SECONDS

    async def run(self) -> None:
        """Until cancelled. A database that is away is asked again, and what came meanwhile is a gap."""
        while True:
            try:
                wait = await self.look()
            except Unavailable:
                wait = AWAY_SECONDS
                self._lose_the_thread()
            except Exception:
                log.exception("reading the outbox failed")
                wait = AWAY_SECONDS
                self._lose_the_thread()
            await self._rest(wait)

    async def look(self) -> float:
        """Tells everything that is committed by now; the seconds until the next look. Raises Unavailable."""
        async with self._looking:
            return await self._look()

    async def _look(self) -> float:
        started = time.monotonic()
        if self._seen is None:
            [row] = await self._database.fetch(SQL.now)
            self._seen, self._clock = row["now_at"], row["clock"]
            self._tell(GAP)  # only from here on everything is told
        else:
            rows = await self._database.fetch(SQL.news, self._seen, self._clock, MOST_AT_ONCE)
            self._seen, self._clock = rows[0]["now_at"], rows[0]["clock"]
            if rows[0]["event_id"] is not None:
                self._busy_until = started + FOR_SECONDS
                self._tell([Event(*tuple(row)[2:]) for row in rows] if len(rows) < MOST_AT_ONCE else GAP)
        self._fresh_at = self._looked_at = started
        now = time.monotonic()
        if now < self._busy_until:
            return max(BUSY_SECONDS, LOOK_SHARE * (now - started))
        return POLLED_SECONDS if now < self._polled_until else IDLE_SECONDS

    def _tell(self, news: Sequence[Event] | Gap) -> None:
        for follower in self._followers:
            try:
                follower(news)
            except Exception:
                log.exception("a follower of the outbox failed")

    def _lose_the_thread(self) -> None:
        self._seen = None
        self._fresh_at = float("-inf")
        self._tell(GAP)

    async def _rest(self, seconds: float) -> None:
        self._wake.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass
