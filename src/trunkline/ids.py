"""Identifiers that the outside sees: request ids, key secrets with their checksum, list cursors."""

import base64
import binascii
import itertools
import secrets
import string

from trunkline.errors import InvalidRequest

BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
KEY_BODY = 30
KEY_CHECKSUM = 6


_process = secrets.token_hex(6)
_requests = itertools.count(1)


def request_id() -> str:
    """Unique over processes and restarts; it names a line in a log and is no secret."""
    return f"req_{_process}{next(_requests):08x}"


def _base62(number: int, width: int) -> str:
    digits = ""
    for _ in range(width):
        number, digit = divmod(number, 62)
        digits = BASE62[digit] + digits
    return digits


def new_key(mode: str) -> str:
    """``tl_live_`` or ``tl_test_``, 30 random base62 characters (178 bits), 6 of checksum."""
    head = f"tl_{mode}_" + "".join(secrets.choice(BASE62) for _ in range(KEY_BODY))
    return head + _checksum(head)


def looks_like_key(text: str) -> bool:
    """Whether the checksum fits, so that a mistyped key is refused without asking the database."""
    return (
        len(text) == len("tl_live_") + KEY_BODY + KEY_CHECKSUM
        and text.startswith(("tl_live_", "tl_test_"))
        and text.isascii()
        and text[-KEY_CHECKSUM:] == _checksum(text[:-KEY_CHECKSUM])
    )


def _checksum(head: str) -> str:
    return _base62(binascii.crc32(head.encode()), KEY_CHECKSUM)


def cursor(position: int) -> str:
    """An opaque place in a list, for the caller to hand back."""
    return base64.urlsafe_b64encode(position.to_bytes(8)).rstrip(b"=").decode()


def from_cursor(text: str) -> int:
    """Raises InvalidRequest where the text is no cursor of ours."""
    try:
        raw = base64.b64decode(text + "=", altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != 8 or raw[0] > 127:
        raise InvalidRequest("The cursor is not one that a list of this API gave.", field="cursor")
    return int.from_bytes(raw)


def from_path(text: str) -> int | None:
    """The number that an id in a path stands for; None where it can be no id of ours."""
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        return None
    return int(text)
