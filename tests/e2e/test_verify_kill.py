"""What an app was told of its codes stays true, however often the server is killed while it sends them."""

import itertools
import json
import os
import pathlib
import queue
import shutil
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.conftest import Serve, Server, Trunkline

ROOT = pathlib.Path(__file__).parents[2]
ROUNDS = int(os.environ.get("KILLS", "8"))
APPS = 3
STARTS_EACH_ROUND = 25
PATIENCE_SECONDS = 120

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed; the SMSC is node-smpp"),
]


class Smsc:
    """node-smpp in a process of its own, which takes every text, sends a receipt, and outlives the server."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.submits: Counter[str] = Counter()  # by recipient
        assert process.stdout is not None
        self.port = json.loads(process.stdout.readline())["port"]
        assert process.stdin is not None
        process.stdin.write('{"do": "on_submit", "ids": "hex", "receipt": "after"}\n')
        process.stdin.flush()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            event = json.loads(line)
            if event["event"] == "submit":
                self.submits["+" + event["destination_addr"]] += 1


@pytest.fixture
def smsc() -> Iterator[Smsc]:
    peer = ROOT / "tests" / "carriers" / "peers" / "smsc.js"
    environment = {**os.environ, "NODE_PATH": str(ROOT / ".cache" / "node" / "node_modules")}
    with subprocess.Popen(
        ["node", str(peer)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
    ) as process:
        yield Smsc(process)
        process.kill()


@pytest.fixture
def settings(tmp_path: pathlib.Path, smsc: Smsc) -> dict[str, str]:
    file = tmp_path / "settings.toml"
    file.write_text(f"""
[carriers.north]
kind = "smpp"
url = "smpp://user:secret@localhost:{smsc.port}"
reconnect_max_seconds = 1
[verify]
countries = ["de"]
routes = [{{ prefix = "+49", carrier = "north" }}]
[verify.guard]
shadow = ["prefix_volume", "velocity", "spend_prefix", "spend_country", "spend_profile", "spend_account"]
""")
    return {"TRUNKLINE_CONFIG": str(file)}


class Apps:
    """What apps have asked of a server, and what they heard: verification by number."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._lines = itertools.count(1_000_001)
        self.heard: dict[str, str] = {}
        self.news: queue.SimpleQueue[str] = queue.SimpleQueue()

    def session(self) -> requests.Session:
        made = requests.Session()
        made.trust_env = False
        made.headers["Authorization"] = f"Bearer {self._key}"
        return made

    def start_until_it_dies(self, server: Server) -> None:
        with self.session() as client:
            while True:
                number = f"+4915{next(self._lines):09d}"
                try:
                    answer = client.post(server.api + "/verifications", json={"phone_number": number}, timeout=30)
                except requests.RequestException:
                    return
                assert answer.status_code == 200, answer.text
                self.heard[number] = answer.json()["data"]["verification_id"]
                self.news.put(number)


def test_every_start_that_was_acknowledged_is_sent_once_or_honestly_unknown(
    serve: Serve, trunkline: Trunkline, settings: dict[str, str], smsc: Smsc
) -> None:
    apps = Apps(trunkline.customer("10000.00", per_minute=1_000_000).live_key)
    for _ in range(ROUNDS):
        server = serve(**settings)
        with ThreadPoolExecutor(APPS) as pool:
            running = [pool.submit(apps.start_until_it_dies, server) for _ in range(APPS)]
            for _ in range(STARTS_EACH_ROUND):
                apps.news.get(timeout=PATIENCE_SECONDS)
            server.kill()
            for each in running:
                each.result()
    server = serve(**settings)
    ends: Counter[str] = Counter()
    with apps.session() as client:
        for number, verification in apps.heard.items():
            deadline = time.monotonic() + PATIENCE_SECONDS
            while True:
                shown = client.get(f"{server.api}/verifications/{verification}", timeout=30).json()["data"]
                [send] = shown["sends"]
                if send["state"] not in ("queued", "submitting", "sent") or time.monotonic() > deadline:
                    break
                if send["state"] == "sent" and smsc.submits[number]:
                    break  # its receipt may have come while nobody was there
                time.sleep(0.05)  # there is no event to await: the state is the server's
            ends[send["state"]] += 1
            assert smsc.submits[number] <= 1, f"{number} was sent twice: {send}"
            if send["state"] in ("sent", "delivered"):
                assert smsc.submits[number] == 1, send
            else:
                assert send["state"] == "unknown" or shown["status"] == "expired", send
    assert len(apps.heard) >= ROUNDS * STARTS_EACH_ROUND
    assert ends["delivered"] > len(apps.heard) / 2, ends
    assert trunkline("ledger", "verify")["ok"]


def test_an_api_and_a_carrier_in_processes_of_their_own_bring_a_code_to_its_number(
    serve: Serve, trunkline: Trunkline, settings: dict[str, str], smsc: Smsc
) -> None:
    api = serve("--role", "api", **settings)
    serve("--role", "carrier", **settings)
    with Apps(trunkline.customer().live_key).session() as client:
        started = client.post(api.api + "/verifications", json={"phone_number": "+4915123456789"}, timeout=30).json()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            address = f"{api.api}/verifications/{started['data']['verification_id']}"
            [send] = client.get(address, timeout=30).json()["data"]["sends"]
            if send["state"] == "delivered" or time.monotonic() > deadline:
                break
            time.sleep(0.05)  # there is no event to await: the state is the servers'
    assert (send["state"], smsc.submits) == ("delivered", {"+4915123456789": 1})
