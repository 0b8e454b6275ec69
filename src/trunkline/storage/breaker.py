"""A circuit breaker (M. Nygard, Release It!) before a database that may fall silent, and the watch that asks for all.

Closed: calls pass. Open, once a question has found no answer for SILENT_SECONDS: calls fail at once, and what is under
way on old connections is given up. Half-open is the watch's own business: it alone asks on, over new connections, and
the first answer closes the circuit. A server that refuses has answered: calls find that out by themselves, and as fast.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

import asyncpg

from trunkline.storage import trouble
from trunkline.storage.dialling import Connection
from trunkline.storage.trouble import DatabaseAway

log = logging.getLogger("trunkline.storage")

EVERY_SECONDS = 0.5  # between an answer and the next question
SILENT_SECONDS = 3.0  # without an answer, from when on the database counts as silent
GRACE_SECONDS = 0.1  # for an answer that is there already, and this process was too busy to read
AGAIN_SECONDS = 0.25  # after a refusal
WRITE_SECONDS = 15.0  # between two looks whether anything can be stored
UNSURE_SECONDS = 1.0  # the same while something could not be
FORGET_SECONDS = 10.0  # of a refused write, where the role may not try

ASK = "SELECT NOT pg_is_in_recovery()"
# Rolled back: nothing stays, and yet the disk must have had room for it.
WRITE = "CREATE TEMPORARY TABLE trunkline_room AS SELECT n FROM generate_series(1, 4000) AS n"


class Breaker:
    """``abandon`` gives up everything that is under way or open; ``renew`` lets open connections be replaced."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[Connection]],
        abandon: Callable[[], Awaitable[None]],
        renew: Callable[[], Awaitable[None]],
    ) -> None:
        self._connect = connect
        self._abandon = abandon
        self._renew = renew
        self._connection: Connection | None = None
        self._silent_since: float | None = None
        self._refused_at: float | None = None  # a write
        self._wrote_at = time.monotonic()
        self._may_write = True

    @property
    def is_open(self) -> bool:
        return self._silent_since is not None

    @property
    def takes_writes(self) -> bool:
        """False from a write that was refused for a full disk or the like until one succeeds."""
        return self._refused_at is None

    def check(self) -> None:
        """Raises DatabaseAway while the circuit is open."""
        if self._silent_since is not None:
            raise DatabaseAway("The database does not answer at the moment.")

    def write_refused(self) -> None:
        self._refused_at = time.monotonic()

    async def watch(self) -> None:
        """Until cancelled."""
        try:
            while True:
                await asyncio.sleep(EVERY_SECONDS)
                await self._look()
        finally:
            self._hang_up()

    async def _look(self) -> None:
        """Returns once there was an answer."""
        while True:
            try:
                await self._within(self._ask())
            except TimeoutError:
                self._hang_up()
                await self._trip()
            except Exception as error:
                self._hang_up()
                self._closed()
                if not trouble.is_away(error):
                    log.warning("the watch over the database fails: %s", trouble.words(error))
                await self._renew()
                await asyncio.sleep(AGAIN_SECONDS)
            else:
                self._closed()
                break
        await self._look_for_room()

    async def _ask(self) -> None:
        if self._connection is None:
            self._connection = await self._connect()
        if not await self._connection.fetchval(ASK):
            raise asyncpg.ReadOnlySQLTransactionError("the server has become a standby")

    async def _look_for_room(self) -> None:
        now = time.monotonic()
        if now - self._wrote_at < (WRITE_SECONDS if self.takes_writes else UNSURE_SECONDS):
            return
        self._wrote_at = now
        if not self._may_write:
            if self._refused_at is not None and now - self._refused_at > FORGET_SECONDS:
                self._refused_at = None
            return
        try:
            await self._within(self._write())
        except asyncpg.InsufficientPrivilegeError:
            self._may_write = False
        except Exception as error:
            if trouble.refuses_writes(error):
                if self.takes_writes:
                    log.warning("the database cannot store anything: %s", trouble.words(error))
                self.write_refused()
            else:
                self._hang_up()  # the next question tells more
        else:
            if not self.takes_writes:
                log.info("the database stores again")
            self._refused_at = None

    async def _write(self) -> None:
        assert self._connection is not None
        transaction = self._connection.transaction()
        await transaction.start()
        try:
            await self._connection.execute(WRITE)
        finally:
            await transaction.rollback()

    async def _within(self, asking: Awaitable[None]) -> None:
        """Raises TimeoutError, and not because this process stood still while the answer lay there."""
        task = asyncio.ensure_future(asking)
        try:
            done, _ = await asyncio.wait({task}, timeout=SILENT_SECONDS)
            if not done:
                done, _ = await asyncio.wait({task}, timeout=GRACE_SECONDS)
        finally:
            if not task.done():
                self._hang_up()
                task.cancel()
                task.add_done_callback(_ignore)
        if not done:
            raise TimeoutError
        await task

    async def _trip(self) -> None:
        if self._silent_since is None:
            self._silent_since = time.monotonic()
            log.warning("database away: no answer within %.0f s; calls are refused until there is one", SILENT_SECONDS)
            await self._abandon()

    def _closed(self) -> None:
        if self._silent_since is not None:
            log.info("the database answers again after %.1f s", time.monotonic() - self._silent_since)
            self._silent_since = None

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


def _ignore(task: "asyncio.Future[None]") -> None:
    if not task.cancelled():
        task.exception()
