"""What strangers and neighbours cost everybody else: memory, connections, and time."""

import contextlib
import os
import resource
import socket
import statistics
import sys
import threading
import time
from collections.abc import Iterator

import asyncpg
import httpx

from bench import report
from bench.stage import CREDIT_MICROS, Customer, Server, Stage, customers
from trunkline.accounts import accounts
from trunkline.audit.acts import Actor
from trunkline.ledger import journal

MEGABYTES = 50
PIECE = 256 * 1024
FILES = 1024  # descriptors of a login shell
SLOW = 1_100
HONEST = 100
BUSY = 16
SECONDS = 60  # for anything here

HEAD = b"GET /healthz HTTP/1.1\r\nHost: bench\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
ENDLESS: dict[str, tuple[bytes, bytes]] = {
    "trailers": (HEAD + CHUNKED + b"0\r\n", b"a:b\r\n"),
    "a body after its answer": (HEAD + b"Content-Length: 9999999999\r\n\r\n", b"x"),
    "a chunk's extensions": (HEAD + CHUNKED + b"1;", b"a=b;"),
    "header fields": (HEAD, b"x-field: value\r\n"),
}
SLOW_WAYS = (
    b"GET /healthz HTTP/1.1\r\nHost: b",  # a head that never ends
    HEAD + b"Content-Length: 1000\r\n\r\nx",  # a body that never comes
    HEAD + CHUNKED + b"0\r\na: b\r\n",  # trailers
    HEAD + b"\r\n",  # an answer, and silence
)


def measure(stage: Stage) -> list[report.Figure]:
    return [*_endless(stage), _slow(stage), _cut(stage), _neighbour(stage)]


def _endless(stage: Stage) -> Iterator[report.Figure]:
    """MiB that 50 MB on one connection add to a server."""
    server = stage.serve(stage.database())
    with _connection(server.port) as warm:
        warm.sendall(HEAD + b"\r\n")
        warm.recv(4096)
    for what, (head, piece) in ENDLESS.items():
        before = server.resident_mib()
        peak = before
        pieces = piece * (PIECE // len(piece))
        with _connection(server.port) as connection, contextlib.suppress(OSError):
            connection.sendall(head)
            for _ in range(MEGABYTES * 1_000_000 // len(pieces)):
                connection.sendall(pieces)
                peak = max(peak, server.resident_mib())
        peak = max(peak, server.resident_mib())
        raw = f"resident {before:.0f} MiB before, {peak:.0f} at most"
        yield report.Figure(
            f"{MEGABYTES} MB of {what} on one connection: memory", [peak - before], 5, at_most=True, unit="MiB", raw=raw
        )


def _slow(stage: Stage) -> report.Figure:
    """Of honest calls, how many are answered while slow connections fill the server."""
    limited = ["sh", "-c", f'ulimit -n {FILES}; exec "$@"', "sh"]
    server = stage.serve(stage.database(), through=limited)
    needed = SLOW + FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, needed)
    opened: list[socket.socket] = []
    try:
        for place in range(SLOW):
            with contextlib.suppress(OSError):
                connection = _connection(server.port)
                opened.append(connection)
                connection.sendall(SLOW_WAYS[place % len(SLOW_WAYS)])
        answered = 0
        for _ in range(HONEST):
            with contextlib.suppress(OSError), _connection(server.port) as honest:
                honest.sendall(HEAD + b"\r\n")
                answered += honest.recv(64).startswith(b"HTTP/1.1 200")
    finally:
        for connection in opened:
            connection.close()
    what = f"{SLOW:,} slow connections, {FILES:,} files: honest calls answered"
    return report.Figure(what, [answered / HONEST], 1, raw=f"{answered} of {HONEST}, from the same address")


def _cut(stage: Stage) -> report.Figure:
    """Of clients that call without pause, how many are cut without an answer as the server is told to stop."""
    cut: list[str] = []
    for words in ((), ("--workers", "2")):
        server = stage.serve(stage.database(), *words)
        callers = [threading.Thread(target=_call_on, args=(server, cut)) for _ in range(BUSY)]
        for caller in callers:
            caller.start()
        time.sleep(1)  # at work
        server.process.terminate()
        for caller in callers:
            caller.join(SECONDS)
        server.process.wait(SECONDS)
    what = f"{BUSY} busy clients on kept connections, SIGTERM, one process and several: cut without an answer"
    return report.Figure(what, [len(cut)], 0, at_most=True, unit="clients")


def _call_on(server: Server, cut: list[str]) -> None:
    """Calls until the server says that it closes, or cuts the connection."""
    request = HEAD + b"\r\n"
    with _connection(server.port) as connection:
        while True:
            try:
                connection.sendall(request)
                answer = connection.recv(4096)
            except OSError as error:
                cut.append(str(error))
                return
            if not answer:
                cut.append("closed")
                return
            if b"connection: close" in answer.lower():
                return


def _neighbour(stage: Stage) -> report.Figure:
    """A purchase of one account while another uses all it may, by the clock, against the same with nobody else."""
    url = stage.database()
    here, neighbour = stage.run(lambda: _neighbours(url))
    server = stage.serve(url)
    keys = [neighbour, *_more_keys(server, neighbour)]
    ratios, idle, during = [], [], []
    for _ in range(1 if stage.quick else 3):
        idle.append(_purchases(server, here))
        with contextlib.ExitStack() as busy:
            hands = [sys.executable, "-m", "bench.neighbour", str(server.port), *keys]
            stage.with_stack(busy).start(hands, dict(os.environ))
            time.sleep(1)  # at work
            during.append(_purchases(server, here))
        ratios.append(during[-1] / idle[-1])
        time.sleep(0 if stage.quick else SECONDS)  # until it may do as much again
    raw = f"median {statistics.median(idle):.1f} ms alone, {statistics.median(during):.1f} ms beside it"
    what = "a purchase beside an account with 40 batches at a time over 12 keys, against one alone"
    return report.Figure(what, ratios, 2, at_most=True, raw=raw)


async def _neighbours(url: str) -> tuple[Customer, str]:
    """A customer without limits, and the live key of one as accounts are made."""
    connection = await asyncpg.connect(url)
    [here] = await customers(connection, 1)
    made = await accounts.create(
        connection, Actor("operator:bench"), "neighbour@example.com", currency="USD", per_minute=60
    )
    await journal.credit(connection, Actor("operator:bench"), made.account_id, CREDIT_MICROS)
    await connection.close()
    return here, made.live_key


def _more_keys(server: Server, key: str) -> list[str]:
    made = []
    with _client(server, key) as client:
        for _ in range(11):
            answer = client.post("/keys", json={"name": "another", "scopes": ["numbers"]})
            assert answer.status_code == 200, answer.text
            made.append(answer.json()["data"]["key"])
    return made


def _purchases(server: Server, customer: Customer) -> float:
    """Milliseconds, the median of some purchases one after the other."""
    seconds = []
    with _client(server, customer.key) as client:
        for _ in range(60):
            began = time.perf_counter()
            answer = client.post("/numbers/purchase", json={"country": "us", "service": "whatsapp"})
            assert answer.status_code == 200, answer.text
            seconds.append(time.perf_counter() - began)
    return statistics.median(seconds) * 1000


def _client(server: Server, key: str) -> httpx.Client:
    return httpx.Client(
        base_url=f"http://127.0.0.1:{server.port}/api/v1",
        headers={"Authorization": f"Bearer {key}"},
        timeout=SECONDS,
        trust_env=False,
    )


def _connection(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
