"""Polls that are known are answered without a task: on the wire they are answers like any other, and in their order."""

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator
from typing import Any

import httptools
import pytest
import pytest_asyncio
from tests.house import Buyer, House, opened

from trunkline import roles
from trunkline.accounts import issuing
from trunkline.audit.acts import Actor

pytestmark = pytest.mark.asyncio


@dataclasses.dataclass(frozen=True, slots=True)
class Served:
    house: House
    port: int


@pytest_asyncio.fixture
async def served(url: str) -> AsyncIterator[Served]:
    async with opened(url) as house:
        listener = roles.bind("127.0.0.1", 0)
        stop = asyncio.Event()
        listening = asyncio.create_task(roles.listen(house.api, house.pushed, listener, stop, "ready"))
        try:
            yield Served(house, listener.getsockname()[1])
        finally:
            stop.set()
            await listening


class Answer:
    """One answer, as an HTTP parser that others wrote reads it."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.body = b""
        self.whole = False
        self.parser = httptools.HttpResponseParser(self)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode().lower()] = value.decode()

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.whole = True

    @property
    def status(self) -> int:
        return int(self.parser.get_status_code())

    @property
    def data(self) -> Any:
        return json.loads(self.body)["data"]


class Line:
    """A connection on which requests are written as one likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def read(self, *, head: bool = False) -> Answer:
        answer = Answer()
        raw = await self.reader.readuntil(b"\r\n\r\n")
        answer.parser.feed_data(raw)
        if not head:
            answer.parser.feed_data(await self.reader.readexactly(int(answer.headers["content-length"])))
            assert answer.whole
        return answer


@contextlib.asynccontextmanager
async def line(served: Served) -> AsyncIterator[Line]:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    try:
        yield Line(reader, writer)
    finally:
        writer.close()


def ask(path: str, buyer: Buyer, method: str = "GET", version: str = "1.1", more: str = "") -> bytes:
    key = buyer.account.live_key
    return f"{method} /api/v1{path} HTTP/{version}\r\nHost: t\r\nAuthorization: Bearer {key}\r\n{more}\r\n".encode()


async def known(served: Served, buyer: Buyer) -> str:
    """The path of a lease whose status is remembered, and whose key is."""
    lease = await buyer.lease(country="us")
    number = int(lease["activation_id"])
    async with asyncio.timeout(60):
        while served.house.pushed.live.remembered(number) is None:
            await served.house.pushed.tail.look()
            await buyer.status(lease)
    return f"/numbers/status/{number}"


async def test_it_says_what_the_ordinary_answer_says(served: Served) -> None:
    buyer = await served.house.buyer()
    path = await known(served, buyer)
    async with line(served) as wire:
        wire.writer.write(ask(path, buyer))
        quick = await wire.read()
        wire.writer.write(ask(path + "?", buyer) + ask(path + "?wait=0", buyer))
        await wire.read()
        ordinary = await wire.read()
    assert quick.status == ordinary.status == 200
    assert quick.data == ordinary.data
    assert quick.headers.keys() == ordinary.headers.keys()
    assert quick.headers["x-request-id"] != ordinary.headers["x-request-id"]


async def test_answers_come_in_the_order_of_their_requests_however_many_are_sent_at_once(served: Served) -> None:
    buyer = await served.house.buyer()
    path = await known(served, buyer)
    slow, quick, missing = ask("/account", buyer), ask(path, buyer), ask("/numbers/status/77", buyer)
    requests = ([quick] * 40 + [slow, quick, missing]) * 30
    async with line(served) as wire, asyncio.timeout(60):
        wire.writer.write(b"".join(requests))
        for request in requests:
            answer = await wire.read()
            if request is quick:
                assert answer.data["status"] == "waiting"
            elif request is slow:
                assert "balance" in answer.data
            else:
                assert answer.status == 404


async def test_the_limit_counts_them_and_refuses_the_one_too_many(served: Served) -> None:
    buyer, database = await served.house.buyer(), served.house.platform.database
    other = await issuing.create(
        database, Actor("operator:test"), buyer.account_id, "live", name="another", scopes=["numbers"]
    )
    path = await known(served, buyer.with_key(other.key))
    await database.execute("UPDATE account SET per_minute = 1, burst = 10")  # the next comes in a minute
    statuses, remaining = [], []
    async with line(served) as wire:
        for _ in range(12):
            wire.writer.write(ask(path, buyer))
            answer = await wire.read()
            statuses.append(answer.status)
            remaining.append(answer.headers["ratelimit"])
    assert statuses == [200] * 10 + [429] * 2
    assert len(set(remaining[:10])) == 10, "each of them takes one"


async def test_a_key_that_ends_ends_here_too(served: Served) -> None:
    buyer = await served.house.buyer()
    path = await known(served, buyer)
    await served.house.platform.database.execute("UPDATE api_key SET revoked_at = now()")
    async with line(served) as wire, asyncio.timeout(60):
        while True:
            wire.writer.write(ask(path, buyer))
            answer = await wire.read()
            if answer.status == 401:
                break
            assert answer.status == 200
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(("version", "more"), [("1.1", "Connection: close\r\n"), ("1.0", "")])
async def test_a_caller_who_wants_the_connection_closed_has_it_closed(served: Served, version: str, more: str) -> None:
    buyer = await served.house.buyer()
    path = await known(served, buyer)
    async with line(served) as wire, asyncio.timeout(60):
        wire.writer.write(ask(path, buyer, version=version, more=more))
        answer = await wire.read()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert await wire.reader.read() == b""


async def test_what_is_no_plain_poll_goes_the_ordinary_way(served: Served) -> None:
    buyer = await served.house.buyer()
    path = await known(served, buyer)
    async with line(served) as wire, asyncio.timeout(60):
        wire.writer.write(ask(path, buyer, method="HEAD"))
        assert (await wire.read(head=True)).status == 200
        wire.writer.write(ask(path, buyer, method="DELETE"))
        assert (await wire.read()).status == 405
        wire.writer.write(ask(path, buyer, more="Content-Length: 5\r\n") + b"hello" + ask(path, buyer))
        assert [(await wire.read()).status for _ in range(2)] == [200, 200]
