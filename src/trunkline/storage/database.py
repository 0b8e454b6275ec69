"""The one way to PostgreSQL: a pool of connections, statements and transactions.

After a failover a pool must not stay with a server that has become read-only or is going down: the ping asks whether
the server may write, errors of those kinds drop every connection, and none lives longer than five minutes.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol, TypeVar

import asyncpg

from trunkline.errors import Unavailable

log = logging.getLogger("trunkline.storage")

CONNECTION_LIFETIME_SECONDS = 240  # renewed at this pace, so that no connection gets older than 5 minutes
STATEMENT_TIMEOUT_MS = 15_000
COMMAND_TIMEOUT_SECONDS = 20  # for a server that does not even answer that a statement took too long
RETRIES = 6
REWRITE_WAITS_MS = 250  # for those who read a table that is written anew

Result = TypeVar("Result")


class DatabaseAway(Unavailable):
    """PostgreSQL cannot be reached, or has become read-only; the call may be made again."""

    code = "database_away"


class Row(Protocol):
    """A row of an answer, by column name; in tests also a plain dict."""

    def __getitem__(self, column: str, /) -> Any: ...


class Querier(Protocol):
    """What statements run on: the database (each statement its own transaction) or one open transaction."""

    async def fetch(self, query: str, *args: Any) -> list[asyncpg.Record]: ...
    async def fetchrow(self, query: str, *args: Any) -> asyncpg.Record | None: ...
    async def fetchval(self, query: str, *args: Any) -> Any: ...
    async def execute(self, query: str, *args: Any) -> str: ...


def is_away(error: BaseException) -> bool:
    """Whether an error says that this connection's server is gone or may no longer write (08, 57P0x, 25006)."""
    if isinstance(error, asyncpg.PostgresError):
        state = error.sqlstate or ""
        return state.startswith(("08", "57P0")) or state in ("25006", "53300")
    # InternalClientError: the server's last words came while asyncpg was about to speak
    return isinstance(error, (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError, TimeoutError))


class Database:
    """A pool over one PostgreSQL. Errors of the connection come out as DatabaseAway."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", url: str) -> None:
        self._pool = pool
        self._url = url
        self._renewal = asyncio.create_task(self._renew())

    @classmethod
    async def open(cls, url: str, *, connections: int = 16, wait_seconds: float = 10) -> "Database":
        """Connects, waiting for a server that is still coming up. Raises DatabaseAway."""
        deadline = asyncio.get_running_loop().time() + wait_seconds
        while True:
            try:
                pool = await asyncpg.create_pool(
                    url,
                    min_size=1,
                    max_size=connections,
                    max_inactive_connection_lifetime=60,
                    timeout=5,
                    command_timeout=COMMAND_TIMEOUT_SECONDS,
                    reset=_reset,
                    server_settings={
                        "application_name": "trunkline",
                        "statement_timeout": str(STATEMENT_TIMEOUT_MS),
                        "idle_in_transaction_session_timeout": "60000",
                        "timezone": "UTC",
                        "jit": "off",
                        # A plan that is cached while a table is nearly empty must not scan it when it has grown.
                        "enable_seqscan": "off",
                    },
                )
                return cls(pool, url)
            except (
                asyncpg.InvalidPasswordError,
                asyncpg.InvalidCatalogNameError,
                asyncpg.ClientConfigurationError,
            ) as error:
                raise DatabaseAway(f"The database refuses the connection: {error}") from error
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
                if asyncio.get_running_loop().time() > deadline:
                    raise DatabaseAway(f"The database cannot be reached: {error}") from error
                await asyncio.sleep(0.2)

    async def close(self) -> None:
        self._renewal.cancel()
        try:
            await asyncio.wait_for(self._pool.close(), 5)
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
    async def transaction(self) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
        """One transaction on one connection; whoever opens it owns it, whoever gets it only runs statements."""
        async with self._connection() as connection, connection.transaction():
            yield connection

    async def transact(self, run: "Callable[[asyncpg.Connection[asyncpg.Record]], Awaitable[Result]]") -> Result:
        """``run`` in one transaction; once more where that lost a deadlock or a serialisation race."""

        async def whole(connection: "asyncpg.Connection[asyncpg.Record]") -> Result:
            async with connection.transaction():
                return await run(connection)

        return await self._once_or_again(whole)

    async def alone(self) -> "asyncpg.Connection[asyncpg.Record]":
        """A connection of the caller's own, apart from the pool, whose server notices soon where the caller is gone.

        Raises DatabaseAway.
        """
        try:
            return await asyncpg.connect(
                self._url,
                timeout=5,
                command_timeout=COMMAND_TIMEOUT_SECONDS,
                server_settings={
                    "application_name": "trunkline",
                    "statement_timeout": str(STATEMENT_TIMEOUT_MS),
                    "tcp_keepalives_idle": "3",
                    "tcp_keepalives_interval": "1",
                    "tcp_keepalives_count": "3",
                },
            )
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
            raise DatabaseAway("The database cannot be reached at the moment.") from error

    async def write_anew(self, table: str) -> bool:
        """Writes a small table into a new file, without the remains of deleted rows; whether it could be locked.

        Everybody who reads the table waits meanwhile, so it gives up where a long transaction (a dump) reads it.
        """
        async with self._connection() as connection:
            await connection.execute(f"SET lock_timeout = {REWRITE_WAITS_MS}")
            try:
                await connection.execute(f"VACUUM (FULL) {table}")
            except asyncpg.LockNotAvailableError:
                return False
            finally:
                if not connection.is_closed():
                    await connection.execute("RESET lock_timeout")
        return True

    def connections(self) -> tuple[int, int, int]:
        """How many are open, how many of them are in use, and how many there may be."""
        pool = self._pool
        return pool.get_size(), pool.get_size() - pool.get_idle_size(), pool.get_max_size()

    async def ping(self) -> bool:
        """Whether the server can be reached and may write."""
        try:
            return bool(await self.fetchval("SELECT NOT pg_is_in_recovery()"))
        except Unavailable:
            return False

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        try:
            async with self._pool.acquire(timeout=COMMAND_TIMEOUT_SECONDS) as connection:
                try:
                    yield connection
                except Exception as error:
                    if is_away(error):
                        connection.terminate()  # whatever state it is in, it says no goodbye
                    raise
        except asyncpg.QueryCanceledError as error:
            log.warning("a statement was given up: %s", error)
            raise Unavailable("The database takes too long to answer at the moment.") from error
        except Exception as error:
            if not is_away(error):
                raise
            await self._pool.expire_connections()
            log.warning("database away: %s", str(error) or type(error).__name__)
            raise DatabaseAway("The database cannot be reached at the moment.") from error

    async def _once_or_again(self, run: Callable[[Any], Awaitable[Result]]) -> Result:
        """A statement on its own is a transaction; one that lost a deadlock or a serialisation race is run again."""
        for attempt in range(RETRIES):
            try:
                async with self._connection() as connection:
                    return await run(connection)
            except (asyncpg.SerializationError, asyncpg.DeadlockDetectedError) as error:
                if attempt == RETRIES - 1:
                    raise Unavailable("Too many want the same at once; ask again in a moment.") from error
            await asyncio.sleep(random.uniform(0, 0.05 * 2**attempt))  # noqa: S311 - apart, or they meet again
        raise AssertionError("unreachable")

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(CONNECTION_LIFETIME_SECONDS)
            await self._pool.expire_connections()


async def _reset(connection: Any) -> None:
    """Connections keep no state between uses, so the usual round trip of resets is saved; a torn one is reset."""
    if connection.is_in_transaction():
        await connection.reset(timeout=5)
