"""``trunkline demo``: the main job by polling and by webhook, and a receiver that believes no stranger."""

import datetime
import http.client
import json

import pytest
from standardwebhooks import Webhook
from tests.conftest import Trunkline

from trunkline.cli.demo import receiver as demo_receiver
from trunkline.errors import OperatorError
from trunkline.events.webhooks import signing

SECRET = signing.shown(signing.new_secret())
BODY = b'{"type":"sms.received","data":{"code":"847291"}}'


def signed(age_seconds: int = 0, secret: str = SECRET) -> dict[str, str]:
    """The headers of a webhook, by the official library."""
    at = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=age_seconds)
    return {
        "webhook-id": "evt_1042",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign("evt_1042", at, BODY.decode()),
    }


def test_the_code_comes_back_by_polling_and_by_a_signed_webhook(trunkline: Trunkline) -> None:
    shown = trunkline("demo")
    assert shown["sent"] == shown["received"] == shown["webhook"]["code"]
    assert shown["webhook"]["signature_ok"] is shown["books_ok"] is True
    assert trunkline("ledger", "verify")["ok"]


def test_a_webhook_is_good_only_when_whole_fresh_and_signed() -> None:
    good, other = signed(), signed(secret=signing.shown(signing.new_secret()))
    both = good | {"webhook-signature": f"{other['webhook-signature']} {good['webhook-signature']}"}
    assert demo_receiver.signed(SECRET, good, BODY)
    assert demo_receiver.signed(SECRET, both, BODY)
    for headers, body in [
        (good, BODY.replace(b"847291", b"847292")),
        (good | {"webhook-id": "evt_1"}, BODY),
        (good | {"webhook-signature": ""}, BODY),
        (good | {"webhook-timestamp": "now"}, BODY),
        ({}, BODY),
        (other, BODY),
        (signed(age_seconds=600), BODY),
        (signed(age_seconds=-600), BODY),
    ]:
        assert not demo_receiver.signed(SECRET, headers, body), headers


def test_a_webhook_that_does_not_come_is_missed() -> None:
    with demo_receiver.listening() as receiver:
        connection = http.client.HTTPConnection("127.0.0.1", receiver.server.server_address[1], timeout=60)
        connection.request("POST", "/hook", BODY, signed())
        assert connection.getresponse().status == 204
        connection.close()
        webhook = receiver.take(SECRET, 60)
        assert (webhook.event_id, webhook.data, webhook.good) == ("evt_1042", json.loads(BODY)["data"], True)
        with pytest.raises(OperatorError, match="No webhook"):
            receiver.take(SECRET, 0.05)
