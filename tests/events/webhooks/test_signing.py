"""Signatures of webhooks: the official library of Standard Webhooks takes ours, and nothing that was tampered with."""

import datetime
import json
import re
import time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from trunkline.errors import InvalidRequest
from trunkline.events.webhooks import signing

secrets = st.binary(min_size=24, max_size=64)
ids = st.integers(1, 2**60).map(lambda number: f"evt_{number}")
bodies = st.dictionaries(st.text(max_size=10), st.text(max_size=40) | st.integers() | st.none(), max_size=5).map(
    lambda data: json.dumps({"type": "sms.received", "data": data}, ensure_ascii=False).encode("utf-8", "replace")
)


def headers(signature: str, webhook_id: str, timestamp: int) -> dict[str, str]:
    return {"webhook-id": webhook_id, "webhook-timestamp": str(timestamp), "webhook-signature": signature}


def test_the_example_of_the_standard_is_signed_as_it_says() -> None:
    secret = signing.from_shown("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signature = signing.sign([secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@given(st.lists(secrets, min_size=1, max_size=5, unique=True), ids, bodies)
def test_each_of_several_secrets_verifies_with_the_official_library(
    several: list[bytes], webhook_id: str, body: bytes
) -> None:
    now = int(time.time())
    signed = headers(signing.sign(several, webhook_id, now, body), webhook_id, now)
    assert len(signed["webhook-signature"].split(" ")) == len(several)
    for secret in several:
        assert Webhook(signing.shown(secret)).verify(body, signed) == json.loads(body)


@given(secrets, ids, bodies, st.integers(0, 2**32))
def test_it_is_the_signature_that_the_official_library_makes(
    secret: bytes, webhook_id: str, body: bytes, timestamp: int
) -> None:
    moment = datetime.datetime.fromtimestamp(timestamp, datetime.UTC)
    theirs = Webhook(signing.shown(secret)).sign(webhook_id, moment, body.decode())
    assert signing.sign([secret], webhook_id, timestamp, body) == theirs


@given(secrets, ids, bodies, st.data())
def test_what_was_tampered_with_does_not_verify(
    secret: bytes, webhook_id: str, body: bytes, data: st.DataObject
) -> None:
    now = int(time.time())
    signed = headers(signing.sign([secret], webhook_id, now, body), webhook_id, now)
    part = data.draw(st.sampled_from(["body", "id", "timestamp", "secret"]))
    if part == "body":
        body += b" "
    elif part == "id":
        signed["webhook-id"] = data.draw(ids)
        assume(signed["webhook-id"] != webhook_id)
    elif part == "timestamp":
        signed["webhook-timestamp"] = str(now - 1)
    else:
        other = data.draw(secrets)
        assume(other.rstrip(b"\0") != secret.rstrip(b"\0"))  # which HMAC takes for the same
        secret = other
    with pytest.raises(WebhookVerificationError):
        Webhook(signing.shown(secret)).verify(body, signed)


def test_a_new_secret_has_24_random_octets_and_is_shown_with_its_prefix() -> None:
    several = {signing.new_secret() for _ in range(100)}
    assert len(several) == 100
    for secret in several:
        assert len(secret) == 24
        assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{32}", signing.shown(secret))
        assert signing.from_shown(signing.shown(secret)) == secret


@pytest.mark.parametrize(
    "text",
    ["", "whsec_", "whsec_c2hvcnQ=", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
     "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", "whsec_MfKQ9r8G KYqrTwjUPD8ILPZIo2LaLaSw", "whsec_" + "é" * 32,
     "whsec_" + "A" * 88],
)  # fmt: skip
def test_what_is_no_secret_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        signing.from_shown(text)
