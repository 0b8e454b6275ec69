"""The role that serves is no superuser and owns nothing: what SQL of a stranger's could do in its place."""

import asyncio
import os
import pathlib
from collections.abc import AsyncIterator
from typing import TypeAlias

import asyncpg
import pytest
import pytest_asyncio

from tests.conftest import Trunkline, served
from tests.storage import plain_server
from trunkline import app, config
from trunkline.storage import embedded
from trunkline.storage.migrate import migrate

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@pytest_asyncio.fixture
async def serving(url: str) -> AsyncIterator[Connection]:
    wanted = served(url)["TRUNKLINE_DATABASE_URL"]
    if wanted == url:
        pytest.skip("the server named has one role only")
    connection = await asyncpg.connect(wanted)
    yield connection
    await connection.close()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "statement",
    [
        "COPY service (slug) FROM PROGRAM 'echo x'",
        "COPY service TO '/tmp/x'",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT lo_import('/etc/passwd')",
        "ALTER TABLE audit_entry DISABLE TRIGGER audit_entry_is_append_only",
        "ALTER TABLE transfer DISABLE TRIGGER ALL",
        "SET session_replication_role = replica",
        "UPDATE audit_entry SET actor = 'nobody'",
        "DELETE FROM audit_link",
        "TRUNCATE audit_entry CASCADE",
        "UPDATE transfer SET amount_micros = 1",
        "DELETE FROM transfer",
        "UPDATE schema_version SET digest = ''",
        "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "DROP TRIGGER transfer_is_append_only ON transfer",
        "ALTER FUNCTION keep_event_days(integer) OWNER TO trunkline_server",
        "CREATE TABLE mine (n int)",
        "DROP TABLE audit_pending",
        "CREATE ROLE mine SUPERUSER",
        "SET ROLE trunkline",
        "ALTER ROLE trunkline_server SUPERUSER",
        "ALTER SYSTEM SET archive_command = 'id'",
        "SELECT let_serve('trunkline_server')",
    ],
)
async def test_it_may_not(serving: Connection, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await serving.execute(statement)


@pytest.mark.asyncio
async def test_it_makes_and_drops_the_days_of_events_and_writes_the_keys_anew(serving: Connection, url: str) -> None:
    owner = await asyncpg.connect(url)
    [day] = await owner.fetch(
        "SELECT relname FROM pg_class WHERE relname ~ '^event_2' AND relkind = 'r' ORDER BY relname DESC LIMIT 1"
    )
    await owner.execute(f"DROP TABLE {day['relname']}")
    assert await serving.fetchval("SELECT keep_event_days(30)") == 1
    file = "SELECT pg_relation_filenode('text_key')"
    before = await owner.fetchval(file)
    await serving.execute("VACUUM (FULL) text_key")
    assert await owner.fetchval(file) != before
    await owner.close()


@pytest.mark.asyncio
async def test_nothing_of_another_schema_stands_in_for_what_a_function_of_the_owners_uses(serving: Connection) -> None:
    settings = await serving.fetchval("SELECT proconfig FROM pg_proc WHERE proname = 'keep_event_days'")
    assert "search_path=public, pg_temp" in settings
    definers = await serving.fetch(
        "SELECT proname FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace"
    )
    assert [row["proname"] for row in definers] == ["keep_event_days"]


@pytest.mark.asyncio
async def test_a_role_that_comes_later_and_a_table_that_comes_later_get_their_rights(url: str, postgres: str) -> None:
    if served(url)["TRUNKLINE_DATABASE_URL"] == url:
        pytest.skip("the server named has one role only")
    owner = await asyncpg.connect(url)
    try:
        await owner.execute("DROP ROLE IF EXISTS another_server")
        await owner.execute("CREATE ROLE another_server LOGIN")
        assert await migrate(url, "another_server") == []
        assert await owner.fetchval("SELECT has_table_privilege('another_server', 'account', 'UPDATE')")
        await owner.execute("CREATE TABLE later (n int)")
        assert await migrate(url, "another_server") == []
        assert await owner.fetchval("SELECT has_table_privilege('another_server', 'later', 'INSERT')")
        assert not await owner.fetchval("SELECT has_table_privilege('another_server', 'audit_entry', 'UPDATE')")
    finally:
        await owner.execute("DROP OWNED BY another_server; DROP ROLE another_server")
        await owner.close()


@pytest.mark.asyncio
async def test_an_embedded_database_of_an_earlier_version_is_served_by_the_new_role(tmp_path: pathlib.Path) -> None:
    server = embedded.start(tmp_path)
    assert await migrate(server.url)  # as when the owner served, too
    owner = await asyncpg.connect(server.url)
    await owner.execute("INSERT INTO account (email, currency, per_minute) VALUES ('old@example.com', 'USD', 60)")
    await owner.close()
    async with app.platform(config.load({}), tmp_path) as built:
        assert await built.database.fetchval("SELECT current_user::text") == "trunkline_server"
        assert not await built.database.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        assert await built.database.fetchval("SELECT email FROM account") == "old@example.com"
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await built.database.execute("CREATE TEMPORARY TABLE mine (n int)")
    server.release()
    embedded.wait_until_stopped(tmp_path)


def test_the_main_job_runs_with_it(trunkline: Trunkline, url: str) -> None:
    assert trunkline.environment["TRUNKLINE_DATABASE_OWNER_URL"] == url
    customer = trunkline.customer()
    assert trunkline("account", "show", customer.email)["balance"] == 5
    assert trunkline("audit", "verify")["ok"]
    assert trunkline("ledger", "verify")["ok"]


@pytest.mark.skipif(plain_server.programs() is None, reason="no PostgreSQL 15 or newer is installed")
def test_an_owner_of_its_own_serves_on_ones_own_postgresql_or_is_refused_where_that_is_too_old(
    tmp_path: pathlib.Path,
) -> None:
    async def prepare(url: str) -> int:
        connection = await asyncpg.connect(url)
        await connection.execute("CREATE ROLE serving LOGIN PASSWORD 'another'")
        version = connection.get_server_version().major
        await connection.close()
        return version

    (tmp_path / "plain").mkdir()
    with plain_server.running(tmp_path / "plain") as plain:
        version = asyncio.run(prepare(plain.url))
        host = plain.url.rpartition("@")[2]
        settings = {
            "TRUNKLINE_DATABASE_OWNER_URL": plain.url,
            "TRUNKLINE_DATABASE_URL": f"postgresql://serving:another@{host}",
        }
        made = Trunkline(dict(os.environ) | settings).run("account", "create", "a@example.com")
        if version >= 17:
            assert made.returncode == 0, made.stderr
        else:
            assert made.returncode == 1
            assert "PostgreSQL 17 or newer" in made.stderr
            assert made.stderr.count("\n") == 1
