"""Brings a database to the schema of this version: numbered migrations once each, routines whenever they changed.

Migrations (``migrations/NNNN_name.sql``) make tables, types and indexes and are never edited once released. Functions
and triggers stand in ``routines.sql`` or ``routines/`` of the slice that calls them, however deep it lies; they are
replaced as a whole, in any order, since no body is looked into before all are there. After any change the role that
serves gets its rights anew (docs/decisions/0020).
"""

import hashlib
import importlib.resources
from collections.abc import Iterator
from importlib.resources.abc import Traversable

import asyncpg

from trunkline.errors import OperatorError
from trunkline.storage import first_contact, trouble
from trunkline.storage.trouble import DatabaseAway

LOCK = 0x7472756E6B  # one process migrates, the others wait
SETTINGS = {"statement_timeout": str(24 * 3600 * 1000)}  # large tables are rewritten for hours

PREPARE = """
CREATE TABLE IF NOT EXISTS schema_version (
    name text PRIMARY KEY, digest text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())
"""

# Whether a role may use every table that there is: it is the owner, or has been let.
MAY_SERVE = """
SELECT $1::name = current_user OR NOT EXISTS (
    SELECT FROM pg_class
     WHERE relnamespace = current_schema::regnamespace AND relowner = current_user::regrole
       AND relkind IN ('r', 'p', 'v') AND NOT relispartition AND NOT has_table_privilege($1::name, oid, 'SELECT'))
"""


# What brings a script that was applied before its release, by its digest then, to what was released.
AMENDED = {
    ("0004_push.sql", "9a66ec526aa3bd7e6db806b6770e3a7cca55f018a393ea657181b6849e71074e"): (
        "DROP INDEX IF EXISTS webhook_delivery_age"
    ),
}


def scripts() -> list[tuple[str, str, bool]]:
    """Every script in the order in which it runs: name, text, whether it may run again when it has changed."""
    package = importlib.resources.files("trunkline")
    migrations = sorted(_sql(package.joinpath("storage", "migrations")), key=lambda file: file.name)
    every = [(file.name, file.read_text("utf-8"), False) for file in migrations]
    routines = sorted(_routines(package, ""), key=lambda script: (not script[0].startswith("storage/"), script[0]))
    return every + [(name, file.read_text("utf-8"), True) for name, file in routines]


def _routines(folder: Traversable, path: str) -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _routines(entry, f"{path}{entry.name}/")
        elif entry.name == "routines.sql":
            yield f"{path}{entry.name}", entry
        elif path.endswith("/routines/") and entry.name.endswith(".sql"):
            # what does not end so earlier versions take for a migration that they lack, and refuse to start
            yield f"{path.removesuffix('routines/')}{entry.name.removesuffix('.sql')}_routines.sql", entry


def _sql(folder: Traversable) -> list[Traversable]:
    return [file for file in folder.iterdir() if file.name.endswith(".sql")]


async def migrate(url: str, serving: str | None = None) -> list[str]:
    """Applies what is missing, all of it in one transaction; the names of the scripts that ran.

    ``url`` is the owner's. ``serving`` is the role that serves where that is another one. Raises OperatorError where
    the database is newer than this program, does not suit, or is not the role's to change.
    """
    connection = await (await first_contact.reach(url, SETTINGS, wait_seconds=10)).connect()
    try:
        version = connection.get_server_version().major
        every = scripts()
        digests = {name: hashlib.sha256(text.encode()).hexdigest() for name, text, _ in every}
        lets = serving is not None and serving != await connection.fetchval("SELECT current_user")
        if lets and version < 17:
            raise OperatorError("An owner of its own (database_owner_url) needs PostgreSQL 17 or newer.")
        if await _applied(connection) == digests and not (lets and await _has_to_be_let(connection, serving)):
            return []
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
            await connection.execute(PREPARE)
            ran = await _apply(connection, every, digests)
            if lets and (ran or await _has_to_be_let(connection, serving)):
                await connection.execute("SELECT let_serve($1::text::name)", serving)
            return ran
    except asyncpg.InsufficientPrivilegeError as error:
        raise OperatorError(
            f"The role of the database URL may not make the tables: {error}. {first_contact.OWN}"
        ) from error
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        if not (trouble.is_away(error) or trouble.is_short(error)):
            raise
        raise DatabaseAway(f"The database went away while it was brought up to date: {trouble.words(error)}") from error
    finally:
        connection.terminate()


async def _has_to_be_let(connection: "asyncpg.Connection[asyncpg.Record]", serving: str | None) -> bool:
    return not await connection.fetchval(MAY_SERVE, serving)


async def _applied(connection: "asyncpg.Connection[asyncpg.Record]") -> dict[str, str]:
    if await connection.fetchval("SELECT to_regclass('schema_version')") is None:
        return {}
    return {row["name"]: row["digest"] for row in await connection.fetch("SELECT name, digest FROM schema_version")}


async def _apply(
    connection: "asyncpg.Connection[asyncpg.Record]", scripts: list[tuple[str, str, bool]], digests: dict[str, str]
) -> list[str]:
    applied = await _applied(connection)
    gone = [name for name in applied if name not in digests]
    unknown = [name for name in gone if not name.endswith("routines.sql")]
    if unknown:
        raise OperatorError(f"The database is newer than this program: it has {', '.join(sorted(unknown))}.")
    await connection.execute("SET LOCAL check_function_bodies = off")
    ran = []
    for name, text, again in scripts:
        had = applied.get(name)
        if had == digests[name]:
            continue
        if had is None or again:
            await connection.execute(text)
        elif (name, had) in AMENDED:
            await connection.execute(AMENDED[name, had])
        else:
            raise OperatorError(f"The migration {name} was changed after it had been applied.")
        await connection.execute(
            "INSERT INTO schema_version (name, digest) VALUES ($1, $2)"
            " ON CONFLICT (name) DO UPDATE SET digest = $2, applied_at = now()",
            name,
            digests[name],
        )
        ran.append(name)
    await connection.execute("DELETE FROM schema_version WHERE name = ANY ($1::text[])", gone)
    return ran
