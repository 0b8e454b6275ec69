"""HTTP/1.1 on a socket (RFC 9110, RFC 9112): heads and bodies come in, and what a caller may take of us is bounded.

The grammar is llhttp's (httptools). What stands here is the connection: the order of answers, and for everything that a
caller sends or leaves unread a bound in octets and one in time (docs/decisions/0018). Nothing here knows the product.
"""

import asyncio
import logging
import math
import urllib.parse
from collections import deque
from typing import TYPE_CHECKING, Any

import httptools

from trunkline import ids, metrics
from trunkline.api import heads, wire
from trunkline.api.exchange import STATUS_LINE, Exchange
from trunkline.api.heads import HeaderTooLarge, MalformedRequest, VersionNotSupported
from trunkline.api.streaming import ABORT
from trunkline.errors import PathTooLong, TrunklineError

if TYPE_CHECKING:
    from trunkline.api.door import Door

log = logging.getLogger("trunkline.api")

LARGEST_HEAD = 32 * 1024  # request line and headers; also trailers, and what frames a body's chunks
HEAD_SECONDS = 20  # for a head to come in whole, from its first octet or from the connection's start
IDLE_SECONDS = 75  # between two requests
STALL_SECONDS = 60  # in which a caller reads at least LEAST_READ of an answer
LEAST_READ = 4 * 1024
LINGER_SECONDS = 5  # for a caller to hear the last answer out, and what they send on meanwhile is not looked at
MOST_AFTER = 4 * 1024 * 1024  # octets of that
MOST_UNREAD = 64 * 1024  # octets of a body that nobody has asked for yet: then no more are read
MOST_BODY = 1024 * 1024  # octets of a body that is of no use: the application refuses sooner what is too long for it
MOST_QUEUED = 64  # requests that wait for the answer before them: then what came after them is not looked at yet
SLICE = 16 * 1024  # octets that are looked at before the next such look at the queue


class _Deaf(Exception):
    """Ends the parser's work: what comes after a connection's last request is nobody's."""


class HttpProtocol(asyncio.Protocol):
    """A connection. ``due`` is when the door calls ``overdue``, ``since`` when the connection came to wait."""

    transport: asyncio.Transport

    def __init__(self, door: "Door", address: str, counted: str) -> None:
        self.address = address  # the socket's
        self.counted = counted  # what its connections are counted by
        self.has_left = False
        self._door = door
        self._loop = door.loop
        self._at_once = door.at_once
        self._parser = _parser(self)
        self._client: tuple[str, int] | None = None
        self._server: tuple[str, int] | None = None
        self.since = self.due = math.inf
        # What comes in
        self._is_in_head = True
        self._is_begun = False  # a head, by its first letter
        self._is_reviving = False  # the parser is told a head anew
        self._upgrade: bytes | None = None  # the head, without what asks for another protocol
        self._spent = 0  # octets since the request before
        self._size = 0  # octets of this head, or of these trailers
        self._framing = 0  # octets of this body that are no data
        self._taken = 0  # octets of this body
        self._after = 0  # octets after the last request
        self._is_deaf = False  # there will be no other request
        self._is_hung_up = False  # the caller has sent all they wanted to
        self._is_read_paused = False
        self._unfed = b""  # octets that nobody has looked at
        self._url = b""
        self._fields: heads.Fields = []
        self._host: bytes | None = None  # that was found to be one
        # What goes out
        self._arriving: Exchange | None = None
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

    def _take(self, data: bytes) -> None:
        if self._is_deaf:
            return
        self._spent += len(data)
        exchange, was_in_head, taken = self._arriving, self._is_in_head, self._taken
        self._feed(data)
        if self._is_deaf:
            return
        if self._is_in_head:
            if self._spent > 2 * LARGEST_HEAD:
                self._refuse(PathTooLong("The request line and the headers are too large."))
            elif self._running is None and (self._is_begun or self._spent):
                self._await_head()
        elif not was_in_head and exchange is self._arriving:
            self._framing += len(data) - (self._taken - taken)
            if self._framing > LARGEST_HEAD + 8 * self._taken:
                self._refuse(HeaderTooLarge("What stands between the body's chunks is too large."))

    def _feed(self, data: bytes) -> None:
        while data and not self._is_deaf:
            try:
                self._parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                data = data[upgrade.args[0] :]
            except httptools.HttpParserError as error:
                if not self._is_deaf:
                    self._refuse(_reason(error.__context__))
                return
            self._decline_upgrade()

    def _decline_upgrade(self) -> None:
        """RFC 9110 §7.8: who does not switch protocols goes on in this one.

        The parser takes what follows for another protocol; a new one, told the same head without the wish, does not.
        """
        assert self._upgrade is not None
        self._parser = _parser(self)
        self._is_reviving = True
        self._parser.feed_data(self._upgrade)
        self._is_reviving, self._upgrade = False, None

    def _await_head(self) -> None:
        """From its first octet on."""
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

    # What the parser finds

    def on_message_begin(self) -> None:
        if self._is_reviving:
            return
        if self._is_deaf:
            raise _Deaf
        self._url, self._fields, self._size, self._is_begun = b"", [], 0, True

    def on_url(self, url: bytes) -> None:
        self._url += url
        if len(self._url) > LARGEST_HEAD:
            raise PathTooLong("The request line and the headers are too large.")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._size += len(name) + len(value) + 4
        if self._is_in_head:
            if self._size + len(self._url) > LARGEST_HEAD:
                raise PathTooLong("The request line and the headers are too large.")
            self._fields.append((name.lower(), value.rstrip(b" \t")))
        elif self._size > LARGEST_HEAD and not self._is_reviving:  # trailers, which nobody here reads
            raise HeaderTooLarge("The trailers are too large.")

    def on_headers_complete(self) -> None:
        if self._is_reviving:
            return
        version, method, fields = self._parser.get_http_version(), self._parser.get_method(), self._fields
        asked = dict(fields)
        if len(asked) != len(fields):
            fields = heads.together(fields)
            asked = dict(fields)
        if version == "1.1":
            host = asked.get(b"host")
            if host is None or host != self._host:
                heads.check_host(host)
                self._host = host
        elif version != "1.0":
            raise VersionNotSupported("This server speaks HTTP/1.1.")
        coding = asked.get(b"transfer-encoding")
        if coding is not None:
            heads.check_coding(coding, version)
        raw_path, query = heads.target(method, self._url)
        path = raw_path.decode("ascii")
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": version,
            "server": self._server,
            "client": self._client,
            "scheme": "http",
            "root_path": "",
            "method": method.decode("ascii"),
            "path": urllib.parse.unquote(path) if "%" in path else path,
            "raw_path": raw_path,
            "query_string": query,
            "headers": fields,
        }
        is_whole = coding is None and asked.get(b"content-length", b"0") == b"0"
        keep_alive = version == "1.1" and self._parser.should_keep_alive()
        if b"upgrade" in asked and self._parser.should_upgrade():
            self._upgrade = _plain_head(coding, asked.get(b"content-length"))
            keep_alive = version == "1.1" and b"close" not in asked[b"connection"].lower()
        exchange = Exchange(
            self,
            scope,
            keep_alive=keep_alive,
            whole=is_whole,
            wants_continue=version == "1.1" and asked.get(b"expect", b"").lower() == b"100-continue",
        )
        self._is_in_head = self._is_begun = False
        self._spent = self._size = self._framing = self._taken = 0
        self._arriving = exchange
        if self._running is None:
            self._start(exchange)
        else:
            self._queue.append(exchange)
            self._read_or_pause()

    def on_body(self, body: bytes) -> None:
        self._taken += len(body)
        exchange = self._arriving
        assert exchange is not None
        if exchange.is_over or exchange.is_gone:
            return
        if self._taken > MOST_BODY:
            self.abort()
            raise _Deaf
        exchange.body += body
        if len(exchange.body) > MOST_UNREAD:
            self._read_or_pause()
        exchange.tell()

    def on_message_complete(self) -> None:
        if self._upgrade is not None and not self._is_reviving:
            return  # its body is still to come
        self._is_in_head = True
        self._spent = 0
        exchange = self._arriving
        assert exchange is not None
        exchange.is_whole = True
        if not exchange.keep_alive:
            self._is_deaf = True
        if not exchange.is_over:
            exchange.tell()

    # Answers

    def _start(self, exchange: Exchange) -> None:
        """An answer that is known already needs no task, and goes out in one write.

        While requests are queued behind this one that would be a recursion for each of them.
        """
        self._running = exchange
        if not self.is_write_paused:
            self.due = math.inf
        if self._at_once and exchange.is_whole and not self._queue and not self.is_write_paused:
            known = self._at_once(exchange.scope)
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
        """Closes a connection on which nothing is under way; others end with the answer that they are at."""
        if (
            self._running is None
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


def _parser(protocol: HttpProtocol) -> Any:
    parser = httptools.HttpRequestParser(protocol)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)  # it is not read: see on_message_begin
    return parser


def _reason(cause: BaseException | None) -> TrunklineError:
    """What to say where the parser has stopped; ``cause`` is what a callback has raised."""
    if isinstance(cause, TrunklineError):
        return cause
    if cause is not None:
        log.error("reading a request failed", exc_info=cause)
    return MalformedRequest("The request is not HTTP/1.1, or a header holds what none may.")


def _plain_head(coding: bytes | None, length: bytes | None) -> bytes:
    framing = b"transfer-encoding: chunked" if coding is not None else b"content-length: " + (length or b"0")
    return b"POST / HTTP/1.1\r\n" + framing + b"\r\n\r\n"


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
