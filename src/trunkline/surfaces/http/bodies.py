"""The body of a request: read whole within bounds (RFC 9110 §6.4), and decoded as the route's struct."""

import asyncio
from collections.abc import Mapping
from typing import Any

from trunkline.errors import InvalidRequest, MalformedBody
from trunkline.surfaces.http import wire
from trunkline.surfaces.http.problems import BodyTooSlow, ContentCodingUnknown, PayloadTooLarge, UnsupportedMediaType
from trunkline.surfaces.http.route import Route
from trunkline.surfaces.http.streaming import Receive

LARGEST_BODY = 64 * 1024
BODY_SECONDS = 20


class Disconnected(Exception):
    """The caller went away before the whole request was here."""


async def whole(receive: Receive, asked: Mapping[bytes, bytes]) -> bytes:
    declared = asked.get(b"content-length", b"0")
    if not declared.isdigit():
        raise MalformedBody("The Content-Length is not a number.")
    if int(declared) > LARGEST_BODY:
        raise PayloadTooLarge(f"A body has at most {LARGEST_BODY} bytes.")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Disconnected
                body += message.get("body", b"")
                if len(body) > LARGEST_BODY:
                    raise PayloadTooLarge(f"A body has at most {LARGEST_BODY} bytes.")
                if not message.get("more_body"):
                    return bytes(body)
    except TimeoutError:
        raise BodyTooSlow(f"The body was not here whole within {BODY_SECONDS} seconds.") from None


def parsed(route: Route, raw: bytes, asked: Mapping[bytes, bytes]) -> Any:
    if route.body is None:
        if raw:
            raise InvalidRequest("This path takes no body.")
        return None
    if not raw and route.may_be_empty:
        return wire.read_body(b"{}", route.body)
    if asked.get(b"content-encoding", b"identity").strip().lower() not in (b"identity", b""):
        raise ContentCodingUnknown("Send the body as it is, without a Content-Encoding.")
    kind = asked.get(b"content-type", b"application/json").split(b";")[0].strip().lower()
    if kind != b"application/json":
        raise UnsupportedMediaType("Send the body as application/json.")
    return wire.read_body(raw, route.body)
