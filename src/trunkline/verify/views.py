"""What the outside sees of verifications and profiles, each field with its meaning; and the way there from a row."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta

from trunkline import fields, money
from trunkline.clock import iso
from trunkline.storage.database import Row

PREFIX = "ver_"

State = Literal["pending", "approved", "failed", "expired", "cancelled", "blocked"]
SendState = Literal["queued", "submitting", "sent", "delivered", "undelivered", "unknown", "refused", "dropped"]
Alphabet = Literal["digits", "letters"]

ProfileName = Annotated[str, Meta(description="The slug of the app's settings.", examples=["default"])]
Metadata = Annotated[
    dict[str, str],
    Meta(description="Up to 10 short strings of your own; lists can be filtered by them.", examples=[{"user": "1042"}]),
]
Locale = Annotated[str, Meta(description="The language of the text (BCP 47).", examples=["de"])]
_Moment = Annotated[str, Meta(description="Null where it has not happened.", examples=[fields.MOMENT])]


class Decision(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a rule of the guard said of a start."""

    rule: Annotated[str, Meta(description="The rule.", examples=["prefix_volume"])]
    verdict: Annotated[
        Literal["allowed", "blocked", "shadow"],
        Meta(description="`shadow`: it would have been blocked, but the rule is only watched.", examples=["allowed"]),
    ]
    value: Annotated[float | str | None, Meta(description="What the rule saw.", examples=[3])] = None
    threshold: Annotated[float | str | None, Meta(description="What it lets through.", examples=[60])] = None
    reason: Annotated[str, Meta(description="In a sentence.", examples=["3 starts in this hour, 60 are usual."])] = ""
    retry_at: Annotated[str, Meta(description="When it would let it through.", examples=[fields.MOMENT])] | None = None


class Send(msgspec.Struct, frozen=True):
    """A text on its way: one for the start and each resend, and one more for each route that it fell back to."""

    number: Annotated[int, Meta(description="1 for the start, one more for each resend.", examples=[1])]
    route: Annotated[str, Meta(description="The carrier that takes it.", examples=["north"])]
    sender: Annotated[str, Meta(description="Whom it comes from.", examples=["ACME"])]
    segments: Annotated[int, Meta(description="Into how many parts it is cut.", examples=[1])]
    state: Annotated[
        SendState,
        Meta(
            description="`sent`: the carrier took it; `unknown`: the carrier did not answer, so it may have gone out; "
            "`dropped`: it would have come too late.",
            examples=["delivered"],
        ),
    ]
    error: (
        Annotated[str, Meta(description="Why not; null where nothing went wrong.", examples=["ESME_RTHROTTLED"])] | None
    )
    is_fallback: Annotated[bool, Meta(description="Whether it took the place of one that did not arrive.")]
    queued_at: Annotated[str, Meta(description="When it was asked for.", examples=[fields.MOMENT])]
    sent_at: _Moment | None
    ended_at: Annotated[str, Meta(description="When its receipt came, or it failed.", examples=[fields.MOMENT])] | None


class Verification(msgspec.Struct, frozen=True):
    """A code that was sent to a phone number, and what became of it. The code itself is never shown."""

    verification_id: fields.VerificationId | None
    status: Annotated[State, Meta(description="What it has come to.", examples=["pending"])]
    phone_number: fields.PhoneNumber
    country: fields.Country
    channel: Annotated[Literal["sms"], Meta(description="How the code travels.", examples=["sms"])]
    profile: ProfileName
    created_at: fields.CreatedAt
    expires_at: Annotated[str, Meta(description="Until when the code is good.", examples=["2026-04-19T14:35:00Z"])]
    resend_at: Annotated[str, Meta(description="From when it can be sent again.", examples=["2026-04-19T14:30:30Z"])]
    ended_at: Annotated[str, Meta(description="When it ended; null while it is pending.")] | None
    checks_left: Annotated[int, Meta(description="How often a code can still be checked.", examples=[5])]
    sends_left: Annotated[int, Meta(description="How often the text can still be sent.", examples=[4])]
    locale: Locale | None
    template: Annotated[str, Meta(description="The template of the text.", examples=["default"])] | None
    cost: Annotated[Decimal, Meta(description="What it costs: by approval or by text.", examples=[0.05])]
    charge: Annotated[
        Literal["approved", "sent"],
        Meta(description="What is paid for: the approval, or each text.", examples=["approved"]),
    ]
    charged: Annotated[Decimal, Meta(description="What of it was captured so far.", examples=[0])]
    currency: fields.Currency
    metadata: Metadata
    dry_run: Annotated[bool, Meta(description="Whether nothing was sent.", examples=[False])] = False
    notes: Annotated[list[str], Meta(description="What was decided for you, as another language.")] = []


class Checked(msgspec.Struct, frozen=True):
    """What a check found."""

    verification_id: fields.VerificationId
    status: Annotated[
        Literal["approved", "pending"], Meta(description="`approved`: the code is right.", examples=["approved"])
    ]
    phone_number: fields.PhoneNumber
    checks_left: Annotated[int, Meta(description="How often a code can still be checked.", examples=[5])]


class VerificationDetail(Verification, frozen=True):
    """A verification with its texts, and with what the guard said."""

    sends: Annotated[list[Send], Meta(description="Its texts, oldest first.")] = []
    decisions: Annotated[list[Decision], Meta(description="What each rule of the guard said.")] = []


Brand = Annotated[str, Meta(description="The name that the text begins with.", examples=["ACME"])]
CodeLength = Annotated[int, Meta(ge=4, le=10, description="Characters of a code.", examples=[6])]
OfLetters = Annotated[
    Alphabet, Meta(description="`letters`: capitals and digits that look like no other.", examples=["digits"])
]
Ttl = Annotated[int, Meta(ge=60, le=600, description="Seconds for which a code is good.", examples=[300])]
Checks = Annotated[int, Meta(ge=1, le=5, description="Checks of one verification.", examples=[5])]
Sends = Annotated[int, Meta(ge=1, le=5, description="Texts of one verification.", examples=[5])]
UsualLocale = Annotated[
    str, Meta(description="The language where a start names none; null: the number's country's.", examples=["de"])
]
UsualTemplate = Annotated[str, Meta(description="The template where a start names none.", examples=["default"])]
OwnText = Annotated[
    str,
    Meta(
        description="Words of your own, with `{code}` and, if you like, `{brand}` and `{minutes}`. With a link in them "
        "they are used once the operator has approved them.",
        examples=["{brand}: {code} is your code."],
    ),
]
FromSender = Annotated[str, Meta(description="Whom texts come from; empty: the route's.", examples=["ACME"])]
FromSenders = Annotated[
    dict[str, str], Meta(description="The same by country, where it is another.", examples=[{"us": "+12025550100"}])
]
ToCountries = Annotated[
    list[str], Meta(description="Where codes are sent; null: the operator's list.", examples=[["de", "at"]])
]
Channels = Annotated[tuple[Literal["sms"], ...], Meta(description="How codes travel.", examples=[["sms"]])]
TestNumbers = Annotated[
    dict[str, str],
    Meta(
        description="Numbers with a fixed code, to which nothing is sent and for which nothing is limited; for tests.",
        examples=[{"+12025550199": "123456"}],
    ),
]


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """An app's settings for the codes that it sends."""

    brand: Brand = ""
    code_length: CodeLength = 6
    alphabet: OfLetters = "digits"
    ttl: Ttl = 300
    checks: Checks = 5
    sends: Sends = 5
    locale: UsualLocale | None = None
    template: UsualTemplate = "default"
    text: OwnText | None = None
    sender: FromSender = ""
    senders: FromSenders = {}
    countries: ToCountries | None = None
    channels: Channels = ("sms",)
    test_numbers: TestNumbers = {}


class NamedProfile(Profile, frozen=True, kw_only=True):
    """A profile as it is shown."""

    slug: ProfileName
    text_approved: Annotated[bool, Meta(description="Whether its own words may be used.")] = True
    created_at: Annotated[str, Meta(description="When it was made; null: it is the default, untouched.")] | None = None


def shown_id(verification_id: int) -> str:
    return f"{PREFIX}{verification_id}"


def from_shown_id(text: str) -> int | None:
    """The number behind ``ver_20000001``; None where it can be no id of ours."""
    number = text.removeprefix(PREFIX)
    if number == text or not number.isascii() or not number.isdigit() or len(number) > 18:
        return None
    return int(number)


def verification(row: Row, notes: Iterable[str] = ()) -> Verification:
    return Verification(**_members(row), notes=list(notes))


def detail(row: Row, sends: Iterable[Row]) -> VerificationDetail:
    decisions = msgspec.json.decode(row["decisions"], type=list[Decision]) if row["decisions"] else []
    return VerificationDetail(**_members(row), sends=[_send(each) for each in sends], decisions=decisions)


def checked(row: Row) -> Checked:
    return Checked(
        shown_id(row["verification_id"]),
        "approved" if row["state"] == "approved" else "pending",
        row["e164"],
        row["checks_left"],
    )


def _members(row: Row) -> dict[str, Any]:
    return {
        "verification_id": shown_id(row["verification_id"]),
        "status": row["state"],
        "phone_number": row["e164"],
        "country": row["country"],
        "channel": "sms",
        "profile": row["profile"],
        "created_at": iso(row["created_at"]),
        "expires_at": iso(row["expires_at"]),
        "resend_at": iso(row["resend_at"]),
        "ended_at": iso(row["ended_at"]) if row["ended_at"] is not None else None,
        "checks_left": row["checks_left"],
        "sends_left": row["sends_left"],
        "locale": row["locale"],
        "template": row["template"],
        "cost": money.show(row["cost_micros"]),
        "charge": row["charge"],
        "charged": money.show(row["captured_micros"]),
        "currency": row["currency"],
        "metadata": msgspec.json.decode(row["metadata"]) if row["metadata"] else {},
    }


def _send(row: Row) -> Send:
    return Send(
        row["number"],
        row["carrier"],
        row["sender"],
        row["segments"],
        row["state"],
        row["error"],
        row["fallback_of"] is not None,
        iso(row["created_at"]),
        iso(row["sent_at"]) if row["sent_at"] is not None else None,
        iso(row["ended_at"]) if row["ended_at"] is not None else None,
    )


Changes = dict[str, Any]
"""Of a profile: what is to be another, by name."""


def given(body: msgspec.Struct) -> Changes:
    """What a change names; what is left out stays."""
    named = {name: getattr(body, name) for name in body.__struct_fields__}
    return {name: value for name, value in named.items() if value is not UNSET}
