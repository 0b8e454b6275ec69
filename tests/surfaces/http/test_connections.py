"""What strangers may take of a server: octets, time, connections and descriptors, each with an end."""

import asyncio
import contextlib
import pathlib
import re
import resource
import socket
import urllib.parse

import pytest
import requests
from tests.conftest import Serve, Server, Trunkline
from tests.surfaces.http.edge import SECONDS, Edge, edge, until

from trunkline import metrics
from trunkline.surfaces.http import door, protocol
from trunkline.surfaces.http.addresses import Addresses

CHUNKED = b"GET /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
MEGABYTE = 1024 * 1024


def resident(server: Server) -> int:
    """Octets of memory that the server's process has."""
    status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024


def connect(server: Server) -> socket.socket:
    parts = urllib.parse.urlsplit(server.base)
    return socket.create_connection((str(parts.hostname), parts.port or 0), timeout=SECONDS)


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (CHUNKED + b"0\r\n", b"a:b\r\n" * 20_000),
        (CHUNKED + b"0\r\nX-Sum: ", b"v" * 100_000),
        (CHUNKED + b"0\r\n", b"n" * 100_000),
        (CHUNKED + b"5;", b"extension;" * 10_000),
        (CHUNKED, b"1\r\nx\r\n" * 20_000),
        (CHUNKED, b"1;e=f\r\nx\r\n" * 10_000),
        (CHUNKED + b"0" * 50, b"0" * 100_000),
        (CHUNKED.replace(b"Transfer-Encoding: chunked", b"Content-Length: 99999999"), b"x" * 100_000),
        (b"POST /api/v1/stripe/events HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n", b"x" * 100_000),
        (CHUNKED.replace(b"GET /healthz", b"POST /api/v1/numbers/purchase"), b"1\r\nx\r\n" * 20_000),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: ", b"x" * 100_000),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\n", b"X: y\r\n" * 20_000),
        (b"", b"\r\n" * 50_000),
        (b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 3_000),
        (b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n" * 1_500),
        (b"", b"GET /api/v1/countries HTTP/1.1\r\nHost: x\r\n\r\n" * 2_000),
    ],
    ids=[
        "trailers", "one trailer's value", "one trailer's name", "chunk extension", "chunks of one octet",
        "chunks with an extension", "a chunk's size", "body after the answer", "body of a notice", "body without a key",
        "one header", "headers", "empty lines", "requests, answers unread", "offers to upgrade", "long answers unread",
    ],
)  # fmt: skip
def test_50_megabytes_of_what_nobody_asked_for_take_no_memory(server: Server, start: bytes, piece: bytes) -> None:
    for path in ("/healthz", "/api/v1/countries"):
        assert requests.get(server.base + path, timeout=SECONDS).status_code == 200
    with connect(server) as warm:  # what the first of its kind takes stays
        warm.sendall(start + piece)
    before = resident(server)
    with connect(server) as stranger, contextlib.suppress(ConnectionError, TimeoutError):
        stranger.settimeout(3)  # where nothing more is taken of them
        stranger.sendall(start)
        for _ in range(50 * MEGABYTE // len(piece)):
            stranger.sendall(piece)
    assert requests.get(server.base + "/healthz", timeout=SECONDS).status_code == 200
    assert resident(server) - before < 5 * MEGABYTE


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server in which every time is short, for those who would have to wait it out."""
    for name in ("HEAD_SECONDS", "IDLE_SECONDS", "LINGER_SECONDS", "STALL_SECONDS"):
        monkeypatch.setattr(protocol, name, 0.5)


@pytest.mark.asyncio
@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    ("start", "drop"),
    [
        (b"", b""),
        (b"", b"\r\n"),
        (b"GET /", b"a"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: ", b"a"),
        (b"GET /api/v1/countries?limit=1 HTTP/1.1\r\nHost: x\r\n\r\n", b""),
        (b"GET /api/v1/countries?limit=1 HTTP/1.1\r\nHost: x\r\n\r\n", b"\r\n"),
        (b"GET /api/v1/countries?limit=1 HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n", b"a"),
        (b"GET /api/v1/nowhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5000;", b"a"),
        (b"POST /api/v1/numbers/purchase HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"a:b\r\n"),
        (b"POST /api/v1/numbers/purchase HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n", b"a"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"a"),
        (b"NONSENSE\r\n\r\n", b"a"),
    ],
)
async def test_a_connection_on_which_nothing_is_asked_is_closed(url: str, start: bytes, drop: bytes) -> None:
    async with edge(url) as served, served.line() as (reader, writer), asyncio.timeout(SECONDS):
        writer.write(start)
        reading = asyncio.create_task(reader.read())
        with contextlib.suppress(ConnectionError):
            while not reading.done():
                if drop:
                    writer.write(drop)
                    await writer.drain()
                await asyncio.sleep(0.05)
        with contextlib.suppress(ConnectionError):
            answer = await reading
            if b"/countries" not in start or b"Content-Length" in start:
                assert not answer or b"connection: close" in answer
        await until(lambda: metrics.HTTP_CONNECTIONS.value() == 0)


@pytest.mark.asyncio
@pytest.mark.usefixtures("hasty")
async def test_who_never_reads_an_answer_is_given_up(url: str) -> None:
    async with edge(url) as served:
        for more in (b"", b"Connection: close\r\n"):
            request = b"GET /api/v1/services?limit=100 HTTP/1.1\r\nHost: x\r\n" + more + b"\r\n"
            with socket.socket() as deaf:
                deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                deaf.setblocking(False)
                await asyncio.get_running_loop().sock_connect(deaf, ("127.0.0.1", served.port))
                with contextlib.suppress(BlockingIOError):
                    for _ in range(2000):
                        deaf.send(request * 50)
                await until(lambda: metrics.HTTP_CONNECTIONS.value() == 1)
                await until(lambda: metrics.HTTP_CONNECTIONS.value() == 0)


@pytest.mark.asyncio
async def test_where_connections_are_used_up_those_who_have_waited_longest_make_room(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    made_room = metrics.CONNECTIONS_REFUSED.value("made_room")
    order = b'{"country":"us","service":"whatsapp"}'
    async with edge(url, connections=40) as served, contextlib.AsyncExitStack() as stack:
        [lease] = await served.said(served.ask("POST /numbers/purchase", body=order))
        held_reader, held_writer = await stack.enter_async_context(served.line())
        held = f"/numbers/status/{lease.document['data']['activation_id']}?wait=5&after_revision=0"
        held_writer.write(served.ask("GET " + held))
        for number in range(150):
            _, writer = await stack.enter_async_context(served.line())
            writer.write((b"GET / HTTP/1.1\r\nX: ", served.ask("GET /countries?limit=1"), CHUNKED, b"")[number % 4])
            await asyncio.sleep(0.002)
            if number % 10 == 0:
                assert [each.status for each in await served.said(served.ask("GET /account"))] == [200]
        assert (await held_reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200"), "who is at work is let be"
    assert metrics.CONNECTIONS_REFUSED.value("made_room") > made_room
    assert re.search(r"refused 127.0.0.1: \d+ x idle connection, closed for others", caplog.text)


@pytest.mark.asyncio
async def test_one_address_has_its_own_bound_and_a_proxy_has_none(
    url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def tenth(served: Edge) -> list[int]:
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(9):
                await stack.enter_async_context(served.line())
            await asyncio.sleep(0.1)
            return [each.status for each in await served.said(served.ask("GET /account"))]

    async with edge(url, connections=100, connections_of_address=9) as served:
        assert await tenth(served) == [200], "on this machine stands a proxy, perhaps"
    proxies = Addresses([])
    monkeypatch.setattr(proxies, "is_proxy", lambda address: False)  # as if 127.0.0.1 were far away
    async with edge(url, connections=100, connections_of_address=9, proxies=proxies) as served:
        assert await tenth(served) == [200], "who only waits makes room"
        refused = metrics.CONNECTIONS_REFUSED.value("too_many_connections")
        order = b'{"country":"us","service":"whatsapp"}'
        [lease] = await served.said(served.ask("POST /numbers/purchase", body=order))
        held = f"/numbers/status/{lease.document['data']['activation_id']}?wait=30&after_revision=0"
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(9):
                _, writer = await stack.enter_async_context(served.line())
                writer.write(served.ask("GET " + held))
            await until(lambda: metrics.HELD_CALLS.value() == 9)
            [answer] = await served.said(b"")
            assert (answer.status, answer.document["code"]) == (429, "too_many_connections")
            assert int(answer.headers["retry-after"]) >= 1
            assert metrics.CONNECTIONS_REFUSED.value("too_many_connections") == refused + 1
        await until(lambda: metrics.HTTP_CONNECTIONS.value() == 0)
        assert [each.status for each in await served.said(served.ask("GET /account"))] == [200]
    assert "refused 127.0.0.1: " in caplog.text
    assert "1 x too_many_connections" in caplog.text


def test_what_is_counted_of_ipv6_is_the_network_that_one_customer_has() -> None:
    assert door.counted("2001:db8::1") == door.counted("2001:db8::ffff:1") == "2001:db8::/64"
    assert door.counted("2001:db8:0:1::1") != door.counted("2001:db8::1")
    assert door.counted("203.0.113.7") == "203.0.113.7"
    proxies = Addresses(["10.0.0.0/8"])
    assert proxies.is_proxy("10.1.2.3")
    assert proxies.is_proxy("::1")
    assert not proxies.is_proxy("203.0.113.7")


def test_1100_slow_connections_lock_nobody_out_who_may_open_1024_files(serve: Serve, trunkline: Trunkline) -> None:
    key = {"Authorization": f"Bearer {trunkline.customer(per_minute=100_000).live_key}"}
    was = resource.getrlimit(resource.RLIMIT_NOFILE)
    server = serve("--role", "api", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024)))
    if was[0] < 2048:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, was[1]), was[1]))
    with contextlib.ExitStack() as stack:
        for number in range(1100):
            slow = stack.enter_context(connect(server))
            slow.sendall((b"GET / HT", CHUNKED, b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")[number % 4])
            if number % 50 == 0:
                assert requests.get(server.api + "/account", headers=key, timeout=SECONDS).status_code == 200
        for _ in range(20):
            assert requests.get(server.api + "/account", headers=key, timeout=SECONDS).status_code == 200
        shown = requests.get(server.base + "/metrics", timeout=SECONDS).text
    assert re.search(r'connections_refused_total\{reason="made_room"\} [1-9]', shown)
    assert re.search(r'connections_refused_total\{reason="files"\} 0', shown)


def test_a_server_may_open_as_many_files_as_the_system_allows(serve: Serve) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    server = serve("--role", "api", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard)))
    shown = requests.get(server.base + "/metrics", timeout=SECONDS).text
    most = re.search(r"^process_max_fds (\S+)", shown, re.MULTILINE)
    assert most is not None
    assert float(most[1]) == min(hard, door.MOST_FILES)


@pytest.mark.asyncio
async def test_malformed_requests_have_a_line_for_each_address_and_minute(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with edge(url) as served:
        for _ in range(7):
            assert [each.status for each in await served.said(b"NONSENSE\r\n\r\n", end=False)] == [400]
    assert "refused 127.0.0.1: 7 x malformed request" in caplog.text
