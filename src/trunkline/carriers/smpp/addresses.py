"""Addresses as peers write them, to addresses as the platform keeps them, and back (SMPP 3.4 §5.2.5-§5.2.9)."""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from trunkline.carriers.smpp.message import TON_ALPHANUMERIC, TON_INTERNATIONAL, TON_UNKNOWN
from trunkline.carriers.smpp.pdu import LONGEST_READABLE, readable

_NPI_UNKNOWN = 0
_NPI_ISDN = 1
_NO_PREFIXES: Final[Mapping[str, str]] = MappingProxyType({})
_SEPARATORS = str.maketrans("", "", " \u00a0-.()/")
_SHORTEST = len("+1234567")
_ZERO = ord("0")


def sender(ton: int, octets: bytes) -> str:
    """Who sent a text: "+digits" for an international number, otherwise what the peer wrote, cleaned."""
    text = readable(octets.decode("latin-1"))
    if ton == TON_INTERNATIONAL:
        return _international(text) or text
    return text


@dataclasses.dataclass(frozen=True, slots=True)
class Destination:
    """Whom a text is for, as far as the octets tell; which of it is a number of ours is for others to know."""

    recipient: str  # the likeliest reading: "+digits", or what the peer wrote where that is no whole number
    others: tuple[str, ...] = ()  # further whole numbers that it can be, likelier first
    written: str = ""  # the digits as they were written, with a + where there was one; empty for no number


def destination(ton: int, octets: bytes, prefixes: Mapping[str, str] = _NO_PREFIXES) -> Destination:
    """Reads destination_addr. Peers get the type of number wrong, so the digits count: whole, after the peer's prefix
    for abroad (00, 011), or in a form that only the number's own country knows (``written``).

    ``prefixes``: what this peer writes at a number's beginning, to what stands there in E.164; the longest that fits
    counts, "" fits all. They come first, but for a number that is marked international.
    """
    if ton == TON_INTERNATIONAL and not prefixes and octets.isdigit() and octets[0] != _ZERO:  # nearly always
        digits = octets[: LONGEST_READABLE - 1].decode()
        return Destination("+" + digits, (), digits)
    text = readable(octets.decode("latin-1"))
    written = text.translate(_SEPARATORS)[: LONGEST_READABLE - 1]
    digits = written.removeprefix("+")
    if not (digits.isascii() and digits.isdecimal()):
        return Destination(text)
    whole = [f"+{digits}", f"+{digits.removeprefix('00')}", f"+{digits.removeprefix('011')}"]
    ruled = _with_prefix(written, prefixes)
    if ruled:
        whole.insert(1 if ton == TON_INTERNATIONAL or written != digits else 0, ruled)
    # No calling code begins with a zero, and no number is shorter than seven digits (E.164 §6).
    readings = [number for number in dict.fromkeys(whole) if number[1:2] not in ("", "0") and len(number) >= _SHORTEST]
    if readings and (ruled or written != digits or ton in (TON_INTERNATIONAL, TON_UNKNOWN)):
        return Destination(readings[0], tuple(readings[1:]), written)
    return Destination(written, tuple(readings), written)


def _with_prefix(written: str, prefixes: Mapping[str, str]) -> str | None:
    for length in range(len(written), -1, -1):
        instead = prefixes.get(written[:length])
        if instead is not None:
            number = (instead + written[length:]).removeprefix("+")
            return f"+{number}" if number else None
    return None


def as_sender(address: str) -> tuple[int, int, str]:
    """TON, NPI and address for source_addr of a text that we send."""
    if address[:1] == "+" and address[1:].isdecimal():
        return TON_INTERNATIONAL, _NPI_ISDN, address[1:]
    if address.isdecimal():
        return TON_UNKNOWN, _NPI_UNKNOWN, address
    return TON_ALPHANUMERIC, _NPI_UNKNOWN, address


def as_recipient(address: str) -> tuple[int, int, str]:
    """TON, NPI and address for destination_addr of a text that we send, from E.164 with +."""
    return TON_INTERNATIONAL, _NPI_ISDN, address.removeprefix("+")


def _international(text: str) -> str | None:
    digits = text.removeprefix("+").removeprefix("00")
    return f"+{digits[: LONGEST_READABLE - 1]}" if digits.isdecimal() else None
