"""Handlers of /keys: a customer's own API keys. The secret stands in the answer that makes a key and never again."""

import dataclasses
import datetime
from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import Meta

from trunkline import ids, money, paging
from trunkline.accounts import issuing
from trunkline.accounts.keys import ALL_SCOPES
from trunkline.accounts.problems import InsufficientScope, KeyEnded, TooManyKeys
from trunkline.accounts.views import ApiKey, CapDay, CapMonth, Cidrs, NewApiKey
from trunkline.errors import Forbidden, InvalidRequest
from trunkline.surfaces.http.route import Call, PageQuery, Route


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
        Meta(
            description="What it may do: the routes name the scope that they need.",
            examples=[["numbers", "account:read"]],
            extra_json_schema={"minItems": 1, "uniqueItems": True},
        ),
    ]
    cidrs: Annotated[Cidrs, Meta(extra_json_schema={"maxItems": issuing.MOST_CIDRS})] = []
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
    cap_day: CapDay | None = None
    cap_month: CapMonth | None = None


class RotateKey(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    overlap_hours: Annotated[
        int,
        Meta(
            ge=0,
            le=issuing.MOST_OVERLAP_HOURS,
            description="How long the old key goes on, in hours; 0: it ends at once.",
            examples=[24],
        ),
    ] = issuing.OVERLAP_HOURS


class RevokeQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    children: Annotated[bool, Meta(description="Also the keys that it has made, and those that these have made.")] = (
        False
    )


class KeysQuery(PageQuery, frozen=True):
    ended: Annotated[bool, Meta(description="Also the keys that are revoked or expired.")] = False


def _micros(amount: Decimal | None, field: str) -> int | None:
    return money.parse(amount, field=field) if amount is not None else None


@dataclasses.dataclass(frozen=True, slots=True)
class Keys:
    room: issuing.Room

    async def create(self, call: Call) -> NewApiKey:
        asked: CreateKey = call.body
        return await issuing.create(
            call.connection,
            call.actor,
            call.key.account_id,
            call.key.mode,
            name=asked.name,
            scopes=asked.scopes,
            cidrs=asked.cidrs,
            expires_at=asked.expires_at,
            cap_day_micros=_micros(asked.cap_day, "cap_day"),
            cap_month_micros=_micros(asked.cap_month, "cap_month"),
            by=call.key,
            room=self.room,
        )

    async def page(self, call: Call) -> paging.Page[ApiKey]:
        query: KeysQuery = call.query
        key = call.key
        return await issuing.page(
            call.connection, key.account_id, key.mode, ended=query.ended, before=query.before, limit=query.limit
        )

    async def show(self, call: Call) -> ApiKey:
        return await issuing.show(call.connection, ids.from_path(call.path["key_id"]), call.key)

    async def rotate(self, call: Call) -> NewApiKey:
        key_id, hours = ids.from_path(call.path["key_id"]), call.body.overlap_hours
        return await issuing.rotate(call.connection, call.actor, key_id, hours, by=call.key, room=self.room)

    async def revoke(self, call: Call) -> ApiKey:
        key_id, children = ids.from_path(call.path["key_id"]), call.query.children
        key, _ = await issuing.revoke(call.connection, call.actor, key_id, by=call.key, children=children)
        return key

    def routes(self) -> list[Route]:
        """The table's lines for keys."""
        return [
            Route(
                method="POST",
                path="/keys",
                scope="admin",
                handler=self.create,
                tag="Keys",
                summary="Create a key",
                description="Of the mode of the key that asks, with nothing that this one has not: its scopes, "
                "within its CIDRs, with an end and caps no later and no higher than its own. What is spent with the "
                "new key counts in the caps of the one that made it.",
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
                handler=self.page,
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
                handler=self.show,
                tag="Keys",
                summary="Show a key",
                answer=ApiKey,
            ),
            Route(
                method="POST",
                path="/keys/{key_id}/rotate",
                scope="admin",
                handler=self.rotate,
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
                handler=self.revoke,
                tag="Keys",
                summary="Revoke a key",
                description="It stops working everywhere within 2 seconds, also for calls that are held and "
                "streams. Doing it again changes nothing. The keys that it has made go on, unless `children=true` ends "
                "them too.",
                query=RevokeQuery,
                answer=ApiKey,
                transacts=True,
                errors=(InvalidRequest,),
            ),
        ]
