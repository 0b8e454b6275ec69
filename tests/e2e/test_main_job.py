"""The main job, as a customer does it: over HTTP, against the real server."""

import threading
import time

from tests.conftest import Server, Trunkline
from tests.e2e.client import Client


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
