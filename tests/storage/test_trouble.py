"""What a database in trouble is to a caller: 503, one line in the log, and not ready until it stores again."""

import asyncio

import asyncpg
import pytest
import requests

from tests.conftest import Serve, Server, Trunkline
from tests.house import data, opened, problem
from trunkline.errors import Unavailable
from trunkline.storage import breaker
from trunkline.storage.database import Database, DatabaseAway

SECONDS = 60


async def raising(connection: "asyncpg.Connection[asyncpg.Record]", state: str) -> None:
    """From now on, a purchase ends as if the server had met this."""
    await connection.execute(f"""
        CREATE OR REPLACE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'could not extend file "base/1/2"' USING ERRCODE = '{state}'; END $$;
        CREATE OR REPLACE TRIGGER fail BEFORE INSERT ON activation EXECUTE FUNCTION fail()""")


def buy(server: Server, key: str) -> requests.Response:
    order = {"country": "us", "service": "whatsapp"}
    headers = {"Authorization": f"Bearer {key}"}
    return requests.post(f"{server.api}/numbers/purchase", json=order, headers=headers, timeout=SECONDS)


@pytest.mark.asyncio
@pytest.mark.parametrize("state", ["53100", "53200", "53400", "58030", "53300", "57P01", "57P03", "25006", "08006"])
async def test_each_way_of_being_away_is_503(url: str, state: str, caplog: pytest.LogCaptureFixture) -> None:
    async with opened(url) as house:
        buyer = await house.buyer()
        await house.stock(1)
        connection = await asyncpg.connect(url)
        await raising(connection, state)
        for _ in range(5):
            assert problem(await buyer.order(), 503, "database_away")
        await connection.execute("DROP TRIGGER fail ON activation")
        await connection.close()
        assert data(await buyer.order())
    assert "Traceback" not in caplog.text
    assert len([each for each in caplog.records if each.name == "trunkline.storage"]) == 1


@pytest.mark.asyncio
async def test_a_server_is_not_ready_from_a_full_disk_until_something_can_be_stored(
    url: str, serve: Serve, trunkline: Trunkline
) -> None:
    customer = await asyncio.to_thread(trunkline.customer)
    server = await asyncio.to_thread(serve)

    def ready() -> int:
        return requests.get(f"{server.base}/readyz", timeout=SECONDS).status_code

    async def until(status: int) -> None:
        async with asyncio.timeout(SECONDS):
            while await asyncio.to_thread(ready) != status:
                await asyncio.sleep(0.1)

    connection = await asyncpg.connect(url)
    await raising(connection, "53100")
    await connection.execute("""
        CREATE FUNCTION full_disk() RETURNS event_trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'no space left on device' USING ERRCODE = '53100'; END $$;
        CREATE EVENT TRIGGER full_disk ON ddl_command_start WHEN tag IN ('CREATE TABLE AS')
            EXECUTE FUNCTION full_disk()""")
    await until(200)
    assert (await asyncio.to_thread(buy, server, customer.live_key)).status_code == 503
    await until(503)
    assert (await asyncio.to_thread(requests.get, f"{server.base}/healthz", timeout=SECONDS)).status_code == 200
    await connection.execute("DROP TRIGGER fail ON activation; DROP EVENT TRIGGER full_disk")
    await connection.close()
    await until(200)
    assert (await asyncio.to_thread(buy, server, customer.live_key)).status_code == 200
    assert "Traceback" not in server.log.read_text()


@pytest.mark.asyncio
async def test_a_disk_without_room_is_noticed_though_nobody_writes(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(breaker, "WRITE_SECONDS", 0.1)
    monkeypatch.setattr(breaker, "UNSURE_SECONDS", 0.1)
    database = await Database.open(url)

    async def until(takes: bool) -> None:
        async with asyncio.timeout(SECONDS):
            while database.takes_writes != takes:
                await asyncio.sleep(0.05)

    monkeypatch.setattr(breaker, "WRITE", "DO $$ BEGIN RAISE EXCEPTION 'no space left' USING ERRCODE = '53100'; END $$")
    await until(False)
    assert not await database.ping()
    monkeypatch.undo()
    await until(True)
    assert await database.ping()
    await database.close()


@pytest.mark.asyncio
async def test_when_all_connections_are_in_use_callers_hear_so_in_time(url: str) -> None:
    database = await Database.open(url, connections=2)
    busy = [asyncio.create_task(database.fetchval("SELECT pg_sleep(4)")) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="Too many calls wait") as refused:
        await database.fetchval("SELECT 1")
    assert not isinstance(refused.value, DatabaseAway)
    await asyncio.gather(*busy)
    assert await database.fetchval("SELECT 1") == 1
    await database.close()


@pytest.mark.asyncio
async def test_what_may_take_long_has_a_budget_of_its_own(url: str) -> None:
    database = await Database.open(url)
    async with database.transaction(seconds=60) as connection:
        assert await connection.fetchval("SHOW statement_timeout") == "54s"
        await connection.execute("SELECT pg_sleep(5.5)")
    with pytest.raises(Unavailable, match="too long"):
        await database.execute("SELECT pg_sleep(5.5)")
    assert await database.fetchval("SHOW statement_timeout") == "4500ms"
    await database.close()
