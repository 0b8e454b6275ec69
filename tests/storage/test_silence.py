"""A database that says nothing: callers hear 503 within seconds, and all is well soon after it speaks again.

Bounds are twice what the product promises, for machines that are slow.
"""

import asyncio
import concurrent.futures
import pathlib
import threading
import time
from collections.abc import Callable, Iterator

import asyncpg
import pytest
import requests

from tests.conftest import Serve, Server, Trunkline
from tests.database_line import Line
from tests.storage import plain_server
from tests.storage.plain_server import PlainServer
from trunkline.accounts import bulkheads
from trunkline.errors import Unavailable
from trunkline.storage import breaker
from trunkline.storage.database import SERVING, Database, DatabaseAway

SLACK = 2  # times what is promised
MOST_SECONDS = SERVING.seconds * SLACK
SECONDS = 60

pytestmark = pytest.mark.skipif(plain_server.programs() is None, reason="no PostgreSQL 15 or newer is installed")


@pytest.fixture
def plain(tmp_path: pathlib.Path) -> Iterator[PlainServer]:
    folder = tmp_path / "plain"
    folder.mkdir()
    with plain_server.running(folder) as server:
        yield server


def buy(server: Server, key: str) -> requests.Response:
    return requests.post(
        f"{server.api}/numbers/purchase", json={"country": "us", "service": "whatsapp"},
        headers={"Authorization": f"Bearer {key}"}, timeout=SECONDS,
    )  # fmt: skip


def account(server: Server, key: str) -> requests.Response:
    return requests.get(f"{server.api}/account", headers={"Authorization": f"Bearer {key}"}, timeout=SECONDS)


class Callers:
    """Call one after the other until they are told to stop; what each heard, and how long that took."""

    def __init__(self, *calls: Callable[[], requests.Response]) -> None:
        self._stop = threading.Event()
        self.heard: list[tuple[float, int]] = []
        self._pool = concurrent.futures.ThreadPoolExecutor(len(calls))
        self._running = [self._pool.submit(self._go_on, call) for call in calls]

    def _go_on(self, call: Callable[[], requests.Response]) -> None:
        while not self._stop.is_set():
            began = time.monotonic()
            status = call().status_code
            self.heard.append((time.monotonic() - began, status))
            self._stop.wait(0.02)

    def stop(self) -> list[tuple[float, int]]:
        self._stop.set()
        for each in self._running:
            each.result()
        self._pool.shutdown()
        return self.heard


def until(is_true: Callable[[], bool]) -> float:
    began = time.monotonic()
    while not is_true():
        assert time.monotonic() - began < SECONDS
        time.sleep(0.05)
    return time.monotonic() - began


def test_while_every_process_of_the_database_stands_still_each_call_is_answered_within_seconds(
    plain: PlainServer, trunkline: Trunkline, serve: Serve
) -> None:
    trunkline.environment |= {"TRUNKLINE_DATABASE_URL": plain.url, "TRUNKLINE_DATABASE_OWNER_URL": ""}
    key = trunkline.customer(per_minute=100_000).live_key
    server = serve()
    assert buy(server, key).status_code == 200
    plain.freeze()
    callers = Callers(*[lambda: buy(server, key)] * 4, *[lambda: account(server, key)] * 4)
    until(lambda: "database away: no answer" in server.log.read_text())
    time.sleep(1)
    open_circuit = [buy(server, key) for _ in range(20)]
    assert requests.get(f"{server.base}/healthz", timeout=SECONDS).status_code == 200
    assert requests.get(f"{server.base}/readyz", timeout=SECONDS).status_code == 503
    plain.thaw()
    until(lambda: buy(server, key).status_code == 200)
    heard = callers.stop()
    assert max(seconds for seconds, _ in heard) < MOST_SECONDS
    assert {status for _, status in heard} <= {200, 503}
    assert {answer.status_code for answer in open_circuit} == {503}
    assert open_circuit[-1].json()["code"] == "database_away"
    assert "Traceback" not in server.log.read_text()
    assert trunkline("ledger", "verify")["ok"]
    assert server.stop() == 0


@pytest.mark.asyncio
async def test_when_open_connections_fall_silent_new_ones_take_over(
    url: str, trunkline: Trunkline, serve: Serve
) -> None:
    customer = await asyncio.to_thread(lambda: trunkline.customer(per_minute=100_000))
    key = customer.live_key
    async with Line.laid(url) as line:
        server = await asyncio.to_thread(lambda: serve(TRUNKLINE_DATABASE_URL=line.url))
        callers = Callers(*[lambda: buy(server, key)] * 3, *[lambda: account(server, key)] * 3)
        await asyncio.to_thread(until, lambda: len(callers.heard) > 30)
        line.hush()
        began, before = time.monotonic(), len(callers.heard)
        await asyncio.to_thread(until, lambda: any(status == 503 for _, status in callers.heard[before:]))
        after = len(callers.heard)
        await asyncio.to_thread(until, lambda: sum(status == 200 for _, status in callers.heard[after:]) > 10)
        healed = time.monotonic() - began
        heard = await asyncio.to_thread(callers.stop)
        assert await asyncio.to_thread(server.stop) == 0
    assert healed < 4 * MOST_SECONDS, "a lost transaction does not keep the row of a balance for longer"
    assert max(seconds for seconds, _ in heard) < MOST_SECONDS
    assert {status for _, status in heard} <= {200, 503}
    assert (await asyncio.to_thread(trunkline, "ledger", "verify"))["ok"]


@pytest.mark.asyncio
async def test_the_circuit_opens_for_calls_under_way_and_closes_with_the_first_answer(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breaker, "SILENT_SECONDS", 1.0)
    async with Line.laid(url) as line:
        database = await Database.open(line.url, connections=4)
        try:
            await asyncio.gather(*(database.fetchval("SELECT pg_sleep(0.1)") for _ in range(4)))
            slow = [asyncio.create_task(database.fetchval("SELECT pg_sleep(30)")) for _ in range(4)]
            waiting = [asyncio.create_task(database.fetchval("SELECT 1")) for _ in range(8)]
            line.swallow_answers(0)
            for given_up in await asyncio.gather(*slow, *waiting, return_exceptions=True):
                assert isinstance(given_up, DatabaseAway)
            assert not database.takes_writes
            began = time.monotonic()
            for _ in range(100):
                with pytest.raises(DatabaseAway):
                    await database.fetchval("SELECT 1")
            assert time.monotonic() - began < breaker.SILENT_SECONDS
            line.cut()
            line.mend()
            async with asyncio.timeout(SECONDS):
                while not await database.ping():
                    await asyncio.sleep(0.05)
        finally:
            await database.close()


@pytest.mark.asyncio
async def test_a_transaction_whose_client_is_lost_gives_its_locks_back(url: str) -> None:
    async with Line.laid(url) as line:
        lost, other = await Database.open(line.url), await Database.open(url)
        await other.execute("CREATE TABLE purse (micros int)")
        await other.execute("INSERT INTO purse VALUES (5)")
        refused = 0

        async def lose() -> None:
            nonlocal refused
            async with lost.transaction() as connection:
                await connection.execute("UPDATE purse SET micros = 4")
                line.hush()
                while True:
                    try:
                        await other.execute("UPDATE purse SET micros = micros - 1")
                        break
                    except Unavailable:
                        refused += 1
                await connection.execute("UPDATE purse SET micros = 3")

        with pytest.raises(DatabaseAway):
            await lose()
        assert 1 <= refused <= SERVING.idle_seconds / SERVING.lock_seconds * SLACK
        assert await other.fetchval("SELECT micros FROM purse") == 4
        await lost.close()
        await other.close()


@pytest.mark.asyncio
async def test_whoever_waits_for_a_lock_hears_503_soon_and_others_do_not_wait(
    url: str, trunkline: Trunkline, serve: Serve
) -> None:
    first, second = [await asyncio.to_thread(trunkline.customer) for _ in range(2)]
    server = await asyncio.to_thread(serve)
    connection = await asyncpg.connect(url)
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute(
        "SELECT FROM balance WHERE account_id = $1 FOR UPDATE", int(first.account_id.removeprefix("acc_"))
    )
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(20) as shoppers:
        buying = [shoppers.submit(buy, server, first.live_key) for _ in range(20)]
        answers = [await asyncio.wrap_future(each) for each in buying]
    # Four of an account are at work at a time; of the others some wait for their turn in vain.
    assert {answer.status_code for answer in answers} <= {429, 503}
    assert time.monotonic() - began < MOST_SECONDS + bulkheads.QUEUE_SECONDS
    assert (await asyncio.to_thread(account, server, second.live_key)).status_code == 200
    await transaction.rollback()
    await connection.close()
    assert (await asyncio.to_thread(buy, server, first.live_key)).status_code == 200
