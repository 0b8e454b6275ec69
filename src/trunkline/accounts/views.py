"""What the outside sees of keys and accounts, each field with its meaning; and the way from a row to it."""

from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from trunkline import fields, money
from trunkline.clock import iso
from trunkline.storage.database import Row

KeyName = Annotated[str, Meta(description="What you call it.", examples=["ci"])]
LONGEST_RETENTION_DAYS = 30
_KeyMode = Annotated[
    Literal["live", "test"], Meta(description="Whether the key is a live or a test key.", examples=["live"])
]
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
    mode: _KeyMode
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


LowBalance = Annotated[Decimal, Meta(description="You are told when the balance falls below this.")]
SpendCapDay = Annotated[Decimal, Meta(description="What may be spent in a day of UTC.")]
SpendCapMonth = Annotated[Decimal, Meta(description="What may be spent in a calendar month of UTC.")]
RetentionDays = Annotated[
    int, Meta(ge=0, le=LONGEST_RETENTION_DAYS, description="How long texts are kept after their lease's end.")
]


class Limits(msgspec.Struct, frozen=True):
    requests_per_minute: Annotated[int, Meta(description="Requests that the key may send in a minute.", examples=[60])]
    account_requests_per_minute: Annotated[
        int, Meta(description="Requests that all keys of the account together may send in a minute.", examples=[600])
    ]
    burst: Annotated[int, Meta(description="Requests that an idle key may send at once.", examples=[60])]


class PriceTier(msgspec.Struct, frozen=True):
    from_completed: Annotated[
        int, Meta(description="With so many leases of the month that got a text.", examples=[1000])
    ]
    percent_off: Annotated[Decimal, Meta(description="What each lease after them costs less.", examples=[5])]


class Account(msgspec.Struct, frozen=True):
    account_id: fields.AccountId
    email: Annotated[str, Meta(description="The owner's address.", examples=["dev@example.com"])]
    mode: _KeyMode
    balance: Annotated[Decimal, Meta(description="Money that can be spent.", examples=[12.4])]
    held: Annotated[Decimal, Meta(description="Money held for leases that still wait for their text.", examples=[0.8])]
    currency: fields.Currency
    limits: Annotated[Limits, Meta(description="How many requests may be sent.")]
    low_balance: LowBalance | None
    spend_cap_day: SpendCapDay | None
    spend_cap_month: SpendCapMonth | None
    retention_days: RetentionDays
    completed_this_month: Annotated[int, Meta(description="Leases of the calendar month (UTC) that got a text.")]
    price_tiers: Annotated[list[PriceTier], Meta(description="What volume makes cheaper, lowest volume first.")]


class Used(msgspec.Struct, frozen=True):
    """Leases by how they ended, and what they and verifications (the service `verify`) cost."""

    leases: Annotated[int, Meta(description="Numbers that were leased.")]
    received: Annotated[int, Meta(description="Of these, leases that got a text.")]
    cancelled: int
    expired: Annotated[int, Meta(description="Leases whose time was over without a text.")]
    spent: Annotated[Decimal, Meta(description="Captured, kept as a fee, or still held.")]


class Group(Used, frozen=True):
    """A day, a service, a country, a key or a label's value, and what was used of it."""

    group: Annotated[str, Meta(description="The day, slug, country code, key_id or label value.")]
    name: Annotated[str | None, Meta(description="Of a key: its name.")]


class Report(msgspec.Struct, frozen=True, rename={"first": "from", "last": "to"}):
    """What was used in some days of UTC; a lease counts on the day of its purchase."""

    first: str
    last: str
    group_by: str
    currency: fields.Currency
    total: Used
    groups: list[Group]
    truncated: Annotated[bool, Meta(description="There are more than 1000 groups; the dearest are shown.")]


def used(row: Row) -> Used:
    return Used(*_measures(row))


def group(row: Row) -> Group:
    return Group(*_measures(row), row["group"], row["name"])


def _measures(row: Row) -> tuple[int, int, int, int, Decimal]:
    return row["leases"], row["received"], row["cancelled"], row["expired"], money.show(row["micros"])


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
