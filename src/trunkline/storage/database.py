"""The one way to PostgreSQL: a pool of connections, statements and transactions, each within a budget of time.

After a failover a pool must not stay with a server that has become read-only or is going down: connections are made
only to a server that may be written, errors of those kinds drop every one, and none lives longer than five minutes.
Whoever waits for the database waits for seconds: a budget bounds a call, and ``breaker`` ends it where nobody answers.
"""

import asyncio
import contextlib
import dataclasses
import logging
import math
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol, TypeVar

import asyncpg

from trunkline.errors import Unavailable
from trunkline.storage import first_contact, trouble
from trunkline.storage.breaker import Breaker
from trunkline.storage.dialling import Connection, Dialler
from trunkline.storage.trouble import DatabaseAway as DatabaseAway

log = logging.getLogger("trunkline.storage")

CONNECTION_LIFETIME_SECONDS = 240  # renewed at this pace, so that no connection gets older than 5 minutes
CONNECTION_SHARE = 0.6  # of a budget, that may be spent waiting for a connection
RETRIES = 6
REWRITE_WAITS_MS = 250  # for those who read a table that is written anew
REWRITE_SECONDS = 60.0
SAY_SECONDS = 5.0  # between two lines in the log about the same trouble

Result = TypeVar("Result")


@dataclasses.dataclass(frozen=True, slots=True)
class Budget:
    """The seconds that a call takes at most: in all, waiting for somebody else's lock, and between two statements."""

    seconds: float
    lock_seconds: float
    idle_seconds: float  # a transaction that is lost holds its locks no longer

    def settings(self) -> dict[str, str]:
        """As the session's settings. The server gives a statement up a little before the caller does."""
        return {
            "statement_timeout": _milliseconds(self.seconds * 0.9),
            "lock_timeout": _milliseconds(self.lock_seconds),
            "idle_in_transaction_session_timeout": _milliseconds(self.idle_seconds),
        }


SERVING = Budget(5.0, 2.0, 5.0)  # somebody waits
COMMAND = Budget(3600.0, 30.0, 300.0)  # an operator's, who can press Ctrl-C

SESSION = {
    "timezone": "UTC",
    "jit": "off",
    # A plan that is cached while a table is nearly empty must not scan it when it has grown.
    "enable_seqscan": "off",
    # A server whose client is gone ends what it does for it, and the locks that this holds.
    "client_connection_check_interval": "2000",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "10000",
}

NOTICE_SOON = "SET tcp_keepalives_idle = 3; SET tcp_keepalives_interval = 1; SET tcp_keepalives_count = 3"


class Row(Protocol):
    """A row of an answer, by column name; in tests also a plain dict."""

    def __getitem__(self, column: str, /) -> Any: ...


class Querier(Protocol):
    """What statements run on: the database (each statement its own transaction) or one open transaction."""

    async def fetch(self, query: str, *args: Any) -> list[asyncpg.Record]: ...
    async def fetchrow(self, query: str, *args: Any) -> asyncpg.Record | None: ...
    async def fetchval(self, query: str, *args: Any) -> Any: ...
    async def execute(self, query: str, *args: Any) -> str: ...


class Database:
    """A pool over one PostgreSQL. Errors of the connection come out as DatabaseAway, a lack of time as Unavailable."""

    def __init__(self, dialler: Dialler, connections: int, budget: Budget) -> None:
        self._dialler = dialler
        self._connections = connections
        self._budget = budget
        self._pool: asyncpg.Pool[asyncpg.Record]  # set by ``open``
        self._breaker = Breaker(dialler.connect, self._abandon, self._expire)
        self._said: dict[str, float] = {}
        self._unsaid: Counter[str] = Counter()
        self._tasks = [asyncio.create_task(self._renew()), asyncio.create_task(self._breaker.watch())]

    @classmethod
    async def open(
        cls, url: str, *, connections: int = 16, wait_seconds: float = 10, budget: Budget = SERVING
    ) -> "Database":
        """Connects, waiting for a server that is still coming up. Raises DatabaseAway; OperatorError for what waiting
        does not mend."""
        dialler = await first_contact.reach(url, {**SESSION, **budget.settings()}, wait_seconds=wait_seconds)
        database = cls(dialler, connections, budget)
        database._pool = await database._new_pool()
        return database

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            await asyncio.wait_for(self._pool.close(), 0.1 if self._breaker.is_open else 5)
        except TimeoutError:
            self._pool.terminate()

    async def fetch(self, query: str, *args: Any) -> list[asyncpg.Record]:
        return await self._once_or_again(lambda connection: connection.fetch(query, *args))

    async def fetchrow(self, query: str, *args: Any) -> asyncpg.Record | None:
        return await self._once_or_again(lambda connection: connection.fetchrow(query, *args))

    async def fetchval(self, query: str, *args: Any) -> Any:
        return await self._once_or_again(lambda connection: connection.fetchval(query, *args))

    async def execute(self, query: str, *args: Any) -> str:
        return await self._once_or_again(lambda connection: connection.execute(query, *args))

    @contextlib.asynccontextmanager
    async def transaction(self, *, seconds: float | None = None) -> AsyncIterator[Connection]:
        """One transaction on one connection; whoever opens it owns it, whoever gets it only runs statements.

        ``seconds``: a budget of its own, for what takes long and nobody waits for; ``math.inf`` is none.
        """
        async with self._connection(seconds or self._budget.seconds) as connection, connection.transaction():
            if seconds is not None:
                settings = dataclasses.replace(self._budget, seconds=seconds, idle_seconds=seconds).settings()
                await connection.execute(";".join(f"SET LOCAL {name} = {value}" for name, value in settings.items()))
            yield connection

    async def transact(self, run: Callable[[Connection], Awaitable[Result]]) -> Result:
        """``run`` in one transaction; once more where that lost a deadlock or a serialisation race."""

        async def whole(connection: Connection) -> Result:
            async with connection.transaction():
                return await run(connection)

        return await self._once_or_again(whole)

    async def alone(self) -> Connection:
        """A connection of the caller's own, apart from the pool, whose server notices soon where the caller is gone.

        Raises DatabaseAway.
        """
        try:
            connection = await self._dialler.connect(command_timeout=self._budget.seconds)
            await connection.execute(NOTICE_SOON)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:  # TimeoutError is one
            raise DatabaseAway("The database cannot be reached at the moment.") from error
        return connection

    async def write_anew(self, table: str) -> bool:
        """Writes a small table into a new file, without the remains of deleted rows; whether it could be locked.

        Everybody who reads the table waits meanwhile, so it gives up where a long transaction (a dump) reads it.
        """
        async with self._connection(REWRITE_SECONDS) as connection:
            await connection.execute(f"SET lock_timeout = {REWRITE_WAITS_MS}; SET statement_timeout = 0")
            try:
                await connection.execute(f"VACUUM (FULL) {table}")
            except asyncpg.LockNotAvailableError:
                return False
            finally:
                with contextlib.suppress(asyncpg.InterfaceError):  # it was dropped
                    await connection.execute("RESET lock_timeout; RESET statement_timeout")
        return True

    def connections(self) -> tuple[int, int, int]:
        """How many are open, how many of them are in use, and how many there may be."""
        pool = self._pool
        return pool.get_size(), pool.get_size() - pool.get_idle_size(), pool.get_max_size()

    @property
    def takes_writes(self) -> bool:
        """Whether nothing speaks against it: neither silence nor a write that was refused lately."""
        return self._breaker.takes_writes and not self._breaker.is_open

    async def ping(self) -> bool:
        """Whether the server can be reached and may write."""
        try:
            return self.takes_writes and bool(await self.fetchval("SELECT NOT pg_is_in_recovery()"))
        except Unavailable:
            return False

    async def _new_pool(self) -> "asyncpg.Pool[asyncpg.Record]":
        """Connects to nobody yet."""
        connect: Any = self._dial
        pool: asyncpg.Pool[asyncpg.Record] = await asyncpg.create_pool(
            connect=connect,
            min_size=0,
            max_size=self._connections,
            max_inactive_connection_lifetime=60,
            reset=_reset,
        )
        return pool

    async def _dial(self, _: None, **more: Any) -> Connection:
        self._breaker.check()  # for those who waited for a connection when the circuit opened
        return await self._dialler.connect(**more)

    async def _abandon(self) -> None:
        """Every connection is dropped without a goodbye, also under whoever uses it; new ones are made when needed."""
        old, self._pool = self._pool, await self._new_pool()
        old.terminate()

    async def _expire(self) -> None:
        await self._pool.expire_connections()

    @contextlib.asynccontextmanager
    async def _connection(self, seconds: float) -> AsyncIterator[Any]:
        """Raises DatabaseAway and Unavailable, and what statements raise besides."""
        self._breaker.check()
        loop = asyncio.get_running_loop()
        ends = loop.time() + seconds
        is_over = False
        try:
            pool, connection = await self._acquired(min(seconds, self._budget.seconds) * CONNECTION_SHARE)

            def give_up() -> None:
                nonlocal is_over
                is_over = True
                _drop(connection)  # asking to cancel would be another question that nobody answers

            timer = loop.call_at(ends, give_up) if seconds < math.inf else None
            try:
                yield connection
            except Exception as error:
                if trouble.is_away(error):
                    _drop(connection)
                raise
            finally:
                if timer is not None:
                    timer.cancel()
                await pool.release(connection)
        except Exception as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():  # and leaving the transaction failed too: that is not the news
                raise asyncio.CancelledError from error
            meant = await self._meaning(error, is_over=is_over)
            if meant is error:
                raise
            raise meant from error

    async def _acquired(self, seconds: float) -> tuple[Any, Any]:
        """A connection and its pool. Raises Unavailable where all are in use."""
        pool: Any = self._pool
        try:
            return pool, await pool.acquire(timeout=seconds)
        except TimeoutError as error:
            if self._breaker.is_open or pool.get_size() < pool.get_max_size():
                raise
            raise Unavailable("Too many calls wait for the database at once; ask again in a moment.") from error

    async def _meaning(self, error: Exception, *, is_over: bool) -> Exception:
        """What a caller is told. What is wrong is in the log, once in a while."""
        if isinstance(error, Unavailable):
            return error
        if isinstance(error, asyncpg.QueryCanceledError):
            self._say("a statement was given up", error)
            return Unavailable("The database takes too long to answer at the moment.")
        if isinstance(error, asyncpg.LockNotAvailableError):
            self._say("a statement waited too long for a lock", error)
            return Unavailable("Others are changing the same at the moment; ask again.")
        if trouble.refuses_writes(error):
            self._breaker.write_refused()
        if trouble.is_short(error):
            self._say("the database cannot do its work", error)
            return DatabaseAway("The database cannot store or compute anything at the moment.")
        if not trouble.is_away(error):
            return error
        await self._expire()
        if is_over:
            self._say("database away", TimeoutError("no answer within the time that a call has"))
            return DatabaseAway("The database takes too long to answer at the moment.")
        if not self._breaker.is_open:
            self._say("database away", error)
        return DatabaseAway("The database cannot be reached at the moment.")

    def _say(self, what: str, error: Exception) -> None:
        """One line for the first of a kind; as long as it goes on one in a while, with how many there were."""
        now = time.monotonic()
        if now - self._said.get(what, -math.inf) < SAY_SECONDS:
            self._unsaid[what] += 1
            return
        self._said[what] = now
        more = self._unsaid.pop(what, 0)
        log.warning("%s: %s%s", what, trouble.words(error), f" ({more} more since the last line)" if more else "")

    async def _once_or_again(self, run: Callable[[Any], Awaitable[Result]]) -> Result:
        """A statement on its own is a transaction; one that lost a deadlock or a serialisation race is run again."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + self._budget.seconds
        for attempt in range(RETRIES):
            try:
                async with self._connection(ends - loop.time()) as connection:
                    return await run(connection)
            except (asyncpg.SerializationError, asyncpg.DeadlockDetectedError) as error:
                pause = random.uniform(0, 0.05 * 2**attempt)  # noqa: S311 - apart, or they meet again
                if attempt == RETRIES - 1 or loop.time() + pause > ends - self._budget.seconds / 5:
                    raise Unavailable("Too many want the same at once; ask again in a moment.") from error
            await asyncio.sleep(pause)
        raise AssertionError("unreachable")

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(CONNECTION_LIFETIME_SECONDS)
            await self._expire()


def _milliseconds(seconds: float) -> str:
    """0 is no limit."""
    return str(int(seconds * 1000)) if seconds < math.inf else "0"


def _drop(connection: Any) -> None:
    """Whatever state it is in, it says no goodbye."""
    with contextlib.suppress(asyncpg.InterfaceError):  # its pool was given up, and it with it
        connection.terminate()


async def _reset(connection: Any) -> None:
    """Connections keep no state between uses, so the usual round trip of resets is saved; a torn one is reset."""
    if connection.is_in_transaction():
        await connection.reset(timeout=5)
