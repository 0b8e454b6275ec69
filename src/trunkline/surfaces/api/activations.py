"""Handlers of /numbers: poll, finish, list what is leased."""

import asyncio
import dataclasses
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from trunkline import clock, fields, ids
from trunkline.accounts.keys import Key
from trunkline.activations import lifecycle, views
from trunkline.activations.lifecycle import Policy
from trunkline.activations.live import Live
from trunkline.activations.problems import (
    ActivationFinished,
    CancelTooEarly,
    NoSmsReceived,
    SmsAlreadyReceived,
    TooManyCancels,
)
from trunkline.activations.views import Activation, Detail, Status
from trunkline.errors import (
    IdempotencyInFlight,
    IdempotencyKeyReused,
    InvalidRequest,
    NotFound,
)
from trunkline.paging import Page
from trunkline.storage.database import Row
from trunkline.surfaces.http import wire
from trunkline.surfaces.http.route import Call, PageQuery, Route

MOST_IDS = 100


class StatusQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    wait: Annotated[
        float, Meta(ge=0, le=30, description="Hold the answer up to this many seconds for a text.", examples=[30])
    ] = 0
    after_revision: (
        Annotated[
            int, Meta(ge=0, description="The text must be newer than this revision. Default: the last one shown.")
        ]
        | None
    ) = None


class Ids(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    activation_ids: Annotated[
        list[Annotated[str, Meta(max_length=32)]],
        Meta(min_length=1, max_length=MOST_IDS, description="Ids of leases.", examples=[["10000001", "10000002"]]),
    ]


class Finish(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    status: Annotated[
        Literal["completed", "cancelled"],
        Meta(
            description="`completed` once the code has served; `cancelled` gives the number back.",
            examples=["completed"],
        ),
    ]


class ListQuery(PageQuery, frozen=True):
    status: Annotated[views.State, Meta(description="Only leases in this state.")] | None = None
    service: Annotated[str, Meta(description="Only leases for this service.", examples=["whatsapp"])] | None = None
    country: (
        Annotated[str, Meta(description="Only leases in this country, in either case.", examples=["us"])] | None
    ) = None
    labels: fields.Labels = {}


@dataclasses.dataclass(frozen=True, slots=True)
class Numbers:
    live: Live
    policy: Policy

    async def status(self, call: Call) -> Status:
        live = self.live
        activation_id = _named(call)
        row = await live.read(activation_id)
        if row is None or not _is_theirs(row, call.key):
            raise _nowhere()
        if call.query.wait:
            after = call.query.after_revision
            if after is None:
                after = live.shown(activation_id)
            if row["state"] in views.LIVE and row["revision"] <= after:
                row = await live.wait(activation_id, after, call.query.wait) or row
        live.show(activation_id, row["revision"])
        return views.status(row, clock.now())

    def remembered(self, key: Key, text: str) -> bytes | None:
        """The body of the answer to a poll, where this process knows it."""
        known = self._known(key, text)
        return wire.wrapped(known) if known is not None else None

    def _known(self, key: Key, text: str) -> bytes | None:
        activation_id = ids.from_path(text)
        if activation_id is None:
            return None
        known = self.live.remembered(activation_id)
        if known is None or known.account_id != key.account_id or known.test != key.test:
            return None
        self.live.show(activation_id, known.revision)
        return known.status

    async def status_of_many(self, call: Call) -> dict[str, Any]:
        answers: dict[str, Any] = dict.fromkeys(call.body.activation_ids)
        futures = {}
        for text in answers:
            known = self._known(call.key, text)
            if known is not None:
                answers[text] = msgspec.Raw(known)
            elif (number := ids.from_path(text)) is not None:
                futures[text] = self.live.read(number)
        now = clock.now()
        for text, row in zip(futures, await asyncio.gather(*futures.values()), strict=True):
            if row is not None and _is_theirs(row, call.key):
                self.live.show(row["activation_id"], row["revision"])
                answers[text] = views.status(row, now)
        return answers

    async def finish(self, call: Call) -> Activation:
        activation_id, key = _named(call), call.key
        try:
            return await lifecycle.finish(
                call.connection, key.account_id, activation_id, call.body.status, test=key.test, policy=self.policy
            )
        finally:
            self.live.changing(activation_id)  # also where it is refused: it shows what the lease has come to

    async def detail(self, call: Call) -> Detail:
        return await lifecycle.detail(call.connection, call.key.account_id, _named(call), test=call.key.test)

    async def listing(self, call: Call) -> Page[Activation]:
        query: ListQuery = call.query
        return await lifecycle.page(
            call.connection,
            call.key.account_id,
            test=call.key.test,
            state=query.status,
            service=query.service,
            country=query.country,
            labels=query.labels,
            before=query.before,
            limit=query.limit,
        )

    def routes(self) -> list[Route]:
        """The table's lines for leases."""
        return [
            Route(
                method="GET",
                path="/numbers/status/{activation_id}",
                scope="numbers",
                handler=self.status,
                cached=self.remembered,
                share=None,
                tag="Numbers",
                summary="Poll for the code",
                description="With `wait`, the answer is held until a new text is there; a timeout answers as things "
                "stand.",
                query=StatusQuery,
                answer=Status,
                errors=(InvalidRequest, NotFound),
            ),
            Route(
                method="POST",
                path="/numbers/status",
                scope="numbers",
                handler=self.status_of_many,
                share=None,
                tag="Numbers",
                summary="Poll up to 100 leases",
                description="Counts once against the limit. An id that is not yours, or does not exist, is null.",
                body=Ids,
                answer=dict[str, Status | None],
                errors=(InvalidRequest,),
            ),
            Route(
                method="POST",
                path="/numbers/finish/{activation_id}",
                scope="numbers",
                handler=self.finish,
                tag="Numbers",
                summary="Complete or cancel a lease",
                description="A cancelled lease is refunded. Saying the same word again is harmless.",
                body=Finish,
                answer=Activation,
                idempotent=True,
                repeatable=True,
                errors=(
                    InvalidRequest,
                    NotFound,
                    ActivationFinished,
                    SmsAlreadyReceived,
                    NoSmsReceived,
                    CancelTooEarly,
                    TooManyCancels,
                    IdempotencyKeyReused,
                    IdempotencyInFlight,
                ),
            ),
            Route(
                method="GET",
                path="/numbers",
                scope="numbers",
                handler=self.listing,
                tag="Numbers",
                summary="List your leases",
                description="Newest first. `label.NAME=value` filters by a label.",
                query=ListQuery,
                answer=list[Activation],
                is_list=True,
                errors=(InvalidRequest,),
            ),
            Route(
                method="GET",
                path="/numbers/{activation_id}",
                scope="numbers",
                handler=self.detail,
                tag="Numbers",
                summary="Everything about a lease",
                description="With a timeline that says why nothing has come.",
                answer=Detail,
                errors=(NotFound,),
            ),
        ]


def _named(call: Call) -> int:
    """The lease in the path. Raises NotFound where it can be none."""
    activation_id = ids.from_path(call.path["activation_id"])
    if activation_id is None:
        raise _nowhere()
    return activation_id


def _nowhere() -> NotFound:
    return NotFound("There is no such activation.")


def _is_theirs(row: Row, key: Key) -> bool:
    return bool(row["account_id"] == key.account_id and row["test"] == key.test)
