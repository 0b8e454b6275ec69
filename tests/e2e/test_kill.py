"""What a customer and a carrier were told stays true, however often the server is killed while it tells them."""

import asyncio
import itertools
import json
import os
import pathlib
import queue
import random
import select
import shutil
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import asyncpg
import pytest
import requests

from tests.conftest import Customer, Serve, Server, Trunkline
from tests.e2e.resending import PATIENCE_SECONDS, ResendingSmsc
from trunkline.storage import vault

ROUNDS = 20
SHOPPERS = 4
TEXTS_EACH_ROUND = 40

pytestmark = pytest.mark.timeout(900)

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed; the SMSC is node-smpp")
needs_pidfd = pytest.mark.skipif(sys.platform != "linux", reason="a foreign process is waited for by its pidfd")


@pytest.fixture
def data_dir(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "data"


@pytest.fixture
def embedded(data_dir: pathlib.Path) -> dict[str, str]:
    """The settings of a product with its own database in a folder."""
    return {"TRUNKLINE_DATABASE_URL": "", "TRUNKLINE_DATA_DIR": str(data_dir)}


def command(trunkline: Trunkline, settings: dict[str, str]) -> Trunkline:
    return Trunkline(trunkline.environment | settings)


def session(key: str) -> requests.Session:
    made = requests.Session()
    made.trust_env = False
    made.headers["Authorization"] = f"Bearer {key}"
    return made


# Purchases


class Shop:
    """What customers have asked of a server, and what they heard."""

    def __init__(self, customer: Customer) -> None:
        self.key = customer.live_key
        self.asked: list[str] = []
        self.heard: dict[str, bytes] = {}
        self.news: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._orders = itertools.count(1)

    def order(self, client: requests.Session, server: Server, key: str) -> requests.Response:
        wanted = {"country": "us", "service": "whatsapp"}
        return client.post(server.api + "/numbers/purchase", json=wanted, headers={"Idempotency-Key": key}, timeout=30)

    def buy_until_it_dies(self, server: Server) -> None:
        with session(self.key) as client:
            while True:
                key = f"order-{next(self._orders)}"
                self.asked.append(key)
                try:
                    answer = self.order(client, server, key)
                except requests.RequestException:
                    return
                assert answer.status_code == 200, answer.text
                self.heard[key] = answer.content
                self.news.put(key)

    def ask_again(self, server: Server, keys: list[str]) -> None:
        """Every answer that was heard is heard again; the others are heard now."""
        with session(self.key) as client:
            for key in keys:
                deadline = time.monotonic() + PATIENCE_SECONDS
                while (answer := self.order(client, server, key)).status_code == 409:  # the killed one is being undone
                    assert time.monotonic() < deadline, answer.text
                assert answer.status_code == 200, answer.text
                assert self.heard.setdefault(key, answer.content) == answer.content

    def leases(self, server: Server) -> list[str]:
        with session(self.key) as client:
            found: list[str] = []
            parameters: dict[str, Any] = {"limit": 100}
            while True:
                page = client.get(server.api + "/numbers", params=parameters, timeout=30).json()
                found += [lease["activation_id"] for lease in page["data"]]
                if page["next_cursor"] is None:
                    return found
                parameters["cursor"] = page["next_cursor"]


def test_no_purchase_is_lost_or_made_twice_by_20_kills(
    serve: Serve, trunkline: Trunkline, embedded: dict[str, str]
) -> None:
    operator = command(trunkline, embedded)
    shop = Shop(operator.customer("10000.00", per_minute=1_000_000))
    before = 0
    for _ in range(ROUNDS):
        server = serve(**embedded)
        shop.ask_again(server, shop.asked[before:])
        before = len(shop.asked)
        with ThreadPoolExecutor(SHOPPERS) as shoppers:
            shopping = [shoppers.submit(shop.buy_until_it_dies, server) for _ in range(SHOPPERS)]
            for _ in range(random.randint(1, 25)):
                shop.news.get(timeout=PATIENCE_SECONDS)
            server.kill()
            for each in shopping:
                each.result()
    server = serve(**embedded)
    shop.ask_again(server, shop.asked)
    told = [json.loads(answer)["data"]["activation_id"] for answer in shop.heard.values()]
    assert len(set(told)) == len(shop.asked)
    assert sorted(shop.leases(server)) == sorted(told)
    books = operator("ledger", "verify")
    assert books["ok"], books["off"]
    assert books["held_micros"] == 100_000 * len(told)


# Texts


@needs_node
def test_no_text_is_lost_or_counted_twice_by_20_kills(
    serve: Serve, trunkline: Trunkline, url: str, tmp_path: pathlib.Path
) -> None:
    with ResendingSmsc.started() as smsc:
        north = {
            "TRUNKLINE_CARRIERS__NORTH__KIND": "smpp",
            "TRUNKLINE_CARRIERS__NORTH__URL": f"smpp://user:secret@127.0.0.1:{smsc.port}",
        }
        operator = command(trunkline, north)
        file = tmp_path / "numbers.csv"
        file.write_text("".join(f"+37630000{digit},ad\n" for digit in range(5)))
        operator("numbers", "import", str(file), "--carrier", "north")
        operator("service", "enable", "whatsapp")
        customer = operator.customer(per_minute=1_000_000)
        client = session(customer.live_key)
        leases: dict[str, str] = {}
        wanted: list[tuple[str, str]] = []
        for _ in range(ROUNDS):
            server = serve(**north)
            while len(leases) < 5:
                body = {"country": "ad", "service": "whatsapp"}
                lease = client.post(server.api + "/numbers/purchase", json=body, timeout=30).json()["data"]
                leases[lease["phone_number"]] = lease["activation_id"]
            for _ in range(TEXTS_EACH_ROUND):
                text = random.choice(list(leases)), f"Your WhatsApp code: {100_000 + len(wanted)}"
                wanted.append(text)
                smsc.send(*text)
            smsc.wait_for(random.randint(1, min(TEXTS_EACH_ROUND, len(wanted) - len(smsc.acknowledged))))
            server.kill()
            smsc.hear_out()
            assert set(smsc.acknowledged) <= set(asyncio.run(stored(url)))
        server = serve(**north)
        smsc.wait_for(len(wanted) - len(smsc.acknowledged))
        assert sorted(smsc.acknowledged) == sorted(wanted)
        assert sorted(asyncio.run(stored(url))) == sorted(wanted)
        distinct = Counter(to for to, _ in wanted)
        for number, activation_id in leases.items():
            status = client.get(f"{server.api}/numbers/status/{activation_id}", timeout=30).json()["data"]
            assert status["revision"] == distinct[number]
            assert [sms["revision"] for sms in status["messages"]] == list(range(1, distinct[number] + 1))
        books = operator("ledger", "verify")
        assert books["ok"], books["off"]
        assert (books["held_micros"], books["revenue_micros"]) == (0, 500_000)
        client.close()
        assert server.stop() == 0


async def stored(url: str) -> list[tuple[str, str]]:
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(
            "SELECT recipient, sealed, key FROM message JOIN text_key USING (key_id) WHERE activation_id IS NOT NULL"
        )
    finally:
        await connection.close()
    texts = [(row["recipient"], vault.unseal(row["key"], row["sealed"])) for row in rows]
    return [(recipient, text[0]) for recipient, text in texts if text]


# The embedded database, and a soft landing


def postmaster(data_dir: pathlib.Path) -> int:
    return int((data_dir / "postgres" / "data" / "postmaster.pid").read_text().splitlines()[0])


@needs_pidfd
@pytest.mark.parametrize("end", ["kill", "stop"])
def test_the_embedded_database_stops_when_its_last_user_ends(
    serve: Serve, trunkline: Trunkline, embedded: dict[str, str], data_dir: pathlib.Path, end: str
) -> None:
    first, second = serve(**embedded), serve(**embedded)
    database = os.pidfd_open(postmaster(data_dir))
    poll = select.poll()
    poll.register(database, select.POLLIN)
    getattr(first, end)()
    operator = command(trunkline, embedded)
    customer = operator.customer()
    assert poll.poll(0) == [], "the second server still uses it"
    with session(customer.live_key) as client:
        assert client.get(second.api + "/account", timeout=30).json()["data"]["balance"] == 5
    getattr(second, end)()
    assert poll.poll(PATIENCE_SECONDS * 1000), "it stops by itself"
    os.close(database)
    assert operator("account", "show", customer.email)["balance"] == 5  # and starts again for a command


def test_a_command_beside_a_running_server_uses_the_same_embedded_database(
    serve: Serve, trunkline: Trunkline, embedded: dict[str, str], data_dir: pathlib.Path
) -> None:
    server = serve(**embedded)
    database = postmaster(data_dir)
    operator = command(trunkline, embedded)
    customer = operator.customer()
    with session(customer.live_key) as client:
        body = {"country": "us", "service": "whatsapp"}
        lease = client.post(server.api + "/numbers/purchase", json=body, timeout=30).json()["data"]
        operator.sms(lease["phone_number"], "Your WhatsApp code: 847291")
        path = f"{server.api}/numbers/status/{lease['activation_id']}"
        assert client.get(path, timeout=30).json()["data"]["sms"]["code"] == "847291"
    assert operator("ledger", "verify")["ok"]
    assert postmaster(data_dir) == database


def test_sigterm_answers_the_calls_that_are_held_and_exits_0(serve: Serve, trunkline: Trunkline) -> None:
    server = serve()
    customer = trunkline.customer()
    with session(customer.live_key) as client, ThreadPoolExecutor(8) as callers:
        body = {"country": "us", "service": "whatsapp"}
        lease = client.post(server.api + "/numbers/purchase", json=body, timeout=30).json()["data"]
        path = f"{server.api}/numbers/status/{lease['activation_id']}"
        ready = threading.Barrier(9)

        def hold() -> requests.Response:
            with session(customer.live_key) as caller:
                caller.get(path, timeout=30)
                ready.wait()
                return caller.get(path, params={"wait": 30}, timeout=60)

        held = [callers.submit(hold) for _ in range(8)]
        ready.wait()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while "\ntrunkline_held_calls 8.0\n" not in client.get(f"{server.base}/metrics", timeout=30).text:
            assert time.monotonic() < deadline
        started = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - started < 25, "it did not wait for the calls to run their time"
        for call in held:
            answer = call.result()
            assert (answer.status_code, answer.json()["data"]["status"]) == (200, "waiting")
    with pytest.raises(requests.ConnectionError):
        requests.get(server.base, timeout=5)
