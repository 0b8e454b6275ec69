"""Calls to addresses that customers name: dialled so that nobody reaches what only this machine or its network may.

A name is resolved once, every answer must be public, and the connection goes to an address that was checked: a name
that answers otherwise a moment later changes nothing. Only HTTPS, and only its own port where the caller does not say
otherwise, unless the operator's list of networks covers the address. No redirect is followed, no proxy variable read,
no body unpacked; 64 KiB of answer are read at most, and everything together has 15 seconds.
"""

import asyncio
import functools
import ipaddress
import os
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
CHECK_SECONDS = 3.0  # for a name that is only looked up
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
# Python's idna (RFC 3490) makes other names of these than browsers do: straße is strasse here, and somebody else's.
_DEVIATING = frozenset("ßς\u200c\u200d")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")

# Names are looked up in threads of their own, one for a name however many ask: slow name servers of some keep nobody
# else's work from a thread.
_resolvers = ThreadPoolExecutor(64, thread_name_prefix="resolve")
_lookups: dict[tuple[asyncio.AbstractEventLoop, str], "asyncio.Future[list[Address]]"] = {}


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
    cut: bool = False  # not whole because it is longer than is read; else the connection ended too early


class _Target(NamedTuple):
    secure: bool
    host: str  # a name in ASCII, or an address without brackets
    port: int
    path: str  # with its query
    address: Address | None  # where the host is one as this module reads them; else a resolver says what it is


async def fetch(
    method: str,
    url: str,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    *,
    allow: Sequence[Network] = (),
    any_port: bool = False,
    seconds: float = SECONDS,
) -> Answer:
    """One request and its answer, whatever its status. Raises UrlRefused and NoAnswer.

    ``allow``: the networks of the operator's own that may be dialled besides, over HTTP and on any port too.
    ``any_port``: public addresses may be asked on other ports than 443, over HTTPS as ever.
    """
    target = _read(url)
    request = _request(method, target, headers or {}, body)
    exchange: _Exchange | None = None
    try:
        async with asyncio.timeout(seconds):
            addresses = await _resolve(target)
            _check(target, addresses, allow, any_port)
            exchange = await _connect(target, addresses)
            return await exchange.answer(request)
    except TimeoutError:
        raise NoAnswer(f"There was no whole answer within {seconds:g} seconds.") from None
    except (OSError, httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
        raise NoAnswer(f"The connection failed: {reason(error)}.") from None
    finally:
        if exchange is not None:
            exchange.transport.abort()  # a goodbye would be one more wait for the other side


async def check(url: str, *, allow: Sequence[Network] = ()) -> None:
    """Raises UrlRefused for what ``fetch`` with ``any_port`` would not dial; nothing is dialled here.

    A name that cannot be resolved at the moment passes: whether it leads astray is seen each time it is dialled.
    """
    target = _read(url)
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            addresses = await _resolve(target)
    except (TimeoutError, NoAnswer):
        addresses = []
    _check(target, addresses, allow, any_port=True)


@functools.lru_cache(maxsize=4096)
def is_public(address: Address) -> bool:
    """Whether an address is an ordinary one of the internet. Stricter than ``ipaddress.is_global``, which lets NAT64,
    6to4, site-local and multicast addresses through on some versions of Python."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_4)
    return address in _GLOBAL_UNICAST and not any(address in network for network in _NOT_PUBLIC_6)


def networks(cidrs: Iterable[str]) -> tuple[Network, ...]:
    """Raises ValueError for what is no network, as in 10.0.0.0/8."""
    return tuple(ipaddress.ip_network(cidr) for cidr in cidrs)


@functools.lru_cache(maxsize=1024)
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
    name = _host(host, bracketed="[" in parts.netloc)
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        address = None
    return _Target(secure, name, port or (443 if secure else 80), path, address)


def _host(host: str, *, bracketed: bool) -> str:
    try:
        if bracketed:
            return str(IPv6Address(host.replace("%", "no zones")))
        if not _DEVIATING.isdisjoint(host):
            raise UrlRefused("A host with ß, ς or a joiner is written as xn--, which has one meaning.", field="url")
        name = host.encode("idna").decode() if not host.isascii() else host
    except ValueError:
        name = ""
    if len(name) > 253 or not _HOST.fullmatch(name):
        raise UrlRefused("The URL's host is no name and no address.", field="url")
    return name


async def _resolve(target: _Target) -> list[Address]:
    if target.address is not None:
        return [target.address]
    loop, host = asyncio.get_running_loop(), target.host
    lookup = _lookups.get((loop, host))
    if lookup is None:
        lookup = _lookups[loop, host] = loop.run_in_executor(_resolvers, _look_up, host)
        lookup.add_done_callback(lambda _: _lookups.pop((loop, host)))
    try:
        return await asyncio.shield(lookup)  # others wait for it too
    except (socket.gaierror, UnicodeError):
        raise NoAnswer(f"The name {host} cannot be resolved.") from None


def _look_up(host: str) -> list[Address]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(ipaddress.ip_address(each[4][0]) for each in found))


def _check(target: _Target, addresses: Sequence[Address], allow: Sequence[Network], any_port: bool) -> None:
    """An address that is nobody's yet (none resolved) is taken for a public one, unless it may be the operator's."""
    for address in addresses:
        if any(address in network for network in allow):
            continue
        if not is_public(address):
            raise UrlRefused("The URL leads to an address that is not public.", field="url")
        if not target.secure or (target.port != 443 and not any_port):
            raise UrlRefused("The URL is not https://" + ("." if any_port else " on port 443."), field="url")
    if not addresses and not target.secure and not allow:
        raise UrlRefused("The URL is not https://.", field="url")


async def _connect(target: _Target, addresses: Sequence[Address]) -> "_Exchange":
    """Dials the checked addresses in turn; TLS is to the name, as its certificate must be."""
    failed: Exception = OSError("the name has no address")
    for address in addresses[:MOST_ADDRESSES]:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                return await _dial(target, str(address))
        except TimeoutError:
            failed = OSError(f"{address} took more than {CONNECT_SECONDS:g} seconds")
        except OSError as error:
            failed = error
    raise failed


async def _dial(target: _Target, address: str) -> "_Exchange":
    exchange = _Exchange(address)
    await asyncio.get_running_loop().create_connection(
        lambda: exchange,
        address,
        target.port,
        ssl=_trust() if target.secure else None,
        server_hostname=target.host.rstrip(".") if target.secure else None,
    )
    return exchange


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


class _Exchange(asyncio.Protocol):
    """One request on one connection, and what httptools calls while it reads the answer; and what comes after that,
    which is nobody's."""

    transport: asyncio.Transport

    def __init__(self, address: str) -> None:
        self.address = address
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._begun = False  # the head is here
        self._done = False
        self._status = 0
        self._left = MOST_READ
        self._parser = httptools.HttpResponseParser(self)
        self._answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    async def answer(self, request: bytes) -> Answer:
        """Raises OSError and what httptools raises."""
        self.transport.write(request)
        return await self._answered

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment] # a stream's

    def data_received(self, data: bytes) -> None:
        if self._answered.done():
            return
        self._left -= len(data)
        try:
            self._parser.feed_data(data if self._left >= 0 else data[: self._left])
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self._done:  # else it is what came after the answer
                self._fail(error)
                return
        if self._done or self._left <= 0:
            self._end(cut=True)

    def eof_received(self) -> None:
        self._end(cut=False)

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is None:
            self._end(cut=False)
        else:
            self._fail(exc)

    def _fail(self, error: Exception) -> None:
        if not self._answered.done():
            self._answered.set_exception(error)

    def _end(self, *, cut: bool) -> None:
        if self._answered.done():
            return
        if not self._begun:
            words = "The answer's head has no end." if cut else "The connection ended before an answer."
            self._answered.set_exception(NoAnswer(words))
            return
        # an answer that names no length ends with the connection (RFC 9112 §6.3)
        unmeasured = not self._headers.keys() & {"content-length", "transfer-encoding"}
        whole = self._done or (unmeasured and not cut)
        self._answered.set_result(
            Answer(self._status, self._headers, bytes(self._body), whole, self.address, cut and not whole)
        )

    def on_message_begin(self) -> None:
        if not self._done:
            self._headers.clear()

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._begun:  # else it is a trailer
            self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if not self._done:
            self._status = self._parser.get_status_code()
            self._begun = self._status >= 200  # what comes before is no answer yet (RFC 9110 §15.2)

    def on_body(self, body: bytes) -> None:
        if not self._done:
            self._body += body

    def on_message_complete(self) -> None:
        self._done = self._begun


def reason(error: Exception) -> str:
    """What is wrong with a connection, as a part of a sentence."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not good: {error.verify_message.rstrip('.')}"
    if isinstance(error, ssl.SSLError):
        return f"no TLS: {error.reason}"
    if isinstance(error, httptools.HttpParserError | httptools.HttpParserUpgrade):
        return "what came is not HTTP/1.1"
    if isinstance(error, OSError) and (error.errno or 0) > 0:  # else a resolver's own numbers
        return os.strerror(error.errno or 0)
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).rstrip(".")
