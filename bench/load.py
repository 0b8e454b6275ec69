"""HTTP load from a process of its own, so that it is not what limits a figure: ``python -m bench.load`` reads a Plan.

Raw keep-alive connections and requests built beforehand; of an answer only the status and Content-Length are read.
"""

import asyncio
import functools
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import cast

import msgspec
import uvloop

from bench.stage import pinned

STATUS_OK = b"HTTP/1.1 200"
WARM_UP_SECONDS = 0.3

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Plan(msgspec.Struct):
    """Each stream is one connection that sends its requests in turn, the next one after each answer."""

    port: int
    streams: list[list[str]]
    seconds: float


class Outcome(msgspec.Struct):
    answers: int
    seconds: float
    all_answers: int  # with those of the warm-up
    problem: str | None

    @property
    def per_second(self) -> float:
        return self.answers / self.seconds


def body_of(data: bytes) -> bytes | None:
    """The body of an answer that has come in whole."""
    head = data.find(b"\r\n\r\n")
    length = _LENGTH.search(data, 0, head) if head >= 0 else None
    if length is None or len(data) < head + 4 + int(length[1]):
        return None
    return data[head + 4 :]


class _Connection(asyncio.Protocol):
    def __init__(self, load: "_Load", requests: Sequence[bytes]) -> None:
        self._load = load
        self._requests = requests
        self._next = 0
        self._held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def _send(self) -> None:
        self._transport.write(self._requests[self._next])
        self._next = (self._next + 1) % len(self._requests)

    def data_received(self, data: bytes) -> None:
        if self._held:
            data = self._held + data
        if body_of(data) is None:
            self._held = data
            return
        self._held = b""
        if not data.startswith(STATUS_OK):
            self._load.fail(data.decode("latin-1"))
            return
        self._load.answers += 1
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.fail(f"the connection was lost: {exc}")


class _Load:
    def __init__(self) -> None:
        self.answers = 0
        self.over = asyncio.get_running_loop().create_future()

    def fail(self, problem: str) -> None:
        if not self.over.done():
            self.over.set_result(problem)


async def _put_on(plan: Plan) -> Outcome:
    loop = asyncio.get_running_loop()
    load = _Load()
    for stream in plan.streams:
        requests = [request.encode("latin-1") for request in stream]
        await loop.create_connection(functools.partial(_Connection, load, requests), "127.0.0.1", plan.port)
    await asyncio.sleep(WARM_UP_SECONDS)
    before, started = load.answers, time.perf_counter()
    await asyncio.wait((load.over,), timeout=plan.seconds)
    outcome = Outcome(load.answers - before, time.perf_counter() - started, load.answers, None)
    outcome.problem = load.over.result() if load.over.done() else None
    return outcome


def put_on(plan: Plan, cores: set[int] | None = None) -> Outcome:
    """Runs a plan in a process of its own. Any answer but 200 ends it with RuntimeError."""
    with pinned(cores):
        done = subprocess.run(
            [sys.executable, "-m", "bench.load"], input=msgspec.json.encode(plan), capture_output=True, check=True
        )
    outcome = msgspec.json.decode(done.stdout, type=Outcome)
    if outcome.problem is not None:
        raise RuntimeError(f"the load was refused: {outcome.problem}")
    return outcome


def get(path: str, key: str) -> str:
    return f"GET {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {key}\r\n\r\n"


def post(path: str, key: str, body: str) -> str:
    return (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    )


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result = runner.run(_put_on(msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)))
    sys.stdout.buffer.write(msgspec.json.encode(result))
