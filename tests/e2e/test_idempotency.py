"""One Idempotency-Key is one purchase, however often the server is killed between the calls that carry it."""

import json
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.conftest import Serve, Server, Trunkline

ROUNDS = 20
KEYS_EACH_ROUND = 4
CALLERS_OF_A_KEY = 2
PATIENCE_SECONDS = 120.0
WANTED = {"country": "us", "service": "whatsapp"}


class Shop:
    """A server that is killed now and then, and is there again after a moment."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._open = threading.Event()
        self._open.set()
        self._server = serve()

    def restart(self) -> None:
        self._open.clear()
        self._server.kill()
        self._server = self._serve()
        self._open.set()

    def server(self) -> Server:
        """The server of now, once it is there."""
        assert self._open.wait(PATIENCE_SECONDS)
        return self._server


def buy(shop: Shop, secret: str, key: str) -> tuple[bytes, int]:
    """Asks until it is answered; the answer, and how many calls broke."""
    headers = {"Authorization": f"Bearer {secret}", "Idempotency-Key": key}
    broken = 0
    while True:
        try:
            answer = requests.post(shop.server().api + "/numbers/purchase", json=WANTED, headers=headers, timeout=30)
        except requests.RequestException:
            broken += 1
            continue
        if answer.status_code == 200:
            return answer.content, broken
        assert answer.status_code == 409, answer.text
        assert answer.json()["code"] == "idempotency_in_flight"  # for the other caller, or for one that was cut off


@pytest.mark.timeout(900)
def test_a_purchase_that_is_said_until_it_is_answered_is_one_lease_and_one_hold(
    serve: Serve, trunkline: Trunkline
) -> None:
    customer = trunkline.customer("1000.00", per_minute=1_000_000)
    shop = Shop(serve)
    told: dict[str, bytes] = {}
    broken = 0
    rounds = 0
    while rounds < ROUNDS or broken <= ROUNDS:  # until enough kills have met calls
        assert rounds < 5 * ROUNDS, broken
        rounds += 1
        keys = [f"round {rounds}, order {order}" for order in range(KEYS_EACH_ROUND)]
        with ThreadPoolExecutor(KEYS_EACH_ROUND * CALLERS_OF_A_KEY) as callers:
            calls = [(key, callers.submit(buy, shop, customer.live_key, key)) for key in keys * CALLERS_OF_A_KEY]
            threading.Event().wait(random.uniform(0, 0.1))  # before, while or after they are answered
            shop.restart()
            for key, call in calls:
                answer, times = call.result()
                assert told.setdefault(key, answer) == answer
                broken += times
    leases = {json.loads(answer)["data"]["activation_id"] for answer in told.values()}
    assert len(leases) == len(told) == rounds * KEYS_EACH_ROUND
    listed: list[str] = []
    cursor = None
    while cursor is not None or not listed:
        page = requests.get(
            shop.server().api + "/numbers",
            params={"limit": 100} | ({"cursor": cursor} if cursor else {}),
            headers={"Authorization": f"Bearer {customer.live_key}"},
            timeout=30,
        ).json()
        listed += [lease["activation_id"] for lease in page["data"]]
        cursor = page["next_cursor"]
    assert sorted(listed) == sorted(leases)
    books = trunkline("ledger", "verify")
    assert books["ok"], books["off"]
    assert books["held_micros"] == 100_000 * len(leases)
