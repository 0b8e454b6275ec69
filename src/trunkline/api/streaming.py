"""Long answers, in chunks, on an ASGI connection."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from trunkline.api.callers import Headers
from trunkline.api.routes import Stream

log = logging.getLogger("trunkline.api")

CHUNK_SECONDS = 60  # for the caller to read a part of a long answer

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


async def send_stream(
    receive: Receive, send: Send, status: int, headers: Headers, stream: Stream, request_id: str, *, head: bool
) -> None:
    """Each chunk waits until the socket takes it, and none is made for a caller who is gone or has stopped reading.

    An error after the start ends the connection without the answer's end, so that nobody takes it for whole.
    """
    if stream.file_name:
        headers.append((b"content-disposition", f'attachment; filename="{stream.file_name}"'.encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    gone = asyncio.create_task(_disconnect(receive))
    try:
        async with contextlib.aclosing(stream.chunks) as chunks:
            if not head:
                async for chunk in chunks:
                    if gone.done():
                        return
                    async with asyncio.timeout(CHUNK_SECONDS):
                        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    except Exception:
        log.exception("%s: the answer broke off", request_id)
        return
    finally:
        gone.cancel()
    await send({"type": "http.response.body", "body": b""})


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
