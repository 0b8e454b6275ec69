"""Delivery receipts, told apart from texts (SMPP 3.4 §5.2.12, §5.3.2.12, §5.3.2.35, appendix B)."""

import re
from collections.abc import Iterator

from trunkline.carriers import alphabets
from trunkline.carriers.carrier import Alphabet, DeliveryReceipt
from trunkline.carriers.smpp.message import ESM_INTERMEDIATE_NOTIFICATION, ESM_RECEIPT, ShortMessage
from trunkline.carriers.smpp.pdu import (
    TLV_MESSAGE_STATE,
    TLV_NETWORK_ERROR_CODE,
    TLV_RECEIPTED_MESSAGE_ID,
    readable,
)

# SMPP 3.4 §5.2.28; 0 and 9 are of version 5.0, which some peers speak without saying so.
_STATES = {
    0: "enroute",
    1: "enroute",
    2: "delivered",
    3: "expired",
    4: "deleted",
    5: "undeliverable",
    6: "accepted",
    7: "unknown",
    8: "rejected",
    9: "undeliverable",
}
# By the first five letters: peers write DELIVRD, DELIVERED and DELIVERD.
_STATES_IN_TEXT = {
    "ENROU": "enroute",
    "SCHED": "enroute",
    "BUFFE": "enroute",
    "BUFFR": "enroute",
    "DELIV": "delivered",
    "EXPIR": "expired",
    "DELET": "deleted",
    "UNDEL": "undeliverable",
    "FAILE": "undeliverable",
    "SKIPP": "undeliverable",
    "ACCEP": "accepted",
    "ACKED": "accepted",
    "UNKNO": "unknown",
    "REJEC": "rejected",
}
_FIELD = re.compile(
    r"(?<![a-z0-9])(id|stat|err)\s*:\s*"
    r"(?!(?:id|sub|dlvrd|submit\s*date|done\s*date|stat|err|text)\s*:)"  # this field is empty, that is the next one
    r"(\S+)",
    re.IGNORECASE,
)
_WHOLE_FORM = re.compile(
    r"id:\S+ sub:\d+ dlvrd:\d+ submit date:\d{10,14} done date:\d{10,14} stat:[A-Z]+ err:\w+", re.IGNORECASE
)
_LONGEST_TEXT_FORM = 1024


def read_receipt(message: ShortMessage, alphabet: Alphabet, carrier: str) -> DeliveryReceipt | None:
    """The receipt that a deliver_sm or data_sm carries, or None if it is a text.

    Its optional parameters count before its text. What only looks like a receipt is none, and neither is one that is
    marked and names no message: it could be matched with nothing.
    """
    tlvs = message.tlvs
    marked = message.esm_class & (ESM_RECEIPT | ESM_INTERMEDIATE_NOTIFICATION)
    message_id = readable(tlvs.get(TLV_RECEIPTED_MESSAGE_ID, b"").partition(b"\0")[0].decode("latin-1"))
    if not (marked or message_id):
        return None
    fields = _text_form(message.payload, alphabet)
    message_id = message_id or fields.get("id", "")
    if not message_id:
        return None
    number = tlvs.get(TLV_MESSAGE_STATE)
    if number is not None:
        state = _STATES.get(int.from_bytes(number), "unknown")
    elif "stat" in fields:
        state = _STATES_IN_TEXT.get(fields["stat"][:5].upper(), "unknown")
    else:
        state = "enroute" if marked & ESM_INTERMEDIATE_NOTIFICATION else "unknown"
    return DeliveryReceipt(carrier, message_id, state, _error(tlvs.get(TLV_NETWORK_ERROR_CODE), fields.get("err", "")))


def _text_form(payload: bytes, alphabet: Alphabet) -> dict[str, str]:
    # Whatever data_coding says, most peers write ASCII and some GSM octets. Of what an id is made of only the
    # underscore differs, and its GSM octet is nothing in ASCII.
    fields: dict[str, str] = {}
    for text in _readings(payload[:_LONGEST_TEXT_FORM], alphabet):
        for key, value in _FIELD.findall(text):
            fields.setdefault(key.lower(), readable(value))  # behind text: may be the like of a field, but comes last
        if "id" in fields:
            break
    return fields


def looks_like_one(payload: bytes, alphabet: Alphabet) -> bool:
    """Whether an unmarked message has the whole text form, word for word (appendix B)."""
    if payload[:2].lower() != b"id" and payload[:4].lower() != b"\0i\0d":
        return False
    return any(_WHOLE_FORM.match(text) for text in _readings(payload, alphabet))


def _readings(payload: bytes, alphabet: Alphabet) -> Iterator[str]:
    labelled = alphabet in (Alphabet.UCS2, Alphabet.UTF8)
    for each in (alphabet, Alphabet.LATIN1) if labelled else (Alphabet.LATIN1, Alphabet.UCS2):
        yield alphabets.decode(payload, each).replace("\x11", "_")
    if labelled or b"\0" in payload:
        yield payload.replace(b"\0", b"").decode("latin-1")  # UCS-2 in either order


def _error(network_error_code: bytes | None, err: str) -> str | None:
    if network_error_code is not None and len(network_error_code) == 3:  # network type, then the code (§5.3.2.31)
        code = int.from_bytes(network_error_code[1:])
        return str(code) if code else None
    return err if err.strip("0") else None
