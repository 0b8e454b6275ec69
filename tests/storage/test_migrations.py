"""Migrations that were released stay as they are, and databases of versions in between are brought up to date."""

import hashlib
import importlib.resources
import pathlib

import asyncpg
import pytest

from tests.conftest import database_url
from tests.storage import snapshot
from tests.storage.snapshot import embedded_only
from trunkline.storage.migrate import PREPARE, migrate, scripts

RELEASED = pathlib.Path(__file__).with_name("released.sha256")  # as sha256sum writes it; a release adds its lines
MIGRATIONS = importlib.resources.files("trunkline").joinpath("storage", "migrations")
INDEX = "CREATE INDEX webhook_delivery_failed ON webhook_delivery (endpoint_id, event_id) WHERE state = 'failed';\n"


def test_a_released_migration_is_never_edited() -> None:
    lines = [line.split() for line in RELEASED.read_text().splitlines()]
    released = {name: digest for digest, name in lines}
    assert sorted(released) == [
        "0001_foundation.sql", "0002_reasons.sql", "0003_business.sql", "0004_push.sql", "0005_texts.sql",
        "0006_carriers.sql", "0007_bounds.sql", "0008_catalog_and_proofs.sql", "0009_test_caps.sql",
    ]  # fmt: skip
    now = {name: hashlib.sha256(MIGRATIONS.joinpath(name).read_bytes()).hexdigest() for name in released}
    assert now == released


@embedded_only
@pytest.mark.asyncio
async def test_a_database_made_while_a_migration_still_had_one_more_index_is_upgraded(postgres: str) -> None:
    connection = await asyncpg.connect(postgres)
    await connection.execute("DROP DATABASE IF EXISTS schema_between WITH (FORCE)")
    await connection.execute("CREATE DATABASE schema_between TEMPLATE template0")
    await connection.close()
    url = database_url(postgres, "schema_between")
    connection = await asyncpg.connect(url)
    await connection.execute(PREPARE)
    for name, text, again in scripts():
        if again or name > "0004_push.sql":
            continue
        if name == "0004_push.sql":
            text = text.replace(INDEX, INDEX + "CREATE INDEX webhook_delivery_age ON webhook_delivery (created_at);\n")
            assert hashlib.sha256(text.encode()).hexdigest().startswith("9a66ec526aa3")
        await connection.execute(text)
        digest = hashlib.sha256(text.encode()).hexdigest()
        await connection.execute("INSERT INTO schema_version (name, digest) VALUES ($1, $2)", name, digest)
    await connection.execute("INSERT INTO account (email, currency, per_minute) VALUES ('kept@example.com', 'USD', 60)")
    await connection.close()
    assert "0004_push.sql" in await migrate(url)
    assert await migrate(url) == []
    assert snapshot.dump(url) == snapshot.FILE.read_text()
    connection = await asyncpg.connect(url)
    assert await connection.fetchval("SELECT email FROM account") == "kept@example.com"
    await connection.close()
