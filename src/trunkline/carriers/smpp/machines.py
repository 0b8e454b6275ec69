"""Messages that are for a device and no person (3GPP TS 23.040 §9.2.3.9, §9.2.3.24, TS 23.038 §4).

They cost nobody anything: they are acknowledged and kept for the operator, with the reason that stands here.
"""

from collections.abc import Container
from typing import Final

from trunkline.carriers import readers
from trunkline.carriers.carrier import Alphabet
from trunkline.carriers.smpp.message import ESM_UDHI, ShortMessage
from trunkline.carriers.smpp.parts import elements
from trunkline.carriers.smpp.pdu import TLV_DESTINATION_PORT
from trunkline.carriers.smpp.receipts import looks_like_one

# Protocol identifiers. 0x41 to 0x47 are texts that replace an earlier one.
_PROTOCOLS: Final = {
    0x40: "it is a short message of type 0, which is to be discarded",
    0x7C: "it is data for a handset, by its protocol identifier",
    0x7D: "it is data for a handset, by its protocol identifier",
    0x7E: "it is to unlock a handset, by its protocol identifier",
    0x7F: "it is data for a SIM, by its protocol identifier",
}

# esm_class, bits 5 to 2 (SMPP 3.4 §5.2.12), of which receipts are read elsewhere. What a person acknowledges by hand
# (0x10) may be words of theirs, and is a text.
_MESSAGE_TYPE: Final = 0x3C
_MESSAGE_TYPES: Final = {
    0x04: "it is a delivery receipt that names no message",
    0x08: "a handset acknowledges a text by it",
    0x18: "it ends a dialogue of a handset",
    0x20: "it is a delivery notification that names no message",
}

# Information elements of the user data header.
_SPECIAL_INDICATION: Final = 0x01
_PORT_8_BIT: Final = 0x04
_PORT_16_BIT: Final = 0x05
_WIRELESS_CONTROL: Final = 0x09
_SIM_TOOLKIT: Final = range(0x70, 0x80)
_STORE: Final = 0x80


DISCARDED: Final = frozenset(range(0xC0, 0xD0))  # data_coding: message waiting indication, "discard message"


def reason(message: ShortMessage, discarded: Container[int] = DISCARDED) -> str | None:
    """Why a message is for no person by what stands around its text, or None where nothing says so.

    ``discarded``: the data codings that mean that the message is not to be shown.
    """
    if message.protocol_id in _PROTOCOLS:
        return _PROTOCOLS[message.protocol_id]
    if message.esm_class & _MESSAGE_TYPE in _MESSAGE_TYPES:
        return _MESSAGE_TYPES[message.esm_class & _MESSAGE_TYPE]
    if message.data_coding in discarded:
        return "it tells that messages wait elsewhere, and is to be discarded"
    port = int.from_bytes(message.tlvs.get(TLV_DESTINATION_PORT, b""))
    if port:
        return f"it is for an application, at port {port}"
    if message.esm_class & ESM_UDHI:
        return next(filter(None, (_by_element(*each) for each in elements(message.payload))), None)
    return None


def unreadable(payload: bytes, alphabet: Alphabet) -> str | None:
    """Why there is nothing to read for a person in a whole text, or None."""
    if not payload:
        return "the message is empty"
    if looks_like_one(payload, alphabet):
        return "it reads like a delivery receipt, and is not marked as one"
    if alphabet is Alphabet.BINARY and readers.binary_text(payload) is None:
        return "its octets are no text"
    return None


def _by_element(element: int, value: bytes) -> str | None:
    size = {_PORT_8_BIT: 1, _PORT_16_BIT: 2}.get(element)
    if size and len(value) == 2 * size:
        port = int.from_bytes(value[:size])
        return f"it is for an application, at port {port}" if port else None
    if element == _SPECIAL_INDICATION and len(value) == 2 and not value[0] & _STORE:
        return "it tells that messages wait elsewhere, and is to be discarded"
    if element == _WIRELESS_CONTROL:
        return "it controls a network"
    return "it is for an application on the SIM" if element in _SIM_TOOLKIT else None
