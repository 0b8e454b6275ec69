"""Handlers of streams of events: server-sent events, as WHATWG HTML §9.2 says."""

import dataclasses
import functools
from typing import Annotated

import msgspec
from msgspec import Meta

from trunkline import ids
from trunkline.accounts.keys import Key
from trunkline.accounts.problems import InsufficientScope
from trunkline.errors import InvalidRequest, NotFound
from trunkline.events import replay, types
from trunkline.events.contents import from_shown_id
from trunkline.events.hub import Hub, Listener
from trunkline.events.problems import TooManyStreams
from trunkline.surfaces.http.route import END_OF_STREAM, EVENT_STREAM, Call, EndOfStream, Route, Stream

HEADERS = ((b"x-accel-buffering", b"no"),)  # nginx would keep events back
OPEN_GROUPS = ("sms", "activation")  # what is told to every key; the rest is for keys with the scope `webhooks` too

LastEventId = Annotated[
    str,
    Meta(
        description="As the header `Last-Event-ID`, for clients that cannot set it. The header counts more.",
        examples=["evt_1042"],
        extra_json_schema={"pattern": "^(evt_[0-9]{1,18})?$"},
    ),
]


class EventsQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    types: (
        Annotated[
            str,
            Meta(
                description="Only these types, with commas between; `activation.*` is a group. Default: all.",
                examples=["sms.received,activation.*"],
            ),
        ]
        | None
    ) = None
    last_event_id: LastEventId | None = None


class LeaseEventsQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    last_event_id: LastEventId | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Events:
    hub: Hub

    async def of_account(self, call: Call) -> Stream:
        shown = _types(call.key, call.query.types)
        return _stream(self.hub.open(call.key, shown, after=_after(call)))

    async def of_lease(self, call: Call) -> Stream | EndOfStream:
        after = _after(call) or 0
        activation_id = ids.from_path(call.path["activation_id"])
        place = replay.Place(call.key.account_id, call.key.test, activation_id)
        if not await replay.goes_on(call.connection, place, after):
            return END_OF_STREAM
        return _stream(self.hub.open(call.key, _all_types(), activation_id=activation_id, after=after))

    def routes(self) -> list[Route]:
        """The table's lines for streams."""
        return [
            Route(
                method="GET",
                path="/events",
                scope="numbers",
                handler=self.of_account,
                share=None,
                tag="Events",
                summary="Follow what happens",
                description="Server-sent events (`text/event-stream`) of the account, in the mode of the key: from "
                "now on, or from the event that `Last-Event-ID` names. Each has its `id`, its type as `event`, and as "
                "`data` the JSON that webhooks send. `key.*`, `balance.*`, `deposit.*` and `webhook.*` need the scope "
                "`webhooks` too. An event may come again: its id says so. A stream that the server ends is to be "
                "opened again.",
                query=EventsQuery,
                answer=str,
                content_type=EVENT_STREAM,
                errors=(InvalidRequest, InsufficientScope, TooManyStreams),
            ),
            Route(
                method="GET",
                path="/numbers/{activation_id}/events",
                scope="numbers",
                handler=self.of_lease,
                share=None,
                tag="Events",
                summary="Follow a lease",
                description="Server-sent events (`text/event-stream`) of one lease, from its beginning, or from the "
                "event that `Last-Event-ID` names. The stream ends after the lease's end (`activation.completed`, "
                "`.cancelled` or `.expired`); whoever comes back with the id of that event gets 204.",
                query=LeaseEventsQuery,
                answer=str,
                content_type=EVENT_STREAM,
                may_end=True,
                errors=(NotFound, InvalidRequest, TooManyStreams),
            ),
        ]


def _stream(listener: Listener) -> Stream:
    return Stream(
        f"{EVENT_STREAM}; charset=utf-8",
        listener.chunks(),
        headers=HEADERS,
        deadline=listener.deadline,
        closed=listener.close,
    )


def _after(call: Call) -> int | None:
    """The event that the client has seen last; None where it names none, as one does that has seen none yet."""
    text, field = call.last_event_id, "Last-Event-ID"
    if text is None:
        text, field = call.query.last_event_id, "last_event_id"
    if not text:
        return None
    event_id = from_shown_id(text)
    if event_id is None:
        raise InvalidRequest(f"{field} is the id of an event, as in evt_1042.", field=field)
    return event_id


def _types(key: Key, asked: str | None) -> frozenset[str]:
    """Raises InvalidRequest for what is no type, InsufficientScope for one that the key may not be told by name."""
    wanted = tuple(types.checked(asked.split(","), "types")) if asked is not None else ("*",)
    may_see_all = "webhooks" in key.scopes
    closed = [name for name in wanted if name != "*" and name.partition(".")[0] not in OPEN_GROUPS]
    if closed and not may_see_all:
        raise InsufficientScope(f"For {closed[0]} the key needs the scope 'webhooks'.", scope="webhooks")
    return _shown(wanted, may_see_all)


@functools.lru_cache(maxsize=256)
def _shown(wanted: tuple[str, ...], may_see_all: bool) -> frozenset[str]:
    return frozenset(
        name
        for name in types.TYPES
        if types.wants(wanted, name) and (may_see_all or name.partition(".")[0] in OPEN_GROUPS)
    )


def _all_types() -> frozenset[str]:
    return _shown(("*",), True)
