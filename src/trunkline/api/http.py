"""HTTP/1.1 on the socket: uvicorn's protocol, with bounds on what comes before a body, and problems instead of text."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from trunkline import ids, metrics
from trunkline.api import wire
from trunkline.api.streaming import ABORT
from trunkline.errors import MalformedBody, PathTooLong, TrunklineError

LARGEST_HEAD = 32 * 1024  # request line and headers
HEAD_SECONDS = 20  # for a head to come in whole, from its first byte or from the connection's start


class MalformedRequest(MalformedBody):
    code, title = "malformed_request", "Malformed request"


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's protocol reads a head of any size for any time; this one does not."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._head_size = 0
        self._in_head = True
        self._deadline: asyncio.TimerHandle | None = None
        self._running: RequestResponseCycle | None = None  # uvicorn knows the last one that was asked for alone
        self._at_once = getattr(self.config.app, "at_once", None)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """An answer that is known already needs no task, and goes out in one write.

        While requests are queued behind this one that would be a recursion for each of them.
        """
        known = (
            self._at_once(cycle.scope) if self._at_once and not self.pipeline and not self.flow.write_paused else None
        )
        self._running = cycle
        if known is None:
            cycle.scope["extensions"] = {ABORT: self.transport.abort}  # type: ignore[dict-item] # ours, not ASGI's
            super()._start_asgi_task(cycle, app)
            return
        headers, body = known
        parts = [STATUS_LINE[200]]
        for name, value in (*self.server_state.default_headers, *headers):
            parts += (name, b": ", value, b"\r\n")
        if not cycle.keep_alive:
            parts.append(b"connection: close\r\n")
        parts += (b"\r\n", body)
        self.transport.write(b"".join(parts))
        cycle.response_started = cycle.response_complete = True
        if not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._deadline = self.loop.call_later(HEAD_SECONDS, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        self._meet_deadline()
        super().connection_lost(exc)
        if self._running is not None and not self._running.response_complete:  # while others wait behind it
            self._running.disconnected = True
            self._running.message_event.set()

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._in_head = False
        self._head_size = 0
        self._meet_deadline()

    def _meet_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def on_message_complete(self) -> None:
        self._in_head = True  # of the next request
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_size += len(data)
        super().data_received(data)
        if self._in_head and self._head_size > LARGEST_HEAD and not self.transport.is_closing():
            self._refuse(PathTooLong("The request line and the headers are too large."))
        elif self._in_head and self._head_size and self._deadline is None:  # a later head that is not here whole
            self._deadline = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002
        if self._in_head and self._head_size > LARGEST_HEAD:
            self._refuse(PathTooLong("The request line and the headers are too large."))
        else:
            self._refuse(MalformedRequest("The request is not HTTP/1.1, or a header holds what none may."))

    def _refuse(self, error: TrunklineError) -> None:
        request_id = ids.request_id()
        metrics.request_ended(metrics.UNMATCHED, "other", error.status, None)
        body = wire.problem(error, request_id)
        self.transport.write(
            b"".join(
                (
                    STATUS_LINE[error.status],
                    b"content-type: application/problem+json\r\nconnection: close\r\n",
                    b"content-length: %d\r\nx-request-id: %s\r\n\r\n" % (len(body), request_id.encode()),
                    body,
                )
            )
        )
        self.transport.close()
