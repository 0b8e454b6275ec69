"""Octets to characters and back, for every alphabet that a text can come in; and cutting a long text for sending.

Pure functions. The GSM alphabet and its extension table are 3GPP TS 23.038 §6.2.1, one septet in each octet, which is
how SMPP peers and HTTP providers hand it over; ``readers`` has the other alphabets.
"""

import codecs
import re

from trunkline.carriers import readers
from trunkline.carriers.carrier import Alphabet

_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION = {
    0x0A: "\f",
    0x14: "^",
    0x28: "{",
    0x29: "}",
    0x2F: "\\",
    0x3C: "[",
    0x3D: "~",
    0x3E: "]",
    0x40: "|",
    0x65: "€",
}
_ESCAPE = 0x1B

_DECODING = _BASIC + "\ufffd" * 128  # a septet above 0x7F is nobody's character
_ENCODING: dict[int, int | bytes] = {
    **{ord(character): septet for septet, character in enumerate(_BASIC) if septet != _ESCAPE},
    **{ord(character): bytes((_ESCAPE, septet)) for septet, character in _EXTENSION.items()},
}
# Keyed by what the septet after the escape decodes to. A second escape, and an escape that nothing follows, are
# shown as a space (notes 1 and 3 of the tables); a septet without an entry is shown as its plain character.
_ESCAPED = {_BASIC[septet]: character for septet, character in _EXTENSION.items()} | {"\x1b": " ", "": " "}
_ESCAPE_SEQUENCE = re.compile("\x1b(.?)", re.DOTALL)

_SINGLE_OCTETS = {Alphabet.GSM7: 160, Alphabet.UCS2: 140}
_SEGMENT_OCTETS = {Alphabet.GSM7: 153, Alphabet.UCS2: 134}  # what a six-octet concatenation header leaves


def decode(payload: bytes, alphabet: Alphabet) -> str:
    """The characters of a payload. Never raises: what is no character becomes U+FFFD.

    NUL is dropped: it is padding where it occurs, and PostgreSQL refuses it in a text.
    """
    if alphabet is Alphabet.GSM7:
        if not payload.isascii() and (utf8 := readers.utf8(payload)) is not None:
            return utf8
        text = codecs.charmap_decode(payload, "strict", _DECODING)[0]
        return _ESCAPE_SEQUENCE.sub(_unescape, text) if "\x1b" in text else text
    text = readers.READERS[alphabet](payload)
    return text.replace("\0", "") if "\0" in text else text


def encode(text: str) -> tuple[bytes, Alphabet]:
    """The octets of a text in the GSM alphabet where all of it fits, else in UCS-2. Never raises."""
    try:
        return codecs.charmap_encode(text, "strict", _ENCODING)[0], Alphabet.GSM7
    except UnicodeEncodeError:
        return text.encode("utf-16-be", "replace"), Alphabet.UCS2


def split(text: str) -> tuple[list[bytes], Alphabet]:
    """The payloads that carry a text, without headers: one if it fits, else 153 septets or 67 UCS-2 units in each.

    An escape sequence or a surrogate pair is never cut in two (3GPP TS 23.040 §9.2.3.24.1).
    """
    octets, alphabet = encode(text)
    if len(octets) <= _SINGLE_OCTETS[alphabet]:
        return [octets], alphabet
    payloads = []
    start = 0
    while start < len(octets):
        end = start + _SEGMENT_OCTETS[alphabet]
        if end < len(octets):
            if alphabet is Alphabet.GSM7:
                end -= octets[end - 1] == _ESCAPE
            elif 0xD8 <= octets[end - 2] <= 0xDB:  # the first half of a surrogate pair
                end -= 2
        payloads.append(octets[start:end])
        start = end
    return payloads, alphabet


def _unescape(sequence: re.Match[str]) -> str:
    character: str = sequence[1]
    return _ESCAPED.get(character, character)
