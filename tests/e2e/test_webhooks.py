"""Webhooks as a customer receives them: over HTTP, checked by the official libraries of Standard Webhooks."""

import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from tests.conftest import Serve, Trunkline
from tests.e2e.client import Client
from tests.receiver import Posted, receiving

ROOT = pathlib.Path(__file__).parents[2]
ANOTHER_SECRET = "whsec_MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0"

Check = Callable[[str, Posted], Any]  # what a webhook says; None where it is refused


def python(secret: str, posted: Posted) -> Any:
    try:
        return Webhook(secret).verify(posted.body, posted.headers)
    except WebhookVerificationError:
        return None


@pytest.fixture
def javascript() -> Iterator[Check]:
    with subprocess.Popen(
        ["node", str(pathlib.Path(__file__).parent / "peers" / "verify_webhooks.js")],
        env={"PATH": os.environ["PATH"], "NODE_PATH": str(ROOT / ".cache" / "node" / "node_modules")},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
    ) as node:  # fmt: skip
        assert node.stdin is not None
        assert node.stdout is not None
        to, back = node.stdin, node.stdout

        def check(secret: str, posted: Posted) -> Any:
            to.write(json.dumps({"secret": secret, "headers": posted.headers, "body": posted.body.decode()}) + "\n")
            answer = json.loads(back.readline())
            assert answer.keys() == {"payload"} or answer == {"refused": "WebhookVerificationError"}
            return answer.get("payload")

        yield check


@pytest.fixture
def check(request: pytest.FixtureRequest) -> Check:
    """By both libraries, where Node is there."""
    others: list[Check] = [request.getfixturevalue("javascript")] if shutil.which("node") else []

    def everyone(secret: str, posted: Posted) -> Any:
        found = python(secret, posted)
        assert all(other(secret, posted) == found for other in others)
        return found

    return everyone


def tampered(posted: Posted) -> Iterator[Posted]:
    yield dataclasses.replace(posted, body=posted.body.replace(b"847291", b"847292"))
    yield dataclasses.replace(posted, body=posted.body + b" ")
    yield dataclasses.replace(posted, headers=posted.headers | {"webhook-id": "evt_1"})
    later = str(int(posted.headers["webhook-timestamp"]) + 1)
    yield dataclasses.replace(posted, headers=posted.headers | {"webhook-timestamp": later})


def leased_and_sent(client: Client, trunkline: Trunkline) -> Any:
    order = {"country": "us", "service": "whatsapp", "labels": {"run_id": "Füße 🦶"}}
    lease = client.post("/numbers/purchase", order).json()["data"]
    trunkline.sms(lease["phone_number"], "Your WhatsApp code: 847291 – “grüße” 🔑")
    return lease


def test_a_text_comes_as_a_webhook_that_the_official_libraries_accept(
    serve: Serve, trunkline: Trunkline, check: Check
) -> None:
    server = serve(TRUNKLINE_WEBHOOKS__ALLOW="127.0.0.0/8")
    client = Client(server, trunkline.customer().live_key)
    with receiving() as receiver:
        hook = client.post("/webhooks", {"url": receiver.url, "events": ["sms.received"]}).json()["data"]
        lease = leased_and_sent(client, trunkline)
        posted = receiver.take()
        told = check(hook["secret"], posted)
        assert (told["type"], told["data"]["activation_id"]) == ("sms.received", lease["activation_id"])
        assert (told["data"]["code"], told["data"]["labels"]) == ("847291", {"run_id": "Füße 🦶"})
        assert told["data"]["full_text"] == "Your WhatsApp code: 847291 – “grüße” 🔑"
        assert posted.headers["content-type"].startswith("application/json")
        assert check(ANOTHER_SECRET, posted) is None
        assert [check(hook["secret"], each) for each in tampered(posted)] == [None] * 4

        new = client.post(f"/webhooks/{hook['webhook_id']}/rotate-secret", {"overlap_hours": 1}).json()["data"]
        leased_and_sent(client, trunkline)
        posted = receiver.take()
        assert len(posted.headers["webhook-signature"].split(" ")) == 2
        for secret in (hook["secret"], new["secret"]):
            assert check(secret, posted)["data"]["code"] == "847291"
            assert [check(secret, each) for each in tampered(posted)] == [None] * 4

        last = client.post(f"/webhooks/{hook['webhook_id']}/rotate-secret", {"overlap_hours": 0}).json()["data"]
        leased_and_sent(client, trunkline)
        posted = receiver.take()
        assert check(last["secret"], posted)["data"]["code"] == "847291"
        assert check(hook["secret"], posted) is check(new["secret"], posted) is None
