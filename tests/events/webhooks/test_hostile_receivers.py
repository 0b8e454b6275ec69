"""Receivers that misbehave cost a bounded time and nobody else anything, and what was amiss is in the attempt."""

import asyncio
import contextlib
import gzip
import re
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest
from tests.events.webhooks.sending import post, receiving
from tests.outside import Behaviour, Site, nameserver, says, site, tls

from trunkline import egress
from trunkline.egress import answers
from trunkline.events.webhooks.attempts import answer_shown

pytestmark = pytest.mark.asyncio

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
BOMB = gzip.compress(bytes(40_000_000))


async def _endless(_: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b"x" * 65536)
        await writer.drain()


async def _drip(_: bytes, writer: asyncio.StreamWriter) -> None:
    for byte in OK + b"x" * 10_000:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.05)


async def _endless_head(_: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-More: %s\r\n" % (b"x" * 1000))
        await writer.drain()


async def _endless_hints(_: bytes, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 100)
        await writer.drain()


async def _silent(_: bytes, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


def _resets(first: bytes) -> Behaviour:
    async def behave(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        await writer.drain()
        await asyncio.sleep(0.05)
        endpoint = writer.get_extra_info("socket")
        endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    return behave


def _stays_open(first: bytes) -> Behaviour:
    async def behave(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        await asyncio.Event().wait()

    return behave


TIMES_OUT = "There was no whole answer within 1 seconds."
RECEIVERS: dict[str, tuple[Behaviour, bool, str | None]] = {  # whether it counts, and the attempt's reason
    "an endless body": (_endless, True, "Its answer is longer than 64 KiB."),
    "a bomb": (
        says(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB),
        True,
        None,
    ),
    "ends too early": (says(OK), True, "Its answer ended too early."),
    "HTTP/1.0": (says(b"HTTP/1.0 200 OK\r\n\r\nok"), True, None),
    "100 and 103 first": (
        says(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK + b"ok"),
        True,
        None,
    ),
    "more than it says": (says(OK + b"ok" + b"more" * 1000), True, None),
    "one byte at a time": (_drip, False, TIMES_OUT),
    "silent": (_silent, False, TIMES_OUT),
    "a head without end": (_endless_head, False, "The answer's head has no end."),
    "hints without end": (_endless_hints, False, "The answer's head has no end."),
    "closed at once": (says(b""), False, "The connection ended before an answer."),
    "reset at once": (_resets(b""), False, "The connection failed: Connection reset by peer."),
    "reset in the middle": (_resets(OK + b"o"), True, "Its answer ended too early."),
    "a folded header": (says(b"HTTP/1.1 200 OK\r\nX-A: a,\r\n\t b\r\nContent-Length: 2\r\n\r\nok"), True, None),
    "lines that end with LF": (says(b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok"), True, None),
    "blanks after the size of a chunk": (
        says(b"HTTP/1.1 201 Made\r\nTransfer-Encoding: chunked\r\n\r\n2 \t\r\nok\r\n0 \r\n\r\n"),
        True,
        None,
    ),
    "chunks that are none": (
        says(b"HTTP/1.1 202 Taken\r\nTransfer-Encoding: chunked\r\n\r\nok\r\n"),
        True,
        "Its answer is framed in a way that cannot be followed.",
    ),
    "two lengths": (
        says(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok"),
        True,
        "Its answer is framed in a way that cannot be followed.",
    ),
    "a body that stays open": (_stays_open(b"HTTP/1.1 200 OK\r\n\r\nok"), True, "Its answer had no end in time."),
    "a failure that is reset": (
        _resets(b"HTTP/1.1 503 Busy\r\nRetry-After: 600\r\nContent-Length: 9\r\n\r\nno"),
        False,
        "It answered 503.",
    ),
    "not HTTP": (says(b"SSH-2.0-OpenSSH_9.7\r\n"), False, "The connection failed: what came is not HTTP/1.1."),
    "a redirect": (
        says(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"),
        False,
        "It answered 302: redirects are not followed.",
    ),
}


@contextlib.asynccontextmanager
async def _sites(names: Iterable[str]) -> AsyncIterator[dict[str, str]]:
    """URLs of receivers."""
    async with contextlib.AsyncExitStack() as stack:
        yield {
            name: f"http://127.0.0.1:{(await stack.enter_async_context(site(RECEIVERS[name][0]))).port}/"
            for name in names
        }


@pytest.mark.parametrize(("come_to_an_end", "seconds"), [(True, "600"), (False, "1")])
async def test_whatever_receivers_do_the_reason_is_in_the_attempt(url: str, come_to_an_end: bool, seconds: str) -> None:
    assert len(BOMB) < answers.MOST_READ
    receivers = {name: each for name, each in RECEIVERS.items() if (each[2] != TIMES_OUT) is come_to_an_end}
    settings = {"seconds": seconds, "retry_seconds": "600"}
    async with post(url, **settings) as office, _sites(receivers) as urls, receiving() as well:
        for each in urls.values():
            await office.endpoint(each)
        await office.endpoint(well.url)
        async with office.sending():
            names = await office.tell()
            if come_to_an_end:  # else a machine that stands still for a second would keep it from this one too
                await well.got(names)
            attempts = {row["url"]: row for row in await office.recorded(len(receivers) + 1)}
        for name, (_, _, reason) in receivers.items():
            row = attempts[urls[name]]
            assert (row["reason"], row["duration_ms"] < 60_000) == (reason, True), name
            assert len(row["answer"] or b"") < 9000
            if name == "a bomb":
                headers, _ = answer_shown(row["answer"], row["key"]) or ({}, "")
                assert headers["content-encoding"] == "gzip"
        states = {row["delivery_id"]: row["state"] for row in await office.deliveries()}
        ended = {row["url"]: states[row["delivery_id"]] for row in attempts.values()}
        for name, (_, succeeds, _) in receivers.items():
            assert ended[urls[name]] == ("delivered" if succeeds else "pending"), name


@contextlib.asynccontextmanager
async def _plain() -> AsyncIterator[Site]:
    """Speaks HTTP to whoever begins with TLS."""
    here = Site()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    here.port = server.sockets[0].getsockname()[1]
    yield here
    server.close()


async def test_a_certificate_that_is_not_good_is_refused_in_its_words(
    url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    context, _ = tls("localhost")
    other, authority = tls("elsewhere.example")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    egress._trust.cache_clear()
    try:
        async with (
            post(url, retry_seconds="600") as office,
            site(says(OK + b"ok"), context=context) as unknown,
            site(says(OK + b"ok"), context=other) as misnamed,
            site(says(OK + b"ok"), context=old) as bare,
            _plain() as plain,
        ):
            for each in (unknown, misnamed, bare, plain):
                await office.endpoint(f"https://localhost:{each.port}/")
            async with office.sending():
                await office.tell()
                rows = {row["url"]: row["reason"] for row in await office.recorded(4)}
            assert [bool(each.requests) for each in (unknown, misnamed, bare, plain)] == [False] * 4
        for each, words in (
            (unknown, r"The connection failed: its certificate is not good: .*issuer.*\."),
            (misnamed, r"The connection failed: its certificate is not good: Hostname mismatch.*\."),
            (bare, r"The connection failed: .*\."),
            (plain, r"The connection failed: no TLS: .*\."),
        ):
            reason = rows[f"https://localhost:{each.port}/"]
            assert re.fullmatch(words, reason), reason
    finally:
        egress._trust.cache_clear()


async def test_a_name_that_leads_inside_is_not_dialled_and_says_so(url: str) -> None:
    addresses = {
        "inside.example": ["10.0.0.1"],
        "mapped.example": ["::ffff:10.0.0.1"],
        "nat.example": ["64:ff9b::7f00:1"],
    }
    async with (
        nameserver({}, addresses) as names,
        post(url, allow="192.0.2.0/24", retry_seconds="600", nameservers=names) as office,
        site(says(OK)) as inside,
    ):
        urls = [f"https://{name}:{inside.port}/" for name in addresses] + [f"http://127.0.0.1:{inside.port}/"]
        numbers = [f"https://0x7f.1:{inside.port}/", f"https://2130706433:{inside.port}/"]
        for each in urls + numbers:
            await office.endpoint(each)
        await office.endpoint("https://nobody.invalid/")
        async with office.sending():
            await office.tell()
            rows = {row["url"]: row["reason"] for row in await office.recorded(len(urls) + 3)}
        assert {rows[each] for each in urls} == {"The URL leads to an address that is not public."}
        assert all("address, and not one in its usual form" in rows[each] for each in numbers)
        reason = "The name nobody.invalid cannot be resolved: there is no such name."
        assert rows["https://nobody.invalid/"] == reason
        assert inside.connections == 0
