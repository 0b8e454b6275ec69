"""Acts as the outside sees them, each field with its meaning; and the way from a row to them."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from trunkline import fields
from trunkline.clock import iso
from trunkline.egress import urls
from trunkline.storage.database import Row

AuditId = Annotated[str, Meta(description="The act's id.", examples=["1042"])]
At = Annotated[str, Meta(description="When it was done.", examples=["2026-04-19T14:32:00Z"])]
Action = Annotated[str, Meta(description="What was done.", examples=["key.created"])]
Target = Annotated[str, Meta(description="To what it was done.", examples=["key:13"])]
Data = Annotated[dict[str, Any], Meta(description="What changed.", examples=[{"name": "ci"}])]
Address = Annotated[str | None, Meta(description="The address that the request came from.", examples=["203.0.113.7"])]
RequestId = Annotated[
    str | None, Meta(description="The `X-Request-Id` of the request that did it.", examples=["req_6f1d2c9be07a43d5"])
]


class Act(msgspec.Struct, frozen=True):
    """Something that was done to the account, by one of its keys, by the operator or by Trunkline itself."""

    audit_id: AuditId
    at: At
    actor: Annotated[
        str,
        Meta(
            description="`key:` and the id of the key that did it, `operator`, `stripe` or `system`.",
            examples=["key:12"],
        ),
    ]
    action: Action
    target: Target
    data: Data
    address: Address
    request_id: RequestId


class FullAct(msgspec.Struct, frozen=True):
    """An act as the operator sees it: with whose it is, and which of the operators did it."""

    audit_id: AuditId
    at: At
    actor: Annotated[str, Meta(description="Who did it.", examples=["operator:ann"])]
    account_id: fields.AccountId | None
    mode: Annotated[Literal["live", "test"], Meta(description="Whose it is: the live or the test keys'.")]
    action: Action
    target: Target
    data: Data
    address: Address
    request_id: RequestId


def act(row: Row) -> Act:
    return Act(
        str(row["entry_id"]),
        iso(row["at"]),
        "operator" if row["actor"].startswith("operator:") else row["actor"],  # which one is not the customer's
        row["action"],
        row["target"],
        _data(row),
        row["address"],
        row["request_id"],
    )


def full_act(row: Row) -> FullAct:
    return FullAct(
        str(row["entry_id"]),
        iso(row["at"]),
        row["actor"],
        str(row["account_id"]) if row["account_id"] is not None else None,
        "test" if row["test"] else "live",
        row["action"],
        row["target"],
        _data(row),
        row["address"],
        row["request_id"],
    )


def _data(row: Row) -> dict[str, Any]:
    """The chain keeps acts as they were written, and earlier ones on webhooks have whole URLs in them, which may hold
    secrets: of these path and query are cut, as they are in acts since."""
    data: dict[str, Any] = msgspec.json.decode(row["data"])
    return _cut(data) if row["action"].startswith("webhook.") else data


def _cut(data: dict[str, Any]) -> dict[str, Any]:
    cut = dict(data)
    for name, value in data.items():
        if name == "url" and isinstance(value, str):
            cut[name] = urls.discreet(value)
        elif isinstance(value, dict):
            cut[name] = _cut(value)
    return cut
