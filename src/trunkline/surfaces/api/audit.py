"""Handlers of /account/audit: what was done to an account, for its owner."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from trunkline import ids
from trunkline.audit import acts as audit
from trunkline.clock import iso
from trunkline.errors import InvalidRequest
from trunkline.paging import Page
from trunkline.surfaces.http.route import Call, Route


class Act(msgspec.Struct, frozen=True):
    """Something that was done to the account, by one of its keys, by the operator or by Trunkline itself."""

    audit_id: Annotated[str, Meta(description="The act's id.", examples=["1042"])]
    at: Annotated[str, Meta(description="When it was done.", examples=["2026-04-19T14:32:00Z"])]
    actor: Annotated[
        str,
        Meta(
            description="`key:` and the id of the key that did it, `operator`, `stripe` or `system`.",
            examples=["key:12"],
        ),
    ]
    action: Annotated[str, Meta(description="What was done.", examples=["key.created"])]
    target: Annotated[str, Meta(description="To what it was done.", examples=["key:13"])]
    data: Annotated[dict[str, Any], Meta(description="What changed.", examples=[{"name": "ci"}])]
    address: Annotated[
        str | None, Meta(description="The address that the request came from.", examples=["203.0.113.7"])
    ]
    request_id: Annotated[
        str | None,
        Meta(description="The `X-Request-Id` of the request that did it.", examples=["req_6f1d2c9be07a43d5"]),
    ]


class AuditQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    action: (
        Annotated[str, Meta(max_length=100, description="Only acts of this kind.", examples=["key.created"])] | None
    ) = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 25
    cursor: str | None = None


async def acts(call: Call) -> Page[Any]:
    before = ids.from_cursor(call.query.cursor) if call.query.cursor is not None else 2**63 - 1
    limit = call.query.limit
    rows = await call.connection.fetch(
        audit.SQL.acts_of,
        call.key.account_id,
        call.key.test,
        before,
        call.query.action,
        limit + 1,
        "webhooks" in call.key.scopes,
    )
    data = [
        Act(
            str(row["entry_id"]),
            iso(row["at"]),
            "operator" if row["actor"].startswith("operator:") else row["actor"],  # which one is not the customer's
            row["action"],
            row["target"],
            audit.shown(row["action"], row["data"]),
            row["address"],
            row["request_id"],
        )
        for row in rows[:limit]
    ]
    return Page(data, int(data[-1].audit_id) if len(rows) > limit else None)


def routes() -> list[Route]:
    return [
        Route(
            method="GET",
            path="/account/audit",
            scope="account:read",
            handler=acts,
            tag="Account",
            summary="Who did what",
            description="Newest first. A live key sees what was done with live keys and by the operator, a test key "
            "what was done with test keys. Acts on webhooks (`webhook.*`) are shown to keys that have `webhooks` too.",
            query=AuditQuery,
            answer=list[Act],
            is_list=True,
            errors=(InvalidRequest,),
        )
    ]
