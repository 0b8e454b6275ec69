"""Handlers of /webhooks: a customer's endpoints. A secret stands in the answer that makes it and never again."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from trunkline import egress, fields, ids
from trunkline.audit import acts
from trunkline.clock import iso
from trunkline.egress import Network, UrlRefused, urls
from trunkline.egress.names import Names
from trunkline.errors import InvalidRequest, NotFound
from trunkline.events import types
from trunkline.events.webhooks import endpoints, signing
from trunkline.events.webhooks.endpoints import Whose
from trunkline.events.webhooks.problems import TooManySecrets, TooManyWebhooks
from trunkline.paging import Page
from trunkline.storage.database import Row
from trunkline.surfaces.http.route import Call, PageQuery, Route

TAG = "Webhooks"

Url = Annotated[
    str,
    Meta(
        description="Where events are sent, as POST. HTTPS, to an address that is public; it is called as it stands.",
        examples=["https://example.com/hooks/trunkline"],
        extra_json_schema={"minLength": 1, "maxLength": endpoints.LONGEST_URL},
    ),
]
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


def shown(row: Row) -> Webhook:
    return Webhook(**_fields(row))


def _once(row: Row, secret: bytes) -> NewWebhook:
    return NewWebhook(**_fields(row), secret=signing.shown(secret))


def _fields(row: Row) -> dict[str, Any]:
    return {
        "webhook_id": str(row["endpoint_id"]),
        **_terms(row),
        "status": "enabled" if row["disabled_at"] is None else "disabled",
        "disabled_reason": row["disabled_reason"],
        "created_at": iso(row["created_at"]),
    }


def _terms(row: Row) -> dict[str, Any]:
    """What its owner has set."""
    return {name: row[name] for name in ("url", "events", "description")}


def _noted(terms: dict[str, Any]) -> dict[str, Any]:
    """Of these, what the audit keeps for ever: not the path and query of a URL, which may hold a secret."""
    return terms | ({"url": urls.discreet(terms["url"])} if "url" in terms else {})


def whose(call: Call) -> Whose:
    return Whose(call.key.account_id, call.key.test)


async def held(call: Call) -> Row:
    return await endpoints.hold(call.connection, ids.from_path(call.path["webhook_id"]), whose(call))


async def note(call: Call, action: str, endpoint: Row, data: dict[str, Any] | None = None) -> None:
    await acts.record(call.connection, call.actor, f"webhook.{action}", f"webhook:{endpoint['endpoint_id']}", data)


async def page(call: Call) -> Page[Any]:
    before = call.query.before
    rows = await call.connection.fetch(endpoints.SQL.endpoints, *whose(call), before, call.query.limit + 1)
    data = [shown(row) for row in rows[: call.query.limit]]
    return Page(data, int(data[-1].webhook_id) if len(rows) > len(data) else None)


async def show(call: Call) -> Webhook:
    return shown(await endpoints.find(call.connection, ids.from_path(call.path["webhook_id"]), whose(call)))


async def change(call: Call) -> Webhook:
    before = after = await held(call)
    if call.beforehand is not None:
        raise call.beforehand
    asked: ChangeWebhook = call.body
    given = {name: getattr(asked, name) for name in ("url", "events", "description")}
    given = {name: value for name, value in given.items() if value is not UNSET}
    if given:
        after = await endpoints.change(call.connection, before, **given)
        old, new = _terms(before), _terms(after)
        changed = [name for name in old if old[name] != new[name]]
        if changed:
            kept = [_noted({name: terms[name] for name in changed}) for terms in (old, new)]
            await note(call, "updated", after, dict(zip(("old", "new"), kept, strict=True)))
    if asked.enabled is True:
        after = await endpoints.enable(call.connection, after)
        if before["disabled_at"] is not None:
            await note(call, "enabled", after)
    elif asked.enabled is False and before["disabled_at"] is None:
        after = await endpoints.disable(call.connection, after, endpoints.BY_ITS_OWNER)
        await note(call, "disabled", after, {"reason": after["disabled_reason"]})
    return shown(after)


async def delete(call: Call) -> Webhook:
    endpoint = await endpoints.delete(call.connection, ids.from_path(call.path["webhook_id"]), whose(call))
    await note(call, "deleted", endpoint, _noted({"url": endpoint["url"]}))
    return shown(endpoint)


async def rotate_secret(call: Call) -> NewWebhook:
    endpoint = await held(call)
    hours = call.body.overlap_hours
    secret = await endpoints.rotate_secret(call.connection, endpoint, hours)
    await note(call, "secret_rotated", endpoint, {"overlap_hours": hours})
    return _once(endpoint, secret)


def routes(*, names: Names, allow: Sequence[Network], most: int) -> list[Route]:
    """``names``: who looks up the hosts of URLs. ``allow``: networks of the operator's own that URLs may lead to.
    ``most``: endpoints of an account and mode."""

    async def no_room_or_url_refused(call: Call) -> TooManyWebhooks | UrlRefused | None:
        """Nothing is looked up for an endpoint that would be one too many."""
        try:
            await endpoints.check_room(call.connection, whose(call), most=most)
        except TooManyWebhooks as refused:
            return refused
        return await url_refused(call)

    async def none_or_url_refused(call: Call) -> NotFound | UrlRefused | None:
        if call.body.url is UNSET:
            return None
        try:
            await endpoints.find(call.connection, ids.from_path(call.path["webhook_id"]), whose(call))
        except NotFound as refused:
            return refused
        return await url_refused(call)

    async def url_refused(call: Call) -> UrlRefused | None:
        """Why the URL that is asked for is not called; its name is looked up, so no transaction waits for that."""
        try:
            await egress.check(call.body.url, allow=allow, resolve=names.of(call.key.account_id))
        except UrlRefused as refused:
            return refused
        return None

    async def create(call: Call) -> NewWebhook:
        if call.beforehand is not None:
            raise call.beforehand
        asked: CreateWebhook = call.body
        row, secret = await endpoints.create(
            call.connection,
            whose(call),
            url=asked.url,
            events=asked.events,
            description=asked.description,
            most=most,
        )
        await note(call, "created", row, _noted(_terms(row)))
        return _once(row, secret)

    return [
        Route(
            method="POST",
            path="/webhooks",
            scope="webhooks",
            handler=create,
            tag=TAG,
            summary="Create a webhook",
            description="Its secret is shown this once. A test key's webhooks hear of test leases alone.",
            body=CreateWebhook,
            answer=NewWebhook,
            idempotent=True,
            transacts=True,
            shows_secret=True,
            beforehand=no_room_or_url_refused,
            errors=(InvalidRequest, UrlRefused, TooManyWebhooks),
        ),
        Route(
            method="GET",
            path="/webhooks",
            scope="webhooks",
            handler=page,
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
            handler=show,
            tag=TAG,
            summary="Show a webhook",
            answer=Webhook,
        ),
        Route(
            method="PATCH",
            path="/webhooks/{webhook_id}",
            scope="webhooks",
            handler=change,
            tag=TAG,
            summary="Change a webhook",
            description="What is left out stays; a body with nothing in it changes nothing. Enabled again, or at "
            "another URL, it is sent at once what is due by then.",
            body=ChangeWebhook,
            answer=Webhook,
            transacts=True,
            beforehand=none_or_url_refused,
            errors=(InvalidRequest, UrlRefused),
        ),
        Route(
            method="DELETE",
            path="/webhooks/{webhook_id}",
            scope="webhooks",
            handler=delete,
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
            handler=rotate_secret,
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
