"""Polls and held calls: most of the traffic, so leases that run are answered from memory.

What a process remembers of a lease is thrown away as soon as the outbox tells that something has happened to it
(docs/decisions/0016), and not used at all while the reader of the outbox is late. Everything else is read from the
database, many leases by one statement: while one read is under way, the polls that come meanwhile gather and go out
together with the next.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple, Protocol

import msgspec

from trunkline import clock, metrics
from trunkline.activations import views
from trunkline.errors import Unavailable
from trunkline.storage.database import Querier, Row
from trunkline.storage.queries import queries

SQL = queries(__package__)

LARGEST_GROUP = 500
MOST_REMEMBERED = 50_000
MOST_BYTES = 48 * 2**20  # of remembered answers together
LARGEST_ANSWER = 16 * 2**10  # a larger one is made again
DISTRUST_SECONDS = 2.0  # of what is read of a lease that this process has changed itself, while that is committed
AWAY_SECONDS = 0.2  # until a held call asks again where the database is away

_encode = msgspec.json.Encoder().encode


class News(Protocol):
    """Whether what ``told`` is told is fresh, and a way to ask for it sooner."""

    @property
    def is_late(self) -> bool: ...
    def hurry(self) -> None: ...
    def interest(self) -> None: ...


class Remembered(NamedTuple):
    """What a poll of a lease that runs is answered."""

    account_id: int
    test: bool
    revision: int
    status: bytes  # as JSON; how it is wrapped is the matter of whoever asks
    good_until: float  # seconds since the epoch: then the lease can be cancelled, which the answer says


class Live:
    """Answers polls, reads leases by id, and waits for their texts."""

    def __init__(self, database: Querier, news: News) -> None:
        self._database = database
        self._news = news
        self._known: dict[int, Remembered] = {}  # oldest first
        self._known_bytes = 0
        self._distrusted: dict[int, float] = {}
        self._wanted: dict[int, asyncio.Future[Row | None]] = {}
        self._in_flight: frozenset[int] = frozenset()
        self._changed_in_flight: set[int] = set()
        self._reading: asyncio.Task[None] | None = None
        self._waiting: dict[int, set[asyncio.Event]] = {}
        self._shown: OrderedDict[int, int] = OrderedDict()
        self._draining = False

    def remembered(self, activation_id: int) -> Remembered | None:
        """The answer to a poll where it is known and true; whose it is, the caller must look at."""
        known = self._known.get(activation_id)
        if known is None or self._news.is_late or known.good_until <= time.time():
            return None
        self._news.interest()
        metrics.POLLS.add(1, "memory")
        return known

    @property
    def leases_remembered(self) -> int:
        return len(self._known)

    def told(self, changed: Iterable[int] | None) -> None:
        """Something has happened to these leases; None: to which is not known."""
        if changed is None:
            self._known.clear()
            self._known_bytes = 0
            self._changed_in_flight.update(self._in_flight)
            changed = list(self._waiting)
        for activation_id in changed:
            self._forget(activation_id)
            for waiting in self._waiting.get(activation_id, ()):
                waiting.set()

    def changing(self, activation_id: int) -> None:
        """This process has changed a lease and is about to commit that: for DISTRUST_SECONDS it is read from the
        database, whatever the outbox tells of it meanwhile, which may be what happened before."""
        self._forget(activation_id)
        now = time.monotonic()
        if len(self._distrusted) > MOST_REMEMBERED:
            self._distrusted = {each: until for each, until in self._distrusted.items() if until > now}
        self._distrusted[activation_id] = now + DISTRUST_SECONDS

    def _forget(self, activation_id: int) -> None:
        self._drop(activation_id)
        if activation_id in self._in_flight:
            self._changed_in_flight.add(activation_id)

    def _drop(self, activation_id: int) -> None:
        known = self._known.pop(activation_id, None)
        if known is not None:
            self._known_bytes -= len(known.status)

    def _remember(self, row: Row) -> None:
        activation_id: int = row["activation_id"]
        self._drop(activation_id)  # what is older, and may not have been told yet
        if (
            row["state"] not in views.LIVE
            or activation_id in self._changed_in_flight
            or self._distrusted.get(activation_id, 0.0) > time.monotonic()
        ):
            return
        status = _encode(views.status(row, clock.now()))
        if len(status) > LARGEST_ANSWER:
            return
        cancel_after = row["cancel_after"].timestamp()
        good_until = cancel_after if row["state"] == "waiting" and cancel_after > time.time() else float("inf")
        self._known[activation_id] = Remembered(row["account_id"], row["test"], row["revision"], status, good_until)
        self._known_bytes += len(status)
        while len(self._known) > MOST_REMEMBERED or self._known_bytes > MOST_BYTES:
            oldest = self._known.pop(next(iter(self._known)))
            self._known_bytes -= len(oldest.status)

    def read(self, activation_id: int) -> "asyncio.Future[Row | None]":
        """The row of a lease from the database, or None; whose it is, the caller must look at."""
        metrics.POLLS.add(1, "database")
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
                self._in_flight, self._changed_in_flight = frozenset(group), set()
                try:
                    rows = await self._database.fetch(SQL.status, list(group))
                except Exception as error:
                    for future in group.values():
                        if not future.done():
                            future.set_exception(error)
                    continue
                found = {row["activation_id"]: row for row in rows}
                if not self._news.is_late:
                    for row in rows:
                        self._remember(row)
                for activation_id, future in group.items():
                    if not future.done():
                        future.set_result(found.get(activation_id))
        finally:
            self._in_flight = frozenset()
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

    async def wait(self, activation_id: int, after_revision: int, seconds: float) -> Row | None:
        """The lease's row as soon as it has a text newer than ``after_revision`` or has ended; as it stands at the end.

        None: there is none, or it could not be read.
        """
        happened = asyncio.Event()
        row: Row | None = None
        self._waiting.setdefault(activation_id, set()).add(happened)
        metrics.HELD_CALLS.add(1)
        try:
            async with asyncio.timeout(seconds):
                while not self._draining:
                    happened.clear()
                    try:
                        row = await asyncio.shield(self.read(activation_id))  # others wait for the same read
                    except Unavailable:
                        await asyncio.sleep(AWAY_SECONDS)
                        continue
                    if row is None or row["state"] not in views.LIVE or row["revision"] > after_revision:
                        return row
                    self._news.hurry()
                    await happened.wait()
        except TimeoutError:
            pass
        finally:
            metrics.HELD_CALLS.add(-1)
            waiting = self._waiting[activation_id]
            waiting.discard(happened)
            if not waiting:
                del self._waiting[activation_id]
        return row

    def drain(self) -> None:
        """Lets every held call answer now, and later ones not wait: the server is going down."""
        self._draining = True
        for waiting in self._waiting.values():
            for happened in waiting:
                happened.set()
