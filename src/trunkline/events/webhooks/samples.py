"""Samples of what events tell, for trying an endpoint out: of the real ones' shape, and with ``sample`` in them."""

from typing import Any

from trunkline.clock import iso, now
from trunkline.errors import InvalidRequest
from trunkline.events.types import TYPES

_LEASE = {"activation_id": "10000001", "phone_number": "+12025550123", "country": "us", "service": "whatsapp"}
_LABELS = {"labels": {"run_id": "a sample"}}
_COST = 800_000


def _ended(status: str, refund_micros: int = 0) -> dict[str, Any]:
    money = {"cost_micros": _COST, "refund_micros": refund_micros, "currency": "USD"}
    return _LEASE | {"status": status} | money | _LABELS


def sample(type_: str, *, webhook_id: str) -> dict[str, Any]:
    """The data of an event about nothing that there is, as the outbox keeps it: money in micros.

    Raises InvalidRequest for a type that there is not.
    """
    if type_ not in TYPES:
        raise InvalidRequest(f"There is no type of event {type_!r}; there are {', '.join(TYPES)}.", field="type")
    return _data(type_, webhook_id) | {"sample": True}


def _data(type_: str, webhook_id: str) -> dict[str, Any]:
    match type_:
        case "sms.received":
            text = {"code": "847291", "full_text": "Your WhatsApp code: 847291", "received_at": iso(now())}
            return _LEASE | text | {"revision": 1, "sender": "WhatsApp", "erased": False, "incomplete": False} | _LABELS
        case "activation.created":
            return _ended("waiting")
        case "activation.completed":
            return _ended("completed")
        case "activation.cancelled":
            return _ended("cancelled", _COST)
        case "activation.expired":
            return _ended("expired", _COST)
        case "balance.low":
            return {"balance_micros": 4_200_000, "low_balance_micros": 5_000_000, "currency": "USD"}
        case "deposit.paid":
            return {"deposit_id": "1001", "amount_micros": 20_000_000, "currency": "USD"}
        case "key.created" | "key.revoked":
            return {"key_id": "1042"}
        case "key.rotated":
            return {"key_id": "1043", "rotated_from": "1042"}
        case "webhook.disabled":
            return {"webhook_id": webhook_id, "url": "https://example.com/hooks", "reason": "It answered 410 Gone."}
        case "webhook.test":
            return {"webhook_id": webhook_id}
    raise AssertionError(f"{type_} has no sample")
