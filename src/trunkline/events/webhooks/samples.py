"""Example payloads of each type of event, for trying an endpoint out and for the documentation."""

from decimal import Decimal
from typing import Any, Literal

import msgspec

from trunkline import money
from trunkline.activations.views import Identity
from trunkline.egress import urls
from trunkline.errors import InvalidRequest
from trunkline.events.told import (
    ActivationEvent,
    BalanceLow,
    DepositPaid,
    DisabledWebhook,
    KeyEvent,
    KeyRotated,
    SmsReceived,
    Told,
    VerificationEvent,
    WebhookTested,
)
from trunkline.events.types import TYPES

_LEASE = Identity(activation_id="10000001", phone_number="+12025550123", country="us", service="whatsapp")
_LABELS = {"run_id": "a sample"}
_COST, _NOTHING = money.show(800_000), money.show(0)


def sample(type_: str, *, webhook_id: str, at: str) -> Told:
    """What an event tells about nothing that there is. Raises InvalidRequest for a type that there is not."""
    match type_:
        case "sms.received":
            return SmsReceived(
                **_LEASE, code="847291", full_text="Your WhatsApp code: 847291", received_at=at, revision=1,
                sender="WhatsApp", erased=False, incomplete=False, labels=_LABELS,
            )  # fmt: skip
        case "activation.created":
            return _ended("waiting", _NOTHING)
        case "activation.completed":
            return _ended("completed", _NOTHING)
        case "activation.cancelled":
            return _ended("cancelled", _COST)
        case "activation.expired":
            return _ended("expired", _COST)
        case "balance.low":
            return BalanceLow(balance=money.show(4_200_000), low_balance=money.show(5_000_000), currency="USD")
        case "deposit.paid":
            return DepositPaid(deposit_id="1001", amount=money.show(20_000_000), currency="USD")
        case "key.created" | "key.revoked":
            return KeyEvent(key_id="1042")
        case "key.rotated":
            return KeyRotated(key_id="1043", rotated_from="1042")
        case "verification.approved" | "verification.failed" | "verification.expired":
            return _verified(type_.partition(".")[2])
        case "verification.cancelled" | "verification.blocked":
            return _verified(type_.partition(".")[2])
        case "verification.started" | "verification.sent" | "verification.delivered" | "verification.undelivered":
            return _verified("pending")
        case "webhook.disabled":
            return DisabledWebhook(
                webhook_id=webhook_id, url=urls.discreet("https://example.com/hooks"), reason="It answered 410 Gone."
            )
        case "webhook.test":
            return WebhookTested(webhook_id=webhook_id)
    raise InvalidRequest(f"There is no type of event {type_!r}; there are {', '.join(TYPES)}.", field="type")


def stored(data: Told) -> dict[str, Any]:
    """A sample as the outbox keeps it: with ``sample`` in it, and money in micros."""
    told = msgspec.to_builtins(data, builtin_types=(Decimal,))
    amounts = {name for name, value in told.items() if isinstance(value, Decimal)}
    micros = {f"{name}_micros": money.parse(told[name]) for name in amounts}
    return {name: value for name, value in told.items() if name not in amounts} | micros | {"sample": True}


def _verified(status: Any) -> VerificationEvent:
    return VerificationEvent(
        verification_id="ver_20000001", phone_number="+12025550123", country="us", profile="default", status=status,
        cost=money.show(50_000 if status == "approved" else 0), currency="USD", metadata={"user": "1042"},
    )  # fmt: skip


def _ended(status: Literal["waiting", "completed", "cancelled", "expired"], refund: Decimal) -> ActivationEvent:
    return ActivationEvent(**_LEASE, status=status, cost=_COST, refund=refund, currency="USD", labels=_LABELS)
