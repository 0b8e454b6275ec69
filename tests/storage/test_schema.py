"""The schema: what the migrations make is what the snapshot says, however often and by however many they are run."""

import asyncio
import os

import asyncpg
import pytest

from tests.conftest import database_url
from tests.storage import snapshot
from trunkline.errors import OperatorError
from trunkline.storage import queries
from trunkline.storage.migrate import migrate

embedded_only = pytest.mark.skipif(
    "TRUNKLINE_TEST_DATABASE_URL" in os.environ, reason="pg_dump must be of the server's version"
)


async def _fresh(server: str, name: str) -> str:
    connection = await asyncpg.connect(server)
    await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    return database_url(server, name)


@embedded_only
@pytest.mark.asyncio
async def test_the_migrations_make_what_the_snapshot_says(postgres: str) -> None:
    url = await _fresh(postgres, "schema_migrated")
    assert await migrate(url)
    assert snapshot.dump(url) == snapshot.FILE.read_text(), "run: python -m tests.storage.snapshot"


@embedded_only
@pytest.mark.asyncio
async def test_the_snapshot_makes_what_the_migrations_make(postgres: str) -> None:
    url = await _fresh(postgres, "schema_snapshot")
    connection = await asyncpg.connect(url)
    await connection.execute("SET check_function_bodies = off")  # functions stand before the tables that they use
    await connection.execute(snapshot.FILE.read_text())
    await connection.close()
    assert snapshot.dump(url) == snapshot.FILE.read_text()


@pytest.mark.asyncio
async def test_processes_that_start_at_once_migrate_once(postgres: str) -> None:
    url = await _fresh(postgres, "schema_at_once")
    ran = await asyncio.gather(*(migrate(url) for _ in range(8)))
    assert len([each for each in ran if each]) == 1


@pytest.mark.asyncio
async def test_a_database_of_a_newer_version_is_refused(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("INSERT INTO schema_version (name, digest) VALUES ('9999_future.sql', 'x')")
    await connection.close()
    with pytest.raises(OperatorError, match="newer than this program"):
        await migrate(url)


@pytest.mark.asyncio
async def test_a_migration_that_was_changed_after_its_release_is_refused(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("UPDATE schema_version SET digest = 'x' WHERE name = '0001_foundation.sql'")
    await connection.close()
    with pytest.raises(OperatorError, match="was changed"):
        await migrate(url)


@pytest.mark.asyncio
async def test_every_named_statement_is_one_that_the_database_accepts(url: str) -> None:
    connection = await asyncpg.connect(url)
    for package in ("accounts", "activations", "api", "catalog", "ledger", "pool"):
        statements = queries.queries(f"trunkline.{package}")
        assert statements.names()
        for name in statements.names():
            await connection.prepare(getattr(statements, name))
    await connection.close()
