"""A connection of HTTP/1.1 (RFC 9112 §9): answers in the order of their requests, and an end to everything.

For whatever a caller sends or leaves unread there is a bound in octets and one in time (docs/decisions/0018); those of
requests stand in ``requests.py``. Nothing here knows the product.
"""

import asyncio
import math
from collections import deque
from typing import TYPE_CHECKING, Any

from trunkline import ids, metrics
from trunkline.errors import TrunklineError
from trunkline.surfaces.http import wire
from trunkline.surfaces.http.exchange import STATUS_LINE, Exchange
from trunkline.surfaces.http.requests import MOST_UNREAD, Requests
from trunkline.surfaces.http.streaming import ABORT

if TYPE_CHECKING:
    from trunkline.surfaces.http.door import Door

HEAD_SECONDS = 20  # for a head to come in whole, from its first octet or from the connection's start
IDLE_SECONDS = 75  # between two requests
STALL_SECONDS = 60  # in which a caller reads at least LEAST_READ of an answer
LEAST_READ = 4 * 1024
MOMENT_SECONDS = 0.5  # for the request of a caller who is let in as the server leaves
LINGER_SECONDS = 5  # for a caller to hear the last answer out, and what they send on meanwhile is not looked at
MOST_AFTER = 4 * 1024 * 1024  # octets of that
MOST_QUEUED = 64  # requests that wait for the answer before them: then what came after them is not looked at yet
SLICE = 16 * 1024  # octets that are looked at before the next such look at the queue


class HttpProtocol(Requests):
    """A connection. ``due`` is when the door calls ``overdue``, ``since`` when the connection came to wait."""

    transport: asyncio.Transport

    def __init__(self, door: "Door", address: str, counted: str) -> None:
        super().__init__()
        self.address = address  # the socket's
        self.counted = counted  # what its connections are counted by
        self.has_left = False
        self._door = door
        self._loop = door.loop
        self._cached = door.cached
        self.since = self.due = math.inf
        self._after = 0  # octets after the last request
        self._is_hung_up = False  # the caller has sent all they wanted to
        self._is_read_paused = False
        self._unfed = b""  # octets that nobody has looked at
        self._running: Exchange | None = None
        self._queue: deque[Exchange] = deque()
        self._last_words: TrunklineError | None = None  # after the queue
        self._is_closing = False  # there will be no other answer
        self._unread = -1  # octets of answers at the last look
        self.is_write_paused = False
        self._drained: list[asyncio.Future[None]] = []

    @property
    def date(self) -> bytes:
        return self._door.date

    @property
    def is_waiting(self) -> bool:
        """For its caller: to send, or to read an answer that is ready."""
        return self._running is None or not self._running.is_whole

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self._client = _address(transport.get_extra_info("peername"))
        self._server = _address(transport.get_extra_info("sockname"))
        self.since = self._loop.time()
        self.due = self.since + HEAD_SECONDS
        self._door.entered(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._is_deaf = self._is_closing = True
        self.due = math.inf
        self._door.left(self)
        for exchange in (self._running, self._arriving):
            if exchange is not None and not exchange.is_over:
                exchange.is_gone = True
                exchange.tell()
        self._queue.clear()
        self.resume_writing()
        self._parser = None  # which knows us

    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            self._after += len(data)
            if self._after > MOST_AFTER:
                self.abort()
            return
        for at in range(0, len(data), SLICE):
            if at and len(self._queue) >= MOST_QUEUED:
                self._unfed = data[at:]
                self._read_or_pause()
                return
            self._take(data[at : at + SLICE] if len(data) > SLICE else data)

    def _take_on(self) -> None:
        data, self._unfed = self._unfed, b""
        if data:
            self.data_received(data)
            self._read_or_pause()

    def _await_head(self) -> None:
        """It has HEAD_SECONDS from its first octet on, or from the end of the answer before it."""
        if self._running is not None:
            return
        now = self._loop.time()
        if self.due > now + HEAD_SECONDS:
            self.since, self.due = now, now + HEAD_SECONDS

    def eof_received(self) -> bool:
        """A caller who has sent everything still reads: what is whole is answered (RFC 9112 §9.6)."""
        if self._running is None:
            return False
        self._is_deaf = self._is_hung_up = True
        last = self._queue[-1] if self._queue else self._running
        if not last.is_whole:
            if self._queue:
                self._queue.pop()
            else:
                last.is_broken = True
                last.tell()
        if self._running.is_endless:  # nobody could tell this from a caller who is gone
            self._running.is_gone = True
            self._running.tell()
            self.abort()
            return False
        return True

    # Answers

    def _connection(self) -> "HttpProtocol":
        return self

    def _begin(self, exchange: Exchange) -> None:
        if self._running is None:
            self._start(exchange)
        else:
            self._queue.append(exchange)
            self._read_or_pause()

    def _start(self, exchange: Exchange) -> None:
        """An answer that is known already needs no task, and goes out in one write.

        While requests are queued behind this one that would be a recursion for each of them.
        """
        self._running = exchange
        if not self.is_write_paused:
            self.due = math.inf
        if self._cached and exchange.is_whole and not self._queue and not self.is_write_paused:
            known = self._cached(exchange.scope)
            if known is not None:
                headers, body = known
                parts = [STATUS_LINE[200], self._door.date]
                for name, value in headers:
                    parts += (name, b": ", value, b"\r\n")
                if not self.goes_on_after(exchange, has_length=True):
                    parts.append(b"connection: close\r\n")
                parts += (b"\r\n", body)
                self.transport.write(b"".join(parts))
                exchange.is_started = exchange.is_over = True
                self.answered(exchange)
                return
        exchange.scope["extensions"] = {ABORT: self.abort}
        self._door.work(exchange)

    def goes_on_after(self, exchange: Exchange, *, has_length: bool) -> bool:
        """Whether the connection is kept after this answer; decided with its head."""
        if exchange.keep_alive and (
            not exchange.is_whole or not has_length or (self._door.is_leaving and not self._queue)
        ):
            exchange.keep_alive = False
        return exchange.keep_alive

    def answered(self, exchange: Exchange) -> None:
        self._running = None
        if self.transport.is_closing():
            return
        if not exchange.keep_alive:
            self._close()
        elif self._queue:
            self._start(self._queue.popleft())
            self._read_or_pause()
            if self._unfed and not self._queue:
                self._loop.call_soon(self._take_on)
        elif self._unfed:
            self._loop.call_soon(self._take_on)
        elif self._last_words is not None:
            self.answer_refused(self._last_words)
        elif self._is_hung_up:
            self._close()
        else:
            self.since = self._loop.time()
            self.due = self.since + (HEAD_SECONDS if self._is_begun or self._spent else IDLE_SECONDS)
            if self._is_read_paused:
                self._read_or_pause()

    def _refuse(self, error: TrunklineError) -> None:
        """In its turn: what was asked for before is answered first."""
        self._door.malformed(self.address)
        self._is_deaf = True
        exchange = self._arriving
        if exchange is not None and not exchange.is_whole:
            exchange.keep_alive = False
            exchange.is_broken, exchange.refusal = True, error
            exchange.tell()
        elif self._running is None:
            self.answer_refused(error)
        else:
            self._last_words = error

    def answer_refused(self, error: TrunklineError) -> None:
        metrics.request_ended(metrics.UNMATCHED, "other", error.status, None)
        self.write(refusal(error, self._door.date))
        self._close()

    def write(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(data)

    def _close(self) -> None:
        """Says that this was all, and waits a little for the caller to have heard it (RFC 9112 §9.6).

        A socket that is closed with octets unread is reset, and the answer may be lost on its way.
        """
        self._is_deaf = self._is_closing = True
        self._running, self._unfed = None, b""
        self._queue.clear()
        if self.transport.is_closing():
            return
        self.since = self._loop.time()
        self.due = self.since + (1 if self._door.is_leaving else LINGER_SECONDS)
        if self._is_hung_up:
            self.transport.close()
        else:
            self.transport.write_eof()
            self._read_or_pause()

    def abort(self) -> None:
        self._is_deaf = True
        self.transport.abort()

    def leave(self, has_unread: bool) -> None:
        """Closes a connection on which nothing is under way; others end with the answer that they are at.

        Whoever has come, or has been answered, a moment ago is about to ask.
        """
        if (
            self._running is None
            and self._loop.time() - self.since >= MOMENT_SECONDS
            and not self._is_closing
            and not (self._is_begun or self._spent or self._unfed or has_unread)
        ):
            self._is_deaf = self._is_closing = True
            self.due = self._loop.time() + 1
            self.transport.close()

    def overdue(self, now: float) -> None:
        """Time is up: for a head, for the next request, for reading an answer, or for hearing the last one out."""
        unread = self.transport.get_write_buffer_size()
        if unread and (self._unread < 0 or unread <= self._unread - LEAST_READ):
            self._unread, self.due = unread, now + STALL_SECONDS
        elif unread or self._is_closing or self._running is not None:
            self.abort()
        else:
            self._is_deaf = self._is_closing = True
            self.due = now + 1
            self.transport.close()

    # Flow

    def read_on(self) -> None:
        """The application waits for more."""
        if self._is_read_paused:
            self._read_or_pause()

    def _read_or_pause(self) -> None:
        arriving = self._arriving
        is_full = arriving is not None and not arriving.is_over and len(arriving.body) > MOST_UNREAD
        should_pause = not self._is_closing and (bool(self._queue or self._unfed) or is_full)
        if should_pause == self._is_read_paused or self.transport.is_closing() or self._is_hung_up:
            return
        self._is_read_paused = should_pause
        if should_pause:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def pause_writing(self) -> None:
        self.is_write_paused = True
        self._unread = -1
        self.due = min(self.due, self._loop.time() + STALL_SECONDS)

    def resume_writing(self) -> None:
        self.is_write_paused = False
        self._unread = -1
        if self._running is not None:
            self.due = math.inf
        for waiter in self._drained:
            if not waiter.done():
                waiter.set_result(None)
        self._drained.clear()

    async def drained(self) -> None:
        """Until the caller has read enough of what was written, or is gone."""
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._drained.append(waiter)
        await waiter


def _address(name: Any) -> tuple[str, int] | None:
    return (str(name[0]), int(name[1])) if isinstance(name, tuple) else None


def refusal(error: TrunklineError, date: bytes) -> bytes:
    """The answer to what never became a request. It is the connection's last."""
    request_id = ids.request_id()
    body = wire.problem(error, request_id)
    again = b"retry-after: 1\r\n" if error.status in (429, 503) else b""
    return (
        b"%bcontent-type: application/problem+json\r\nconnection: close\r\ncontent-length: %d\r\n"
        b"x-request-id: %b\r\nx-content-type-options: nosniff\r\ncache-control: no-store\r\n%b\r\n%b"
        % (STATUS_LINE[error.status] + date, len(body), request_id.encode(), again, body)
    )
