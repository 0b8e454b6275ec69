"""Handlers of what is sent to a webhook: a test, events again, and what became of each, attempt by attempt."""

import datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from trunkline import fields, ids
from trunkline.clock import iso
from trunkline.errors import InvalidRequest, NotFound
from trunkline.events import contents, types
from trunkline.events.webhooks import attempts, endpoints, history
from trunkline.events.webhooks.history import State
from trunkline.events.webhooks.problems import WebhookDisabled
from trunkline.paging import Page
from trunkline.storage.database import Row
from trunkline.surfaces.api.webhooks import TAG, held, note, whose
from trunkline.surfaces.http.route import Call, PageQuery, Route

_Headers = dict[str, str]


class SendTest(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    type: Annotated[
        str, Meta(description="Which type is sent, with a sample.", extra_json_schema={"enum": list(types.TYPES)})
    ] = "webhook.test"


class SentEvent(msgspec.Struct, frozen=True):
    event_id: fields.EventId


class ReplayEvents(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Exactly one of the two."""

    since: (
        Annotated[
            datetime.datetime,
            Meta(tz=True, description="Everything that it wants from then on.", examples=["2026-04-19T14:30:00Z"]),
        ]
        | UnsetType
    ) = UNSET
    event_id: (
        Annotated[str, Meta(description="This event, whether it wants the type or not.", examples=["evt_1042"])]
        | UnsetType
    ) = UNSET


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
    attempts: Annotated[
        list[Attempt], Meta(description=f"The last {history.MOST_ATTEMPTS_SHOWN} attempts, oldest first.")
    ]
    next_attempt_at: Annotated[str | None, Meta(description="When the next attempt is due; null: there is none.")]
    created_at: fields.CreatedAt


class DeliveriesQuery(PageQuery, frozen=True):
    status: Annotated[State, Meta(description="Only those of which this has become.")] | None = None


async def test(call: Call) -> SentEvent:
    return SentEvent(await endpoints.tell(call.connection, await held(call), call.body.type))


async def replay(call: Call) -> Replay:
    asked: ReplayEvents = call.body
    endpoint = await held(call)
    if asked.event_id is not UNSET and asked.since is UNSET:
        told: dict[str, Any] = {"event_id": asked.event_id}
        done = await endpoints.replay_event(call.connection, endpoint, asked.event_id)
    elif asked.since is not UNSET and asked.event_id is UNSET:
        done = await endpoints.replay_since(call.connection, endpoint, asked.since)
        told = {"since": iso(asked.since)}
    else:
        raise InvalidRequest("Say either since or event_id.", field="since")
    await note(call, "replayed", endpoint, told | {"replayed": done.count})
    return Replay(done.count, done.next_since is not None, iso(done.next_since) if done.next_since else None)


async def deliveries(call: Call) -> Page[Any]:
    before = call.query.before
    endpoint = await endpoints.find(call.connection, ids.from_path(call.path["webhook_id"]), whose(call))
    found, more = await history.deliveries(
        call.connection, endpoint["endpoint_id"], state=call.query.status, before=before, limit=call.query.limit
    )
    return Page([_shown(each) for each in found], found[-1].row["event_id"] if more else None)


def _shown(delivery: history.Delivery) -> Delivery:
    row = delivery.row
    event_id = contents.shown_id(row["event_id"])
    return Delivery(
        event_id,
        delivery.type,
        row["state"],
        [_attempt(each, event_id, delivery.body) for each in delivery.attempts],
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


def routes() -> list[Route]:
    return [
        Route(
            method="POST",
            path="/webhooks/{webhook_id}/test",
            scope="webhooks",
            handler=test,
            tag=TAG,
            summary="Send a test",
            description="An event for this webhook alone, whether it wants the type or not; its data holds `sample`.",
            body=SendTest,
            answer=SentEvent,
            idempotent=True,
            transacts=True,
            errors=(InvalidRequest, WebhookDisabled),
        ),
        Route(
            method="GET",
            path="/webhooks/{webhook_id}/deliveries",
            scope="webhooks",
            handler=deliveries,
            share="dear",
            tag=TAG,
            summary="List deliveries",
            description="What became of each event that was for the webhook, with its attempts; newest event first. "
            f"A page has at most {history.MOST_ATTEMPTS} attempts, and fewer deliveries than `limit` where they have "
            "more.",
            query=DeliveriesQuery,
            answer=list[Delivery],
            is_list=True,
            errors=(InvalidRequest,),
        ),
        Route(
            method="POST",
            path="/webhooks/{webhook_id}/replay",
            scope="webhooks",
            handler=replay,
            share="dear",
            tag=TAG,
            summary="Send events again",
            description="Also those from before it was made. What is still on its way stays as it is. One call sends "
            f"at most {endpoints.MOST_REPLAYED} events; `next_since` is where to go on.",
            body=ReplayEvents,
            answer=Replay,
            idempotent=True,
            transacts=True,
            errors=(InvalidRequest, NotFound, WebhookDisabled),
        ),
    ]
