"""An upgrade never breaks a process of the release before."""

import re

import asyncpg
import pytest

from tests.storage import released
from trunkline.storage.migrate import scripts


@pytest.mark.asyncio
async def test_the_database_takes_every_statement_of_the_release_before(url: str) -> None:
    connection = await asyncpg.connect(url)
    refused = []
    for name, text in released.statements().items():
        try:
            await connection.prepare(text)
        except asyncpg.PostgresError as error:
            refused.append(f"{name}: {error}")
    await connection.close()
    assert len(released.statements()) > 200
    assert refused == []


def test_a_routine_is_replaced_and_never_dropped() -> None:
    """One whose signature changes gets a new name; the old one goes by a migration, a release later."""
    for name, text, again in scripts():
        if again:
            assert not re.search(r"DROP FUNCTION|CREATE FUNCTION", text), name


def test_a_migration_takes_nothing_away_that_an_old_process_writes() -> None:
    """What is dropped is dropped a release after nobody uses it, and a new column that must be filled has a default."""
    for name, text, again in scripts():
        if again or name < "0010":
            continue
        assert not re.search(r"DROP (TABLE|COLUMN)|RENAME (TO|COLUMN)", text), name
        added = re.findall(r"ADD COLUMN (\w+) ([^,;]*)", text)
        assert [column for column, kind in added if "NOT NULL" in kind and "DEFAULT" not in kind] == [], name
