"""The first connection to a database: waits for a server that is coming up, and says in one line what else is wrong."""

import asyncio
import ssl

import asyncpg

from trunkline.errors import OperatorError
from trunkline.storage import trouble, url
from trunkline.storage.dialling import Connection, Dialler
from trunkline.storage.trouble import DatabaseAway

LEAST_VERSION = 15
AGAIN_SECONDS = 0.2
SUIT_SECONDS = 5.0
OWN = "Let it own them: ALTER DATABASE name OWNER TO role, and REASSIGN OWNED BY former TO role (docs/operating.md)."
ERRORS = (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
NOT_EVERYWHERE = "client_connection_check_interval"  # a system may be unable to
POOLER = (
    "A pooler (PgBouncer or the like) stands before PostgreSQL and keeps back the settings of a session, which give"
    " every statement its time limit. Name PostgreSQL itself in TRUNKLINE_DATABASE_URL: the server keeps a small pool"
    " of its own (server.database_connections)."
)


async def reach(database_url: str, settings: dict[str, str], *, wait_seconds: float) -> Dialler:
    """A dialler whose connections suit. Raises OperatorError for what waiting does not mend, DatabaseAway otherwise."""
    target = url.read(database_url)
    settings = dict(settings)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait_seconds
    while True:
        dialler = Dialler(target, settings)
        try:
            connection = await dialler.connect()
            try:
                await _must_suit(connection, settings)
            finally:
                connection.terminate()
            return dialler
        except (
            OSError,
            ValueError,
            asyncpg.PostgresError,
            asyncpg.InterfaceError,
            asyncpg.InternalClientError,
        ) as error:
            if NOT_EVERYWHERE in settings and NOT_EVERYWHERE in str(error):
                del settings[NOT_EVERYWHERE]
                continue
            refusal = _refusal(error)
            if refusal is not None:
                raise OperatorError(refusal) from error
            if loop.time() > deadline:
                raise DatabaseAway(f"The database cannot be reached: {trouble.words(error)}") from error
            await asyncio.sleep(AGAIN_SECONDS)


async def _must_suit(connection: Connection, settings: dict[str, str]) -> None:
    version = connection.get_server_version()
    if version.major < LEAST_VERSION:
        raise OperatorError(f"The database is PostgreSQL {version.major}; {LEAST_VERSION} or newer is needed.")
    # pg_settings has it in milliseconds, whatever unit it was given in
    arrived = await connection.fetchval("SELECT setting FROM pg_settings WHERE name = 'statement_timeout'")
    if "statement_timeout" in settings and arrived != settings["statement_timeout"]:
        raise OperatorError(POOLER)


def _refusal(error: Exception) -> str | None:
    """What an operator is told at once; None for what may be over in a moment."""
    words = trouble.words(error).rstrip(".")
    if isinstance(error, asyncpg.InvalidCatalogNameError):
        return f"The database does not exist: {words}. Make it with CREATE DATABASE, owned by the role of the URL."
    if isinstance(error, (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError)):
        return f"The database refuses the login: {words}."
    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        return f"The role may not use the database: {words}."
    if isinstance(error, (asyncpg.ReadOnlySQLTransactionError, asyncpg.TargetServerAttributeNotMatched)):
        return f"The database cannot be written: {words}. Name the primary in TRUNKLINE_DATABASE_URL."
    if isinstance(error, (asyncpg.DuplicatePreparedStatementError, asyncpg.InvalidSQLStatementNameError)):
        return POOLER  # a statement that was prepared on one connection is met on another
    if isinstance(error, asyncpg.ProtocolViolationError) and "startup parameter" in words:
        return POOLER
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"The database's TLS is not accepted: {words}."
    if isinstance(error, asyncpg.PostgresError) and not (trouble.is_away(error) or trouble.is_short(error)):
        return f"The database refuses the connection: {words}."
    if isinstance(error, asyncpg.ClientConfigurationError):
        return f"The database URL cannot be used: {words}."
    if isinstance(error, ValueError) and not isinstance(error, asyncpg.InterfaceError):
        return "The database URL cannot be used."
    return None
