"""Servers that play the outside: sites over TLS that behave as told, and a name server. Real sockets on loopback; and
ports where there is nobody."""

import asyncio
import contextlib
import random
import socket
import ssl
import types
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import cast

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import trustme

Behaviour = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


def tls(*names: str) -> tuple[ssl.SSLContext, trustme.CA]:
    """A server's context for some names, and who vouches for it."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context, authority


class Site:
    """What asked for what; and how many connections there were."""

    def __init__(self) -> None:
        self.connections = 0
        self.requests: list[bytes] = []
        self.port = 0


@contextlib.asynccontextmanager
async def site(
    behave: Behaviour, *, context: ssl.SSLContext | None = None, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[Site]:
    """Reads a request's head, then does what ``behave`` does with it."""
    here = Site()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        here.connections += 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            request = await reader.readuntil(b"\r\n\r\n")
            here.requests.append(request)
            await behave(request, writer)
        with contextlib.suppress(OSError, ssl.SSLError):
            writer.close()

    server = await asyncio.start_server(serve, host, port, ssl=context)
    here.port = server.sockets[0].getsockname()[1]
    try:
        yield here
    finally:
        server.close()


def says(answer: bytes) -> Behaviour:
    async def behave(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()

    return behave


class _Names(asyncio.DatagramProtocol):
    def __init__(self, texts: Mapping[str, list[str]], hosts: Mapping[str, list[str] | None], asked: list[str]) -> None:
        self.texts, self.hosts, self.asked = texts, hosts, asked

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        name = query.question[0].name
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        shown, kind = name.to_text(omit_final_dot=True), dns.rdatatype.to_text(query.question[0].rdtype)
        self.asked.append(f"{shown} {kind}")
        if kind != "TXT" and shown in self.hosts:
            addresses = self.hosts[shown]
            if addresses is None:
                return
            found = [each for each in addresses if (":" in each) == (kind == "AAAA")]
            if found:
                answer.answer.append(dns.rrset.from_text(name, 60, "IN", kind, *found))
            self._transport.sendto(answer.to_wire(), addr)
            return
        texts = self.texts.get(shown)
        if texts is None:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        elif texts:
            answer.answer.append(dns.rrset.from_text(name, 60, "IN", "TXT", *(f'"{text}"' for text in texts)))
        self._transport.sendto(answer.to_wire(), addr)


@contextlib.asynccontextmanager
async def nameserver(
    texts: Mapping[str, list[str]],
    hosts: Mapping[str, list[str] | None] = types.MappingProxyType({}),
    asked: list[str] | None = None,
) -> AsyncIterator[str]:
    """Answers TXT questions from ``texts`` as they are at the moment, and those for addresses from ``hosts``; of a name
    with None there it says nothing. Its address and port. ``asked`` gets names and kinds, as in "a.example TXT"."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _Names(texts, hosts, [] if asked is None else asked), local_addr=("127.0.0.1", 0)
    )
    try:
        yield "{}:{}".format(*transport.get_extra_info("sockname"))
    finally:
        transport.close()


@contextlib.contextmanager
def nobody() -> Iterator[int]:
    """A port of loopback that refuses connections, and is nobody else's meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@contextlib.contextmanager
def silent(*hosts: str, port: int) -> Iterator[None]:
    """Addresses that answer no attempt to connect, as if their packets were dropped: each has a queue of connections
    that is full, from which nobody takes."""
    with contextlib.ExitStack() as stack:
        for host in hosts:
            full = stack.enter_context(socket.socket())
            full.bind((host, port))
            full.listen(0)
            stack.enter_context(socket.create_connection((host, port)))
        yield


def lasting_port() -> int:
    """A free port of loopback that can be left and taken again: the system gives it to nobody who asks for any."""
    while True:
        port = random.randrange(12_000, 30_000)  # below those that Linux, macOS and IANA give away
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
