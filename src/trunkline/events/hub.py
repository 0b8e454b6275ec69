"""The hub: the streams that are open in this process, fed by the tail.

A stream is told everything once. What the tail had told when the stream began to listen is what its snapshot shows:
that is read from the database (``replay``), as far as the stream goes back; what the tail tells from then on takes the
way through its queue. A stream that cannot go on is cut: the client comes back with the last id that it has, as WHATWG
HTML's server-sent events say, and is told what it has missed.
"""

import asyncio
import contextlib
import datetime
import logging
import time
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Sequence
from typing import Protocol

from trunkline import clock
from trunkline.accounts.keys import Key
from trunkline.errors import Unavailable
from trunkline.events.contents import contents
from trunkline.events.problems import TooManyStreams
from trunkline.events.replay import CHUNK, ENDS, Place, past, rendered
from trunkline.events.tail import Event, Gap
from trunkline.storage.database import Querier

log = logging.getLogger("trunkline.events")

RETRY_MS = 2000  # for the client to wait before it comes back
BEGINNING = b"retry: %d\n" % RETRY_MS
HEARTBEAT = b": heartbeat\n"  # no empty line: some clients take each for the end of a message

GROUP = 200  # events of the present read at a time
MOST_PENDING = 10_000  # events that wait to be read
MOST_WAITING = 1024 * 1024  # bytes that wait for a reader; they are the same bytes for all who hear an event
WATCH_SECONDS = 1.0
TAIL_SECONDS = 2.0  # that a new stream waits for the tail to find its place


class News(Protocol):
    """How far the tail has come: the snapshot up to which everything has been told; None while it does not know."""

    @property
    def seen(self) -> str | None: ...


class Listener:
    """An open stream. There may be thousands, so it holds little: no task, no timer, a queue that is mostly empty."""

    __slots__ = (
        "_hub", "_is_done", "_queue", "_size", "_woken",
        "after", "deadline", "is_over", "key", "place", "quiet_since", "types",
    )  # fmt: skip

    def __init__(self, hub: "Hub", key: Key, place: Place, types: frozenset[str], after: int | None) -> None:
        self._hub = hub
        self.key = key
        self.place = place
        self.types = types
        self.after = after  # the event that the client has; None: from now on
        self.deadline = asyncio.timeout(None)  # whoever sends the chunks does so within it
        self.is_over = False  # the lease's end is in the queue
        self.quiet_since = time.monotonic()
        self._is_done = False
        self._queue: list[bytes] = []
        self._size = 0
        self._woken: asyncio.Future[None] | None = None

    def put(self, event: Event, chunk: bytes) -> None:
        """One more event. A reader who is too far behind is cut."""
        if event.event_id == self.after or self._is_done:
            return
        self._size += len(chunk)
        if self._size > MOST_WAITING:
            self.cut()
            return
        self._queue.append(chunk)
        self.is_over = self.place.activation_id is not None and event.type in ENDS
        self._wake()

    def beat(self) -> None:
        """A sign of life, where there is nothing else to send."""
        if self._woken is not None and not self._woken.done():
            self._size += len(HEARTBEAT)
            self._queue.append(HEARTBEAT)
            self._wake()

    def cut(self) -> None:
        """Ends the stream, whatever it waits for."""
        if not self._is_done and not self.deadline.expired():
            self.deadline.reschedule(0)
        self._is_done = True
        self._queue.clear()

    def _wake(self) -> None:
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The stream's bytes, until it is over or cannot go on."""
        yield BEGINNING
        try:
            seen = await self._hub.begin(self)
            if seen is None:
                return
            missed = past(self._hub.database, self.place, self.types, self.after, seen)
            async with contextlib.aclosing(missed):
                async for chunk, is_last in missed:
                    yield chunk
                    if is_last:
                        return
            while True:
                self.quiet_since = time.monotonic()
                while not self._queue:
                    self._woken = asyncio.get_running_loop().create_future()
                    await self._woken
                self._woken = None
                yield self._take()
                if self.is_over and not self._queue:
                    return
        except Unavailable:  # the client comes back
            return
        finally:
            self._is_done = True
            self._hub.end(self)

    def _take(self) -> bytes:
        count = size = 0
        while count < len(self._queue) and (not count or size + len(self._queue[count]) <= CHUNK):
            size += len(self._queue[count])
            count += 1
        chunk = b"".join(self._queue[:count])
        del self._queue[:count]
        self._size -= size
        return chunk

    def close(self) -> None:
        """Gives back the key's and the account's share of streams; once, however the stream ended."""
        self._hub.release(self.key)


class Hub:
    """Opens streams, and tells them what the tail tells. A follower of the tail."""

    def __init__(
        self,
        database: Querier,
        news: News,
        *,
        streams_per_key: int,
        streams_per_account: int,
        heartbeat_seconds: float,
    ) -> None:
        self.database = database
        self._news = news
        self._streams_per_key = streams_per_key
        self._streams_per_account = streams_per_account
        self._heartbeat_seconds = heartbeat_seconds
        self._open: Counter[int] = Counter()  # streams by key
        self._open_of: Counter[int] = Counter()  # and by account
        self._listeners: dict[Place, list[Listener]] = {}
        self._pending: list[tuple[Event, list[Listener]]] = []
        self._telling: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._draining = False

    def open(
        self, key: Key, types: frozenset[str], *, activation_id: int | None = None, after: int | None = None
    ) -> Listener:
        """A stream of the events of the key's account and mode, or of one of its leases. Raises TooManyStreams.

        ``after``: an event's id, told again is what came after it; None: what comes from now on. Whoever opens a stream
        closes it.
        """
        for whose, has, most in (
            ("key", self._open[key.key_id], self._streams_per_key),
            ("account", self._open_of[key.account_id], self._streams_per_account),
        ):
            if has >= most:
                again = clock.iso(clock.now() + datetime.timedelta(milliseconds=RETRY_MS))
                detail = f"The {whose} has {most} streams open, and may have no more; close one."
                raise TooManyStreams(detail, limit=most, retry_at=again)
        self._open[key.key_id] += 1
        self._open_of[key.account_id] += 1
        return Listener(self, key, Place(key.account_id, key.test, activation_id), types, after)

    @property
    def open_streams(self) -> int:
        return self._open.total()

    def release(self, key: Key) -> None:
        for count, whose in ((self._open, key.key_id), (self._open_of, key.account_id)):
            count[whose] -= 1
            if not count[whose]:
                del count[whose]

    async def begin(self, listener: Listener) -> str | None:
        """Lets a stream hear what is told from now on; the snapshot before that. None: nobody can tell at present."""
        waited = 0.0
        while (seen := self._news.seen) is None and waited < TAIL_SECONDS:
            await asyncio.sleep(0.02)
            waited += 0.02
        if seen is None or self._draining:
            return None
        self._listeners.setdefault(listener.place, []).append(listener)
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch())
        return seen

    def end(self, listener: Listener) -> None:
        there = self._listeners.get(listener.place, [])
        if listener in there:
            there.remove(listener)
            if not there:
                del self._listeners[listener.place]

    def told(self, news: Sequence[Event] | Gap) -> None:
        """A follower of the tail."""
        if isinstance(news, Gap):
            self._cut_all()
            return
        for event in news:
            listeners = self._listeners_of(event)
            if listeners:
                self._pending.append((event, listeners))
        if len(self._pending) > MOST_PENDING:
            log.warning("events come faster than streams can be told; the streams begin anew")
            self._cut_all()
        if self._pending and self._telling is None:
            self._telling = asyncio.create_task(self._tell())

    def _listeners_of(self, event: Event) -> list[Listener]:
        if event.endpoint_id is not None or not self._listeners:
            return []
        everything = self._listeners.get(Place(event.account_id, event.test, None), ())
        listeners = [each for each in everything if event.type in each.types]
        if event.activation_id is not None:
            listeners += self._listeners.get(Place(event.account_id, event.test, event.activation_id), ())
        return listeners

    async def _tell(self) -> None:
        """Reads what the events say and renders it, once for all streams."""
        try:
            while self._pending:
                group, self._pending = self._pending[:GROUP], self._pending[GROUP:]
                try:
                    said = await contents(self.database, ((e.account_id, e.event_id, e.created_at) for e, _ in group))
                    for event, listeners in group:
                        chunk = rendered(said[event.event_id])
                        for listener in listeners:
                            listener.put(event, chunk)
                except Exception as error:
                    if not isinstance(error, Unavailable):
                        log.exception("telling streams of events failed")
                    for _, listeners in group:
                        for listener in listeners:
                            listener.cut()
        finally:
            self._telling = None

    async def _watch(self) -> None:
        """While streams are open: gives signs of life."""
        try:
            while self._listeners:
                await asyncio.sleep(min(WATCH_SECONDS, self._heartbeat_seconds / 2))
                now = time.monotonic()
                for listener in self._all():
                    if now - listener.quiet_since >= self._heartbeat_seconds:
                        listener.beat()
        finally:
            self._watching = None

    def _all(self) -> Iterator[Listener]:
        for listeners in self._listeners.values():
            yield from listeners

    def _cut_all(self) -> None:
        self._pending.clear()
        for listener in self._all():
            listener.cut()

    def drain(self) -> None:
        """Ends every stream now, and later ones as they begin: the server is going down."""
        self._draining = True
        self._cut_all()
