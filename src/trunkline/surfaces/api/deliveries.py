"""Handlers of what is sent to a webhook: a test, events again, and what became of each, attempt by attempt."""

import dataclasses
import datetime
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from trunkline import fields
from trunkline.errors import InvalidRequest, NotFound
from trunkline.events import types
from trunkline.events.webhooks import history, repeats
from trunkline.events.webhooks.problems import WebhookDisabled
from trunkline.events.webhooks.views import Delivery, Replay, State
from trunkline.paging import Page
from trunkline.surfaces.api.webhooks import TAG, named, whose
from trunkline.surfaces.http.route import Call, PageQuery, Route


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


class DeliveriesQuery(PageQuery, frozen=True):
    status: Annotated[State, Meta(description="Only those of which this has become.")] | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Deliveries:
    async def test(self, call: Call) -> SentEvent:
        return SentEvent(await repeats.test(call.connection, named(call), whose(call), call.body.type))

    async def deliveries(self, call: Call) -> Page[Delivery]:
        query: DeliveriesQuery = call.query
        return await history.page(
            call.connection,
            named(call),
            whose(call),
            state=query.status,
            before=query.before,
            limit=query.limit,
        )

    async def replay(self, call: Call) -> Replay:
        asked: ReplayEvents = call.body
        return await repeats.replay(
            call.connection,
            call.actor,
            named(call),
            whose(call),
            since=asked.since if asked.since is not UNSET else None,
            event_id=asked.event_id if asked.event_id is not UNSET else None,
        )

    def routes(self) -> list[Route]:
        """The table's lines for what is sent."""
        return [
            Route(
                method="POST",
                path="/webhooks/{webhook_id}/test",
                scope="webhooks",
                handler=self.test,
                tag=TAG,
                summary="Send a test",
                description="An event for this webhook alone, whether it wants the type or not; its data holds "
                "`sample`.",
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
                handler=self.deliveries,
                share="dear",
                tag=TAG,
                summary="List deliveries",
                description="What became of each event that was for the webhook, with its attempts; newest event "
                f"first. A page has at most {history.MOST_ATTEMPTS} attempts, and fewer deliveries than `limit` where "
                "they have more.",
                query=DeliveriesQuery,
                answer=list[Delivery],
                is_list=True,
                errors=(InvalidRequest,),
            ),
            Route(
                method="POST",
                path="/webhooks/{webhook_id}/replay",
                scope="webhooks",
                handler=self.replay,
                share="dear",
                tag=TAG,
                summary="Send events again",
                description="Also those from before it was made. What is still on its way stays as it is. One call "
                f"sends at most {repeats.MOST_REPLAYED} events; `next_since` is where to go on.",
                body=ReplayEvents,
                answer=Replay,
                idempotent=True,
                transacts=True,
                errors=(InvalidRequest, NotFound, WebhookDisabled),
            ),
        ]
