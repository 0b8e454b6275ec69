"""Octets in alphabets other than the GSM one, with the labels that peers get wrong.

A text is read otherwise than its label says only where it cannot be meant as labelled: an odd text can still be
understood by a person, a wrong guess cannot. No reader raises; what is no character becomes U+FFFD.
"""

import re
from collections.abc import Callable

from trunkline.carriers.carrier import Alphabet

_CONTROLS = re.compile(rb"[\x00-\x08\x0b\x0e-\x1f\x7f]")
_FOUR_DIGITS = re.compile(rb"[0-9]{4}")
_JAMO = re.compile("[\u3131-\u3163]+")


def utf8(payload: bytes) -> str | None:
    """The text of octets that can only be UTF-8, or ASCII: whole characters, and no controls but those of lines."""
    octets = payload.rstrip(b"\0")
    if not octets or _CONTROLS.search(octets):
        return None
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _ucs2(payload: bytes) -> str:
    if payload[:2] == b"\xff\xfe" or _is_little_endian(payload):
        return payload.removeprefix(b"\xff\xfe")[: len(payload) // 2 * 2].decode("utf-16-le", "replace")
    if _is_octets(payload):
        return utf8(payload) or ""
    even = payload[:-1] if len(payload) % 2 else payload  # half a character says nothing
    return even.decode("utf-16-be", "replace").removeprefix("\ufeff")


def _is_octets(payload: bytes) -> bool:
    """Whether a payload labelled UCS-2 is ASCII or UTF-8.

    Short ones can be both ("O`Y}" is Chinese for hello). No text of ten characters has only such by chance, none has an
    odd length, and four digits in a row are squared and circled characters.
    """
    if utf8(payload) is None:
        return False
    if len(payload) % 2 or len(payload) >= 20:
        return True
    return bool(_FOUR_DIGITS.search(payload)) and not _JAMO.fullmatch(payload.decode("utf-16-be", "replace"))


def _is_little_endian(payload: bytes) -> bool:
    """Whether a payload labelled UCS-2 has its octets the other way round: it has no character below U+0100, but
    several that would be ASCII that way, and are else far apart and rare."""
    low, high = payload[1::2], payload[0 : len(payload) // 2 * 2 : 2]
    if 0 not in low or 0 in high:
        return False
    swapped = [octet for octet, zero in zip(high, low, strict=True) if zero == 0]
    # U+4E00 and U+3000, the number one and a blank, are what Chinese has of such characters.
    ascii_ones = {octet for octet in swapped if 0x20 <= octet < 0x7F and octet not in (0x4E, 0x30)}
    return len(ascii_ones) >= 3 and len(swapped) * 5 >= len(low)


def _latin1(payload: bytes) -> str:
    if payload.isascii():
        return payload.decode("ascii")
    text = utf8(payload)
    if text is not None:
        return text
    try:
        return payload.decode("cp1252")  # quotation marks and € where Latin-1 has controls that nobody sends
    except UnicodeDecodeError:
        return payload.decode("latin-1")


def _ascii(payload: bytes) -> str:
    return utf8(payload) or payload.decode("ascii", "replace")


def binary_text(payload: bytes) -> str | None:
    """The text of octets that are not labelled as one, in a reading that is sure; None for mere data."""
    text = utf8(payload)
    if text is None and len(payload) >= 8 and len(payload) % 2 == 0 and payload[::2].count(0) * 4 > len(payload):
        text = payload.decode("utf-16-be", "replace")
        return text if text.replace("\n", "").replace("\r", "").isprintable() and "\ufffd" not in text else None
    return text


def _binary(payload: bytes) -> str:
    text = binary_text(payload)
    return payload.hex() if text is None else text


def _japanese(payload: bytes) -> str:
    if b"\x1b" in payload:
        return payload.decode("iso2022_jp_2", "replace")
    if payload.isascii():
        return _bare_jis(payload) or payload.decode("ascii")
    for codec in ("utf-8", "euc_jp", "cp932"):  # each refuses nearly all texts of those before it
        try:
            return payload.decode(codec)
        except UnicodeDecodeError:
            continue
    return payload.decode("cp932", "replace")


def _bare_jis(payload: bytes) -> str | None:
    """Two octets for each character of JIS X 0208, without the escapes: half of them are kana, digits or marks, which
    have four rows of their own. Of ASCII nothing has only those in every second place."""
    leads = payload[::2]
    if len(payload) % 2 or sum(lead in b"!#$%" for lead in leads) * 2 < len(leads) or not leads:
        return None
    try:
        return bytes(octet | 0x80 for octet in payload).decode("euc_jp")
    except UnicodeDecodeError:
        return None


def _tabled(codec: str) -> Callable[[bytes], str]:
    """Reads a table of 256, or of pairs; UTF-8 only where several characters in a row can be nothing else."""

    def read(payload: bytes) -> str:
        text = utf8(payload)
        if text is not None and len(payload) - len(text) >= 3:
            return text
        return payload.decode(codec, "replace")

    return read


READERS: dict[Alphabet, Callable[[bytes], str]] = {
    Alphabet.UCS2: _ucs2,
    Alphabet.UTF8: lambda payload: payload.decode("utf-8", "replace"),
    Alphabet.LATIN1: _latin1,
    Alphabet.ASCII: _ascii,
    Alphabet.CYRILLIC: _tabled("iso8859-5"),
    Alphabet.HEBREW: _tabled("iso8859-8"),
    Alphabet.JIS: _japanese,
    Alphabet.KOREAN: _tabled("cp949"),
    Alphabet.BINARY: _binary,
}
