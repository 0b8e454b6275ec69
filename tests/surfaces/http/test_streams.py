"""Long answers over a real socket: sent as fast as they are read, and given up when nobody reads them any more."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncGenerator, AsyncIterator, Callable

import httpx
import pytest
import pytest_asyncio
from tests.house import Buyer, opened, problem

from trunkline import roles
from trunkline.accounts.keys import Keyring
from trunkline.accounts.limits import Limiter
from trunkline.surfaces.http import streaming
from trunkline.surfaces.http.addresses import Addresses
from trunkline.surfaces.http.application import Application
from trunkline.surfaces.http.route import Call, Route, Stream
from trunkline.surfaces.http.surface import Surface

CHUNK = bytes(64 * 1024)
READ_SECONDS = 60


@dataclasses.dataclass
class Report:
    """A long answer that says how far it got; with ``break_after`` it fails on the way."""

    chunks: int
    break_after: int | None = None
    made: int = 0
    closed: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)

    async def handler(self, call: Call) -> Stream:
        return Stream("text/csv; charset=utf-8", self.generate(), file_name="statement.csv")

    async def generate(self) -> AsyncGenerator[bytes, None]:
        try:
            for number in range(self.chunks):
                if number == self.break_after:
                    raise RuntimeError("the database went away")
                self.made = number + 1
                yield CHUNK
                await asyncio.sleep(0)
        finally:
            self.closed.set()


@dataclasses.dataclass
class Served:
    port: int
    buyer: Buyer

    def request(self) -> bytes:
        key = self.buyer.account.live_key
        return f"GET /api/v1/report HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {key}\r\n\r\n".encode()


Serving = Callable[[Report], "contextlib.AbstractAsyncContextManager[Served]"]


@pytest_asyncio.fixture
async def serving(url: str) -> AsyncIterator[Serving]:
    async with opened(url) as house:
        database = house.platform.database

        @contextlib.asynccontextmanager
        async def serve(report: Report) -> AsyncIterator[Served]:
            route = Route(
                method="GET", path="/report", scope="account:read", handler=report.handler, tag="Account",
                summary="A report", answer=bytes, content_type="text/csv",
            )  # fmt: skip
            api = Application(
                [Surface("/api/v1", [route])],
                database=database, keyring=Keyring(database), limiter=Limiter(account_per_minute=600),
                addresses=Addresses([]), appeal="", files={},
            )  # fmt: skip
            listener = roles.bind("127.0.0.1", 0)
            stop = asyncio.Event()
            listening = asyncio.create_task(roles.listen(api, house.pushed, listener, stop, "ready"))
            try:
                yield Served(listener.getsockname()[1], await house.buyer())
            finally:
                stop.set()
                await listening

        yield serve


@pytest.mark.asyncio
async def test_a_long_answer_comes_whole_with_the_headers_of_any_other(serving: Serving) -> None:
    async with serving(report := Report(chunks=100)) as served:
        base, headers = (
            f"http://127.0.0.1:{served.port}/api/v1",
            {"Authorization": f"Bearer {served.buyer.account.live_key}"},
        )
        async with httpx.AsyncClient(base_url=base, headers=headers, trust_env=False, timeout=READ_SECONDS) as client:
            answer = await client.get("/report")
            assert (answer.status_code, len(answer.content)) == (200, 100 * len(CHUNK))
            assert answer.headers["content-type"] == "text/csv; charset=utf-8"
            assert answer.headers["content-disposition"] == 'attachment; filename="statement.csv"'
            assert {"x-request-id", "ratelimit", "ratelimit-policy"} <= set(answer.headers)
            assert report.closed.is_set()
            head = await client.head("/report")
            assert (head.status_code, head.content, head.headers["content-type"]) == (
                200,
                b"",
                "text/csv; charset=utf-8",
            )
            assert (await client.get("/report")).status_code == 200  # on the same connection
            problem(await client.get("/report?x=1"), 422, "invalid_request")


@pytest.mark.asyncio
async def test_nothing_is_made_ahead_of_a_slow_reader_and_nothing_more_for_one_who_is_gone(serving: Serving) -> None:
    async with serving(report := Report(chunks=10_000)) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port, limit=1024)
        writer.write(served.request())
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), READ_SECONDS)
        made = -1
        async with asyncio.timeout(READ_SECONDS):
            while made != report.made:  # until the buffers on the way are full
                made = report.made
                await asyncio.sleep(0.2)
        assert report.made < 1000
        assert not report.closed.is_set()
        writer.transport.abort()
        await asyncio.wait_for(report.closed.wait(), READ_SECONDS)
        assert report.made < 1000


@pytest.mark.asyncio
async def test_a_reader_who_stops_reading_is_given_up(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "CHUNK_SECONDS", 0.3)
    async with serving(report := Report(chunks=10_000)) as served:
        _, writer = await asyncio.open_connection("127.0.0.1", served.port, limit=1024)
        writer.write(served.request())
        await asyncio.wait_for(report.closed.wait(), READ_SECONDS)
        assert report.made < 1000
        writer.transport.abort()


@pytest.mark.asyncio
async def test_an_answer_that_breaks_off_is_never_taken_for_whole(
    serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(Report(chunks=10, break_after=5)) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(served.request())
        answer = await asyncio.wait_for(reader.read(), READ_SECONDS)
        assert answer.startswith(b"HTTP/1.1 200")
        assert not answer.endswith(b"0\r\n\r\n")
        assert "the answer broke off" in caplog.text
        writer.close()
