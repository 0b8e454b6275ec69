"""One owner for a carrier's link: leader election by a session-level advisory lock, fenced by time.

Several processes may be ready to run a carrier; one does. Its lock lives on a connection of its own, so that the
database gives it to the next one as soon as the owner's process is gone. A lock alone does not keep two from binding:
an owner may be cut off from the database and not know that the lock is another's already. So each notes in the
database that it lives; an owner that cannot for ``HOLD_SECONDS`` lets go of the link, if anybody is there to take it,
and whoever comes after one that has not said goodbye waits for ``PAUSE_SECONDS`` since it was last seen. While nobody
else is there an owner keeps its link through the database's absence, and tells the carrier to send again. A session
that fell silent, and holds the lock on, is ended by whoever has the right to it.
"""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from trunkline.carriers.carrier import Carrier, Health, LinkState
from trunkline.errors import Unavailable
from trunkline.storage.queries import bind, queries

SQL = queries(__package__)
log = logging.getLogger("trunkline.carriers")

LOCK = 0x6C696E6B  # with the hash of the carrier's name
LOOK_SECONDS = 1.0
ANSWER_SECONDS = 2.0
HOLD_SECONDS = 4.0
PAUSE_SECONDS = 5.0

Connect = Callable[[], Awaitable[Any]]
"""Opens a connection that belongs to the caller alone. Raises Unavailable."""


class Ownership:
    """Of one carrier, for one process. ``run`` runs the link while it is ours."""

    def __init__(self, carrier: Carrier, connect: Connect) -> None:
        self._carrier = carrier
        self._connect = connect
        self._process = f"{socket.gethostname()}:{os.getpid()}"
        self._connection: Any = None
        self._locked_on: Any = None
        self._epoch: int | None = None
        self._is_wanted = False
        self._standing_by: Health | None = Health(LinkState.STANDBY, "asks for the link")

    @property
    def name(self) -> str:
        return self._carrier.name

    @property
    def kind(self) -> str:
        return self._carrier.kind

    def health(self) -> Health:
        """How the link stands, or that another process has it."""
        return self._standing_by or self._carrier.health()

    async def run(self, link: Callable[[], Awaitable[None]]) -> None:
        """Runs ``link`` whenever this process is the owner, until cancelled."""
        try:
            while True:
                await self._become_owner()
                log.info("%s: this process has the link", self.name)
                self._standing_by = None
                running = asyncio.ensure_future(link())
                try:
                    keeping = asyncio.ensure_future(self._keep())
                    await asyncio.wait((running, keeping), return_when=asyncio.FIRST_COMPLETED)
                    if running.done():
                        running.result()
                    log.warning("%s: this process gives the link up", self.name)
                finally:
                    await _ended(keeping)
                    await _ended(running)
                    self._standing_by = Health(LinkState.STANDBY, "has given the link up")
                    await self._let_go()
        finally:
            await self._close()

    async def _become_owner(self) -> None:
        while True:
            with contextlib.suppress(Unavailable):
                if await self._claim():
                    return
            await asyncio.sleep(LOOK_SECONDS)

    async def _claim(self) -> bool:
        """Whether this process is the owner now, once it is sure that nobody else acts as one."""
        async with self._asking() as connection:
            if not await self._has_lock(connection):
                await connection.fetchval(
                    *bind(SQL.end_holder, lock=LOCK, name=self.name, epoch=None, pause_seconds=PAUSE_SECONDS)
                )
                owner = await connection.fetchval(SQL.want_carrier, self.name, self._process)
                self._standing_by = Health(LinkState.STANDBY, f"{owner or 'another process'} has the link")
                return False
            pause = await connection.fetchval(*bind(SQL.pause_for_carrier, name=self.name, seconds=PAUSE_SECONDS))
        if pause:
            self._standing_by = Health(LinkState.STANDBY, "waits until the last owner must have let go")
            await asyncio.sleep(pause)
        async with self._asking() as connection:
            if not await self._has_lock(connection):  # again: the connection may be new
                return False
            self._epoch = await connection.fetchval(SQL.own_carrier, self.name, self._process)
        return True

    async def _keep(self) -> None:
        """Returns when the link is to be given up."""
        loop = asyncio.get_running_loop()
        seen = loop.time()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            asked = loop.time()
            try:
                async with self._asking() as connection:
                    # Where the connection was lost, and is there again, the lock has to be had anew. The server may
                    # not have missed the former session yet: as long as the epoch is ours, the lock is too.
                    if not await self._has_lock(connection):
                        await connection.fetchval(
                            *bind(
                                SQL.end_holder,
                                lock=LOCK,
                                name=self.name,
                                epoch=self._epoch,
                                pause_seconds=PAUSE_SECONDS,
                            )
                        )
                        if loop.time() - seen > HOLD_SECONDS:
                            return
                        continue
                    wanted = await connection.fetchval(SQL.keep_carrier, self.name, self._epoch)
            except Unavailable:
                if self._is_wanted and loop.time() - seen > HOLD_SECONDS:
                    return
                continue
            if wanted is None:  # another epoch: somebody else has it
                return
            seen, self._is_wanted = asked, wanted

    async def _let_go(self) -> None:
        with contextlib.suppress(Unavailable):
            async with self._asking() as connection:
                await connection.execute(SQL.release_carrier, self.name, self._epoch)
        await self._close()

    async def _has_lock(self, connection: Any) -> bool:
        if self._locked_on is not connection and await connection.fetchval(SQL.lock_carrier, LOCK, self.name):
            self._locked_on = connection
        return self._locked_on is connection

    @contextlib.asynccontextmanager
    async def _asking(self) -> AsyncIterator[Any]:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                if self._connection is None or self._connection.is_closed():
                    self._connection = await self._connect()
                yield self._connection
        except Exception as error:
            if self._connection is not None:
                self._connection.terminate()
                self._connection = None
            if isinstance(error, (Unavailable, OSError, TimeoutError)) or _is_of_postgres(error):
                raise Unavailable("The database cannot be asked who has the link.") from error
            raise

    async def _close(self) -> None:
        if self._connection is not None:
            self._connection.terminate()  # the lock goes with it
            self._connection = None


def _is_of_postgres(error: Exception) -> bool:
    return type(error).__module__.startswith("asyncpg.")


async def _ended(task: "asyncio.Future[Any]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
