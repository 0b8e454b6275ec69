"""The payload schemas of events: what each type tells as its ``data``, in webhooks and in streams alike.

A body is ``{"type", "timestamp", "data"}``. The order of fields is that of the octets that are sent: of what the outbox
keeps, the order of its JSON (shorter names first).
"""

from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from trunkline import fields
from trunkline.activations import views

Sample = Annotated[
    Literal[True], Meta(description="There where it is a sample, sent by request: what it tells has not happened.")
]


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What every event's data may have."""


class _OfLease(Told, frozen=True, kw_only=True):
    activation_id: fields.ActivationId
    phone_number: fields.PhoneNumber
    country: fields.Country
    service: fields.Service


class SmsReceived(_OfLease, frozen=True, kw_only=True):
    """A text, and the lease that it arrived for. It is read when it is told: by then it may be erased."""

    code: views.Code | None
    full_text: views.FullText | None
    received_at: views.ReceivedAt
    revision: views.Revision
    sender: views.Sender
    erased: views.Erased
    incomplete: views.Incomplete
    labels: fields.Labels
    sample: Sample | UnsetType = UNSET


class ActivationEvent(_OfLease, frozen=True, kw_only=True):
    """A lease, as it was after what the event's type names."""

    status: Annotated[
        Literal["waiting", "completed", "cancelled", "expired"],
        Meta(description="The state that the lease came to.", examples=["completed"]),
    ]
    cost: views.Cost
    refund: views.Refund
    currency: fields.Currency
    labels: fields.Labels
    sample: Sample | UnsetType = UNSET


class BalanceLow(Told, frozen=True, kw_only=True):
    sample: Sample | UnsetType = UNSET
    currency: fields.Currency
    balance: Annotated[Decimal, Meta(description="Money that could be spent then.", examples=[4.2])]
    low_balance: Annotated[Decimal, Meta(description="The line that it went below.", examples=[5])]


class DepositPaid(Told, frozen=True, kw_only=True):
    sample: Sample | UnsetType = UNSET
    currency: fields.Currency
    deposit_id: fields.DepositId
    amount: Annotated[Decimal, Meta(description="What was credited.", examples=[20])]


class KeyEvent(Told, frozen=True, kw_only=True):
    key_id: fields.KeyId
    sample: Sample | UnsetType = UNSET


class KeyRotated(KeyEvent, frozen=True, kw_only=True):
    rotated_from: Annotated[str, Meta(description="The key in whose place it came.", examples=["1042"])]


class VerificationEvent(Told, frozen=True, kw_only=True):
    """A verification, as it was after what the event's type names. The code is never told."""

    sample: Sample | UnsetType = UNSET
    status: Annotated[
        Literal["pending", "approved", "failed", "expired", "cancelled", "blocked"],
        Meta(description="The state that it had come to.", examples=["approved"]),
    ]
    country: fields.Country
    profile: Annotated[str, Meta(description="The slug of the app's settings.", examples=["default"])]
    currency: fields.Currency
    metadata: Annotated[dict[str, str], Meta(description="What the start brought.", examples=[{"user": "1042"}])]
    cost: Annotated[Decimal, Meta(description="What it has cost so far.", examples=[0.05])]
    phone_number: fields.PhoneNumber
    verification_id: fields.VerificationId


class DisabledWebhook(Told, frozen=True, kw_only=True):
    url: Annotated[
        str,
        Meta(
            description="Its scheme and host; eight digits of a hash stand for the rest.",
            examples=["https://example.com/…0a1b2c3d"],
        ),
    ]
    reason: Annotated[str, Meta(description="Why.", examples=["It answered 410 Gone."])]
    sample: Sample | UnsetType = UNSET
    webhook_id: fields.WebhookId


class WebhookTested(Told, frozen=True, kw_only=True):
    sample: Sample | UnsetType = UNSET
    webhook_id: fields.WebhookId


DATA: dict[str, type[Told]] = {
    "sms.received": SmsReceived,
    "activation.created": ActivationEvent,
    "activation.completed": ActivationEvent,
    "activation.cancelled": ActivationEvent,
    "activation.expired": ActivationEvent,
    "balance.low": BalanceLow,
    "deposit.paid": DepositPaid,
    "key.created": KeyEvent,
    "key.rotated": KeyRotated,
    "key.revoked": KeyEvent,
    "verification.started": VerificationEvent,
    "verification.sent": VerificationEvent,
    "verification.delivered": VerificationEvent,
    "verification.undelivered": VerificationEvent,
    "verification.approved": VerificationEvent,
    "verification.failed": VerificationEvent,
    "verification.expired": VerificationEvent,
    "verification.cancelled": VerificationEvent,
    "verification.blocked": VerificationEvent,
    "webhook.disabled": DisabledWebhook,
    "webhook.test": WebhookTested,
}
