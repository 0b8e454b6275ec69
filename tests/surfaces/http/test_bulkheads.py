"""One customer's calls wait for one another, and not for those of others."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests import house as houses
from tests.house import House, data, problem

from trunkline.accounts import bulkheads
from trunkline.accounts.bulkheads import Bulkhead
from trunkline.accounts.problems import TooManyAtOnce


@pytest_asyncio.fixture
async def home(url: str) -> AsyncIterator[House]:
    async with houses.opened(
        url, TRUNKLINE_SERVER__ACCOUNT_HELD_CALLS="2", TRUNKLINE_EVENTS__STREAMS_PER_ACCOUNT="2"
    ) as opened:
        yield opened


async def turns() -> None:
    """Lets everything run that can."""
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.mark.asyncio
async def test_an_account_whose_row_is_locked_holds_few_connections_and_others_call_on(home: House) -> None:
    first, other = await home.buyer(), await home.buyer()
    database = home.platform.database
    async with database.transaction() as holder:
        await holder.execute("SELECT FROM balance WHERE account_id = $1 FOR UPDATE", first.account_id)
        keys = (first, first.testing(), first, first.testing())
        buying = [asyncio.create_task(keys[place % 4].order(country="us")) for place in range(40)]
        async with asyncio.timeout(30):
            while database.connections()[1] < 4:
                await asyncio.sleep(0.01)
            for _ in range(5):
                data(await other.get("/account"))
                await other.lease(country="us")
        assert database.connections()[1] < 8
        for each in buying:
            each.cancel()
        await asyncio.gather(*buying, return_exceptions=True)
    data(await first.order(country="us"))


@pytest.mark.asyncio
async def test_batches_of_an_account_come_one_after_another_and_are_all_answered(home: House) -> None:
    await home.stock(40)
    buyer = await home.buyer()
    body = {"items": [{"country": "ad", "service": "whatsapp"}] * 5}
    answers = await asyncio.gather(*(buyer.post("/numbers/purchase/batch", body) for _ in range(8)))
    leased = [item["data"]["phone_number"] for answer in answers for item in data(answer)]
    assert len(leased) == len(set(leased)) == 40


@pytest.mark.asyncio
async def test_held_calls_of_an_account_are_counted_and_polls_are_not(home: House) -> None:
    buyer, other = await home.buyer(), await home.buyer()
    lease = await buyer.lease(country="us")
    path = f"/numbers/status/{lease['activation_id']}"
    holding = [asyncio.create_task(buyer.get(path, wait=30)) for _ in range(2)]
    held = home.api._bulkheads._of["held"]._accounts
    async with asyncio.timeout(30):
        while buyer.account_id not in held or held[buyer.account_id].at_work < 2:
            await asyncio.sleep(0.01)
    refused = await buyer.get(path, wait=0.01)
    problem(refused, 429, "too_many_at_once")
    assert int(refused.headers["retry-after"]) >= 1
    problem(await buyer.testing().get(path, wait=1), 429, "too_many_at_once")
    assert (await buyer.status(lease))["status"] == "waiting"
    data(await other.get("/account"))
    await home.text(lease["phone_number"], "Your WhatsApp code: 847291")
    for answer in await asyncio.gather(*holding):
        assert data(answer)["sms"]["code"] == "847291"
    assert data(await buyer.get(path, wait=0.01))["status"] == "received"


@pytest.mark.asyncio
async def test_an_export_keeps_its_place_until_it_is_sent(home: House) -> None:
    buyer = await home.buyer()
    for _ in range(bulkheads.EXPORTS + 1):
        assert (await buyer.get("/account/statement")).status_code == 200
    assert not home.api._bulkheads._of["export"]._accounts


@pytest.mark.asyncio
async def test_waiting_calls_come_in_their_order_and_a_heavy_one_is_not_passed() -> None:
    bulkhead = Bulkhead(4)
    leave = await bulkhead.enter(1)
    came: list[str] = []

    async def call(name: str, weight: int) -> None:
        done = await bulkhead.enter(1, weight)
        came.append(name)
        await asyncio.sleep(0)
        done()

    waiting = [asyncio.create_task(call(name, weight)) for name, weight in (("heavy", 20), ("light", 1), ("more", 3))]
    await turns()
    assert came == []
    (await bulkhead.enter(2))()
    leave()
    await asyncio.gather(*waiting)
    assert came[0] == "heavy"
    assert not bulkhead._accounts


@pytest.mark.asyncio
async def test_a_queue_is_bounded_in_length_and_in_time_and_who_leaves_it_holds_nobody_up() -> None:
    bulkhead = Bulkhead(1, queue=2, seconds=0.05)
    leave = await bulkhead.enter(1)
    impatient = asyncio.create_task(bulkhead.enter(1))
    gone = asyncio.create_task(bulkhead.enter(1))
    await turns()
    with pytest.raises(TooManyAtOnce):
        await bulkhead.enter(1)
    gone.cancel()
    with pytest.raises(TooManyAtOnce):
        await impatient
    patient = asyncio.create_task(Bulkhead.enter(bulkhead, 1))
    await turns()
    leave()
    (await patient)()
    assert not bulkhead._accounts


@pytest.mark.asyncio
async def test_long_readings_of_all_accounts_together_leave_room_and_each_account_has_one() -> None:
    bulkhead = Bulkhead(1, together=2)
    leaving = [await bulkhead.enter(1)]
    again = asyncio.create_task(bulkhead.enter(1))
    leaving.append(await bulkhead.enter(2))
    third = asyncio.create_task(bulkhead.enter(3))
    await turns()
    assert not again.done()
    assert not third.done()
    leaving[0]()
    (await third)()
    (await again)()
    leaving[1]()
    assert not bulkhead._accounts
