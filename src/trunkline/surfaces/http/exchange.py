"""One request and its answer, between a connection and an ASGI application (https://asgi.readthedocs.io, HTTP 2.3)."""

import asyncio
import http
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from trunkline.errors import TrunklineError
from trunkline.surfaces.http.streaming import Receive, Send

if TYPE_CHECKING:
    from trunkline.surfaces.http.protocol import HttpProtocol

log = logging.getLogger("trunkline.api")

Application = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]

REST_SECONDS = 0.25  # for the rest of a request that is answered before its end: then its connection is closed


def _status_line(status: int) -> bytes:
    try:
        phrase = http.HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}\r\n".encode()


STATUS_LINE = {status: _status_line(status) for status in range(100, 600)}


class Exchange:
    """``keep_alive``: another request may follow on the connection. ``is_whole``: this one is here to its end."""

    __slots__ = (
        "_connection", "_head", "_is_chunked", "_is_handed_over", "_left", "_news", "_wants_continue", "body",
        "is_broken", "is_endless", "is_gone", "is_over", "is_started", "is_whole", "keep_alive", "refusal", "scope",
    )  # fmt: skip

    def __init__(
        self, connection: "HttpProtocol", scope: dict[str, Any], *, keep_alive: bool, whole: bool, wants_continue: bool
    ) -> None:
        self.scope = scope
        self.keep_alive = keep_alive
        self.is_whole = whole
        self.body = bytearray()  # what the application has not asked for yet
        self.is_gone = False  # nobody is there any more to read the answer
        self.is_broken = False  # the rest of the body will not come
        self.refusal: TrunklineError | None = None  # what the caller is told of a body that is broken
        self.is_started = self.is_over = False
        self.is_endless = False  # the answer is a stream that goes on until one of both leaves
        self._connection = connection
        self._wants_continue = wants_continue
        self._is_handed_over = False  # the application has the whole body
        self._news: asyncio.Future[None] | None = None
        self._head: bytes | None = None  # of an answer whose length is known: goes out with its body
        self._is_chunked = False
        self._left = 0  # octets of the body that the answer's head has promised

    def tell(self) -> None:
        """There is more of the body, or nothing more will come."""
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    async def run(self, application: Application) -> None:
        try:
            await application(self.scope, self.receive, self.send)
        except Exception:
            log.exception("the application failed")
        if self.is_over or self.is_gone:
            return
        if self.refusal is not None and not self.is_started:
            self._connection.answer_refused(self.refusal)
        else:
            self._connection.abort()

    async def receive(self) -> dict[str, Any]:
        if self._wants_continue and not self.is_started and not self.body and not self.is_whole:
            self._connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._wants_continue = False
        while not (self.is_gone or self.is_over or self.is_broken):
            if self.body or (self.is_whole and not self._is_handed_over):
                taken = bytes(self.body)
                self.body.clear()
                self._is_handed_over = self.is_whole
                return {"type": "http.request", "body": taken, "more_body": not self.is_whole}
            await self._wait()
        return {"type": "http.disconnect"}

    async def _wait(self) -> None:
        self._connection.read_on()
        news = self._news = asyncio.get_running_loop().create_future()
        try:
            await news
        finally:
            if self._news is news:  # else somebody else waits by now
                self._news = None

    async def send(self, message: dict[str, Any]) -> None:
        if self._connection.is_write_paused and not self.is_gone:
            await self._connection.drained()
        if self.is_gone:
            return
        if not self.is_started:
            await self._start(message)
        elif not self.is_over:
            self._go_on(message["body"], more=message.get("more_body", False))
        else:
            raise RuntimeError("The answer is over.")

    async def _start(self, message: dict[str, Any]) -> None:
        if not self.is_whole and not self._wants_continue:
            await self._skip_rest()
            if self.is_gone:
                return
        self.is_started = True
        status: int = message["status"]
        has_length = status in (204, 304) or self.scope["method"] == "HEAD"
        parts = [STATUS_LINE[status], self._connection.date]
        for name, value in message["headers"]:
            if b"\n" in value or b"\r" in value:
                raise RuntimeError(f"A header of the answer has a line break: {name!r}.")
            parts += (name, b": ", value, b"\r\n")
            if name == b"content-length":
                has_length, self._left = True, int(value)
            elif name == b"connection" and value == b"close":
                self.keep_alive = False
            elif name == b"content-type" and value.startswith(b"text/event-stream"):
                self.is_endless = True
        self._is_chunked = not has_length and self.scope["http_version"] != "1.0"
        if self._is_chunked:
            parts.append(b"transfer-encoding: chunked\r\n")
        if not self._connection.goes_on_after(self, has_length=has_length or self._is_chunked):
            parts.append(b"connection: close\r\n")
        parts.append(b"\r\n")
        head = b"".join(parts)
        if has_length:
            self._head = head
        else:
            self._connection.write(head)

    async def _skip_rest(self) -> None:
        """What is answered before its end is mostly on its way whole: then the connection can be kept."""
        try:
            async with asyncio.timeout(REST_SECONDS):
                while not (self.is_whole or self.is_gone or self.is_broken):
                    self.body.clear()
                    await self._wait()
        except TimeoutError:
            pass

    def _go_on(self, body: bytes, *, more: bool) -> None:
        if self.scope["method"] == "HEAD":
            body, self._left = b"", 0
        if self._is_chunked:
            last = b"" if more else b"0\r\n\r\n"
            self._connection.write(b"%x\r\n%b\r\n%b" % (len(body), body, last) if body else last)
        elif self._head is not None:
            self._left -= len(body)
            self._connection.write(self._head + body)
            self._head = b""
            if self._left < 0 or (self._left and not more):
                raise RuntimeError("The answer is not as long as its head says.")
        else:
            self._connection.write(body)
        if not more:
            self.is_over = True
            self.tell()
            self._connection.answered(self)
