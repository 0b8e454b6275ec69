"""A response before it is sent: representation, caching (RFC 9111) and what an error adds to the head."""

import datetime
import math
import random
from collections.abc import Mapping
from typing import NamedTuple

from msgspec import UNSET

from trunkline import clock
from trunkline.errors import NotAuthenticated, RateLimited, TrunklineError, Unavailable
from trunkline.surfaces.http.callers import Headers
from trunkline.surfaces.http.problems import (
    BodyTooSlow,
    ContentCodingUnknown,
    MethodNotAllowed,
    PathTooLong,
    PayloadTooLarge,
)
from trunkline.surfaces.http.route import Document, Stream

AGAIN_SECONDS = 5  # at most, until who was refused with 503 should try again

NOSNIFF = (b"x-content-type-options", b"nosniff")
PRIVATE: Headers = [(b"cache-control", b"no-store"), NOSNIFF]  # codes, secrets, and what is only true now
OF_A_FILE: Headers = [
    NOSNIFF,
    (b"cache-control", b"no-cache"),
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'",
    ),
    (b"referrer-policy", b"no-referrer"),
]


class Response(NamedTuple):
    status: int
    content_type: bytes
    body: bytes | Stream
    headers: Headers


def unless_known(kind: bytes, found: Document, asked: Mapping[bytes, bytes], headers: Headers) -> Response:
    headers = [(b"etag", found.etag.encode()), *headers]
    if found.is_known(asked.get(b"if-none-match", b"")):
        return Response(304, kind, b"", headers)
    return Response(200, kind, found.body, headers)


def of_an_error(error: TrunklineError, sent: Headers, challenge: bytes) -> Headers:
    if isinstance(error, NotAuthenticated):
        return [(b"www-authenticate", challenge)]
    if isinstance(error, MethodNotAllowed):
        return [(b"allow", error.allow.encode())]
    if isinstance(error, ContentCodingUnknown):
        return [(b"accept-encoding", b"identity")]
    if isinstance(error, (BodyTooSlow, PayloadTooLarge, PathTooLong)):
        return [(b"connection", b"close")]
    again = error.retry_at if isinstance(error, (RateLimited, Unavailable)) else UNSET
    if error.status == 503 or again is not UNSET:
        return [] if b"retry-after" in dict(sent) else [soon(again or None)]
    return []


def soon(retry_at: str | None = None) -> tuple[bytes, bytes]:
    """Retry-After (RFC 9110 §10.2.3), in seconds.

    Where nobody knows, it is drawn: those who were refused together do not come back together.
    """
    if retry_at is None:
        return b"retry-after", b"%d" % random.randint(1, AGAIN_SECONDS)  # noqa: S311 - no secret
    wait = datetime.datetime.fromisoformat(retry_at) - clock.now()
    return b"retry-after", b"%d" % max(1, math.ceil(wait.total_seconds()))
