"""What events say to the outside: the same JSON in webhooks and in streams.

The outbox holds no text: what an event is about is read when it is told, so a text that retention has erased meanwhile
is told as erased (docs/webhooks.md).
"""

import datetime
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from trunkline import money
from trunkline.activations import views
from trunkline.clock import iso
from trunkline.egress import urls
from trunkline.events.told import ActivationEvent, SmsReceived, Told
from trunkline.storage import vault
from trunkline.storage.database import Querier, Row
from trunkline.storage.queries import queries

SQL = queries(__package__)

PREFIX = "evt_"

_encoder = msgspec.json.Encoder(decimal_format="number")


class Content(NamedTuple):
    """An event as it is told."""

    event_id: str  # "evt_1042": the same on every repeat
    type: str
    body: bytes  # {"type", "timestamp", "data"}, the same octets on every repeat until its text is erased


def shown_id(event_id: int) -> str:
    return f"{PREFIX}{event_id}"


def from_shown_id(text: str) -> int | None:
    """The number behind ``evt_1042``; None where it can be no id of ours."""
    number = text.removeprefix(PREFIX)
    if number == text or not number.isascii() or not number.isdigit() or len(number) > 18:
        return None
    return int(number)


async def contents(connection: Querier, events: Iterable[tuple[int, int, datetime.datetime]]) -> dict[int, Content]:
    """What events say, by id. ``events``: account, id and instant of each."""
    accounts, ids, moments = (list(each) for each in zip(*events, strict=True))
    rows = await connection.fetch(SQL.contents, accounts, ids, moments)
    return {row["event_id"]: content(row) for row in rows}


def content(row: Row) -> Content:
    """Of a row that has the columns of ``SQL.contents``."""
    body = {"type": row["type"], "timestamp": iso(row["created_at"]), "data": _data(row)}
    return Content(shown_id(row["event_id"]), row["type"], _encoder.encode(body))


def _data(row: Row) -> Told | dict[str, Any]:
    if row["activation_id"] is None:
        return _stored(row)
    if row["type"] == "sms.received":
        full_text, code = vault.opened(row["body"], row["code"], row["key"], row["sealed"])
        return SmsReceived(
            **views.identity(row),
            code=code,
            full_text=full_text,
            received_at=iso(row["received_at"]),
            revision=row["revision"],
            sender=row["sender"],
            erased=full_text is None,
            incomplete=row["incomplete"],
            labels=views.labels(row),
        )
    status = row["type"].partition(".")[2]
    return ActivationEvent(
        **views.identity(row),
        status="waiting" if status == "created" else status,
        cost=money.show(row["cost_micros"]),
        refund=money.show(row["refund_micros"] if status in ("cancelled", "expired") else 0),
        currency=row["currency"],
        labels=views.labels(row),
    )


def _stored(row: Row) -> dict[str, Any]:
    """What the outbox keeps of an event that is about no lease: as told, but for money, which is in micros there."""
    stored: dict[str, Any] = msgspec.json.decode(row["data"])
    if row["type"] == "webhook.disabled" and "url" in stored:
        # it is told to the account's other webhooks, whose receivers have no business with this one's secrets
        stored["url"] = urls.discreet(stored["url"])
    return {
        name.removesuffix("_micros"): money.show(value) if name.endswith("_micros") else value
        for name, value in stored.items()
    }
