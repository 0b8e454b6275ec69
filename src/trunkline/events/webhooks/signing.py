"""Signatures as Standard Webhooks 1.0 says: HMAC-SHA256 over the id, the instant and the body."""

import base64
import binascii
import hmac
from collections.abc import Sequence
from secrets import token_bytes

from trunkline.errors import InvalidRequest

PREFIX = "whsec_"
SECRET_BYTES = 24
LONGEST_SECRET_BYTES = 64


def new_secret() -> bytes:
    return token_bytes(SECRET_BYTES)


def shown(secret: bytes) -> str:
    """A secret as its receiver keeps it: ``whsec_`` and base64."""
    return PREFIX + base64.b64encode(secret).decode()


def from_shown(text: str) -> bytes:
    """Raises InvalidRequest for what is no ``whsec_`` secret of 24 to 64 octets."""
    head, encoded = text[: len(PREFIX)], text[len(PREFIX) :]
    try:
        secret = base64.b64decode(encoded, validate=True) if head == PREFIX else b""
    except (binascii.Error, ValueError):
        secret = b""
    if not SECRET_BYTES <= len(secret) <= LONGEST_SECRET_BYTES:
        raise InvalidRequest(
            f"A secret is {PREFIX} and {SECRET_BYTES} to {LONGEST_SECRET_BYTES} octets in base64.", field="secret"
        )
    return secret


def sign(secrets: Sequence[bytes], webhook_id: str, timestamp: int, body: bytes) -> str:
    """The value of ``webhook-signature``: one signature for each secret. ``timestamp``: in seconds since 1970."""
    message = f"{webhook_id}.{timestamp}.".encode() + body
    signatures = (hmac.digest(secret, message, "sha256") for secret in secrets)
    return " ".join(f"v1,{base64.b64encode(signature).decode()}" for signature in signatures)
