"""Clients that wait for texts: held calls on raw connections, and when each answer was there."""

import asyncio
import functools
import json
import time
from collections.abc import Callable, Sequence
from typing import cast

from bench import load

SETTLE_SECONDS = 0.5  # for all calls to be held before the first text comes
PATIENCE_SECONDS = 30


class _Waiting:
    def __init__(self, texts: int) -> None:
        self.heard: dict[str, int] = {}
        self.texts = texts
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def answer(self, body: bytes, when: int) -> None:
        sms = json.loads(body)["data"]["sms"]
        if sms is not None:
            self.heard.setdefault(sms["code"], when)
        if len(self.heard) == self.texts and not self.over.done():
            self.over.set_result(None)

    def fail(self, problem: str) -> None:
        if not self.over.done():
            self.over.set_exception(RuntimeError(problem))


class _Call(asyncio.Protocol):
    def __init__(self, waiting: _Waiting, request: bytes) -> None:
        self._waiting = waiting
        self._request = request
        self._held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        when = time.monotonic_ns()
        self._held += data
        body = load.body_of(self._held)
        if body is None:
            return
        if not self._held.startswith(load.STATUS_OK):
            self._waiting.fail(self._held.decode("latin-1"))
            return
        self._held = b""
        self._transport.write(self._request)  # for the next text; the server knows which it has shown
        self._waiting.answer(body, when)

    def connection_lost(self, exc: Exception | None) -> None:
        self._waiting.fail(f"the connection was lost: {exc}")


async def hear(port: int, calls: Sequence[tuple[int, str]], begin: Callable[[], None], texts: int) -> dict[str, int]:
    """Code to the monotonic nanoseconds at which the call of its lease (activation id, key) was answered."""
    loop = asyncio.get_running_loop()
    waiting = _Waiting(texts)
    transports = []
    for activation_id, key in calls:
        request = load.get(f"/api/v1/numbers/status/{activation_id}?wait=30", key).encode()
        made = functools.partial(_Call, waiting, request)
        transports.append((await loop.create_connection(made, "127.0.0.1", port))[0])
    await asyncio.sleep(SETTLE_SECONDS)
    begin()
    try:
        await asyncio.wait_for(asyncio.shield(waiting.over), texts / 50 + PATIENCE_SECONDS)
    finally:
        waiting.over.cancel()
        for transport in transports:
            transport.abort()
    return waiting.heard
