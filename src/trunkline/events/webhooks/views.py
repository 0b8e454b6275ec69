"""What the outside sees of webhooks and of what is sent to them, each field with its meaning; row → view."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from trunkline import fields
from trunkline.clock import iso
from trunkline.egress import urls
from trunkline.events import contents
from trunkline.events.webhooks import attempts, signing
from trunkline.storage.database import Row

MOST_ATTEMPTS_SHOWN = 20  # of each delivery, the last ones

State = Literal["pending", "delivered", "failed"]
_Headers = dict[str, str]
Url = Annotated[
    str,
    Meta(
        description="Where events are sent, as POST. HTTPS, to an address that is public; it is called as it stands.",
        examples=["https://example.com/hooks/trunkline"],
        extra_json_schema={"minLength": 1, "maxLength": urls.LONGEST_URL},
    ),
]


class Webhook(msgspec.Struct, frozen=True):
    webhook_id: Annotated[str, Meta(description="The webhook's id.", examples=["1001"])]
    url: Url
    events: Annotated[list[str], Meta(description="The types that are sent to it.", examples=[["sms.received"]])]
    description: Annotated[str, Meta(description="What you call it.", examples=["signup tests"])]
    status: Annotated[Literal["enabled", "disabled"], Meta(description="Whether anything is sent to it.")]
    disabled_reason: Annotated[str | None, Meta(description="Why it is disabled; null while it is not.")]
    created_at: fields.CreatedAt


class NewWebhook(Webhook, frozen=True):
    """With its secret, which is shown this once."""

    secret: Annotated[
        str,
        Meta(description="What signs the events. Keep it now.", examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]),
    ]


class OwnedWebhook(msgspec.Struct, frozen=True):
    """One of anybody's, as the operator sees it."""

    email: str
    mode: Literal["live", "test"]
    webhook: Webhook


class Replay(msgspec.Struct, frozen=True):
    replayed: Annotated[int, Meta(description="How many events are sent (again).", examples=[12])]
    more: Annotated[bool, Meta(description="Whether there are more than one call sends.", examples=[False])]
    next_since: Annotated[
        str | None,
        Meta(
            description="The `since` of the next call, where there are more; else null.",
            examples=["2026-04-19T14:30:00Z"],
            extra_json_schema={"format": "date-time"},
        ),
    ]


class SentRequest(msgspec.Struct, frozen=True):
    """What was sent. The signature is not kept."""

    headers: Annotated[
        _Headers,
        Meta(description="Its headers, but for the signature.", examples=[{"webhook-id": "evt_1042"}]),
    ]
    body: Annotated[
        dict[str, Any] | None,
        Meta(description="Its body, with texts that were erased since as null; null: the event is no longer kept."),
    ]


class GivenAnswer(msgspec.Struct, frozen=True):
    """What came back."""

    headers: Annotated[_Headers, Meta(description="Its headers.", examples=[{"content-type": "text/plain"}])]
    body: Annotated[str, Meta(description="The beginning of its body.", examples=["ok"])]


class Attempt(msgspec.Struct, frozen=True):
    number: Annotated[int, Meta(description="Counts the attempts of the delivery.", examples=[1])]
    at: fields.At
    url: Annotated[str, Meta(description="What was called.", examples=["https://example.com/hooks/trunkline"])]
    duration_ms: Annotated[int, Meta(description="How long it took, in milliseconds.", examples=[87])]
    status: Annotated[int | None, Meta(description="The HTTP status that came back; null: none.", examples=[200])]
    reason: Annotated[
        str | None,
        Meta(description="Why it failed, or what was odd about an answer that counts.", examples=["It answered 500."]),
    ]
    answer: Annotated[GivenAnswer | None, Meta(description="What came back; null: nothing, or it was erased.")]
    request: Annotated[SentRequest, Meta(description="What was sent.")]


class Delivery(msgspec.Struct, frozen=True):
    """An event on its way to a webhook."""

    event_id: fields.EventId
    type: Annotated[
        str | None, Meta(description="The event's type; null: it is no longer kept.", examples=["sms.received"])
    ]
    status: Annotated[State, Meta(description="What has become of it.", examples=["delivered"])]
    attempts: Annotated[list[Attempt], Meta(description=f"The last {MOST_ATTEMPTS_SHOWN} attempts, oldest first.")]
    next_attempt_at: Annotated[str | None, Meta(description="When the next attempt is due; null: there is none.")]
    created_at: fields.CreatedAt


def webhook(row: Row) -> Webhook:
    return Webhook(**_of_webhook(row))


def new_webhook(row: Row, secret: bytes) -> NewWebhook:
    return NewWebhook(**_of_webhook(row), secret=signing.shown(secret))


def owned_webhook(row: Row) -> OwnedWebhook:
    return OwnedWebhook(row["email"], "test" if row["test"] else "live", webhook(row))


def _of_webhook(row: Row) -> dict[str, Any]:
    return {
        "webhook_id": str(row["endpoint_id"]),
        **terms(row),
        "status": "enabled" if row["disabled_at"] is None else "disabled",
        "disabled_reason": row["disabled_reason"],
        "created_at": iso(row["created_at"]),
    }


def terms(row: Row) -> dict[str, Any]:
    """What its owner has set."""
    return {name: row[name] for name in ("url", "events", "description")}


def delivery(row: Row, told: contents.Content | None, tried: Sequence[Row]) -> Delivery:
    """``told``: the event, None where it is too old to be kept; ``tried``: its attempts."""
    event_id = contents.shown_id(row["event_id"])
    body = msgspec.json.decode(told.body) if told is not None else None
    return Delivery(
        event_id,
        told.type if told is not None else None,
        row["state"],
        [_attempt(each, event_id, body) for each in tried],
        iso(row["next_at"]) if row["state"] == "pending" else None,
        iso(row["created_at"]),
    )


def _attempt(row: Row, event_id: str, body: dict[str, Any] | None) -> Attempt:
    headers = {
        "content-type": "application/json",
        "user-agent": "Trunkline",
        "webhook-id": event_id,
        "webhook-timestamp": str(int(row["at"].timestamp())),
    }
    answer = attempts.answer_shown(row["answer"], row["key"])
    return Attempt(
        row["number"],
        iso(row["at"]),
        row["url"],
        row["duration_ms"],
        row["status"],
        row["reason"],
        GivenAnswer(*answer) if answer is not None else None,
        SentRequest(headers, body),
    )
