"""Long answers, in chunks, on an ASGI connection."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from trunkline.surfaces.http.callers import Headers
from trunkline.surfaces.http.route import Stream

log = logging.getLogger("trunkline.api")

CHUNK_SECONDS = 60  # for the caller to read a part of a long answer
END_SECONDS = 1  # to read the end of one that its deadline has ended
ABORT = "trunkline.abort"  # among the scope's extensions: drops the connection, and what nobody has read of the answer

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


async def send_stream(
    receive: Receive,
    send: Send,
    status: int,
    headers: Headers,
    stream: Stream,
    *,
    head: bool,
    abort: Callable[[], None] | None = None,
) -> None:
    """Each chunk waits until the socket takes it, and none is made for a caller who is gone or has stopped reading.

    A stream whose deadline comes ends in order. An error after the start, or a reader who does not read, ends the
    connection without the answer's end, so that nobody takes it for whole.
    """
    headers += stream.headers
    if stream.file_name:
        headers.append((b"content-disposition", f'attachment; filename="{stream.file_name}"'.encode()))
    try:
        await send({"type": "http.response.start", "status": status, "headers": headers})
        if head:
            await stream.chunks.aclose()
            await send({"type": "http.response.body", "body": b""})
        elif not await _send_chunks(receive, send, stream):
            log.info("the answer is not read to its end")
            if abort is not None:
                abort()
                await _disconnect(receive)
    except Exception:
        log.exception("the answer broke off")
    finally:
        stream.closed()


async def _send_chunks(receive: Receive, send: Send, stream: Stream) -> bool:
    """False for a caller who is there and does not read."""
    deadline, loop = stream.deadline, asyncio.get_running_loop()
    is_taken = True
    gone = asyncio.create_task(_end_when_gone(receive, deadline))
    try:
        async with deadline, contextlib.aclosing(stream.chunks) as chunks:
            async for chunk in chunks:
                if deadline.when() is not None:
                    break  # somebody has moved it up
                in_time = loop.time() + CHUNK_SECONDS
                deadline.reschedule(in_time)
                is_taken = False
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                is_taken = True
                if deadline.when() == in_time:
                    deadline.reschedule(None)
    except TimeoutError:
        if not deadline.expired():
            raise
    finally:
        gone.cancel()
    if gone.done() or not is_taken:
        return gone.done()
    try:
        async with asyncio.timeout(CHUNK_SECONDS if deadline.when() is None else END_SECONDS):
            await send({"type": "http.response.body", "body": b""})
    except TimeoutError:
        return False
    return True


async def _end_when_gone(receive: Receive, deadline: asyncio.Timeout) -> None:
    await _disconnect(receive)
    if not deadline.expired():
        deadline.reschedule(0)


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
