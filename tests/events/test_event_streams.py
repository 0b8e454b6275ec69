"""Streams of events over a real socket: everything comes, nothing of anybody else's, and whoever was away is told."""

import asyncio
import contextlib
import dataclasses
import itertools
import json
import random
import re
import socket
import struct
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from tests.conftest import Serve, Trunkline
from tests.house import Buyer, House, data, opened, problem

from trunkline import roles
from trunkline.accounts import accounts
from trunkline.accounts.keys import ALL_SCOPES
from trunkline.audit.acts import Actor
from trunkline.events import hub as hubs
from trunkline.events import replay
from trunkline.events.contents import contents, shown_id
from trunkline.events.tail import GAP

pytestmark = pytest.mark.asyncio

SECONDS = 60  # until a test is given up
QUICK = {
    "TRUNKLINE_EVENTS__HEARTBEAT_SECONDS": "0.2",
    "TRUNKLINE_EVENTS__STREAMS_PER_KEY": "3",
    "TRUNKLINE_EVENTS__STREAMS_PER_ACCOUNT": "7",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Told:
    """An event as a client of the stream reads it."""

    id: str
    type: str
    data: str

    @property
    def body(self) -> Any:
        return json.loads(self.data)


class Stream:
    """A client that reads as WHATWG HTML says: fields by lines, an event at each empty line."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self.last_id = ""
        self.comments = 0
        self.retry: str | None = None
        self._lines = answer.aiter_lines()

    async def block(self) -> Told | None:
        """The next event, or the comment that names an id to come back with; None at the stream's end."""
        fields: dict[str, str] = {}
        async for line in self._lines:
            name, _, value = line.partition(": ")
            if name == "retry":
                self.retry = value
            elif line.startswith(": from "):
                self.last_id = line.removeprefix(": from ")
                return Told(self.last_id, "", "")
            elif line.startswith(":"):
                self.comments += 1
            elif line:
                fields[name] = value
            elif fields:
                assert fields.keys() == {"id", "event", "data"}, "some clients take any block for a message"
                self.last_id = fields["id"]
                return Told(self.last_id, fields.get("event", ""), fields.get("data", ""))
        return None

    async def next(self) -> Told:
        found = await asyncio.wait_for(self.block(), SECONDS)
        assert found is not None, "the stream ended"
        return found

    async def rest(self) -> list[Told]:
        """Everything until the server ends the stream, or the connection breaks."""
        found = []
        async with asyncio.timeout(SECONDS):
            with contextlib.suppress(httpx.RemoteProtocolError, httpx.ReadError):
                while (told := await self.block()) is not None:
                    found.append(told)
        return found


@dataclasses.dataclass
class Served:
    """The house behind a socket."""

    house: House
    port: int
    client: httpx.AsyncClient
    stop: asyncio.Event

    async def buyer(self) -> Buyer:
        """A customer; that their keys were made is no news any more."""
        buyer = await self.house.buyer()
        told = "SELECT bool_and(pg_visible_in_snapshot(xact, $2::text::pg_snapshot)) FROM event WHERE account_id = $1"
        async with asyncio.timeout(SECONDS):
            while not await self.house.platform.database.fetchval(told, buyer.account_id, self.house.pushed.tail.seen):
                await asyncio.sleep(0.01)
        return buyer

    @contextlib.asynccontextmanager
    async def follow(
        self, buyer: Buyer, path: str = "/events", *, key: str = "", last_id: str | None = None, **parameters: str
    ) -> AsyncIterator[Stream]:
        headers = {"Authorization": f"Bearer {key or buyer.account.live_key}"}
        if last_id is not None:
            headers["Last-Event-ID"] = last_id
        async with self.client.stream("GET", path, headers=headers, params=parameters) as answer:
            if answer.status_code != 200:
                await answer.aread()
            yield Stream(answer)

    @contextlib.asynccontextmanager
    async def listening(self, buyer: Buyer, path: str = "/events", **more: str) -> AsyncIterator[Stream]:
        """A stream that has begun: what happens from here on is on it."""
        async with self.follow(buyer, path, **more) as stream:
            begun = await stream.next()
            assert (begun.type, begun.data) == ("", "")
            yield stream

    async def refused(self, buyer: Buyer, path: str, status: int, code: str, **more: Any) -> dict[str, Any]:
        async with self.follow(buyer, path, **more) as stream:
            return problem(stream.answer, status, code)

    async def happens(self, buyer: Buyer, *types: str, size: int = 1, test: bool = False) -> list[str]:
        """Events of an account that are about nothing; their ids."""
        rows = await self.house.platform.database.fetch(
            "INSERT INTO event (account_id, test, type, data)"
            " SELECT $1, $2, type, jsonb_build_object('x', repeat('x', $4))"
            " FROM unnest($3::text[]) WITH ORDINALITY AS happened (type, place) ORDER BY place RETURNING event_id",
            buyer.account_id, test, list(types), size,
        )  # fmt: skip
        return [shown_id(row["event_id"]) for row in rows]

    async def nobody_listens(self) -> None:
        async with asyncio.timeout(SECONDS):
            while self.house.pushed.hub.open_streams:
                await asyncio.sleep(0.02)


def request(buyer: Buyer, headers: str = "") -> bytes:
    key = f"Authorization: Bearer {buyer.account.live_key}"
    return f"GET /api/v1/events HTTP/1.1\r\nHost: here\r\n{key}\r\n{headers}\r\n".encode()


@pytest_asyncio.fixture
async def served(url: str) -> AsyncIterator[Served]:
    async with opened(url, **QUICK) as house:
        bound = roles.bind("127.0.0.1", 0)
        port, stop = bound.getsockname()[1], asyncio.Event()
        serving = asyncio.create_task(roles.listen(house.api, house.pushed, bound, stop, "ready"))
        base = f"http://127.0.0.1:{port}/api/v1"
        async with httpx.AsyncClient(base_url=base, timeout=SECONDS, trust_env=False) as client:
            yield Served(house, port, client, stop)
        stop.set()
        await serving


async def test_a_text_is_on_the_stream_as_webhooks_send_it(served: Served) -> None:
    buyer = await served.buyer()
    async with served.listening(buyer) as stream:
        lease = await buyer.lease("whatsapp", "us")
        await served.house.text(lease["phone_number"], "Your WhatsApp code: 847291", sender="WhatsApp")
        created, text = await stream.next(), await stream.next()
        assert (created.type, text.type) == ("activation.created", "sms.received")
        assert text.body["data"]["code"] == "847291"
        database = served.house.platform.database
        kept = "SELECT account_id, event_id, created_at FROM event WHERE account_id = $1"
        rows = await database.fetch(kept, buyer.account_id)
        said = {each.event_id: each for each in (await contents(database, map(tuple, rows))).values()}
        for told in (created, text):
            assert (said[told.id].type, said[told.id].body.decode()) == (told.type, told.data)


async def test_a_stream_says_how_it_is_to_be_handled(served: Served) -> None:
    buyer = await served.buyer()
    async with served.listening(buyer) as stream:
        headers = stream.answer.headers
        assert headers["content-type"] == "text/event-stream; charset=utf-8"
        assert (headers["cache-control"], headers["x-accel-buffering"]) == ("no-store", "no")
        assert {"x-request-id", "ratelimit", "ratelimit-policy"} <= set(headers)
        assert stream.retry == "2000"
    await served.nobody_listens()
    key = {"Authorization": f"Bearer {buyer.account.live_key}"}
    head = await served.client.head("/events", headers=key)
    assert (head.status_code, head.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    await served.nobody_listens()


async def test_a_silent_stream_gives_signs_of_life(served: Served) -> None:
    buyer = await served.buyer()
    async with served.listening(buyer) as stream:
        reading = asyncio.create_task(stream.next())
        async with asyncio.timeout(SECONDS):
            while stream.comments < 3:
                await asyncio.sleep(0.02)
        [sent] = await served.happens(buyer, "deposit.paid")
        assert (await reading).id == sent


# Replay


async def test_whoever_was_away_is_told_what_they_missed_and_nothing_else(served: Served) -> None:
    buyer = await served.buyer()
    async with served.listening(buyer) as stream:
        [first] = await served.happens(buyer, "deposit.paid")
        assert (await stream.next()).id == first
    missed = await served.happens(buyer, *["deposit.paid"] * (2 * replay.PAGE + 1))
    async with served.follow(buyer, last_id=first) as stream:
        assert [(await stream.next()).id for _ in missed] == missed
        [later] = await served.happens(buyer, "deposit.paid")
        assert (await stream.next()).id == later
    async with served.follow(buyer, last_event_id=missed[-2]) as stream:
        assert [(await stream.next()).id for _ in range(2)] == [missed[-1], later]
    async with served.follow(buyer, last_id=missed[-1], last_event_id=first) as stream:  # the header is the newer one
        assert (await stream.next()).id == later


async def test_a_client_that_was_cut_before_its_first_event_has_an_id_to_come_back_with(served: Served) -> None:
    buyer = await served.buyer()
    async with served.listening(buyer) as stream:
        begun = stream.last_id
    missed = await served.happens(buyer, "deposit.paid", "deposit.paid")
    async with served.follow(buyer, last_id=begun) as stream:
        assert [(await stream.next()).id for _ in missed] == missed
    nobody = await accounts.create(
        served.house.platform.database, Actor("operator:test"), "new@example.com", currency="USD", per_minute=600
    )
    newcomer = Buyer(nobody, nobody.live_key, served.house.api)
    await served.house.platform.database.execute("DELETE FROM event WHERE account_id = $1", newcomer.account_id)
    async with served.listening(newcomer) as stream:
        assert stream.last_id == "evt_0"


async def test_an_event_that_commits_late_is_told_though_its_id_is_smaller(served: Served) -> None:
    buyer = await served.buyer()
    database = served.house.platform.database
    async with served.listening(buyer) as stream:
        async with database.transaction() as late:
            insert = "INSERT INTO event (account_id, test, type) VALUES ($1, false, 'deposit.paid') RETURNING event_id"
            smaller = shown_id(await late.fetchval(insert, buyer.account_id))
            [greater] = await served.happens(buyer, "deposit.paid")
            assert (await stream.next()).id == greater
        assert (await stream.next()).id == smaller
    async with served.follow(buyer, last_id=greater) as stream:
        assert (await stream.next()).id == smaller


async def test_every_event_comes_however_commits_overlap_and_the_connection_breaks(served: Served) -> None:
    chance = random.Random(1)
    buyer = await served.buyer()
    database = served.house.platform.database
    committed: set[str] = set()

    async def write(pauses: list[float]) -> None:
        insert = "INSERT INTO event (account_id, test, type) VALUES ($1, false, 'deposit.paid') RETURNING event_id"
        for number, pause in enumerate(pauses):
            with contextlib.suppress(ZeroDivisionError):
                async with database.transaction() as connection:
                    mine = shown_id(await connection.fetchval(insert, buyer.account_id))
                    await asyncio.sleep(pause)
                    _ = 1 // (number % 7)  # some are rolled back
                committed.add(mine)

    async def read(last_id: str, seen: list[str]) -> str:
        async with served.follow(buyer, last_id=last_id) as stream:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(chance.uniform(0, 0.15)):
                    for _ in range(chance.randrange(1, 12)):
                        told = await stream.block()
                        assert told is not None
                        seen.append(told.id)
            return stream.last_id or last_id

    [last_id] = await served.happens(buyer, "deposit.paid")
    writers = [asyncio.create_task(write([chance.choice((0, 0.005, 0.05, 0.3)) for _ in range(30)])) for _ in range(10)]
    seen: list[str] = []
    while not any(writer.done() for writer in writers):
        last_id = await read(last_id, seen)
        await asyncio.sleep(chance.uniform(0, 0.1))
    async with served.follow(buyer, last_id=last_id) as stream:

        async def read_on() -> None:
            while (told := await stream.block()) is not None:
                seen.append(told.id)

        reading = asyncio.create_task(read_on())
        await asyncio.gather(*writers)
        async with asyncio.timeout(SECONDS):
            while not committed <= set(seen):
                assert not reading.done(), "the stream ended"
                await asyncio.sleep(0.01)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    assert set(seen) == committed


async def test_an_id_that_is_none_is_refused_and_one_that_is_not_known_gets_what_is_kept_after_it(
    served: Served,
) -> None:
    buyer, stranger = await served.buyer(), await served.buyer()
    lease = await buyer.lease("whatsapp", "us")
    [foreign] = await served.happens(stranger, "deposit.paid")
    [own] = await served.happens(buyer, "deposit.paid")
    for path in ("/events", f"/numbers/{lease['activation_id']}/events"):
        for wrong in ("1042", "evt_", "evt_x", "evt_-1", "evt_1 ", "evt_" + "9" * 19, "evt_٣"):
            answer = await served.refused(buyer, path, 422, "invalid_request", last_event_id=wrong)
            assert answer["field"] == "last_event_id"
        answer = await served.refused(buyer, path, 422, "invalid_request", last_id="1042")
        assert answer["field"] == "Last-Event-ID"
    async with served.follow(buyer, last_id=foreign) as stream:
        assert (await stream.next()).id == own
    async with served.follow(buyer, last_id="evt_0", types="activation.*,deposit.*") as stream:
        told = [await stream.next() for _ in range(2)]
        assert [each.type for each in told] == ["activation.created", "deposit.paid"]
    async with served.follow(buyer, last_id="") as stream:  # as good as none
        assert (await stream.next()).data == ""


# Whose events


async def test_nobody_elses_events_are_told_nor_those_of_the_other_mode(served: Served) -> None:
    buyer, stranger = await served.buyer(), await served.buyer()
    async with (
        served.listening(buyer) as live,
        served.listening(buyer, key=buyer.account.test_key) as test,
        served.listening(stranger) as foreign,
    ):
        lives, tests, foreigns = [], [], []
        for _ in range(3):
            lives += await served.happens(buyer, "deposit.paid")
            tests += await served.happens(buyer, "key.created", test=True)
            foreigns += await served.happens(stranger, "deposit.paid")
        for stream, expected in ((live, lives), (test, tests), (foreign, foreigns)):
            assert [(await stream.next()).id for _ in expected] == expected
    before = shown_id(int(lives[0].removeprefix("evt_")) - 1)
    for who, key, expected in (
        (buyer, buyer.account.live_key, lives),
        (buyer, buyer.account.test_key, tests),
        (stranger, stranger.account.live_key, foreigns),
    ):
        async with served.follow(who, key=key, last_id=before) as stream:
            assert [(await stream.next()).id for _ in expected] == expected


async def test_what_is_for_one_webhook_is_on_no_stream(served: Served) -> None:
    buyer = await served.buyer()
    async with served.listening(buyer) as stream:
        begun = stream.last_id
        await served.house.platform.database.execute(
            "INSERT INTO event (account_id, test, type, endpoint_id) VALUES ($1, false, 'webhook.test', 1)",
            buyer.account_id,
        )
        [later] = await served.happens(buyer, "deposit.paid")
        assert (await stream.next()).id == later
    async with served.follow(buyer, last_id=begun) as stream:
        assert (await stream.next()).id == later


async def test_without_the_scope_webhooks_a_key_hears_of_its_leases_alone(served: Served) -> None:
    buyer = await served.buyer()
    key = (await buyer.new_key(["numbers"]))["key"]
    async with served.listening(buyer, key=key) as stream:
        begun = stream.last_id
        await served.happens(buyer, "key.created", "balance.low", "deposit.paid", "webhook.disabled")
        lease = await buyer.lease("whatsapp", "us")
        told = await stream.next()
        assert (told.type, told.body["data"]["activation_id"]) == ("activation.created", lease["activation_id"])
    async with served.follow(buyer, key=key, last_id=begun) as stream:
        assert (await stream.next()).id == told.id
    for types in ("key.created", "sms.received,deposit.*"):
        refused = await served.refused(buyer, "/events", 403, "insufficient_scope", key=key, types=types)
        assert refused["scope"] == "webhooks"
    async with served.listening(buyer, key=key, types="sms.received,activation.*,*"):
        pass


async def test_types_choose_what_is_told(served: Served) -> None:
    buyer = await served.buyer()
    async with served.listening(buyer, types="deposit.paid,key.*") as stream:
        begun = stream.last_id
        ids = await served.happens(buyer, "balance.low", "key.created", "deposit.paid", "balance.low", "key.revoked")
        wanted = [ids[1], ids[2], ids[4]]
        assert [(await stream.next()).id for _ in wanted] == wanted
    async with served.follow(buyer, types="key.*", last_id=begun) as stream:
        assert [(await stream.next()).id for _ in range(2)] == [ids[1], ids[4]]
    for wrong in (
        "sms.recieved",
        "",
        "sms.received,",
        "sms",
        "*.*",
        "nothing.*",
        ",".join(["*"] + ["key.*"] * 60) + "x",
    ):
        assert (await served.refused(buyer, "/events", 422, "invalid_request", types=wrong))["field"] == "types"
    assert (await served.refused(buyer, "/events", 422, "invalid_request", typos="*"))["field"] == "typos"


# A lease's stream


async def test_a_leases_stream_tells_it_from_its_beginning_to_its_end_and_then_there_is_nothing_more(
    served: Served,
) -> None:
    buyer = await served.buyer()
    lease, other = await buyer.lease("whatsapp", "us"), await buyer.lease("telegram", "us")
    path = f"/numbers/{lease['activation_id']}/events"
    await served.house.text(lease["phone_number"], "Your WhatsApp code: 847291", sender="WhatsApp")
    async with served.follow(buyer, path) as stream:
        assert [(await stream.next()).type for _ in range(2)] == ["activation.created", "sms.received"]
        seen = stream.last_id
        await buyer.cancel(other)
        await served.house.text(lease["phone_number"], "Your WhatsApp code: 112233", sender="WhatsApp")
        await buyer.complete(lease)
        told = await stream.rest()
        assert [each.type for each in told] == ["sms.received", "activation.completed"]
        assert told[0].body["data"]["code"] == "112233"
    for last_id, rest in ((seen, told), (told[0].id, told[1:])):
        async with served.follow(buyer, path, last_id=last_id) as stream:
            assert await stream.rest() == rest
    async with served.follow(buyer, path) as stream:
        assert len(await stream.rest()) == 4
    for over in (told[-1].id, "evt_999999999"):
        async with served.follow(buyer, path, last_id=over) as stream:
            assert (stream.answer.status_code, stream.answer.content) == (204, b"")
            assert not {"content-type", "content-length", "transfer-encoding"} & set(stream.answer.headers)
    await served.nobody_listens()


async def test_a_lease_of_somebody_else_has_no_stream(served: Served) -> None:
    buyer, stranger = await served.buyer(), await served.buyer()
    path = f"/numbers/{(await buyer.lease('whatsapp', 'us'))['activation_id']}/events"
    await served.refused(stranger, path, 404, "not_found")
    await served.refused(buyer, path, 404, "not_found", key=buyer.account.test_key)
    await served.refused(buyer, "/numbers/nothing/events", 404, "not_found")


# How streams end


async def test_a_key_has_so_many_streams_open_and_no_more(served: Served) -> None:
    buyer = await served.buyer()
    lease = await buyer.lease("whatsapp", "us")
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(served.follow(buyer, f"/numbers/{lease['activation_id']}/events"))
        streams = [await stack.enter_async_context(served.listening(buyer)) for _ in range(2)]
        refused = await served.refused(buyer, "/events", 429, "too_many_streams")
        assert refused["retry_at"]
        async with served.listening(buyer, key=buyer.account.test_key):
            pass
        await streams[0].answer.aclose()
        async with asyncio.timeout(SECONDS):
            while served.house.pushed.hub.open_streams > 2:
                await asyncio.sleep(0.02)
        async with served.listening(buyer):
            await served.refused(buyer, "/events", 429, "too_many_streams")
    await served.nobody_listens()


async def test_an_account_has_so_many_streams_open_over_all_its_keys_and_others_their_own(served: Served) -> None:
    buyer, other = await served.buyer(), await served.buyer()
    second = (await buyer.new_key())["key"]
    async with contextlib.AsyncExitStack() as stack:
        for key in (*[buyer.account.live_key] * 3, *[second] * 2, *[buyer.account.test_key] * 2):
            await stack.enter_async_context(served.listening(buyer, key=key))
        refused = await served.refused(buyer, "/events", 429, "too_many_streams", key=second)
        assert refused["limit"] == 7
        assert "The account has 7 streams open" in refused["detail"]
        async with served.listening(other):
            pass
    await served.nobody_listens()


async def test_a_key_that_has_ended_hears_nothing_more(served: Served) -> None:
    buyer, frozen, bystander = [await served.buyer() for _ in range(3)]
    database = served.house.platform.database
    made = [await buyer.new_key(ALL_SCOPES) for _ in range(3)]
    async with contextlib.AsyncExitStack() as stack:
        ending = [await stack.enter_async_context(served.listening(buyer, key=each["key"])) for each in made * 2]
        ending.append(await stack.enter_async_context(served.listening(frozen)))
        unaffected = [await stack.enter_async_context(served.listening(each)) for each in (buyer, bystander)]
        started = time.monotonic()
        data(await buyer.ask("DELETE", f"/keys/{made[0]['key_id']}"))
        data(await buyer.post(f"/keys/{made[1]['key_id']}/rotate", {"overlap_hours": 0}))
        await database.execute("UPDATE api_key SET expires_at = now() WHERE key_id = $1", int(made[2]["key_id"]))
        await database.execute(
            "UPDATE account SET frozen_at = now(), frozen_reason = 'abuse' WHERE account_id = $1", frozen.account_id
        )
        for stream in ending:
            assert {told.type for told in await stream.rest()} <= {"key.created", "key.revoked", "key.rotated"}
        assert time.monotonic() - started < SECONDS / 2  # 2 s where nothing else is going on
        for stream, owner in zip(unaffected, (buyer, bystander), strict=True):
            [later] = await served.happens(owner, "deposit.paid")
            while (told := await stream.next()).type != "deposit.paid":
                pass
            assert told.id == later


async def test_a_reader_who_does_not_read_is_cut_and_loses_nothing(served: Served) -> None:
    buyer = await served.buyer()
    [before] = await served.happens(buyer, "deposit.paid")
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", served.port))
        deaf.send(request(buyer, f"Last-Event-ID: {before}\r\n"))
        deaf.setblocking(False)
        sent: list[str] = []
        async with asyncio.timeout(SECONDS):
            while not served.house.pushed.hub.open_streams:
                await asyncio.sleep(0.01)
            while served.house.pushed.hub.open_streams:
                sent += await served.happens(buyer, *["deposit.paid"] * 20, size=20_000)
                await asyncio.sleep(0.02)
        received, piece = b"", b"."
        with contextlib.suppress(ConnectionResetError):
            while piece and not received.endswith(b"\r\n0\r\n\r\n"):
                piece = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(deaf, 1 << 20), SECONDS)
                received += piece
    got = re.findall(rb"id: (evt_\d+)\nevent: [a-z.]+\ndata: {.*}\n\n", received)
    got_ids = [each.decode() for each in got]
    assert len(got_ids) < len(sent)
    async with served.follow(buyer, last_id=got_ids[-1] if got_ids else before) as stream:
        while got_ids[-1:] != sent[-1:]:
            got_ids.append((await stream.next()).id)
    assert got_ids == sent


@pytest.mark.parametrize("behind_it", [0, 2])
async def test_a_reader_who_hangs_up_is_forgotten_also_where_requests_wait_behind_the_stream(
    served: Served, caplog: pytest.LogCaptureFixture, behind_it: int
) -> None:
    buyer = await served.buyer()
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(request(buyer) * (1 + behind_it))
    await asyncio.wait_for(reader.readuntil(b"retry: 2000"), SECONDS)
    assert served.house.pushed.hub.open_streams == 1
    linger = struct.pack("ii", 1, 0)  # a reset, not an end
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.close()
    await served.nobody_listens()
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_streams_that_missed_something_end_and_are_told_when_they_come_back(served: Served) -> None:
    buyer = await served.buyer()
    async with served.listening(buyer) as stream:
        [first] = await served.happens(buyer, "deposit.paid")
        assert (await stream.next()).id == first
        served.house.pushed.hub.told(GAP)
        assert await stream.rest() == []
    missed = await served.happens(buyer, "deposit.paid")
    async with served.follow(buyer, last_id=first) as stream:
        assert (await stream.next()).id == missed[0]


async def test_a_server_that_goes_down_ends_its_streams_at_once(trunkline: Trunkline, serve: Serve) -> None:
    customer, server = trunkline.customer(), serve()
    headers = {"Authorization": f"Bearer {customer.live_key}"}
    async with httpx.AsyncClient(base_url=server.api, headers=headers, timeout=SECONDS, trust_env=False) as client:
        async with contextlib.AsyncExitStack() as stack:
            streams = []
            for _ in range(10):
                answer = await stack.enter_async_context(client.stream("GET", "/events"))
                streams.append(Stream(answer))
                await streams[-1].next()
            started = time.monotonic()
            stopping = asyncio.create_task(asyncio.to_thread(server.stop))
            for stream in streams:
                assert await stream.rest() == []
                assert stream.answer.is_closed or stream.answer.is_stream_consumed
        assert await stopping == 0
        assert time.monotonic() - started < roles.DRAIN_SECONDS  # which held requests may take


async def test_one_statement_reads_an_event_for_all_who_hear_it(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = itertools.count()

    async def counted(*arguments: Any) -> Any:
        next(read)
        return await contents(*arguments)

    monkeypatch.setattr(hubs, "contents", counted)
    buyer = await served.buyer()
    async with served.listening(buyer) as one, served.listening(buyer) as two, served.listening(buyer) as three:
        [sent] = await served.happens(buyer, "deposit.paid")
        for stream in (one, two, three):
            assert (await stream.next()).id == sent
    assert next(read) == 1
    await served.nobody_listens()
    await served.happens(buyer, "deposit.paid")
    await served.house.pushed.tail.look()
    assert served.house.pushed.hub._telling is None
    assert next(read) == 2
