"""A closed workload: customers who order, wait for a text, end their leases, and repeat what was not answered."""

import contextlib
import itertools
import json
import random
import threading
import time
from collections.abc import Callable
from typing import Any

import requests

from tests.faults.journal import Call, End, Journal

ANSWER_SECONDS = 30  # after which a caller gives up
TEXT_SECONDS = 120  # for a text to come
BACK_OFF_SECONDS = 0.1
IN_FLIGHT = "idempotency_in_flight"

_orders = itertools.count(1)
_codes = itertools.count(100_000)


class Shopper(threading.Thread):
    """Orders until it is told to stop: of its leases three in ten are cancelled, six get a text, one is left alone."""

    def __init__(self, api: str, key: str, journal: Journal, send: Callable[[str, str], None], seed: int) -> None:
        super().__init__(daemon=True)
        self._api = api
        self._journal = journal
        self._send = send
        self._chance = random.Random(seed)
        self._over = threading.Event()
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Authorization"] = f"Bearer {key}"
        self.failed: BaseException | None = None

    def stop(self) -> None:
        self._over.set()

    def run(self) -> None:
        try:
            while not self._over.is_set():
                self._shop()
        except BaseException as error:  # told by whoever waits for the thread
            self.failed = error
        finally:
            self._session.close()

    def _shop(self) -> None:
        order = f"order-{next(_orders)}"
        self._journal.orders[order] = None
        answer = self._insist("purchase", "POST", "/numbers/purchase", {"country": "ad", "service": "whatsapp"}, order)
        if answer is None:
            return
        assert answer.status_code == 200, answer.text
        self._journal.orders[order] = answer.content
        lease = answer.json()["data"]
        fate = self._chance.random()
        if fate < 0.3:
            self._finish(lease["activation_id"], "cancelled")
        elif fate < 0.9:
            code = str(next(_codes))
            self._journal.sent.append((lease["phone_number"], f"Your WhatsApp code: {code}"))
            self._send(*self._journal.sent[-1])
            if self._wait(lease["activation_id"], code) and fate < 0.6:
                self._finish(lease["activation_id"], "completed")

    def _wait(self, activation_id: str, code: str) -> bool:
        deadline = time.monotonic() + TEXT_SECONDS
        while time.monotonic() < deadline:
            answer = self._insist("wait", "GET", f"/numbers/status/{activation_id}?wait=5")
            if answer is None:
                return False
            assert answer.status_code == 200, answer.text
            sms = answer.json()["data"]["sms"]
            if sms is not None:
                assert sms["code"] == code, f"{activation_id} was sent {code} and shows {sms}"
                self._journal.codes.setdefault(activation_id, set()).add(code)
                return True
        raise AssertionError(f"no text came to {activation_id} within {TEXT_SECONDS} s")

    def _finish(self, activation_id: str, word: str) -> None:
        answer = self._insist("finish", "POST", f"/numbers/finish/{activation_id}", {"status": word})
        if answer is not None:
            assert answer.status_code == 200, answer.text
            self._journal.ends[activation_id] = End(word, answer.json()["data"]["refund"])

    def _insist(
        self, what: str, method: str, path: str, body: Any = None, key: str | None = None
    ) -> requests.Response | None:
        """The same call again until it is answered; None: it was not, and the round is over."""
        headers = {"Idempotency-Key": key} if key else {}
        while True:
            began = time.monotonic()
            answer = None
            with contextlib.suppress(requests.RequestException):
                answer = self._session.request(
                    method, self._api + path, json=body, headers=headers, timeout=ANSWER_SECONDS
                )
            status = answer.status_code if answer is not None else None
            self._journal.calls.append(Call(began, time.monotonic() - began, what, status))
            if answer is not None and answer.status_code < 500 and not is_in_flight(answer):
                return answer
            if self._over.wait(BACK_OFF_SECONDS):
                return None


def is_in_flight(answer: requests.Response) -> bool:
    """Whether the same call is being answered at this moment."""
    return answer.status_code == 409 and json.loads(answer.content)["code"] == IN_FLIGHT


class Crowd:
    """Shoppers at work, from ``with`` to its end."""

    def __init__(self, api: str, key: str, journal: Journal, send: Callable[[str, str], None], *, size: int) -> None:
        self._journal = journal
        self._shoppers = [Shopper(api, key, journal, send, seed) for seed in range(size)]

    def buys(self, more: int, seconds: float) -> None:
        """Returns when so many more purchases have succeeded; raises AssertionError where they do not in time."""
        deadline = time.monotonic() + seconds
        wanted = self._bought() + more
        while self._bought() < wanted:
            for shopper in self._shoppers:
                if shopper.failed is not None:
                    raise shopper.failed
            assert time.monotonic() < deadline, f"{wanted - self._bought()} purchases too few within {seconds:.0f} s"
            time.sleep(0.02)  # a tally of what other threads do

    def _bought(self) -> int:
        return sum(1 for _ in self._journal.purchases())

    def __enter__(self) -> "Crowd":
        for shopper in self._shoppers:
            shopper.start()
        return self

    def __exit__(self, *_: object) -> None:
        for shopper in self._shoppers:
            shopper.stop()
        for shopper in self._shoppers:
            shopper.join(ANSWER_SECONDS + TEXT_SECONDS)
        for shopper in self._shoppers:
            if shopper.failed is not None:
                raise shopper.failed
