"""A PostgreSQL of one's own: the main job on it, and what happens while it is away."""

import asyncio
import pathlib
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest
import pytest_asyncio
import requests

from tests.conftest import Serve, Server, Trunkline
from tests.storage import plain_server
from tests.storage.plain_server import PlainServer
from trunkline.storage.database import Database, DatabaseAway

pytestmark = pytest.mark.skipif(plain_server.programs() is None, reason="no PostgreSQL 15 or newer is installed")


@pytest.fixture
def plain(tmp_path: pathlib.Path) -> Iterator[PlainServer]:
    folder = tmp_path / "plain"
    folder.mkdir()
    with plain_server.running(folder) as server:
        yield server


@pytest.fixture
def url(plain: PlainServer) -> str:
    """Takes the place of the embedded server for what is in this module."""
    return plain.url


@pytest_asyncio.fixture
async def database(url: str) -> AsyncIterator[Database]:
    opened = await Database.open(url, connections=4)
    yield opened
    await opened.close()


def _purchase(server: Server, key: str) -> requests.Response:
    return requests.post(
        f"{server.api}/numbers/purchase",
        json={"country": "us", "service": "whatsapp"},
        headers={"Authorization": f"Bearer {key}"},
        timeout=60,
    )


def test_the_main_job_runs_on_a_server_of_ones_own(trunkline: Trunkline, serve: Serve) -> None:
    key = trunkline.customer().live_key
    server = serve("--workers", "2")
    lease = _purchase(server, key).json()["data"]
    assert trunkline.sms(lease["phone_number"], "Your WhatsApp code: 847291")["outcome"] == "delivered"
    status = requests.get(
        f"{server.api}/numbers/status/{lease['activation_id']}", headers={"Authorization": f"Bearer {key}"}, timeout=60
    )
    assert status.json()["data"]["sms"]["code"] == "847291"
    assert trunkline("ledger", "verify")["ok"]
    assert server.stop() == 0


def test_while_the_database_is_away_callers_hear_503_and_afterwards_all_is_well(
    plain: PlainServer, trunkline: Trunkline, serve: Serve
) -> None:
    key = trunkline.customer().live_key
    server = serve()
    assert _purchase(server, key).status_code == 200
    plain.stop()
    away = _purchase(server, key)
    assert away.status_code == 503
    assert away.json()["code"] == "database_away"
    assert away.headers["content-type"] == "application/problem+json"
    plain.start()
    assert _purchase(server, key).status_code == 200
    assert trunkline("ledger", "verify")["ok"]


@pytest.mark.asyncio
async def test_a_pool_leaves_a_server_that_has_become_read_only(plain: PlainServer, database: Database) -> None:
    pids = {row["pid"] for row in await database.fetch("SELECT pg_backend_pid() AS pid")}
    administrator = await asyncpg.connect(plain.url)
    await database.execute("CREATE TABLE written (n int)")
    await database.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")  # as a demoted primary behaves
    with pytest.raises(DatabaseAway):
        await database.execute("INSERT INTO written VALUES (1)")
    await database.execute("INSERT INTO written VALUES (2)")
    assert pids.isdisjoint({row["pid"] for row in await database.fetch("SELECT pg_backend_pid() AS pid")})
    assert await database.ping()
    await administrator.close()


@pytest.mark.asyncio
async def test_connections_whose_backend_was_ended_are_not_used_again(plain: PlainServer, database: Database) -> None:
    administrator = await asyncpg.connect(plain.url)
    await asyncio.gather(*(database.fetchval("SELECT 1") for _ in range(4)))
    await administrator.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
    failures = 0
    for _ in range(6):
        try:
            assert await database.fetchval("SELECT 1") == 1
        except DatabaseAway:
            failures += 1
    assert failures <= 1  # the first to notice tells the pool
    await administrator.close()


@pytest.mark.asyncio
async def test_a_statement_that_loses_a_deadlock_is_run_again(database: Database) -> None:
    await database.execute("CREATE TABLE pair (id int PRIMARY KEY, n int NOT NULL)")
    await database.execute("INSERT INTO pair VALUES (1, 0), (2, 0)")
    await database.execute("""
        CREATE FUNCTION each_of_two(first int, second int) RETURNS void LANGUAGE plpgsql AS $$
        BEGIN
            UPDATE pair SET n = n + 1 WHERE id = first;
            PERFORM pg_sleep(0.2);
            UPDATE pair SET n = n + 1 WHERE id = second;
        END $$""")
    await asyncio.gather(database.execute("SELECT each_of_two(1, 2)"), database.execute("SELECT each_of_two(2, 1)"))
    assert [row["n"] for row in await database.fetch("SELECT n FROM pair ORDER BY id")] == [2, 2]
