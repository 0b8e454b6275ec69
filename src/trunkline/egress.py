"""Calls to addresses that customers name: dialled so that nobody reaches what only this machine or its network may.

A name is resolved once, every answer must be public, and the connection goes to an address that was checked: a name
that answers otherwise a moment later changes nothing. Only HTTPS on its own port, unless the operator's list of
networks covers the address. No redirect is followed, no proxy variable read, no body unpacked; 64 KiB of answer are
read at most, and everything together has 15 seconds.
"""

import asyncio
import functools
import ipaddress
import re
import socket
import ssl
import urllib.parse
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import NamedTuple

import httptools

from trunkline.errors import InvalidRequest, TrunklineError

SECONDS = 15.0  # for everything: name, connection, TLS, request, answer
CONNECT_SECONDS = 5.0  # for one address, where a name has several
MOST_ADDRESSES = 4  # of a name, that are tried
MOST_READ = 64 * 1024  # bytes of an answer, its head included
LONGEST_URL = 2048

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# Everything that IANA's registry of special-purpose IPv4 addresses does not call an ordinary public one. The last is
# public on paper, and on Azure the virtual machine's own host.
_NOT_PUBLIC_4 = tuple(
    IPv4Network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16"),
        *("192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        "168.63.129.16/32",
    )
)
# IPv6 is public where it is global unicast (RFC 4291 §2.5.4, as far as it is given out) and for no special purpose:
# that leaves out IPv4-mapped, NAT64, site-local, unique local, link-local and multicast addresses as a whole. Teredo
# and IANA's other protocol assignments are the first of these, 6to4 the third.
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NOT_PUBLIC_6 = tuple(
    IPv6Network(network)
    for network in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3ffe::/16", "3fff::/20")
)

_HOST = re.compile(r"(?!-)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")

# Names are looked up in threads of their own: slow name servers of some keep nobody else's work from a thread.
_resolvers = ThreadPoolExecutor(16, thread_name_prefix="resolve")


class UrlRefused(InvalidRequest):
    """A URL that is not dialled: what it says, or where it leads."""

    code, title = "url_refused", "URL refused"


class NoAnswer(TrunklineError):
    """A dialled URL that did not answer as HTTP asks, or not in time; ``detail`` says what was amiss."""

    code, status, title = "no_answer", 502, "No answer"


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]  # names in lower case; of those sent twice the last
    body: bytes  # as it came, also where it is packed; the beginning of it where it is not whole
    whole: bool
    address: str  # that answered


class _Target(NamedTuple):
    secure: bool
    host: str  # a name in ASCII, or an address without brackets
    port: int
    path: str  # with its query


async def fetch(
    method: str,
    url: str,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    *,
    allow: Sequence[Network] = (),
    seconds: float = SECONDS,
) -> Answer:
    """One request and its answer, whatever its status. Raises UrlRefused and NoAnswer.

    ``allow``: the networks of the operator's own that may be dialled besides, over HTTP and on any port too.
    """
    target = _read(url)
    request = _request(method, target, headers or {}, body)
    try:
        async with asyncio.timeout(seconds):
            addresses = await _resolve(target)
            for address in addresses:
                _check(target, address, allow)
            reader, writer, address = await _connect(target, addresses)
            try:
                writer.write(request)
                return await _answer(reader, str(address))
            finally:
                writer.transport.abort()  # a goodbye would be one more wait for the other side
    except TimeoutError:
        raise NoAnswer(f"There was no whole answer within {seconds:g} seconds.") from None
    except (OSError, httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
        raise NoAnswer(f"The connection failed: {_words(error)}.") from None


def is_public(address: Address) -> bool:
    """Whether an address is an ordinary one of the internet. Stricter than ``ipaddress.is_global``, which lets NAT64,
    6to4, site-local and multicast addresses through on some versions of Python."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_4)
    return address in _GLOBAL_UNICAST and not any(address in network for network in _NOT_PUBLIC_6)


def networks(cidrs: Iterable[str]) -> tuple[Network, ...]:
    """Raises ValueError for what is no network, as in 10.0.0.0/8."""
    return tuple(ipaddress.ip_network(cidr) for cidr in cidrs)


def _read(url: str) -> _Target:
    if len(url) > LONGEST_URL:
        raise UrlRefused(f"A URL has at most {LONGEST_URL} characters.", field="url")
    if any(character <= " " or character in "\\\x7f" for character in url):  # which readers of URLs disagree about
        raise UrlRefused("A URL has no spaces, control characters and backslashes.", field="url")
    try:
        parts = urllib.parse.urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise UrlRefused("That is no URL.", field="url") from None
    if parts.scheme not in ("https", "http") or not host:
        raise UrlRefused("A URL begins with https:// and a host.", field="url")
    if "@" in parts.netloc or parts.fragment:
        raise UrlRefused("A URL here has no user, password or fragment.", field="url")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if port == 0 or not path.isascii():
        raise UrlRefused("The URL's port or path is not one that can be asked for.", field="url")
    secure = parts.scheme == "https"
    return _Target(secure, _host(host, bracketed="[" in parts.netloc), port or (443 if secure else 80), path)


def _host(host: str, *, bracketed: bool) -> str:
    try:
        if bracketed:
            return str(IPv6Address(host.replace("%", "no zones")))
        name = host.encode("idna").decode() if not host.isascii() else host
    except ValueError:
        name = ""
    if len(name) > 253 or not _HOST.fullmatch(name):
        raise UrlRefused("The URL's host is no name and no address.", field="url")
    return name


async def _resolve(target: _Target) -> list[Address]:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.run_in_executor(
            _resolvers, functools.partial(socket.getaddrinfo, target.host, target.port, type=socket.SOCK_STREAM)
        )
    except (socket.gaierror, UnicodeError):
        raise NoAnswer(f"The name {target.host} cannot be resolved.") from None
    return list(dict.fromkeys(ipaddress.ip_address(each[4][0]) for each in found))


def _check(target: _Target, address: Address, allow: Sequence[Network]) -> None:
    if any(address in network for network in allow):
        return
    if not is_public(address):
        raise UrlRefused("The URL leads to an address that is not public.", field="url")
    if not target.secure or target.port != 443:
        raise UrlRefused("The URL is not https:// on port 443.", field="url")


async def _connect(
    target: _Target, addresses: Sequence[Address]
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, Address]:
    """Dials the checked addresses in turn; TLS is to the name, as its certificate must be."""
    tls = _trust() if target.secure else None
    failed: Exception = OSError("the name has no address")
    for address in addresses[:MOST_ADDRESSES]:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                reader, writer = await asyncio.open_connection(
                    str(address), target.port, ssl=tls, server_hostname=target.host.rstrip(".") if tls else None
                )
            return reader, writer, address
        except TimeoutError:
            failed = OSError(f"{address} took more than {CONNECT_SECONDS:g} seconds")
        except OSError as error:
            failed = error
    raise failed


@functools.cache
def _trust() -> ssl.SSLContext:
    """The system's certificates, or those that SSL_CERT_FILE names."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def _request(method: str, target: _Target, headers: Mapping[str, str], body: bytes) -> bytes:
    """Raises UrlRefused for a header that would be more than one."""
    host = f"[{target.host}]" if ":" in target.host else target.host
    if target.port != (443 if target.secure else 80):
        host += f":{target.port}"
    lines = {"Host": host, "Connection": "close", "User-Agent": "Trunkline", "Accept-Encoding": "identity", **headers}
    if body or method != "GET":
        lines["Content-Length"] = str(len(body))
    for name, value in lines.items():
        if not _HEADER.fullmatch(name) or not _VALUE.fullmatch(value):
            raise UrlRefused(f"The header {name!r} cannot be sent.", field="headers")
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {target.path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body


class _Reading:
    """What httptools calls while it reads an answer."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.body = bytearray()
        self.begun = False  # the head is here
        self.done = False
        self.status = 0
        self.parser = httptools.HttpResponseParser(self)

    def on_message_begin(self) -> None:
        self.headers.clear()

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.begun:  # else it is a trailer
            self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.status = self.parser.get_status_code()
        self.begun = self.status >= 200  # what comes before is no answer yet (RFC 9110 §15.2)

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.done = self.begun


async def _answer(reader: asyncio.StreamReader, address: str) -> Answer:
    reading = _Reading()
    left, ended = MOST_READ, False
    while left and not reading.done and not ended:
        piece = await reader.read(left)
        left -= len(piece)
        ended = not piece
        if piece:
            reading.parser.feed_data(piece)
    if not reading.begun:
        raise NoAnswer("The connection ended before an answer." if ended else "The answer's head has no end.")
    # an answer that names no length ends with the connection (RFC 9112 §6.3)
    unmeasured = not reading.headers.keys() & {"content-length", "transfer-encoding"}
    whole = reading.done or (ended and unmeasured)
    return Answer(reading.status, reading.headers, bytes(reading.body), whole, address)


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not good: {error.verify_message.rstrip('.')}"
    if isinstance(error, ssl.SSLError):
        return f"no TLS: {error.reason}"
    if isinstance(error, httptools.HttpParserError | httptools.HttpParserUpgrade):
        return "what came is not HTTP/1.1"
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).rstrip(".")
