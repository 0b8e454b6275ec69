"""The durable reader of the outbox: plans webhooks' deliveries and counts outcomes, each event exactly once."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from trunkline import metrics
from trunkline.errors import Unavailable
from trunkline.events.tail import SQL, Event, Gap
from trunkline.storage.database import Database, Row

log = logging.getLogger("trunkline.events")

STEP = 1_000  # events in one transaction
LOOK_ANYWAY_SECONDS = 1.0  # for what came while nobody read
KEEP_DAYS_SECONDS = 3600.0
DAYS_SECONDS = 60.0  # that it may take

Planned = Callable[[Sequence[int]], None]


class FanOut:
    """Takes events when the process's tail tells of some. One process at a time has something to do."""

    def __init__(self, database: Database, planned: Planned, *, keep_days: int) -> None:
        self._database = database
        self._planned = planned  # told which endpoints have something new to send
        self._keep_days = keep_days
        self._news = asyncio.Event()

    def told(self, _: Sequence[Event] | Gap) -> None:
        """A follower of the tail."""
        self._news.set()

    async def take(self) -> int:
        """Takes everything that is there; how many events. Raises Unavailable."""
        taken = 0
        while True:
            row: Row | None = await self._database.fetchrow(SQL.fan_out, STEP)
            assert row is not None
            if row["endpoints"]:
                self._planned(row["endpoints"])
            taken += int(row["taken"])
            metrics.EVENTS_TAKEN.add(row["taken"])
            if not row["more"]:
                return taken

    async def run(self) -> None:
        """Until cancelled."""
        days_kept = float("-inf")
        while True:
            self._news.clear()
            try:
                await self.take()
                if time.monotonic() - days_kept > KEEP_DAYS_SECONDS:
                    days_kept = time.monotonic()  # also where it fails: it holds up everybody
                    async with self._database.transaction(seconds=DAYS_SECONDS) as connection:
                        await connection.fetchval(SQL.keep_days, self._keep_days)
            except Unavailable as error:
                log.warning("events wait: %s", error.detail)
            except Exception:
                log.exception("planning what events cause failed")
            try:
                async with asyncio.timeout(LOOK_ANYWAY_SECONDS):
                    await self._news.wait()
            except TimeoutError:
                pass
