"""What a lease is, as everybody outside sees it. Pure: rows of the database in, answers out."""

import datetime
from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated, Any, Literal, TypedDict

import msgspec
from msgspec import Meta

from trunkline import fields, money
from trunkline.activations import long_texts
from trunkline.activations.matching import UNNAMED
from trunkline.clock import iso
from trunkline.codes import extract
from trunkline.storage import vault
from trunkline.storage.database import Row

State = Literal["waiting", "received", "completed", "cancelled", "expired"]
STATES: tuple[State, ...] = ("waiting", "received", "completed", "cancelled", "expired")
LIVE = frozenset({"waiting", "received"})


_CancelAvailableAt = Annotated[
    str, Meta(description="From when the lease can be cancelled.", examples=["2026-04-19T14:30:00Z"])
]
_ExpiresAt = Annotated[str, Meta(description="When the lease ends by itself.", examples=["2026-04-19T14:50:00Z"])]
Cost = Annotated[Decimal, Meta(description="What the lease costs.", examples=[0.8])]
Refund = Annotated[Decimal, Meta(description="What was given back; 0 where nothing was.", examples=[0])]
Code = Annotated[
    str,
    Meta(
        description="The code in the text; null where none was recognised, or the text is erased.", examples=["847291"]
    ),
]
FullText = Annotated[
    str, Meta(description="The whole text; null once it is erased.", examples=["Your WhatsApp code: 847291"])
]
ReceivedAt = Annotated[str, Meta(description="When the text arrived.", examples=["2026-04-19T14:35:22Z"])]
Sender = Annotated[str, Meta(description="Who sent the text.", examples=["WhatsApp"])]
Revision = Annotated[int, Meta(description="Counts the texts of the lease.", examples=[1])]
Erased = Annotated[
    bool,
    Meta(description="Whether text and code were erased, because they had been kept long enough.", examples=[False]),
]
Incomplete = Annotated[
    bool,
    Meta(
        description="Whether parts of a long text were missing when it was given to you; `[…]` stands for them. If "
        "they come after all, the whole text is the next revision.",
        examples=[False],
    ),
]


class Sms(msgspec.Struct, frozen=True):
    """A text that arrived for a lease."""

    code: Code | None
    full_text: FullText | None
    received_at: ReceivedAt
    sender: Sender
    revision: Revision
    erased: Erased = False
    incomplete: Incomplete = False


class Status(msgspec.Struct, frozen=True):
    """The answer to a poll."""

    status: Annotated[State, Meta(description="The state of the lease.", examples=["received"])]
    sms: Annotated[Sms | None, Meta(description="The newest text; null until one has come.")]
    revision: Revision
    messages: Annotated[list[Sms], Meta(description="All texts of the lease, oldest first.")]
    expires_at: _ExpiresAt
    cancel_available_at: _CancelAvailableAt
    can_cancel: Annotated[bool, Meta(description="Whether `cancelled` would be accepted now.", examples=[False])]
    can_finish: Annotated[bool, Meta(description="Whether `completed` would be accepted now.", examples=[True])]


class Lease(msgspec.Struct, frozen=True):
    """The answer to a purchase. A dry run leases nothing, so its number, id and times are null."""

    activation_id: fields.ActivationId | None
    phone_number: fields.PhoneNumber | None
    country: fields.Country
    service: fields.Service
    expires_at: _ExpiresAt | None
    cost: Cost
    cancel_available_at: _CancelAvailableAt | None
    labels: fields.Labels
    dry_run: fields.DryRun


class Activation(Status, frozen=True, kw_only=True):
    """A lease with everything that its owner may know."""

    activation_id: fields.ActivationId
    phone_number: fields.PhoneNumber
    country: fields.Country
    service: fields.Service
    cost: Cost
    refund: Refund
    currency: fields.Currency
    carrier: Annotated[str, Meta(description="The carrier that the number belongs to.", examples=["simulated"])]
    created_at: fields.CreatedAt
    ended_at: Annotated[str, Meta(description="When the lease ended; null while it runs.")] | None
    labels: fields.Labels


class Step(msgspec.Struct, frozen=True):
    """Something that happened to a lease, or the reason why nothing has."""

    at: fields.At
    type: Annotated[str, Meta(description="The event, or `waiting`.", examples=["activation.created"])]
    detail: Annotated[str, Meta(description="What happened, in a sentence.", examples=["The number was leased."])]
    why: Annotated[
        list[str],
        Meta(
            description="Of a text: why this lease got it, which words decided on its code, which numbers were "
            "turned down.",
            examples=[["This lease got it because the text names its service.", "Taken 847291: “code” before it."]],
        ),
    ]


class Detail(Activation, frozen=True, kw_only=True):
    """A lease with its timeline."""

    timeline: Annotated[
        list[Step],
        Meta(description="What happened, oldest first; the last step of a waiting lease says why nothing has come."),
    ]


class _Kept(msgspec.Struct, frozen=True):
    """A text as texts_of() answers it: octets in hexadecimal, in the clear only what came before there were keys."""

    received_at: str
    sender: str
    revision: int
    code: str | None
    full_text: str | None
    sealed: str | None
    key: str | None
    incomplete: bool = False


_read_texts = msgspec.json.Decoder(list[_Kept]).decode


def texts(row: Row) -> list[Sms]:
    """The texts of a row, oldest first."""
    return [_sms(kept) for kept in _read_texts(row["texts"])] if row["texts"] else []


def _sms(kept: _Kept) -> Sms:
    key, sealed = bytes.fromhex(kept.key or ""), bytes.fromhex(kept.sealed or "")
    full_text, code = vault.opened(kept.full_text, kept.code, key, sealed)
    return Sms(
        code,
        full_text,
        kept.received_at,
        kept.sender,
        kept.revision,
        erased=full_text is None,
        incomplete=kept.incomplete,
    )


def _common(row: Row, now: datetime.datetime) -> dict[str, Any]:
    messages = texts(row)
    return {
        "status": row["state"],
        "sms": messages[-1] if messages else None,
        "revision": row["revision"],
        "messages": messages,
        "expires_at": iso(row["expires_at"]),
        "cancel_available_at": iso(row["cancel_after"]),
        "can_cancel": row["state"] == "waiting" and row["cancel_after"] <= now,
        "can_finish": row["state"] == "received",
    }


def status(row: Row, now: datetime.datetime) -> Status:
    return Status(**_common(row, now))


class Identity(TypedDict):
    """Which lease it is, in answers and in events."""

    activation_id: str
    phone_number: str
    country: str
    service: str


def identity(row: Row) -> Identity:
    return Identity(
        activation_id=str(row["activation_id"]),
        phone_number=row["e164"],
        country=row["country"],
        service=row["service"],
    )


def labels(row: Row) -> dict[str, str]:
    found: dict[str, str] = msgspec.json.decode(row["labels"]) if row["labels"] else {}
    return found


def _whole(row: Row, now: datetime.datetime) -> dict[str, Any]:
    return {
        **_common(row, now),
        **identity(row),
        "cost": money.show(row["cost_micros"]),
        "refund": money.show(row["refund_micros"]),
        "currency": row["currency"],
        "carrier": row["carrier"],
        "created_at": iso(row["created_at"]),
        "ended_at": iso(row["ended_at"]) if row["ended_at"] else None,
        "labels": labels(row),
    }


def activation(row: Row, now: datetime.datetime) -> Activation:
    return Activation(**_whole(row, now))


def detail(row: Row, now: datetime.datetime) -> Detail:
    return Detail(**_whole(row, now), timeline=timeline(row, now))


_HAPPENED = {
    "activation.created": "The number was leased.",
    "activation.completed": "The lease was completed.",
    "activation.cancelled": "The lease was cancelled.",
    "activation.expired": "The lease's time was over.",
}


def timeline(row: Row, now: datetime.datetime) -> list[Step]:
    """What happened, oldest first; for a lease that waits, the last step says why nothing has come.

    Of each text it says why this lease got it, which cue decided on its code, and what was turned down.
    """
    arrived = {sms.revision: sms for sms in texts(row)}
    reasons = msgspec.json.decode(row["reasons"] or b"{}")
    steps = []
    for event in msgspec.json.decode(row["events"]) if row["events"] else _remains(row, arrived.values()):
        kind, why = event["type"], []
        sms = arrived.get(event["data"]["revision"]) if kind == "sms.received" else None
        if sms is None:
            detail = _HAPPENED.get(kind, kind)
        else:
            detail = _arrived(sms)
            why = _why_so_read(sms, reasons.get(str(sms.revision)))
        steps.append(Step(event["at"], kind, detail, why))
    unfinished = msgspec.json.decode(row["parts"]) if row["parts"] else []
    steps += [Step(long["at"], "sms.part", _came(long), []) for long in unfinished]
    steps.sort(key=lambda step: step.at)
    if row["state"] == "waiting":
        steps.append(Step(iso(now), "waiting", *_why_nothing_came(row)))
    return steps


def _remains(row: Row, arrived: Iterable[Sms]) -> list[dict[str, Any]]:
    """What the lease itself tells of its events, once those are older than events are kept."""
    ended = [{"type": f"activation.{row['state']}", "at": iso(row["ended_at"])}] if row["ended_at"] else []
    texts = [{"type": "sms.received", "at": sms.received_at, "data": {"revision": sms.revision}} for sms in arrived]
    return [{"type": "activation.created", "at": iso(row["created_at"])}, *texts, *ended]


def _came(long: dict[str, Any]) -> str:
    """Of a long text that is not whole; whose it is nobody knows yet, so none of its words."""
    came = [str(number) for number in long["came"]]
    parts, have = ("part", "has") if len(came) == 1 else ("parts", "have")
    return f"Of a long text {parts} {', '.join(came)} of {long['total']} {have} come to the number."


def _arrived(sms: Sms) -> str:
    if sms.erased:
        return "A text arrived; it has been erased since."
    if sms.incomplete:
        code = f"its code is {sms.code}" if sms.code else "what is there holds no code"
        return f"A long text arrived of which parts are missing; {code}."
    return f"A text arrived; its code is {sms.code}." if sms.code else "A text arrived; it holds no code."


def _why_so_read(sms: Sms, reason: str | None) -> list[str]:
    """The text is read again, which costs less than to store why of each one."""
    why = [f"This lease got it because {reason}."] if reason else []
    if sms.full_text is None:
        return why
    found = extract(long_texts.legible(sms.full_text) if sms.incomplete else sms.full_text)
    if found.code != sms.code:
        return [*why, "It was read by an earlier version of Trunkline."]
    return [*why, *found.why]


def _why_nothing_came(row: Row) -> tuple[str, list[str]]:
    others, kept_back = row["unmatched"], row["kept_back"]
    if not others and row["parts"]:
        return "A long text is coming to the number.", [
            "Its missing parts are waited for; if they do not come, it goes where a text of what has come would."
        ]
    if not others:
        return "No text has come to the number yet.", []
    some = "1 text has" if others == 1 else f"{others} texts have"
    why = ["Service, sender and contains decide which lease a text is for."]
    if kept_back:
        held = "1 of them was" if kept_back == 1 else f"{kept_back} of them were"
        why.append(f"{held} kept back by a sender or contains filter.")
    if row["unnamed"]:
        held = "1 of them was" if row["unnamed"] == 1 else f"{row['unnamed']} of them were"
        why.append(f"{held} kept back: {UNNAMED}.")
    return f"{some} come to the number since, none for this lease.", why
