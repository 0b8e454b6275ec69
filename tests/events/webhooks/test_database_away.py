"""The database goes away while events are sent, and while what came of them waits to be written."""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator

import pytest
from tests.database_line import Line
from tests.events.webhooks.sending import OK, SECONDS, Post, Receiver, Request, post, receiving, status

from trunkline.storage.database import Database

pytestmark = pytest.mark.asyncio


@contextlib.asynccontextmanager
async def _on_a_line(url: str, **settings: str) -> AsyncIterator[tuple[Line, Post]]:
    """The dispatcher speaks over the line, the test does not."""
    async with Line.laid(url) as line, post(line.url, **settings) as office:
        office.database = await Database.open(url)
        try:
            yield line, office
        finally:
            await office.database.close()


async def _each_is_delivered_and_recorded_once(office: Post, receiver: Receiver, names: list[str]) -> None:
    deliveries, attempts = await office.deliveries(), await office.attempts()
    assert {row["state"] for row in deliveries} == {"delivered"}
    assert [f"evt_{row['event_id']}" for row in deliveries] == sorted(names, key=lambda name: int(name[4:]))
    recorded = Counter(row["delivery_id"] for row in attempts)
    assert recorded == {row["delivery_id"]: row["attempts"] for row in deliveries}
    taken = Counter(row["delivery_id"] for row in attempts if row["status"] == 204)
    assert taken == {row["delivery_id"]: 1 for row in deliveries}
    assert set(receiver.ids()) == set(names)
    assert len({(request.webhook_id, request.body) for request in receiver.requests}) == len(names)


async def test_results_that_wait_for_the_database_are_written_once_it_is_back(url: str) -> None:
    async with _on_a_line(url, retry_seconds="0.2") as (line, office), receiving() as receiver:
        may_answer = asyncio.Event()

        async def answer(request: Request) -> bytes:
            await may_answer.wait()
            return status(500) if request.webhook_id == names[0] and request.number == 1 else OK

        receiver.answer = answer
        await office.endpoint(receiver.url)
        names: list[str] = []
        async with office.sending() as dispatcher:
            names += await office.tell(3)
            await receiver.got(names)
            line.cut()
            may_answer.set()
            async with asyncio.timeout(SECONDS):
                while len(dispatcher._recorder._results) < 3 or not line.refused:
                    await asyncio.sleep(0.02)
            assert await office.attempts() == []
            line.mend()
            await office.ended(3)
        await _each_is_delivered_and_recorded_once(office, receiver, names)
        assert Counter(receiver.ids()) == {names[0]: 2, names[1]: 1, names[2]: 1}  # nothing else came again
        assert len(await office.attempts()) == 4


async def test_results_that_waited_for_longer_than_their_claims_are_made_up_for(url: str) -> None:
    async with _on_a_line(url, seconds="1") as (line, office), receiving() as receiver:
        may_answer = asyncio.Event()

        async def answer(_: Request) -> bytes:
            await may_answer.wait()
            return OK

        receiver.answer = answer
        await office.endpoint(receiver.url)
        async with office.sending() as dispatcher:
            names = await office.tell(3)
            await receiver.got(names)
            line.cut()
            may_answer.set()
            async with asyncio.timeout(SECONDS):
                while dispatcher._under_way:
                    await asyncio.sleep(0.02)
                while dispatcher._recorder._results:  # until they are given up
                    await asyncio.sleep(0.02)
            # what got its answer too late for its second may have been written down before the line was cut
            assert 204 not in [row["status"] for row in await office.attempts()]
            line.mend()
            await office.ended(3)
        await _each_is_delivered_and_recorded_once(office, receiver, names)
        assert min(Counter(receiver.ids()).values()) >= 2


async def test_a_database_that_comes_and_goes_loses_no_event_and_no_attempt(url: str) -> None:
    chance = random.Random(17)
    async with _on_a_line(url, seconds="1") as (line, office), receiving() as receiver:

        async def answer(request: Request) -> bytes:
            await asyncio.sleep(chance.uniform(0, 0.01))
            return status(500) if request.number == 1 and chance.random() < 0.1 else OK

        receiver.answer = answer
        await office.endpoint(receiver.url)
        async with office.sending():
            names: list[str] = []
            for _ in range(8):
                before = len(receiver.requests)
                names += await office.tell(40)
                await receiver.until(lambda: len(receiver.requests) > before)  # noqa: B023
                await asyncio.sleep(chance.uniform(0, 0.1))
                line.cut()
                await asyncio.sleep(chance.uniform(0, 0.3))
                line.mend()
            await office.ended(len(names))
        await _each_is_delivered_and_recorded_once(office, receiver, names)
