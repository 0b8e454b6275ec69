"""A server that is told to end: nobody who is being answered, or has just asked, is cut off."""

import http.client
import os
import signal
import threading
import time
import urllib.parse
from collections import Counter

import pytest
import requests

from tests.conftest import END_SECONDS, Serve, Server, Trunkline

SECONDS = 60


class Callers:
    """Call without pause until nobody listens any more, and count what they get."""

    def __init__(self, server: Server, key: str, *, keep_alive: bool, count: int = 16) -> None:
        parts = urllib.parse.urlsplit(server.base)
        self.host, self.port = str(parts.hostname), parts.port
        self.headers = {"Authorization": f"Bearer {key}"}
        self.keep_alive = keep_alive
        self.seen: Counter[str] = Counter()
        self.threads = [threading.Thread(target=self.call) for _ in range(count)]
        for thread in self.threads:
            thread.start()

    def call(self) -> None:
        line = http.client.HTTPConnection(self.host, self.port, timeout=SECONDS)
        while True:
            if line.sock is None:
                try:
                    line.connect()
                except ConnectionRefusedError:  # nothing was asked: nothing is lost
                    self.seen["nobody there"] += 1
                    return
                except ConnectionResetError:
                    self.seen["cut off"] += 1
                    return
            try:
                line.request("GET", "/api/v1/account", headers=self.headers)
                answer = line.getresponse()
                answer.read()
                self.seen[str(answer.status)] += 1
            except (OSError, http.client.HTTPException):
                self.seen["cut off"] += 1
                return
            if not self.keep_alive:
                line.close()

    def end(self) -> Counter[str]:
        for thread in self.threads:
            thread.join(END_SECONDS)
            assert not thread.is_alive()
        return self.seen


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("keep_alive", [True, False], ids=["kept connections", "a connection for each call"])
def test_of_callers_without_pause_nobody_is_cut_off(
    serve: Serve, trunkline: Trunkline, workers: str, *, keep_alive: bool
) -> None:
    key = trunkline.customer(per_minute=1_000_000).live_key
    server = serve(
        "--workers", workers, TRUNKLINE_SERVER__LAME_DUCK_SECONDS="1",
        TRUNKLINE_SERVER__ACCOUNT_REQUESTS_PER_MINUTE="1000000",
    )  # fmt: skip
    callers = Callers(server, key, keep_alive=keep_alive)
    while callers.seen["200"] < 50:
        time.sleep(0.01)
    assert server.stop() == 0
    seen = callers.end()
    assert seen["cut off"] == 0, seen
    assert seen["nobody there"] == 16


def test_it_says_at_once_that_it_is_going_and_answers_everybody_for_the_last_time(
    serve: Serve, trunkline: Trunkline
) -> None:
    key = {"Authorization": f"Bearer {trunkline.customer().live_key}"}
    server = serve(TRUNKLINE_SERVER__LAME_DUCK_SECONDS="5")
    kept = requests.Session()
    assert "connection" not in kept.get(server.base + "/readyz", timeout=SECONDS).headers
    server.process.send_signal(signal.SIGTERM)
    while "process" not in (answer := kept.get(server.base + "/readyz", timeout=SECONDS)).json().get("amiss", {}):
        time.sleep(0.01)
    assert answer.status_code == 503
    assert answer.json()["amiss"] == {"process": "It is being stopped."}
    assert answer.headers["connection"] == "close"
    assert int(answer.headers["retry-after"]) >= 1
    answer = requests.get(server.api + "/account", headers=key, timeout=SECONDS)  # on a new connection
    assert (answer.status_code, answer.headers["connection"]) == (200, "close")
    server.process.send_signal(signal.SIGTERM)  # said again
    assert server.process.wait(END_SECONDS) == 0


def test_held_calls_end_and_impatience_changes_nothing(serve: Serve, trunkline: Trunkline) -> None:
    key = {"Authorization": f"Bearer {trunkline.customer().live_key}"}
    server = serve(TRUNKLINE_SERVER__LAME_DUCK_SECONDS="1")
    order = {"country": "us", "service": "whatsapp"}
    lease = requests.post(server.api + "/numbers/purchase", json=order, headers=key, timeout=SECONDS).json()["data"]
    got: list[requests.Response] = []
    path = f"/numbers/status/{lease['activation_id']}?wait=30&after_revision=0"
    waiting = threading.Thread(target=lambda: got.append(requests.get(server.api + path, headers=key, timeout=SECONDS)))
    waiting.start()
    while "trunkline_held_calls 1" not in requests.get(server.base + "/metrics", timeout=SECONDS).text:
        time.sleep(0.05)
    while server.process.poll() is None:
        os.kill(server.process.pid, signal.SIGTERM)
        time.sleep(0.05)
    waiting.join(SECONDS)
    assert server.process.returncode == 0
    assert [(each.status_code, each.json()["data"]["status"]) for each in got] == [(200, "waiting")]


def test_every_address_takes_callers_of_ipv4_too(serve: Serve) -> None:
    server = serve("--host", "::")
    port = urllib.parse.urlsplit(server.base).port
    for host in ("127.0.0.1", "[::1]"):
        assert requests.get(f"http://{host}:{port}/healthz", timeout=SECONDS).text == "ok"
