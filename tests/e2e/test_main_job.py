"""The main job, as a customer does it: over HTTP, against the real server."""

import threading
import time
from typing import Any

import requests

from tests.conftest import Server, Trunkline


class Client:
    """A customer's HTTP client."""

    def __init__(self, server: Server, key: str) -> None:
        self.base = server.api
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["Authorization"] = f"Bearer {key}"

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.session.get(self.base + path, timeout=60, **options)

    def post(self, path: str, body: Any, **options: Any) -> requests.Response:
        return self.session.post(self.base + path, json=body, timeout=60, **options)

    def until_received(self, lease: Any) -> Any:
        """The status of a lease that has its text: a server shows what another process has done with a delay."""
        deadline = time.monotonic() + 30
        while (status := self.get(f"/numbers/status/{lease['activation_id']}").json()["data"])["status"] != "received":
            assert time.monotonic() < deadline, status
            time.sleep(0.02)
        return status


def test_a_leased_number_receives_its_code(server: Server, trunkline: Trunkline) -> None:
    client = Client(server, trunkline.customer().live_key)
    bought = client.post("/numbers/purchase", {"country": "US", "service": "whatsapp"}).json()["data"]
    assert bought["country"] == "us"
    assert bought["phone_number"].startswith("+1")
    assert client.get(f"/numbers/status/{bought['activation_id']}").json()["data"]["sms"] is None

    trunkline.sms(bought["phone_number"], "Your WhatsApp code: 847291")

    status = client.until_received(bought)
    assert status["sms"]["code"] == "847291"
    assert status["sms"]["full_text"] == "Your WhatsApp code: 847291"
    finished = client.post(f"/numbers/finish/{bought['activation_id']}", {"status": "completed"}).json()["data"]
    assert finished["status"] == "completed"
    assert finished["refund"] == 0
    assert client.get("/account").json()["data"]["balance"] == 4.90
    assert trunkline("ledger", "verify")["ok"]


def test_a_held_call_answers_when_the_text_arrives(server: Server, trunkline: Trunkline) -> None:
    client = Client(server, trunkline.customer().live_key)
    bought = client.post("/numbers/purchase", {"country": "us", "service": "whatsapp"}).json()["data"]
    sent = threading.Thread(target=trunkline.sms, args=(bought["phone_number"], "Your WhatsApp code: 111222"))
    sent.start()
    before = time.monotonic()
    held = client.get(f"/numbers/status/{bought['activation_id']}", params={"wait": 30}).json()["data"]
    assert held["sms"]["code"] == "111222"
    assert time.monotonic() - before < 29
    sent.join()


def test_a_cancelled_lease_is_refunded_whole(server: Server, trunkline: Trunkline) -> None:
    client = Client(server, trunkline.customer().live_key)
    bought = client.post("/numbers/purchase", {"country": "gb", "service": "telegram"}).json()["data"]
    assert client.get("/account").json()["data"]["held"] == 0.10
    cancelled = client.post(f"/numbers/finish/{bought['activation_id']}", {"status": "cancelled"}).json()["data"]
    assert cancelled["status"] == "cancelled"
    assert cancelled["refund"] == 0.10
    account = client.get("/account").json()["data"]
    assert (account["balance"], account["held"]) == (5.00, 0)
