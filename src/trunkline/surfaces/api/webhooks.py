"""Handlers of /webhooks: a customer's endpoints. A secret stands in the answer that makes it and never again."""

import dataclasses
from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from trunkline import egress, ids
from trunkline.egress import Network, UrlRefused
from trunkline.egress.names import Names
from trunkline.errors import InvalidRequest, NotFound
from trunkline.events import types
from trunkline.events.webhooks import endpoints
from trunkline.events.webhooks.endpoints import Whose
from trunkline.events.webhooks.problems import TooManySecrets, TooManyWebhooks
from trunkline.events.webhooks.views import NewWebhook, Url, Webhook
from trunkline.paging import Page
from trunkline.surfaces.http.route import Call, PageQuery, Route

TAG = "Webhooks"

Events = Annotated[
    list[
        Annotated[
            str,
            Meta(extra_json_schema={"enum": ["*", *(f"{group}.*" for group in sorted(types.GROUPS)), *types.TYPES]}),
        ]
    ],
    Meta(
        description="The types that are sent to it; `activation.*` is a group, `*` is all.",
        examples=[["sms.received", "activation.*"]],
        extra_json_schema={"minItems": 1, "maxItems": types.MOST_WANTED},
    ),
]
Description = Annotated[
    str,
    Meta(
        description="What you call it.",
        examples=["signup tests"],
        extra_json_schema={"maxLength": endpoints.LONGEST_TEXT},
    ),
]


class CreateWebhook(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    url: Url
    events: Events
    description: Description = ""


class ChangeWebhook(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What is left out stays."""

    url: Url | UnsetType = UNSET
    events: Events | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    enabled: (
        Annotated[
            bool, Meta(description="Whether anything is sent to it; true begins anew, as if nothing had ever failed.")
        ]
        | UnsetType
    ) = UNSET


class RotateSecret(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    overlap_hours: Annotated[
        int,
        Meta(
            ge=0,
            le=endpoints.MOST_OVERLAP_HOURS,
            description="How long the secrets before it go on signing beside it, in hours; 0: they end at once.",
            examples=[24],
        ),
    ] = endpoints.OVERLAP_HOURS


def whose(call: Call) -> Whose:
    return Whose(call.key.account_id, call.key.test)


def named(call: Call) -> int | None:
    """The webhook in the path."""
    return ids.from_path(call.path["webhook_id"])


@dataclasses.dataclass(frozen=True, slots=True)
class Webhooks:
    names: Names  # who looks up the hosts of URLs
    allow: Sequence[Network]  # networks of the operator's own that URLs may lead to
    most: int  # endpoints of an account and mode

    async def no_room_or_url_refused(self, call: Call) -> TooManyWebhooks | UrlRefused | None:
        """Nothing is looked up for an endpoint that would be one too many."""
        try:
            await endpoints.check_room(call.connection, whose(call), most=self.most)
        except TooManyWebhooks as refused:
            return refused
        return await self._url_refused(call)

    async def none_or_url_refused(self, call: Call) -> NotFound | UrlRefused | None:
        if call.body.url is UNSET:
            return None
        try:
            await endpoints.find(call.connection, named(call), whose(call))
        except NotFound as refused:
            return refused
        return await self._url_refused(call)

    async def _url_refused(self, call: Call) -> UrlRefused | None:
        """Why the URL that is asked for is not called; its name is looked up, so no transaction waits for that."""
        try:
            await egress.check(call.body.url, allow=self.allow, resolve=self.names.of(call.key.account_id))
        except UrlRefused as refused:
            return refused
        return None

    async def create(self, call: Call) -> NewWebhook:
        if call.checked is not None:
            raise call.checked
        asked: CreateWebhook = call.body
        return await endpoints.create(
            call.connection,
            call.actor,
            whose(call),
            url=asked.url,
            events=asked.events,
            description=asked.description,
            most=self.most,
        )

    async def page(self, call: Call) -> Page[Webhook]:
        query: PageQuery = call.query
        return await endpoints.page(call.connection, whose(call), before=query.before, limit=query.limit)

    async def show(self, call: Call) -> Webhook:
        return await endpoints.show(call.connection, named(call), whose(call))

    async def change(self, call: Call) -> Webhook:
        if call.checked is not None:
            raise call.checked
        asked: ChangeWebhook = call.body
        return await endpoints.change(
            call.connection,
            call.actor,
            named(call),
            whose(call),
            url=asked.url if asked.url is not UNSET else None,
            events=asked.events if asked.events is not UNSET else None,
            description=asked.description if asked.description is not UNSET else None,
            enabled=asked.enabled if asked.enabled is not UNSET else None,
        )

    async def delete(self, call: Call) -> Webhook:
        return await endpoints.delete(call.connection, call.actor, named(call), whose(call))

    async def rotate_secret(self, call: Call) -> NewWebhook:
        hours = call.body.overlap_hours
        return await endpoints.rotate_secret(call.connection, call.actor, named(call), whose(call), hours)

    def routes(self) -> list[Route]:
        """The table's lines for webhooks."""
        return [
            Route(
                method="POST",
                path="/webhooks",
                scope="webhooks",
                handler=self.create,
                tag=TAG,
                summary="Create a webhook",
                description="Its secret is shown this once. A test key's webhooks hear of test leases alone.",
                body=CreateWebhook,
                answer=NewWebhook,
                idempotent=True,
                transacts=True,
                shows_secret=True,
                check_first=self.no_room_or_url_refused,
                errors=(InvalidRequest, UrlRefused, TooManyWebhooks),
            ),
            Route(
                method="GET",
                path="/webhooks",
                scope="webhooks",
                handler=self.page,
                tag=TAG,
                summary="List webhooks",
                description="Those of the mode of the key that asks, newest first.",
                query=PageQuery,
                answer=list[Webhook],
                is_list=True,
                errors=(InvalidRequest,),
            ),
            Route(
                method="GET",
                path="/webhooks/{webhook_id}",
                scope="webhooks",
                handler=self.show,
                tag=TAG,
                summary="Show a webhook",
                answer=Webhook,
            ),
            Route(
                method="PATCH",
                path="/webhooks/{webhook_id}",
                scope="webhooks",
                handler=self.change,
                tag=TAG,
                summary="Change a webhook",
                description="What is left out stays; a body with nothing in it changes nothing. Enabled again, or at "
                "another URL, it is sent at once what is due by then.",
                body=ChangeWebhook,
                answer=Webhook,
                transacts=True,
                check_first=self.none_or_url_refused,
                errors=(InvalidRequest, UrlRefused),
            ),
            Route(
                method="DELETE",
                path="/webhooks/{webhook_id}",
                scope="webhooks",
                handler=self.delete,
                tag=TAG,
                summary="Delete a webhook",
                description="Nothing more is sent to it, and its secrets are gone. Answers it as it last stood.",
                answer=Webhook,
                transacts=True,
            ),
            Route(
                method="POST",
                path="/webhooks/{webhook_id}/rotate-secret",
                scope="webhooks",
                handler=self.rotate_secret,
                tag=TAG,
                summary="Rotate the secret",
                description="The new secret is shown this once. The ones before it go on signing beside it for "
                "`overlap_hours`; at most five sign at the same time.",
                body=RotateSecret,
                answer=NewWebhook,
                idempotent=True,
                transacts=True,
                shows_secret=True,
                errors=(InvalidRequest, TooManySecrets),
            ),
        ]
