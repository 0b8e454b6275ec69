"""Polls are answered from memory as truly as from the database."""

import asyncio
import random
import time
import types
from typing import Any

import pytest
from tests.house import NORTH, Buyer, House, data, opened, problem

from trunkline.activations import live as module
from trunkline.activations.lifecycle import Policy, finish
from trunkline.activations.live import Live
from trunkline.activations.sweeper import expire_due
from trunkline.storage.database import DatabaseAway

pytestmark = pytest.mark.asyncio


def remembers(house: House, lease: dict[str, Any]) -> bool:
    return house.pushed.live.remembered(int(lease["activation_id"])) is not None


async def polled(house: House, buyer: Buyer, lease: dict[str, Any]) -> Any:
    """The status, which is answered from memory from now on; a machine that is busy may take more than one try."""
    async with asyncio.timeout(60):
        while True:
            await house.pushed.tail.look()
            first = await buyer.status(lease)
            if remembers(house, lease):
                assert await buyer.status(lease) == first
                return first


async def test_a_lease_that_runs_is_read_once_and_then_answered_from_memory(house: House) -> None:
    buyer = await house.buyer()
    lease = await buyer.lease(country="us")
    assert not remembers(house, lease)
    assert (await polled(house, buyer, lease))["status"] == "waiting"
    await house.text(lease["phone_number"], "Your WhatsApp code: 847291", sender="WhatsApp")
    assert not remembers(house, lease)
    shown = await polled(house, buyer, lease)
    assert (shown["status"], shown["sms"]["code"]) == ("received", "847291")


@pytest.mark.parametrize("word", ["completed", "cancelled", "expired"])
async def test_what_another_process_does_to_a_lease_is_shown_after_the_tail_has_told_of_it(
    house: House, word: str
) -> None:
    buyer = await house.buyer()
    lease = await buyer.lease(country="us")
    database = house.platform.database
    if word == "completed":
        await house.text(lease["phone_number"], "Your WhatsApp code: 847291", sender="WhatsApp")
    await polled(house, buyer, lease)
    if word == "expired":
        await database.execute("UPDATE activation SET expires_at = now()")
        await expire_due(database)
    else:
        ids = int(lease["activation_id"])
        await finish(database, buyer.account_id, ids, word, test=False, policy=Policy())
    await house.pushed.tail.look()
    assert not remembers(house, lease)
    assert (await buyer.status(lease))["status"] == word
    assert not remembers(house, lease), "a lease that has ended is asked for so seldom that it is not kept"


async def test_who_ends_a_lease_is_shown_so_by_the_next_poll(house: House) -> None:
    buyer = await house.buyer()
    for headers in ({}, {"Idempotency-Key": "once"}):
        lease = await buyer.lease(country="us")
        await polled(house, buyer, lease)
        path = f"/numbers/finish/{lease['activation_id']}"
        assert data(await buyer.post(path, {"status": "cancelled"}, **headers))["status"] == "cancelled"
        assert (await buyer.status(lease))["status"] == "cancelled"


async def test_somebody_elses_lease_is_not_there_however_well_it_is_remembered(house: House) -> None:
    owner, stranger = await house.buyer(), await house.buyer()
    lease = await owner.lease(country="us")
    await polled(house, owner, lease)
    path = f"/numbers/status/{lease['activation_id']}"
    for other in (stranger, stranger.testing(), owner.testing()):
        problem(await other.get(path), 404, "not_found")
        many = await other.post("/numbers/status", {"activation_ids": [lease["activation_id"]]})
        assert data(many) == {lease["activation_id"]: None}
    assert house.pushed.live.leases_remembered == 1
    many = await owner.post("/numbers/status", {"activation_ids": [lease["activation_id"], "77"]})
    assert data(many) == {lease["activation_id"]: await owner.status(lease), "77": None}


async def test_the_moment_from_which_a_lease_can_be_cancelled_is_not_missed_by_memory(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(url, **NORTH, TRUNKLINE_POOL__CANCEL_WAIT_SECONDS="600") as house:
        buyer = await house.buyer()
        await house.stock(1, country="ad", carrier="north")
        await house.platform.database.execute(
            "INSERT INTO service_switch (service_id, enabled)"
            " SELECT service_id, true FROM service WHERE slug = 'whatsapp'"
        )
        lease = await buyer.lease(country="ad")
        assert not (await polled(house, buyer, lease))["can_cancel"]
        # Ten minutes pass, for the lease and for memory; nothing is told, and what is remembered stays.
        await house.platform.database.execute("UPDATE activation SET cancel_after = cancel_after - interval '600 s'")
        assert house.pushed.live.leases_remembered == 1
        later = types.SimpleNamespace(time=lambda: time.time() + 600, monotonic=time.monotonic)
        monkeypatch.setattr(module, "time", later)
        assert (await buyer.status(lease))["can_cancel"]
        await buyer.cancel(lease)


class Told:
    """News that come as told."""

    is_late = False

    def hurry(self) -> None: ...
    def interest(self) -> None: ...


async def test_a_tail_that_is_late_is_not_trusted(house: House) -> None:
    lease = await (await house.buyer()).lease(country="us")
    news = Told()
    live = Live(house.platform.database, news)
    ids = int(lease["activation_id"])
    news.is_late = True
    assert (await live.read(ids)) is not None
    news.is_late = False
    assert live.remembered(ids) is None, "what was read while nothing was told is not kept"
    assert (await live.read(ids)) is not None
    assert live.remembered(ids) is not None
    news.is_late = True
    assert live.remembered(ids) is None


async def test_memory_keeps_the_newest_and_no_more_than_it_may(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    buyer = await house.buyer("50.00")
    live = Live(house.platform.database, Told())
    leases = [int((await buyer.lease(country="us", service="any"))["activation_id"]) for _ in range(5)]
    monkeypatch.setattr(module, "MOST_REMEMBERED", 3)
    for lease in leases:
        await live.read(lease)
    assert [live.remembered(lease) is not None for lease in leases] == [False, False, True, True, True]
    monkeypatch.setattr(module, "MOST_BYTES", 500)
    await live.read(leases[0])
    assert [live.remembered(lease) is not None for lease in leases] == [True, False, False, False, True]
    monkeypatch.setattr(module, "LARGEST_ANSWER", 10)
    await live.read(leases[1])
    assert live.remembered(leases[1]) is None


WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    " AND query LIKE '%finish(%'"
)


async def test_a_finish_is_shown_by_the_next_poll_whatever_was_told_of_the_lease_while_it_ran(house: House) -> None:
    buyer = await house.buyer()
    lease = await buyer.lease(country="us")
    database, number = house.platform.database, int(lease["activation_id"])
    async with database.transaction() as other:
        await other.execute("SELECT FROM activation WHERE activation_id = $1 FOR UPDATE", number)
        ending = asyncio.create_task(buyer.cancel(lease))
        async with asyncio.timeout(60):
            while not await database.fetchval(WAITING):
                await asyncio.sleep(0.01)
        house.pushed.live.told([number])
        assert (await buyer.status(lease))["status"] == "waiting"
        await house.pushed.tail._looking.acquire()  # that it has ended is not told yet
    try:
        assert (await ending)["status"] == "cancelled"
        assert (await buyer.status(lease))["status"] == "cancelled"
    finally:
        house.pushed.tail._looking.release()


async def test_what_somebody_else_asks_for_does_not_count_as_shown_to_whose_lease_it_is(house: House) -> None:
    owner, stranger = await house.buyer(), await house.buyer()
    lease = await owner.lease(country="us")
    await house.text(lease["phone_number"], "Your WhatsApp code: 847291", sender="WhatsApp")
    path = f"/numbers/status/{lease['activation_id']}"
    async with asyncio.timeout(60):
        while not remembers(house, lease):
            problem(await stranger.get(path), 404, "not_found")
        problem(await stranger.get(path), 404, "not_found")
        assert data(await owner.get(path, wait=30))["sms"]["code"] == "847291"


@pytest.mark.parametrize("seed", range(3))
async def test_polls_never_go_back_and_end_with_the_truth_whatever_happens_at_once(house: House, seed: int) -> None:
    chance = random.Random(seed)
    buyer = await house.buyer("50.00")
    leases = [await buyer.lease(country="us", service="any") for _ in range(4)]
    order = {"waiting": 0, "received": 1, "completed": 2, "cancelled": 2, "expired": 2}
    over = asyncio.Event()

    async def poll(lease: dict[str, Any]) -> None:
        before = (0, 0)
        while not over.is_set():
            shown = await buyer.status(lease)
            now = (shown["revision"], order[shown["status"]])
            assert now >= before, "a text that was shown is gone"
            before = now
            await asyncio.sleep(0)  # an answer from memory lets nobody else run

    async def happen(lease: dict[str, Any]) -> None:
        for number in range(chance.randint(0, 4)):
            await asyncio.sleep(chance.uniform(0, 0.03))
            await house.text(lease["phone_number"], f"Your code is {chance.randint(1000, 9999)}{number}")
        await asyncio.sleep(chance.uniform(0, 0.05))
        word = "completed" if (await buyer.status(lease))["revision"] else "cancelled"
        await finish(
            house.platform.database, buyer.account_id, int(lease["activation_id"]), word, test=False, policy=Policy()
        )

    polling = [asyncio.create_task(poll(lease)) for lease in leases for _ in range(2)]
    await asyncio.gather(*(happen(lease) for lease in leases))
    await house.pushed.tail.look()
    ended = [(await buyer.status(lease))["status"] for lease in leases]
    over.set()
    await asyncio.gather(*polling)
    rows = await house.platform.database.fetch("SELECT state FROM activation ORDER BY activation_id")
    assert ended == [row["state"] for row in rows]


async def test_a_held_call_is_woken_by_what_another_process_commits(house: House) -> None:
    buyer = await house.buyer()
    lease = await buyer.lease(country="us")
    await polled(house, buyer, lease)
    held = asyncio.create_task(buyer.get(f"/numbers/status/{lease['activation_id']}", wait=30))
    live = house.pushed.live
    async with asyncio.timeout(60):
        while int(lease["activation_id"]) not in live._waiting:
            await asyncio.sleep(0.005)
    house.platform.inbox.follow(lambda _: None)  # as if another process had taken the text
    await house.text(lease["phone_number"], "Your WhatsApp code: 847291", sender="WhatsApp")
    assert data(await held)["sms"]["code"] == "847291"
    assert not live._waiting


async def test_a_held_call_whose_time_is_over_takes_nobody_elses_answer_along(house: House) -> None:
    lease = await (await house.buyer()).lease(country="us")
    live, number = house.pushed.live, int(lease["activation_id"])
    async with house.platform.database.transaction() as slow:
        await slow.execute("LOCK TABLE activation IN ACCESS EXCLUSIVE MODE")
        other = live.read(number)
        assert await live.wait(number, 0, 0.05) is None
    row = await other
    assert row is not None
    assert row["activation_id"] == number


async def test_a_held_call_that_ends_without_the_text_it_waits_for_answers_as_things_stand(house: House) -> None:
    buyer = await house.buyer()
    lease = await buyer.lease(country="us")
    live, number = house.pushed.live, int(lease["activation_id"])
    held = asyncio.create_task(buyer.get(f"/numbers/status/{number}", wait=30, after_revision=1))
    async with asyncio.timeout(60):
        while number not in live._waiting:
            await asyncio.sleep(0.005)
        await house.text(lease["phone_number"], "Your WhatsApp code: 847291", sender="WhatsApp")
        assert (await buyer.status(lease))["revision"] == 1  # read after the held call was told, which reads it too
        live.drain()
        shown = data(await held)
    assert (shown["status"], shown["revision"], shown["sms"]["code"]) == ("received", 1, "847291")


class Away:
    """A database that cannot be reached for a while, though whoever tells of its news can reach it."""

    def __init__(self, house: House) -> None:
        self._database = house.platform.database
        self.asked = asyncio.Event()
        self.is_away = True

    async def fetch(self, query: str, *arguments: Any) -> Any:
        self.asked.set()
        if self.is_away:
            raise DatabaseAway("on purpose")
        return await self._database.fetch(query, *arguments)


async def test_a_held_call_that_could_not_be_read_is_read_again_without_any_news(house: House) -> None:
    lease = await (await house.buyer()).lease(country="us")
    database = Away(house)
    live = Live(database, Told())  # type: ignore[arg-type] # what it asks for is there
    held = asyncio.create_task(live.wait(int(lease["activation_id"]), 0, 30))
    async with asyncio.timeout(60):
        await database.asked.wait()
        await house.text(lease["phone_number"], "Your WhatsApp code: 847291", sender="WhatsApp")
        database.is_away = False
        row = await held
    assert row is not None
    assert row["revision"] == 1
