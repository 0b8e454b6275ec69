"""Who wins when several want the same at once: real connections, a real database, nothing in turn by arrangement."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Sequence
from typing import Any, TypeVar

import httpx
import pytest
from tests.conftest import Server, Trunkline
from tests.house import Buyer, House, data, problem

from trunkline.activations import sweeper
from trunkline.activations.inbox import Outcome

pytestmark = pytest.mark.asyncio

Result = TypeVar("Result")
WON = "won"


async def after_a_moment(house: House, action: Awaitable[Result]) -> Result:
    """Begins an action up to three round trips later, so that now one side of a race comes first and now the other."""
    for _ in range(random.randrange(4)):
        await house.platform.database.fetchval("SELECT 1")
    return await action


def results(answers: Sequence[httpx.Response]) -> Counter[str]:
    return Counter(WON if answer.status_code == 200 else answer.json()["code"] for answer in answers)


async def test_fifty_purchases_at_once_with_one_idempotency_key_lease_one_number(
    server: Server, trunkline: Trunkline
) -> None:
    customer = trunkline.customer(per_minute=10_000)
    wanted = {"country": "us", "service": "whatsapp"}
    headers = {"Authorization": f"Bearer {customer.live_key}", "Idempotency-Key": "one-order"}
    limits = httpx.Limits(max_connections=50)
    async with httpx.AsyncClient(
        base_url=server.api, headers=headers, limits=limits, trust_env=False, timeout=60
    ) as client:
        answers = await asyncio.gather(*(client.post("/numbers/purchase", json=wanted) for _ in range(50)))
        assert results(answers).keys() <= {WON, "idempotency_in_flight"}
        first = next(answer for answer in answers if answer.status_code == 200)
        again = await client.post("/numbers/purchase", json=wanted)
        assert again.headers["idempotent-replayed"] == "true"
        answered = [answer.content for answer in (*answers, again) if answer.status_code == 200]
        assert set(answered) == {first.content}
        replayed = [answer for answer in answers if "idempotent-replayed" in answer.headers]
        assert len(replayed) == len(answered) - 2  # all but the one that did it, and the retry
        refused = await client.post("/numbers/purchase", json=wanted | {"service": "telegram"})
        problem(refused, 422, "idempotency_key_reused")
        leases = data(await client.get("/numbers"))
        assert [lease["activation_id"] for lease in leases] == [first.json()["data"]["activation_id"]]
        account = data(await client.get("/account"))
    assert (account["balance"], account["held"]) == (4.90, 0.10)
    assert trunkline("ledger", "verify")["ok"]


@pytest.mark.parametrize("number", ["fresh", "rested"])
async def test_of_32_buyers_of_the_last_number_exactly_one_gets_it(house: House, number: str) -> None:
    buyers = [await house.buyer() for _ in range(32)]
    await house.stock(1)
    if number == "rested":
        former = await house.buyer()
        lease = await former.lease()
        await house.text(lease["phone_number"], "Your WhatsApp code: 847291")
        await former.complete(lease)
    answers = await asyncio.gather(*(buyer.order() for buyer in buyers))
    assert results(answers) == {WON: 1, "no_numbers_available": 31}
    purses = Counter([await buyer.purse() for buyer in buyers])
    assert purses == {(4.90, 0.10): 1, (5.00, 0): 31}


async def test_of_32_orders_of_an_account_with_money_for_ten_exactly_ten_succeed(house: House) -> None:
    buyer = await house.buyer("1.05")
    answers = await asyncio.gather(*(buyer.order(country="us") for _ in range(32)))
    assert results(answers) == {WON: 10, "insufficient_balance": 22}
    assert await buyer.purse() == (0.05, 1.00)
    assert len({data(answer)["phone_number"] for answer in answers if answer.status_code == 200}) == 10


async def test_a_cancel_and_an_arrival_never_both_win(house: House) -> None:
    buyer = await house.buyer("50.00")
    wanted = {"items": [{"country": "us", "service": "whatsapp"}] * 20}
    leases = [answer["data"] for _ in range(25) for answer in data(await buyer.post("/numbers/purchase/batch", wanted))]
    seen: Counter[str] = Counter()

    async def race(lease: dict[str, Any]) -> None:
        text = f"Your WhatsApp code: {lease['activation_id'][-6:]}"
        pair: tuple[httpx.Response, Outcome] = await asyncio.gather(
            after_a_moment(house, buyer.finish(lease, "cancelled")),
            after_a_moment(house, house.text(lease["phone_number"], text)),
        )
        answer, outcome = pair
        status = await buyer.status(lease)
        if answer.status_code == 200:
            assert outcome.what in ("late", "unmatched")
            assert (data(answer)["status"], data(answer)["refund"], data(answer)["sms"]) == ("cancelled", 0.10, None)
            assert (status["status"], status["sms"]) == ("cancelled", None)
        else:
            assert problem(answer, 409, "sms_already_received")["sms"]["full_text"] == text
            assert outcome.what == "delivered"
            assert (status["status"], status["sms"]["full_text"]) == ("received", text)
        seen[outcome.what] += 1

    for ten in range(0, 500, 10):
        await asyncio.gather(*(race(lease) for lease in leases[ten : ten + 10]))
    assert min(seen["delivered"], seen["late"]) > 0, "neither side is always first"
    moves = await house.platform.database.fetch("SELECT kind, count(*) FROM transfer GROUP BY kind")
    cancelled = 500 - seen["delivered"]
    assert dict(map(tuple, moves)) == {"credit": 1, "hold": 500, "capture": seen["delivered"], "release": cancelled}
    late = await house.platform.database.fetchval("SELECT count(*) FROM message WHERE activation_id IS NULL")
    assert late == cancelled


async def test_a_deadline_an_arrival_and_both_words_at_once_end_a_lease_once(house: House) -> None:
    buyer = await house.buyer("20.00")
    wanted = {"items": [{"country": "gb", "service": "telegram", "ttl": 60}] * 20}
    leases = [answer["data"] for _ in range(5) for answer in data(await buyer.post("/numbers/purchase/batch", wanted))]
    database = house.platform.database

    async def race(lease: dict[str, Any]) -> None:
        number = int(lease["activation_id"])
        await database.execute("UPDATE activation SET expires_at = now() WHERE activation_id = $1", number)
        await asyncio.gather(
            *(after_a_moment(house, buyer.finish(lease, word)) for word in ("cancelled", "completed")),
            *(after_a_moment(house, sweeper.expire_due(database)) for _ in range(2)),
            after_a_moment(house, house.text(lease["phone_number"], "Your Telegram code: 84729")),
        )

    for four in range(0, 100, 4):
        await asyncio.gather(*(race(lease) for lease in leases[four : four + 4]))
    await sweeper.expire_due(database)  # those that a sweeper passed by because another had them in hand
    for lease in leases:
        status = await buyer.status(lease)
        assert status["status"] in (("completed",) if status["sms"] else ("cancelled", "expired"))
    ended = (
        "SELECT count(*) FROM event WHERE type = ANY ('{activation.completed,activation.cancelled,activation.expired}')"
    )
    assert await database.fetchval(ended) == 100
    assert (await buyer.purse())[1] == 0


async def test_any_and_other_services_racing_for_a_number_never_share_it(house: House) -> None:
    services = ["any", "whatsapp", "telegram", "any"]
    buyers = [await house.buyer() for _ in services]
    for attempt in range(40):
        await house.stock(1, operator=f"Tower {attempt}")
        orders = [
            after_a_moment(house, buyer.order(service, operator=f"Tower {attempt}"))
            for buyer, service in zip(buyers, services, strict=True)
        ]
        answers = await asyncio.gather(*orders)
        assert results(answers).keys() <= {WON, "no_numbers_available"}
        winners = sorted(data(answer)["service"] for answer in answers if answer.status_code == 200)
        assert winners in (["any"], ["telegram", "whatsapp"], ["telegram"], ["whatsapp"])


async def test_bulk_purchases_that_want_the_same_in_opposite_order_all_get_an_answer(house: House) -> None:
    await house.stock(40)
    there = [{"country": "ad", "service": service} for service in ("whatsapp", "telegram", "signal", "any")] * 3
    back = there[::-1]

    async def buy(buyer: Buyer, items: list[dict[str, str]], key: str) -> None:
        answer = await buyer.post("/numbers/purchase/batch", {"items": items}, **{"Idempotency-Key": key})
        assert len(data(answer)) == 12

    for attempt in range(4):
        buyers = [await house.buyer("50.00") for _ in range(8)]
        await asyncio.gather(
            *(buy(buyer, (there, back)[place % 2], f"order {attempt}") for place, buyer in enumerate(buyers))
        )
