"""A house whose API listens on a socket, and callers who write octets on it as they like."""

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from tests.house import Buyer, House, opened

from trunkline import roles

SECONDS = 60  # for anything to happen at all, on a slow machine


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)

    @property
    def gist(self) -> Any:
        """What is the same when the same is asked again."""
        document = self.document
        document.pop("request_id", None)
        return self.status, self.headers.get("connection"), document


def answers(raw: bytes) -> list[Answer]:
    """Whole answers, each with a length, and nothing besides."""
    found = []
    while raw:
        head, _, raw = raw.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        status = int(first.split()[1])
        if status == 100:
            continue
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers["content-length"])
        assert len(raw) >= length, "an answer is cut off"
        found.append(Answer(status, headers, raw[:length]))
        raw = raw[length:]
    return found


class Edge:
    def __init__(self, house: House, buyer: Buyer, port: int, stop: asyncio.Event) -> None:
        self.house, self.buyer, self.port, self.stop = house, buyer, port, stop

    @contextlib.asynccontextmanager
    async def line(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()

    async def said(self, *parts: bytes, end: bool = True) -> list[Answer]:
        """What is answered to these segments, until the server closes or, with ``end``, after we have said all."""
        async with self.line() as (reader, writer), asyncio.timeout(SECONDS):
            with contextlib.suppress(ConnectionError):
                for at, part in enumerate(parts):
                    writer.write(part)
                    await writer.drain()
                    if at + 1 < len(parts):
                        await asyncio.sleep(0.002)  # a segment of its own
                if end and writer.can_write_eof():
                    writer.write_eof()
            return answers(await reader.read())

    def ask(
        self, line: str, *headers: str, body: bytes = b"", host: str | None = "Host: here", key: bool = True
    ) -> bytes:
        """A request; ``line`` is method and path below the API's root."""
        method, _, path = line.partition(" ")
        lines = [f"{method} /api/v1{path} HTTP/1.1", *([host] if host is not None else [])]
        if key:
            lines.append(f"Authorization: Bearer {self.buyer.account.live_key}")
        if body and not any(each.lower().startswith("transfer-encoding") for each in headers):
            lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join([*lines, *headers, "", ""]).encode() + body

    async def leases(self) -> int:
        return int(await self.house.platform.database.fetchval("SELECT count(*) FROM activation"))


@contextlib.asynccontextmanager
async def edge(url: str, *, settings: dict[str, str] | None = None, **bounds: Any) -> AsyncIterator[Edge]:
    async with opened(url, **(settings or {})) as house:
        buyer = await house.buyer()
        listener = roles.bind("127.0.0.1", 0)
        port = listener.getsockname()[1]
        stop = asyncio.Event()
        listening = asyncio.create_task(roles.listen(house.api, house.pushed, listener, stop, "ready", **bounds))
        try:
            yield Edge(house, buyer, port, stop)
        finally:
            stop.set()
            await listening


async def until(is_so: Callable[[], Any]) -> None:
    async with asyncio.timeout(SECONDS):
        while not is_so():
            await asyncio.sleep(0.02)
