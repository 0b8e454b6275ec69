"""The port between the platform and whoever carries its texts.

A carrier receives texts (MO) and hands each to ``deliver``; it says yes to its own peer only when the future that
``deliver`` returns is done, because only then is the text committed. It never imports what stands behind that call.
"""

import asyncio
import contextlib
import dataclasses
import datetime
import enum
from collections.abc import Callable, Sequence
from typing import Protocol

from trunkline.errors import TrunklineError


class Alphabet(enum.StrEnum):
    """How the octets of a payload stand for characters."""

    GSM7 = "gsm7"  # 3GPP TS 23.038 default alphabet with its extension table, one septet in each octet
    UCS2 = "ucs2"  # big-endian UTF-16 as handsets really send it, surrogate pairs included
    LATIN1 = "latin1"
    ASCII = "ascii"
    UTF8 = "utf8"
    CYRILLIC = "cyrillic"  # ISO 8859-5
    HEBREW = "hebrew"  # ISO 8859-8
    JIS = "jis"  # JIS X 0208 and X 0212, in whichever of their encodings: ISO 2022-JP, Shift_JIS, EUC-JP
    KOREAN = "korean"  # KS C 5601, as EUC-KR with what Windows added
    BINARY = "binary"  # octets that may be no text at all: then shown as hexadecimal, and never read for a code


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """Where a payload stands in a long text (3GPP TS 23.040 §9.2.3.24.1, or the sar_* TLVs)."""

    reference: int  # 0..65535, chosen by the sender
    total: int  # 2..255
    number: int  # 1..total
    kind: str = dataclasses.field(default="", compare=False)  # "8", "16" or "sar": references of each are their own


@dataclasses.dataclass(frozen=True, slots=True)
class Identity:
    """What a carrier knows a text by, which tells a text that is sent again from the same words sent anew.

    Of texts with the same words, those of one ``session`` are one text where their names are the same, and several
    where they differ. One of another session is the same text if it came within ``doubtful``, and another if not.
    """

    name: str
    session: str | None = None  # within which names are unique; None: they are unique for ever, as message ids are
    # When there were texts of which the carrier may not have heard that we took them; None as a beginning: since ever.
    doubtful: tuple[tuple[datetime.datetime | None, datetime.datetime], ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class InboundText:
    """One MO text, or one part of a long one, as a carrier handed it over."""

    carrier: str
    sender: str  # "+4915112345678" for an international number, else as the carrier gave it: "WhatsApp", "72000"
    recipient: str  # E.164 with +, the likeliest reading where the carrier writes numbers in another form
    payload: bytes
    alphabet: Alphabet
    part: Part | None = None
    activation_id: int | None = None  # the one lease that it is for, where the simulated network sends of itself
    others: tuple[str, ...] = dataclasses.field(default=(), compare=False)  # other readings of the recipient
    written: str = dataclasses.field(default="", compare=False)  # the recipient's digits as the carrier wrote them
    local: bool = dataclasses.field(default=False, compare=False)  # they may lack the area code too
    machine: str | None = None  # why it is for a device and no person: kept, and no lease gets it
    identity: Identity | None = dataclasses.field(default=None, compare=False)  # None: it is known by its words alone


@dataclasses.dataclass(frozen=True, slots=True)
class DeliveryReceipt:
    """What became of a text that we sent (MT)."""

    carrier: str
    message_id: str  # as the carrier wrote it; may be the hexadecimal or the decimal form of what submit answered
    state: str  # delivered, expired, deleted, undeliverable, accepted, unknown, rejected, enroute
    error: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class OutboundText:
    """One MT text to be sent."""

    sender: str
    recipient: str  # E.164 with +
    text: str
    validity_seconds: int | None = None  # after which it is not to be delivered any more
    reference: str = ""  # names this send: a carrier that can tells the same one sent again


class LinkState(enum.StrEnum):
    DOWN = "down"
    CONNECTING = "connecting"
    UP = "up"
    STANDBY = "standby"  # another process has the link; this one would take it over


@dataclasses.dataclass(frozen=True, slots=True)
class Health:
    state: LinkState
    detail: str  # one line for the operator: "bound to 10.1.2.3:2775", "connection refused, next try in 4 s"


SIMULATED = "simulated"  # the carrier that is always there and reaches nobody (``carriers/simulated``)


class StoreAway(TrunklineError):
    """The database cannot take the text now; the carrier's peer must be told to send it again."""

    code = "store_away"
    status = 503


class SubmitRefused(TrunklineError):
    """The carrier's peer said no to a text: nothing of it went out."""

    code = "submit_refused"
    status = 502
    throttled = False  # it asks for less; the same text may be sent later


class SubmitThrottled(SubmitRefused):
    throttled = True


class LinkDown(SubmitRefused):
    """Nothing was written: there is no link that takes texts. The same text may be sent later, or over another link."""


class SubmitUnknown(TrunklineError):
    """The text was written, and no answer came: it may have gone out, in part or as a whole."""

    code = "submit_unknown"
    status = 502
    message_ids: Sequence[str] = ()  # of the parts that were taken


Deliver = Callable[[InboundText], "asyncio.Future[None]"]
"""Takes a text; the future is done once it is committed, or raises StoreAway."""

Report = Callable[[DeliveryReceipt], "asyncio.Future[None]"]
"""Takes a delivery receipt; the future is done once it is safe to acknowledge, or raises StoreAway."""


class Carrier(Protocol):
    """A way by which texts come and go."""

    name: str
    kind: str

    async def run(self, deliver: Deliver, report: Report) -> None:
        """Keeps the link up until cancelled; on cancellation says goodbye to the peer and closes."""

    async def send(self, text: OutboundText) -> list[str]:
        """Sends a text; the peer's message id for each of its parts. Raises SubmitRefused."""

    def health(self) -> Health:
        """How the link stands, without asking the peer."""


def receipt_names(message_id: str) -> tuple[str, ...]:
    """Every form in which a carrier may write the same message id, the likeliest first: submit answers in hexadecimal
    where receipts are decimal, or the other way round (SMPP 3.4 §2.7 leaves it open)."""
    plain = message_id.strip().lower()
    bare = plain.lstrip("0") or plain
    names = [bare]
    if bare.isascii() and bare.isdigit():
        names.append(f"{int(bare):x}")
    with contextlib.suppress(ValueError):
        names.append(str(int(bare, 16)))
    return tuple(dict.fromkeys(names))
