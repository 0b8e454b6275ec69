"""A bulkhead: so many at a time, so many for each account, and those that wait have their turns in a round of accounts.

What one account waits for keeps another only from places that are there for everybody, never from its turn.
"""

import asyncio
import contextlib
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator


class Shares:
    def __init__(self, most: int, each: int) -> None:
        """``most`` at a time, ``each`` of one account."""
        self._free = most
        self._each = each
        self._held: Counter[int] = Counter()
        self._waiting: OrderedDict[int, deque[asyncio.Future[None]]] = OrderedDict()  # the first has the next turn

    @contextlib.asynccontextmanager
    async def hold(self, account_id: int) -> AsyncIterator[None]:
        await self.take(account_id)
        try:
            yield
        finally:
            self.give_back(account_id)

    async def take(self, account_id: int) -> None:
        """Waits for a place; each is to be given back."""
        if self._free and account_id not in self._waiting and self._held[account_id] < self._each:
            self._grant(account_id)
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(account_id, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                self._forget(account_id, turn)
                self._next()
            else:  # it came at the same moment
                self.give_back(account_id)
            raise

    def give_back(self, account_id: int) -> None:
        self._free += 1
        self._held[account_id] -= 1
        if not self._held[account_id]:
            del self._held[account_id]
        self._next()

    def _grant(self, account_id: int) -> None:
        self._free -= 1
        self._held[account_id] += 1

    def _next(self) -> None:
        for account_id in list(self._waiting):
            if not self._free:
                return
            if self._held[account_id] >= self._each:
                continue
            turn = self._waiting[account_id][0]
            self._waiting.move_to_end(account_id)
            self._forget(account_id, turn)
            if not turn.done():  # else whoever waited is about to leave, and looks for the next itself
                self._grant(account_id)
                turn.set_result(None)

    def _forget(self, account_id: int, turn: "asyncio.Future[None]") -> None:
        waiting = self._waiting.get(account_id)
        if waiting is not None:
            with contextlib.suppress(ValueError):
                waiting.remove(turn)
            if not waiting:
                del self._waiting[account_id]
