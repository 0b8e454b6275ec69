"""The body of a request: read whole within bounds (RFC 9110 §6.4)."""

import asyncio
from collections.abc import Mapping

from trunkline.errors import MalformedBody
from trunkline.surfaces.http.problems import BodyTooSlow, PayloadTooLarge
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
