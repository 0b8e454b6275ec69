"""Polls and held calls: most of the traffic, so many are answered by one statement.

While one read is under way, the polls that come meanwhile gather and go out together with the next: under load the
groups grow by themselves, and an idle server answers at once.
"""

import asyncio
import dataclasses
import time
from collections import OrderedDict

from trunkline.errors import Unavailable
from trunkline.storage.database import Querier, Row
from trunkline.storage.queries import queries

SQL = queries(__package__)

LARGEST_GROUP = 500
LOOK_SECONDS = 0.01  # how often the database is asked whether a text has come for somebody who waits
LOOK_SHARE = 5  # of the time that a look takes: looking never fills more than a fifth of a connection
MOST_REMEMBERED = 50_000


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _Call:
    """A held call: it is over when a text newer than ``after_revision`` has come, or the lease has ended."""

    activation_id: int
    after_revision: int
    over: "asyncio.Future[None]"


class Live:
    """Reads leases by id, and waits for their texts."""

    def __init__(self, database: Querier) -> None:
        self._database = database
        self._wanted: dict[int, asyncio.Future[Row | None]] = {}
        self._reading: asyncio.Task[None] | None = None
        self._waiting: set[_Call] = set()
        self._looking: asyncio.Task[None] | None = None
        self._shown: OrderedDict[int, int] = OrderedDict()
        self._draining = False

    def read(self, activation_id: int) -> "asyncio.Future[Row | None]":
        """The row of a lease, or None; whose it is, the caller must look at."""
        wanted = self._wanted.get(activation_id)
        if wanted is None:
            wanted = self._wanted[activation_id] = asyncio.get_running_loop().create_future()
            if self._reading is None:
                self._reading = asyncio.create_task(self._read_groups())
        return wanted

    async def _read_groups(self) -> None:
        try:
            while self._wanted:
                group: dict[int, asyncio.Future[Row | None]] = {}
                while self._wanted and len(group) < LARGEST_GROUP:
                    activation_id, future = self._wanted.popitem()
                    group[activation_id] = future
                try:
                    rows = await self._database.fetch(SQL.status, list(group))
                except Exception as error:
                    for future in group.values():
                        if not future.done():
                            future.set_exception(error)
                    continue
                found = {row["activation_id"]: row for row in rows}
                for activation_id, future in group.items():
                    if not future.done():
                        future.set_result(found.get(activation_id))
        finally:
            self._reading = None

    def shown(self, activation_id: int) -> int:
        """The revision up to which this process has shown a lease's texts; 0 for a fresh one."""
        return self._shown.get(activation_id, 0)

    def show(self, activation_id: int, revision: int) -> None:
        if revision:
            self._shown[activation_id] = revision
            self._shown.move_to_end(activation_id)
            if len(self._shown) > MOST_REMEMBERED:
                self._shown.popitem(last=False)

    async def wait(self, activation_id: int, after_revision: int, seconds: float) -> None:
        """Returns when the lease has a text newer than ``after_revision``, has ended, or the time is over."""
        if self._draining:
            return
        loop = asyncio.get_running_loop()
        call = _Call(activation_id, after_revision, loop.create_future())
        self._waiting.add(call)
        if self._looking is None:
            self._looking = loop.create_task(self._look())
        try:
            await asyncio.wait_for(call.over, seconds)
        except TimeoutError:
            pass
        finally:
            self._waiting.discard(call)

    async def _look(self) -> None:
        """One statement for all who wait, on every process for itself: it sees what any other process commits."""
        try:
            while self._waiting:
                started = time.monotonic()
                leases = {call.activation_id for call in self._waiting}
                try:
                    rows = await self._database.fetch(SQL.revisions, list(leases))
                except Unavailable:
                    rows = []
                now_at = {row["activation_id"]: (row["revision"], row["ended"]) for row in rows}
                for call in self._waiting:
                    revision, ended = now_at.get(call.activation_id, (0, False))
                    if (ended or revision > call.after_revision) and not call.over.done():
                        call.over.set_result(None)
                await asyncio.sleep(max(LOOK_SECONDS, LOOK_SHARE * (time.monotonic() - started)))
        finally:
            self._looking = None

    def drain(self) -> None:
        """Lets every held call answer now, and later ones not wait: the server is going down."""
        self._draining = True
        for call in self._waiting:
            if not call.over.done():
                call.over.set_result(None)
