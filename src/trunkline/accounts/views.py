"""What the outside sees of keys and accounts, each field with its meaning; and the way from a row to it."""

from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from trunkline import fields, money
from trunkline.clock import iso
from trunkline.storage.database import Row

KeyName = Annotated[str, Meta(description="What you call it.", examples=["ci"])]
_Mode = Annotated[Literal["live", "test"], Meta(description="Whether the key is a live or a test key.")]
Scopes = Annotated[
    list[str],
    Meta(
        description="What it may do: the routes name the scope that they need.",
        examples=[["numbers", "account:read"]],
    ),
]
Cidrs = Annotated[
    list[str],
    Meta(
        description="Networks and addresses that it may be used from; empty: anywhere.",
        examples=[["203.0.113.0/24", "2001:db8::/32"]],
    ),
]
_Ends = Annotated[
    str, Meta(description="When it stops working by itself; null: never.", examples=["2027-01-01T00:00:00Z"])
]
CapDay = Annotated[
    Decimal,
    Meta(description="The most that may be spent with the key in a day (UTC); null: no cap of its own.", examples=[20]),
]
CapMonth = Annotated[
    Decimal,
    Meta(
        description="The most that may be spent with the key in a calendar month (UTC); null: no cap of its own.",
        examples=[200],
    ),
]


class ApiKey(msgspec.Struct, frozen=True):
    key_id: fields.KeyId
    name: KeyName
    mode: Annotated[_Mode, Meta(examples=["live"])]
    scopes: Scopes
    cidrs: Cidrs
    expires_at: _Ends | None
    last_used_at: (
        Annotated[
            str,
            Meta(
                description="When a request last came with it, exact to 10 seconds; null: never.",
                examples=[fields.MOMENT],
            ),
        ]
        | None
    )
    created_at: fields.CreatedAt
    revoked_at: Annotated[str, Meta(description="When it was revoked; null while it was not.")] | None
    rotated_from: Annotated[str, Meta(description="The key in whose place it came; null where it did not.")] | None
    created_by: Annotated[str, Meta(description="The key that made it; null: the operator.")] | None
    cap_day: CapDay | None
    cap_month: CapMonth | None

    def terms(self) -> dict[str, Any]:
        """What it may do, for the audit."""
        names = ("name", "mode", "scopes", "cidrs", "expires_at", "cap_day", "cap_month")
        return {name: getattr(self, name) for name in names}


class NewApiKey(ApiKey, frozen=True):
    """With its secret, `key`, which is shown this once."""

    key: Annotated[str, Meta(description="The secret. Keep it now: only its hash is stored.", examples=["tl_live_…"])]


def api_key(row: Row) -> ApiKey:
    return ApiKey(**_of_key(row))


def new_api_key(row: Row, secret: str) -> NewApiKey:
    return NewApiKey(**_of_key(row), key=secret)


def _of_key(row: Row) -> dict[str, Any]:
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
