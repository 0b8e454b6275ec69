"""Continuous authorisation of what lasts: a held call or a stream ends soon after its key does.

A key is looked at when a call comes in. Calls that are held and streams go on for long after that, so what their keys
may do is read again while there are any: one statement for all of them, twice a second, and none while there are none.
"""

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import AsyncIterator, Callable

from trunkline.accounts import keys
from trunkline.accounts.keys import Key
from trunkline.errors import TrunklineError, Unavailable
from trunkline.storage.database import Querier
from trunkline.surfaces.http.route import Stream

LOOK_SECONDS = 0.5  # a key that ends must have ended everywhere within 2 s
ASK_SECONDS = 1.0

log = logging.getLogger("trunkline.api")

Refusal = Callable[[Key | None, str, str], TrunklineError | None]


@dataclasses.dataclass(eq=False, slots=True)
class _Hold:
    key_id: int
    scope: str
    address: str
    deadline: asyncio.Timeout
    ended: TrunklineError | None = None

    def end(self, why: TrunklineError) -> None:
        self.ended = why
        # not begun yet: the next look ends it; over already: nothing is left to end
        with contextlib.suppress(RuntimeError, AssertionError):
            if not self.deadline.expired():
                self.deadline.reschedule(0)


class Holds:
    """``refusal`` says why a key as it now stands (None: it is none any more) may not go on, by scope and address."""

    def __init__(self, database: Querier, refusal: Refusal) -> None:
        self._database = database
        self._refusal = refusal
        self._held: set[_Hold] = set()
        self._looking: asyncio.Task[None] | None = None

    @contextlib.asynccontextmanager
    async def over(self, key: Key, scope: str, address: str) -> AsyncIterator[None]:
        """Around a held call: once the key may not go on, what is within is cancelled, and the reason raised."""
        hold = self._begin(key, scope, address, asyncio.timeout(None))
        try:
            async with hold.deadline:
                yield
        except TimeoutError:
            if hold.ended is None:
                raise
            raise hold.ended from None
        finally:
            self._held.discard(hold)

    def follow(self, key: Key, scope: str, address: str, stream: Stream) -> Stream:
        """The stream, which is then cut once the key may not go on."""
        hold = self._begin(key, scope, address, stream.deadline)

        def closed() -> None:
            self._held.discard(hold)
            stream.closed()

        return dataclasses.replace(stream, closed=closed)

    def _begin(self, key: Key, scope: str, address: str, deadline: asyncio.Timeout) -> _Hold:
        hold = _Hold(key.key_id, scope, address, deadline)
        self._held.add(hold)
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        return hold

    async def _look(self) -> None:
        try:
            while self._held:
                await asyncio.sleep(LOOK_SECONDS)
                try:
                    async with asyncio.timeout(ASK_SECONDS):
                        await self._look_once()
                except (Unavailable, TimeoutError):
                    continue  # nobody can say that a key has ended
                except Exception:
                    log.exception("looking at the keys of held calls and streams failed")
        finally:
            self._looking = None

    async def _look_once(self) -> None:
        held = list(self._held)
        if not held:
            return
        standing = await keys.standing(self._database, {hold.key_id for hold in held})
        for hold in held:
            why = self._refusal(standing.get(hold.key_id), hold.scope, hold.address)
            if why is not None:
                hold.end(why)
