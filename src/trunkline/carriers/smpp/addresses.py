"""Addresses as peers write them, to addresses as the platform keeps them, and back (SMPP 3.4 §5.2.5-§5.2.9)."""

from trunkline.carriers.smpp.message import TON_ALPHANUMERIC, TON_INTERNATIONAL, TON_UNKNOWN
from trunkline.carriers.smpp.pdu import LONGEST_READABLE, readable

_NPI_UNKNOWN = 0
_NPI_ISDN = 1


def sender(ton: int, octets: bytes) -> str:
    """Who sent a text: "+digits" for an international number, otherwise what the peer wrote, cleaned."""
    text = readable(octets.decode("latin-1"))
    if ton == TON_INTERNATIONAL:
        return _international(text) or text
    return text


def recipient(ton: int, octets: bytes) -> str:
    """Whom a text is for: "+digits" for a number marked international, or digits without a mark."""
    text = readable(octets.decode("latin-1"))
    if ton in (TON_INTERNATIONAL, TON_UNKNOWN) or text[:1] == "+":
        return _international(text) or text
    return text


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
