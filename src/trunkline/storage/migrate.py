"""Brings a database to the schema of this version: numbered migrations once each, routines whenever they changed.

Migrations (``migrations/NNNN_name.sql``) make tables, types and indexes and are never edited once released. Functions
and triggers stand in ``routines.sql`` of the slice that calls them; they are replaced as a whole.
"""

import hashlib
import importlib.resources
from importlib.resources.abc import Traversable

import asyncpg

from trunkline.errors import OperatorError

LOCK = 0x7472756E6B  # one process migrates, the others wait

PREPARE = """
CREATE TABLE IF NOT EXISTS schema_version (
    name text PRIMARY KEY, digest text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())
"""


def scripts() -> list[tuple[str, str, bool]]:
    """Every script in the order in which it runs: name, text, whether it may run again when it has changed."""
    package = importlib.resources.files("trunkline")
    migrations = sorted(_sql(package.joinpath("storage", "migrations")), key=lambda file: file.name)
    every = [(file.name, file.read_text("utf-8"), False) for file in migrations]
    for folder in sorted((entry for entry in package.iterdir() if entry.is_dir()), key=lambda entry: entry.name):
        for routines in sorted(_sql(folder), key=lambda file: file.name):
            if routines.name.endswith("routines.sql"):
                every.append((f"{folder.name}/{routines.name}", routines.read_text("utf-8"), True))
    return every


def _sql(folder: Traversable) -> list[Traversable]:
    return [file for file in folder.iterdir() if file.name.endswith(".sql")]


async def migrate(url: str) -> list[str]:
    """Applies what is missing, all of it in one transaction; the names of the scripts that ran.

    Raises OperatorError where the server is older than PostgreSQL 15, or the database newer than this program.
    """
    connection = await asyncpg.connect(url, timeout=10)
    try:
        if connection.get_server_version().major < 15:
            raise OperatorError("PostgreSQL 15 or newer is needed.")
        every = scripts()
        digests = {name: hashlib.sha256(text.encode()).hexdigest() for name, text, _ in every}
        if await _applied(connection) == digests:
            return []
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
            await connection.execute(PREPARE)
            return await _apply(connection, every, digests)
    finally:
        await connection.close()


async def _applied(connection: "asyncpg.Connection[asyncpg.Record]") -> dict[str, str]:
    if await connection.fetchval("SELECT to_regclass('schema_version')") is None:
        return {}
    return {row["name"]: row["digest"] for row in await connection.fetch("SELECT name, digest FROM schema_version")}


async def _apply(
    connection: "asyncpg.Connection[asyncpg.Record]", scripts: list[tuple[str, str, bool]], digests: dict[str, str]
) -> list[str]:
    applied = await _applied(connection)
    unknown = [name for name in applied if name not in digests and not name.endswith("routines.sql")]
    if unknown:
        raise OperatorError(f"The database is newer than this program: it has {', '.join(sorted(unknown))}.")
    ran = []
    for name, text, again in scripts:
        if name in applied and (applied[name] == digests[name] or not again):
            if applied[name] != digests[name]:
                raise OperatorError(f"The migration {name} was changed after it had been applied.")
            continue
        await connection.execute(text)
        await connection.execute(
            "INSERT INTO schema_version (name, digest) VALUES ($1, $2)"
            " ON CONFLICT (name) DO UPDATE SET digest = $2, applied_at = now()",
            name,
            digests[name],
        )
        ran.append(name)
    return ran
