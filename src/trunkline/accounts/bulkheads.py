"""Bulkheads: how many calls of one account are at work at once, so that no customer takes the database for themselves.

What is beyond waits in a queue of the account's own, first come first served, for a bounded time. Live and test keys of
an account count together. Each process has its own.
"""

import asyncio
import dataclasses
import datetime
from collections import deque
from collections.abc import Callable
from typing import Literal

from trunkline import clock
from trunkline.accounts.problems import TooManyAtOnce

QUEUE = 200  # calls of an account that wait
QUEUE_SECONDS = 10.0
DEAR_TOGETHER = 3  # long readings at work for all accounts
OUTSIDE = 4  # of an account's calls that ask somebody outside
EXPORTS = 2  # of an account that are being sent
AGAIN_SECONDS = 1

Share = Literal["work", "dear", "outside", "export", "held"]


@dataclasses.dataclass(slots=True)
class _Account:
    at_work: int = 0
    waiting: deque[tuple[asyncio.Future[None], int]] = dataclasses.field(default_factory=deque)


class Bulkhead:
    """``most``: units of work of an account at once; ``queue``: calls that may wait; ``together``: calls of all
    accounts that are at work, of each account one after another (0: as many as there are)."""

    def __init__(self, most: int, *, queue: int = QUEUE, seconds: float = QUEUE_SECONDS, together: int = 0) -> None:
        self._most = most
        self._queue = queue
        self._seconds = seconds
        self._together = asyncio.Semaphore(together) if together else None
        self._accounts: dict[int, _Account] = {}

    async def enter(self, account_id: int, weight: int = 1) -> Callable[[], None]:
        """Waits for a place; what gives it back, to be called once. Raises TooManyAtOnce."""
        weight = min(weight, self._most)
        account = self._accounts.get(account_id)
        if account is None:
            account = self._accounts[account_id] = _Account()
        if not account.waiting and account.at_work + weight <= self._most:
            account.at_work += weight
        else:
            await self._wait(account_id, account, weight)
        if self._together is None:
            return lambda: self._leave(account_id, weight)
        try:
            async with asyncio.timeout(self._seconds):
                await self._together.acquire()
        except BaseException as error:
            self._leave(account_id, weight)
            if isinstance(error, TimeoutError):
                raise self._refusal() from None
            raise
        return lambda: self._leave_all(account_id, weight)

    async def _wait(self, account_id: int, account: _Account, weight: int) -> None:
        if len(account.waiting) >= self._queue:
            raise self._refusal()
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        place = (turn, weight)
        account.waiting.append(place)
        try:
            async with asyncio.timeout(self._seconds):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():  # its turn came in the same moment
                self._leave(account_id, weight)
            else:
                account.waiting.remove(place)
                self._wake(account_id, account)
            if isinstance(error, TimeoutError):
                raise self._refusal() from None
            raise

    def _leave(self, account_id: int, weight: int) -> None:
        account = self._accounts[account_id]
        account.at_work -= weight
        self._wake(account_id, account)

    def _leave_all(self, account_id: int, weight: int) -> None:
        assert self._together is not None
        self._together.release()
        self._leave(account_id, weight)

    def _wake(self, account_id: int, account: _Account) -> None:
        while account.waiting and account.at_work + account.waiting[0][1] <= self._most:
            turn, weight = account.waiting[0]
            if turn.done():  # given up; whoever waited takes it out
                break
            account.waiting.popleft()
            account.at_work += weight
            turn.set_result(None)
        if not account.at_work and not account.waiting:
            self._accounts.pop(account_id, None)

    def _refusal(self) -> TooManyAtOnce:
        again = clock.iso(clock.now() + datetime.timedelta(seconds=AGAIN_SECONDS))
        detail = "Too many calls of the account are at work or waiting; ask again in a moment."
        return TooManyAtOnce(detail, retry_at=again)


class Bulkheads:
    """Those of one process, by what a call shares. ``concurrency`` and ``held``: of each account."""

    def __init__(self, *, concurrency: int, held: int) -> None:
        self._of: dict[Share, Bulkhead] = {
            "work": Bulkhead(concurrency),
            "dear": Bulkhead(1, together=DEAR_TOGETHER),
            "outside": Bulkhead(OUTSIDE),
            "export": Bulkhead(EXPORTS),
            "held": Bulkhead(held, queue=0),
        }

    async def enter(self, share: Share, account_id: int, weight: int = 1) -> Callable[[], None]:
        """As ``Bulkhead.enter``."""
        return await self._of[share].enter(account_id, weight)
