"""Public answers that are made once for many callers: a bounded cache with request coalescing (single flight).

They are made one at a time and with rests between, so that no number of callers, whatever each asks for, takes the
process or the database for itself.
"""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from trunkline.errors import Unavailable
from trunkline.surfaces.http.route import Document

SLICE_SECONDS = 0.002

Current = TypeVar("Current")
Key = tuple[Any, ...]  # what was asked, and of which version


def document(body: bytes, max_age_seconds: int) -> Document:
    """A body with the ETag of what it says, so that all processes name it alike."""
    return Document(body, f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"', max_age_seconds)


class Latest(Generic[Current]):
    """The document of what is current, made anew once that is another object than it was made of."""

    def __init__(
        self, current: Callable[[], Awaitable[Current]], make: Callable[[Current], bytes], *, max_age_seconds: int
    ) -> None:
        self._current = current
        self._make = make
        self._max_age_seconds = max_age_seconds
        self._made: tuple[Current, Document] | None = None

    async def document(self) -> Document:
        current = await self._current()
        if self._made is None or self._made[0] is not current:
            self._made = current, document(self._make(current), self._max_age_seconds)
        return self._made[1]


class Slices:
    """Lets others have their turn on the event loop every few milliseconds of a long calculation."""

    def __init__(self) -> None:
        self._began = time.perf_counter()

    async def rest(self) -> None:
        if time.perf_counter() - self._began > SLICE_SECONDS:
            await asyncio.sleep(0)
            self._began = time.perf_counter()


class Documents:
    """The longest unused are forgotten first.

    ``good_seconds``: after that a document is made again; ``rest``: how many times as long as a document took nothing
    is made, at most ``most_rest_seconds``; ``most_waiting``: how many may be asked for at a time that are not there.
    """

    def __init__(
        self,
        *,
        good_seconds: float,
        rest: float,
        most_rest_seconds: float,
        most_waiting: int,
        most: int = 200,
        most_bytes: int = 16 * 1024 * 1024,
    ) -> None:
        self._good_seconds = good_seconds
        self._rest = rest
        self._most_rest_seconds = most_rest_seconds
        self._most_waiting = most_waiting
        self._most = most
        self._most_bytes = most_bytes
        self._made: OrderedDict[Key, tuple[float, Document]] = OrderedDict()  # the longest unused first
        self._bytes = 0
        self._asked: dict[Key, asyncio.Task[Document]] = {}
        self._making = asyncio.Lock()
        self._rested_at = float("-inf")

    async def get(self, key: Key, make: Callable[[], Awaitable[Document]]) -> Document:
        """Raises Unavailable where too many wait for others that are not there, and what ``make`` raises."""
        known = self._known(key)
        if known is not None:
            return known
        asked = self._asked.get(key)
        if asked is None:
            if len(self._asked) >= self._most_waiting:
                raise Unavailable("Too many ask for different things at once; ask again in a moment.")
            asked = self._asked[key] = asyncio.create_task(self._make(key, make))
            asked.add_done_callback(lambda done: self._end(key, done))
        return await asyncio.shield(asked)  # others wait for it, too

    def _end(self, key: Key, made: asyncio.Task[Document]) -> None:
        del self._asked[key]
        if not made.cancelled():
            made.exception()  # its callers hear of it; where they have all gone, nobody need

    def _known(self, key: Key) -> Document | None:
        made_at, known = self._made.get(key, (float("-inf"), None))
        if known is None or time.monotonic() - made_at >= self._good_seconds:
            return None
        self._made.move_to_end(key)
        return known

    async def _make(self, key: Key, make: Callable[[], Awaitable[Document]]) -> Document:
        async with self._making:
            await asyncio.sleep(self._rested_at - time.monotonic())
            began = time.monotonic()
            try:
                made = await make()
            finally:
                now = time.monotonic()
                self._rested_at = now + min(self._rest * (now - began), self._most_rest_seconds)
            self._keep(key, now, made)
        return made

    def _keep(self, key: Key, now: float, made: Document) -> None:
        before = self._made.pop(key, None)
        self._made[key] = now, made
        self._bytes += len(made.body) - (len(before[1].body) if before is not None else 0)
        while len(self._made) > self._most or (self._bytes > self._most_bytes and len(self._made) > 1):
            _, (_, forgotten) = self._made.popitem(last=False)
            self._bytes -= len(forgotten.body)
