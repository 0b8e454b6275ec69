"""Handlers of /keys: a customer's own API keys. The secret stands in the answer that makes a key and never again."""

import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from trunkline import ids, money
from trunkline.accounts import issuing
from trunkline.accounts.keys import ALL_SCOPES
from trunkline.audit import acts
from trunkline.clock import iso
from trunkline.errors import Forbidden, InsufficientScope, InvalidRequest, KeyEnded, TooManyKeys
from trunkline.storage.database import Row
from trunkline.surfaces.http.route import Call, Page, Route

Name = Annotated[str, Meta(description="What you call it.", examples=["ci"])]
Ends = Annotated[
    str, Meta(description="When it stops working by itself; null: never.", examples=["2027-01-01T00:00:00Z"])
]


class ApiKey(msgspec.Struct, frozen=True):
    key_id: str
    name: Name
    mode: Literal["live", "test"]
    scopes: list[str]
    cidrs: list[str]
    expires_at: Ends | None
    last_used_at: str | None
    created_at: str
    revoked_at: str | None
    rotated_from: str | None
    created_by: Annotated[str, Meta(description="The key that made it; null: the operator.")] | None
    cap_day: Decimal | None
    cap_month: Decimal | None


class NewApiKey(ApiKey, frozen=True):
    """With its secret, `key`, which is shown this once."""

    key: str


class CreateKey(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    name: Annotated[
        str,
        Meta(
            description="What you call it.",
            examples=["ci"],
            extra_json_schema={"minLength": 1, "maxLength": issuing.LONGEST_NAME},
        ),
    ]
    scopes: Annotated[
        list[Annotated[str, Meta(extra_json_schema={"enum": ALL_SCOPES})]],
        Meta(extra_json_schema={"minItems": 1, "uniqueItems": True}),
    ]
    cidrs: Annotated[list[str], Meta(extra_json_schema={"maxItems": issuing.MOST_CIDRS})] = []
    expires_at: (
        Annotated[
            datetime.datetime,
            Meta(
                tz=True,
                description="When it stops working by itself; never without it.",
                examples=["2027-01-01T00:00:00Z"],
            ),
        ]
        | None
    ) = None
    cap_day: Decimal | None = None
    cap_month: Decimal | None = None


class RotateKey(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    overlap_hours: Annotated[int, Meta(ge=0, le=issuing.MOST_OVERLAP_HOURS)] = issuing.OVERLAP_HOURS


class RevokeQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    children: Annotated[bool, Meta(description="Also the keys that it has made, and those that these have made.")] = (
        False
    )


class KeysQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    ended: bool = False
    limit: Annotated[int, Meta(ge=1, le=100)] = 25
    cursor: str | None = None


def shown(row: Row) -> ApiKey:
    return ApiKey(**_fields(row))


def shown_once(made: issuing.NewKey) -> NewApiKey:
    return NewApiKey(**_fields(made.row), key=made.secret)


def _fields(row: Row) -> dict[str, Any]:
    moments = ("expires_at", "last_used_at", "created_at", "revoked_at")
    caps = {name: row[f"{name}_micros"] for name in ("cap_day", "cap_month")}
    return {
        "key_id": str(row["key_id"]),
        "name": row["name"],
        "mode": row["mode"],
        "scopes": row["scopes"],
        "cidrs": [str(network) for network in row["cidrs"]],
        **{name: iso(row[name]) if row[name] is not None else None for name in moments},
        "rotated_from": str(row["rotated_from"]) if row["rotated_from"] is not None else None,
        "created_by": str(row["created_by"]) if row["created_by"] is not None else None,
        **{name: money.show(micros) if micros is not None else None for name, micros in caps.items()},
    }


def terms(key: ApiKey) -> dict[str, Any]:
    """What a key may do, for the audit."""
    return {
        name: getattr(key, name) for name in ("name", "mode", "scopes", "cidrs", "expires_at", "cap_day", "cap_month")
    }


async def page(call: Call) -> Page:
    before = ids.from_cursor(call.query.cursor) if call.query.cursor is not None else 2**63 - 1
    rows = await call.connection.fetch(
        issuing.SQL.keys, call.key.account_id, call.key.mode, call.query.ended, before, call.query.limit + 1
    )
    data = [shown(row) for row in rows[: call.query.limit]]
    return Page(data, ids.cursor(int(data[-1].key_id)) if len(rows) > len(data) else None)


async def show(call: Call) -> ApiKey:
    return shown(await issuing.find(call.connection, ids.from_path(call.path["key_id"]), call.key))


async def revoke(call: Call) -> ApiKey:
    row, now = await issuing.revoke(call.connection, ids.from_path(call.path["key_id"]), by=call.key)
    children = await issuing.revoke_children(call.connection, row["key_id"]) if call.query.children else []
    for ended in [row] * now + children:
        await acts.record(call.connection, call.actor, "key.revoked", f"key:{ended['key_id']}")
    return shown(row)


def _micros(amount: Decimal | None, field: str) -> int | None:
    return money.parse(amount, field=field) if amount is not None else None


def routes(*, room: issuing.Room) -> list[Route]:
    """The table's lines for keys."""

    async def create(call: Call) -> NewApiKey:
        asked: CreateKey = call.body
        made = await issuing.create(
            call.connection,
            call.key.account_id,
            call.key.mode,
            name=asked.name,
            scopes=asked.scopes,
            cidrs=asked.cidrs,
            expires_at=asked.expires_at,
            cap_day_micros=_micros(asked.cap_day, "cap_day"),
            cap_month_micros=_micros(asked.cap_month, "cap_month"),
            by=call.key,
            room=room,
        )
        answer = shown_once(made)
        await acts.record(call.connection, call.actor, "key.created", f"key:{answer.key_id}", terms(answer))
        return answer

    async def rotate(call: Call) -> NewApiKey:
        hours = call.body.overlap_hours
        made = await issuing.rotate(call.connection, ids.from_path(call.path["key_id"]), hours, by=call.key, room=room)
        answer = shown_once(made)
        what = {"key_id": answer.key_id, "overlap_hours": hours}
        await acts.record(call.connection, call.actor, "key.rotated", f"key:{answer.rotated_from}", what)
        return answer

    return [
        Route(
            method="POST",
            path="/keys",
            scope="admin",
            handler=create,
            tag="Keys",
            summary="Create a key",
            description="Of the mode of the key that asks, with nothing that this one has not: its scopes, within its "
            "CIDRs, with an end and caps no later and no higher than its own. What is spent with the new key counts in "
            "the caps of the one that made it.",
            body=CreateKey,
            answer=NewApiKey,
            idempotent=True,
            transacts=True,
            shows_secret=True,
            errors=(InvalidRequest, InsufficientScope, Forbidden, TooManyKeys),
        ),
        Route(
            method="GET",
            path="/keys",
            scope="admin",
            handler=page,
            tag="Keys",
            summary="List keys",
            description="Those of the mode of the key that asks, newest first.",
            query=KeysQuery,
            answer=list[ApiKey],
            is_list=True,
            errors=(InvalidRequest,),
        ),
        Route(
            method="GET",
            path="/keys/{key_id}",
            scope="admin",
            handler=show,
            tag="Keys",
            summary="Show a key",
            answer=ApiKey,
        ),
        Route(
            method="POST",
            path="/keys/{key_id}/rotate",
            scope="admin",
            handler=rotate,
            tag="Keys",
            summary="Rotate a key",
            description="Makes a key with the same name, scopes, CIDRs, expiry and caps. The old one goes on for "
            "`overlap_hours`, and ends at once where that is 0.",
            body=RotateKey,
            answer=NewApiKey,
            idempotent=True,
            transacts=True,
            shows_secret=True,
            errors=(InvalidRequest, InsufficientScope, Forbidden, KeyEnded, TooManyKeys),
        ),
        Route(
            method="DELETE",
            path="/keys/{key_id}",
            scope="admin",
            handler=revoke,
            tag="Keys",
            summary="Revoke a key",
            description="It stops working everywhere within 2 seconds, also for calls that are held and streams. Doing "
            "it again changes nothing. The keys that it has made go on, unless `children=true` ends them too.",
            query=RevokeQuery,
            answer=ApiKey,
            transacts=True,
            errors=(InvalidRequest,),
        ),
    ]
