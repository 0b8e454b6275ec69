"""The way of events to receivers, in this process: the outbox's reader and a dispatcher over a test's database, and
receivers on loopback that answer as they are told."""

import asyncio
import contextlib
import dataclasses
import inspect
import itertools
import pathlib
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

from trunkline import app, config, roles
from trunkline.accounts import accounts
from trunkline.audit.acts import Actor
from trunkline.events.fan_out import FanOut
from trunkline.events.webhooks import signing
from trunkline.events.webhooks.delivery import Dispatcher
from trunkline.storage.database import Database, Row

SECONDS = 60.0  # within which everything that a test waits for has come
OK = b"HTTP/1.1 204 No Content\r\n\r\n"

_emails = itertools.count(1)


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    headers: dict[str, str]  # names in lower case
    body: bytes
    at: float  # time.monotonic()
    number: int  # of this webhook-id, from 1

    @property
    def webhook_id(self) -> str:
        return self.headers["webhook-id"]


Answering = Callable[[Request], bytes | Awaitable[bytes]]


class Receiver:
    """Keeps what is posted to it, and answers what ``answer`` says."""

    def __init__(self) -> None:
        self.answer: Answering = lambda _: OK
        self.requests: list[Request] = []
        self.at_once = self.most_at_once = 0
        self.port = 0
        self._times: dict[str, int] = {}
        self._came = asyncio.Condition()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def ids(self) -> list[str]:
        return [request.webhook_id for request in self.requests]

    async def got(self, ids: Iterable[str]) -> None:
        """Until each of them came."""
        wanted = set(ids)
        await self.until(lambda: wanted <= set(self.ids()))

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(SECONDS), self._came:
            await self._came.wait_for(is_so)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[1:-2]
            headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in head)}
            body = await reader.readexactly(int(headers["content-length"]))
            name = headers["webhook-id"]
            self._times[name] = self._times.get(name, 0) + 1
            request = Request(headers, body, time.monotonic(), self._times[name])
            self.requests.append(request)
            async with self._came:
                self._came.notify_all()
            answer = self.answer(request)
            writer.write(await answer if inspect.isawaitable(answer) else answer)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.at_once -= 1
            writer.close()


@contextlib.asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    serving: set[asyncio.Task[None]] = set()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.ensure_future(receiver.serve(reader, writer)))

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


def status(code: int, *headers: str) -> bytes:
    return (
        f"HTTP/1.1 {code} x\r\n".encode()
        + "".join(f"{each}\r\n" for each in (*headers, "Content-Length: 0", "")).encode()
    )


async def never(_: Request) -> bytes:
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


@dataclasses.dataclass
class Post:
    """The post office over one database."""

    database: Database
    loaded: config.Config
    built: app.Platform
    account_id: int
    secret: bytes = dataclasses.field(default_factory=signing.new_secret)

    async def endpoint(self, url: str, events: str = "*") -> int:
        return int(
            await self.database.fetchval(
                "WITH made AS (INSERT INTO webhook_endpoint (account_id, test, url, events, created_at)"
                "  VALUES ($1, false, $2, ARRAY[$3], now() - interval '1 hour') RETURNING endpoint_id),"
                " signs AS (INSERT INTO webhook_secret (endpoint_id, secret) SELECT endpoint_id, $4 FROM made)"
                " SELECT endpoint_id FROM made",
                self.account_id, url, events, self.secret,
            )
        )  # fmt: skip

    async def tell(self, count: int = 1, type_: str = "key.created", **data: Any) -> list[str]:
        """Events of the account; what receivers know them by."""
        rows = await self.database.fetch(
            "INSERT INTO event (account_id, test, type, data)"
            " SELECT $1, false, $2, jsonb_build_object('n', n) FROM generate_series(1, $3) AS n RETURNING event_id",
            self.account_id, type_, count,
        )  # fmt: skip
        return [f"evt_{row['event_id']}" for row in rows]

    @contextlib.asynccontextmanager
    async def sending(self, *, reading: bool = True) -> AsyncIterator[Dispatcher]:
        """Runs a dispatcher, and the reader of the outbox that plans for it."""
        dispatcher = roles.dispatcher(self.loaded, self.built)
        fan_out = FanOut(self.database, dispatcher.planned, keep_days=30)
        tasks = [asyncio.create_task(dispatcher.run())]
        if reading:
            tasks.append(asyncio.create_task(self._read(fan_out)))
        try:
            yield dispatcher
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self, fan_out: FanOut) -> None:
        while True:
            await fan_out.take()
            await asyncio.sleep(0.01)

    async def hook(self, endpoint_id: int) -> Row:
        row = await self.database.fetchrow("SELECT * FROM webhook_endpoint WHERE endpoint_id = $1", endpoint_id)
        assert row is not None
        return row

    async def deliveries(self) -> list[Row]:
        return list(await self.database.fetch("SELECT * FROM webhook_delivery ORDER BY event_id, endpoint_id"))

    async def attempts(self) -> list[Row]:
        return list(
            await self.database.fetch(
                "SELECT attempt.*, key FROM webhook_attempt AS attempt LEFT JOIN text_key USING (key_id)"
                " ORDER BY delivery_id, number"
            )
        )

    async def until(self, is_so: Callable[[], Awaitable[bool]]) -> None:
        """Until the database says so."""
        async with asyncio.timeout(SECONDS):
            while not await is_so():
                await asyncio.sleep(0.02)

    async def ended(self, count: int) -> None:
        """Until so many deliveries are over."""

        async def is_so() -> bool:
            return bool(
                await self.database.fetchval(
                    "SELECT count(*) >= $1 FROM webhook_delivery WHERE state <> 'pending'", count
                )
            )

        await self.until(is_so)

    async def recorded(self, count: int) -> list[Row]:
        """The attempts, once there are so many."""

        async def is_so() -> bool:
            return bool(await self.database.fetchval("SELECT count(*) >= $1 FROM webhook_attempt", count))

        await self.until(is_so)
        return await self.attempts()


@contextlib.asynccontextmanager
async def post(url: str, **settings: str) -> AsyncIterator[Post]:
    """``settings``: of [webhooks]; loopback is allowed, and attempts are repeated soon."""
    named = {f"TRUNKLINE_WEBHOOKS__{name.upper()}": value for name, value in settings.items()}
    loaded = config.load(
        {
            "TRUNKLINE_DATABASE_URL": url,
            "TRUNKLINE_WEBHOOKS__ALLOW": "127.0.0.0/8",
            "TRUNKLINE_WEBHOOKS__RETRY_SECONDS": ",".join(["0.2"] * 9),
        }
        | named
    )
    async with app.platform(loaded, pathlib.Path(tempfile.gettempdir(), "trunkline-tests")) as built:
        async with built.database.transaction() as connection:
            account = await accounts.create(
                connection,
                Actor("operator:test"),
                f"hooks-{time.time_ns()}-{next(_emails)}@example.com",
                currency="USD",
                per_minute=60,
            )
        await built.database.execute("SELECT fan_out(1000)")  # what making the account told of is nobody's here
        yield Post(built.database, loaded, built, account.account_id)
