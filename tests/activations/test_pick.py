"""Which number a buyer gets: one that never served the service, else the one that rested longest, never one twice."""

import asyncio
from collections import Counter

import pytest
from tests.house import House, data, problem

pytestmark = pytest.mark.asyncio

POOL = 200
BUYERS = 16


async def bought_out(house: House, services: list[str]) -> Counter[tuple[str, str]]:
    """Sixteen buyers take, each as fast as it can, until there is nothing more; how often each number was leased."""
    leased: Counter[tuple[str, str]] = Counter()

    async def take_all(place: int) -> None:
        buyer = await house.buyer("100.00")
        service = services[place % len(services)]
        while (answer := await buyer.order(service)).status_code == 200:
            leased[data(answer)["phone_number"], service] += 1
        problem(answer, 404, "no_numbers_available")

    await asyncio.gather(*(take_all(place) for place in range(BUYERS)))
    return leased


async def test_16_buyers_get_each_of_200_numbers_once_and_then_none(house: House) -> None:
    pool = await house.stock(POOL)
    assert await bought_out(house, ["whatsapp"]) == Counter({(number, "whatsapp"): 1 for number in pool})


async def test_buyers_of_two_services_get_each_number_once_for_each(house: House) -> None:
    pool = await house.stock(POOL // 2)
    wanted = Counter({(number, service): 1 for number in pool for service in ("whatsapp", "telegram")})
    assert await bought_out(house, ["whatsapp", "telegram"]) == wanted


async def test_rested_numbers_are_leased_again_once_each_by_16_buyers(house: House) -> None:
    pool = await house.stock(POOL // 2)
    for _ in range(2):
        assert await bought_out(house, ["whatsapp"]) == Counter({(number, "whatsapp"): 1 for number in pool})
        await house.later(3600)


async def test_the_number_that_has_rested_longest_is_leased_first(house: House) -> None:
    pool = await house.stock(6)
    buyer, other = await house.buyer(), await house.buyer()
    leases = {lease["phone_number"]: lease for lease in [await buyer.lease() for _ in pool]}
    order = [pool[place] for place in (3, 0, 5, 1, 4, 2)]
    for number in order:
        await house.text(number, "Your WhatsApp code: 847291")
        await buyer.complete(leases[number])
    assert [(await other.lease())["phone_number"] for _ in order] == order


async def test_a_number_that_never_served_the_service_goes_before_one_that_has(house: House) -> None:
    buyer = await house.buyer()
    await house.stock(2)
    first = await buyer.lease()
    await house.text(first["phone_number"], "Your WhatsApp code: 847291")
    await buyer.complete(first)
    second = await buyer.lease()
    assert second["phone_number"] != first["phone_number"]
    assert (await buyer.lease())["phone_number"] == first["phone_number"]


async def test_numbers_added_later_are_found(house: House) -> None:
    buyer = await house.buyer()
    for count in (1, 3, 17):
        added = await house.stock(count)
        assert sorted([(await buyer.lease())["phone_number"] for _ in added]) == added
        problem(await buyer.order(), 404, "no_numbers_available")


async def test_buyers_who_find_every_number_kept_for_somebody_else_do_not_wait_for_each_other(house: House) -> None:
    await house.stock(30)
    alone = await house.buyer()
    for _ in range(30):
        await alone.lease("any")
    buyers = [await house.buyer() for _ in range(BUYERS)]
    for answer in await asyncio.gather(*(buyer.order() for buyer in buyers)):
        problem(answer, 404, "no_numbers_available")


async def test_operators_whose_numbers_run_out_at_once_give_each_of_them_once(house: House) -> None:
    pool = {number for operator in range(8) for number in await house.stock(1, operator=f"Tower {operator}")}
    buyers = [await house.buyer() for _ in range(BUYERS)]
    answers = await asyncio.gather(*(buyer.order() for buyer in buyers * 2))
    leased = [data(answer)["phone_number"] for answer in answers if answer.status_code == 200]
    assert sorted(leased) == sorted(pool)
    for answer in answers:
        assert answer.status_code == 200 or problem(answer, 404, "no_numbers_available")
