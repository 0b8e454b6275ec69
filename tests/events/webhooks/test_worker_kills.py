"""A worker that is killed at any moment loses no event, and repeats it under the same name."""

import asyncio
import random
from collections import deque

import pytest
from tests.conftest import Serve, Server
from tests.events.webhooks.sending import OK, Request, post, receiving

from trunkline.events.webhooks import signing

ROUNDS = 20
AHEAD = 2  # workers that start while one is at work
MOST_WAITING = 1000  # events that wait to be sent, however slowly the workers start


@pytest.mark.asyncio
@pytest.mark.timeout(900)
async def test_a_worker_that_is_killed_twenty_times_loses_no_event(url: str, serve: Serve) -> None:
    chance = random.Random(20)
    async with post(url) as office, receiving() as receiver:

        async def slowly(_: Request) -> bytes:
            await asyncio.sleep(chance.uniform(0, 0.02))
            return OK

        receiver.answer = slowly
        await office.endpoint(receiver.url)
        names: list[str] = []
        is_over = asyncio.Event()

        async def write() -> None:
            while not is_over.is_set():
                if len(names) - len(set(receiver.ids())) < MOST_WAITING:
                    names.extend(await office.tell(3))
                await asyncio.sleep(0.05)

        settings = {
            "TRUNKLINE_DATABASE_URL": url,
            "TRUNKLINE_WEBHOOKS__ALLOW": "127.0.0.0/8",
            "TRUNKLINE_WEBHOOKS__SECONDS": "2",  # so that leases are short
            "TRUNKLINE_WEBHOOKS__RETRY_SECONDS": ",".join(["0.5"] * 9),
        }

        def start() -> "asyncio.Task[Server]":
            return asyncio.create_task(asyncio.to_thread(serve, "--role", "worker", **settings))

        writing = asyncio.create_task(write())
        starting = deque(start() for _ in range(AHEAD))
        for _ in range(ROUNDS):
            worker = await starting.popleft()
            starting.append(start())
            before = len(receiver.requests)
            await receiver.until(lambda: len(receiver.requests) > before)  # noqa: B023
            await asyncio.sleep(chance.uniform(0, 0.2))
            worker.kill()
        is_over.set()
        await writing
        await asyncio.gather(*starting)
        written = set(names)
        await office.ended(len(written))
        assert await office.database.fetchval("SELECT count(*) FROM webhook_delivery") == len(written)
        assert {row["state"] for row in await office.deliveries()} == {"delivered"}
        assert set(receiver.ids()) == written
        for request in receiver.requests:
            timestamp = int(request.headers["webhook-timestamp"])
            signed = signing.sign([office.secret], request.webhook_id, timestamp, request.body)
            assert request.headers["webhook-signature"] == signed
        assert len({(request.webhook_id, request.body) for request in receiver.requests}) == len(written)
