"""Octets in, requests out: the grammar of HTTP/1.1 (RFC 9112) is llhttp's, what comes around a body is bounded here."""

import abc
import asyncio
import logging
import urllib.parse
from typing import TYPE_CHECKING, Any

import httptools

from trunkline.errors import TrunklineError
from trunkline.surfaces.http import heads
from trunkline.surfaces.http.exchange import Exchange
from trunkline.surfaces.http.problems import HeaderTooLarge, MalformedRequest, PathTooLong, VersionNotSupported

if TYPE_CHECKING:
    from trunkline.surfaces.http.protocol import HttpProtocol

log = logging.getLogger("trunkline.api")

LARGEST_HEAD = 32 * 1024  # request line and headers; also trailers, and what frames a body's chunks
MOST_UNREAD = 64 * 1024  # octets of a body that nobody has asked for yet: then no more are read
MOST_BODY = 1024 * 1024  # octets of a body that is of no use: the application refuses sooner what is too long for it


class _Deaf(Exception):
    """Ends the parser's work: what comes after a connection's last request is nobody's."""


class Requests(asyncio.Protocol, abc.ABC):
    """What comes in on a connection. Whoever inherits decides what becomes of a request, and of what is none."""

    def __init__(self) -> None:
        self._parser = _parser(self)
        self._client: tuple[str, int] | None = None
        self._server: tuple[str, int] | None = None
        self._arriving: Exchange | None = None  # the request whose octets come in
        self._is_in_head = True
        self._is_begun = False  # a head, by its first letter
        self._is_reviving = False  # the parser is told a head anew
        self._upgrade: bytes | None = None  # the head, without what asks for another protocol
        self._spent = 0  # octets since the request before
        self._size = 0  # octets of this head, or of these trailers
        self._framing = 0  # octets of this body that are no data
        self._taken = 0  # octets of this body
        self._is_deaf = False  # there will be no other request
        self._url = b""
        self._fields: heads.Fields = []
        self._host: bytes | None = None  # that was found to be one

    @abc.abstractmethod
    def _connection(self) -> "HttpProtocol":
        """What a request that comes in is answered on."""

    @abc.abstractmethod
    def _begin(self, exchange: Exchange) -> None:
        """Its head is here whole."""

    @abc.abstractmethod
    def _refuse(self, error: TrunklineError) -> None:
        """What came is no request, or the body of one is broken."""

    @abc.abstractmethod
    def _await_head(self) -> None:
        """A head has begun and is not here whole."""

    @abc.abstractmethod
    def _read_or_pause(self) -> None:
        """There is more that nobody has asked for yet, or less."""

    @abc.abstractmethod
    def abort(self) -> None:
        """Ends the connection without a word."""

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
            elif self._is_begun or self._spent:
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
            self._connection(),
            scope,
            keep_alive=keep_alive,
            whole=is_whole,
            wants_continue=version == "1.1" and asked.get(b"expect", b"").lower() == b"100-continue",
        )
        self._is_in_head = self._is_begun = False
        self._spent = self._size = self._framing = self._taken = 0
        self._arriving = exchange
        self._begin(exchange)

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


def _parser(protocol: Requests) -> Any:
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
