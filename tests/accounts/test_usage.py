"""What was used, by day, service, country, key and label: exact to the books."""

import asyncio
import datetime
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from tests import house
from tests.days import within_a_day
from tests.house import Buyer, House, data, problem

from trunkline import clock
from trunkline.accounts import usage
from trunkline.errors import InvalidRequest

TODAY = datetime.date(2026, 4, 19)


pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def home(url: str) -> AsyncIterator[House]:
    await within_a_day()
    async with house.opened(url) as opened:
        yield opened


async def report(buyer: Buyer, **asked: Any) -> Any:
    return data(await buyer.get("/account/usage", **asked))


def counted(used: dict[str, Any]) -> tuple[int, int, int, int, float]:
    return used["leases"], used["received"], used["cancelled"], used["expired"], used["spent"]


async def test_a_lease_is_counted_as_it_goes(home: House) -> None:
    buyer = await home.buyer()
    await home.stock(4)
    lease = await buyer.lease()
    assert counted((await report(buyer))["total"]) == (1, 0, 0, 0, 0.1)
    await home.text(lease["phone_number"], "Your WhatsApp code: 482913", sender="WhatsApp")
    assert counted((await report(buyer))["total"]) == (1, 1, 0, 0, 0.1)
    await buyer.complete(lease)
    assert counted((await report(buyer))["total"]) == (1, 1, 0, 0, 0.1)
    await buyer.cancel(await buyer.lease("telegram"))
    assert counted((await report(buyer))["total"]) == (2, 1, 1, 0, 0.1)
    await buyer.lease("signal", ttl=60)
    await home.later(120)
    assert counted((await report(buyer))["total"]) == (3, 1, 1, 1, 0.1)
    await home.books_balance()


async def test_it_is_grouped_by_day_service_country_key_and_label(home: House) -> None:
    buyer = await home.buyer()
    await home.stock(6)
    await home.stock(2, country="sm")
    await buyer.lease("telegram", labels={"run_id": "a", "team": "red"})
    await buyer.lease("telegram", country="sm", labels={"run_id": "b"})
    await buyer.lease("signal")

    async def groups(group_by: str) -> dict[str, int]:
        found = await report(buyer, group_by=group_by)
        assert found["total"]["leases"] == 3
        return {group["group"]: group["leases"] for group in found["groups"]}

    assert await groups("day") == {clock.now().date().isoformat(): 3}
    assert await groups("service") == {"telegram": 2, "signal": 1}
    assert await groups("country") == {"ad": 2, "sm": 1}
    assert await groups("label.run_id") == {"a": 1, "b": 1}
    assert await groups("label.team") == {"red": 1}
    assert await groups("label.nobody") == {}
    [key] = (await report(buyer, group_by="key"))["groups"]
    assert (key["name"], key["leases"]) == ("first live key", 3)


async def test_test_keys_see_what_test_keys_used_and_pay_nothing(home: House) -> None:
    buyer = await home.buyer()
    await home.stock(2)
    await home.stock(2, test=True)
    await buyer.lease()
    assert counted((await report(buyer.testing()))["total"]) == (0, 0, 0, 0, 0)
    await buyer.testing().lease("telegram")
    found = await report(buyer.testing(), group_by="service")
    assert [(group["group"], *counted(group)) for group in found["groups"]] == [("telegram", 1, 0, 0, 0, 0)]
    assert [group["group"] for group in (await report(buyer, group_by="service"))["groups"]] == ["whatsapp"]


async def test_nobody_sees_what_others_used(home: House) -> None:
    buyer, other = await home.buyer(), await home.buyer()
    await home.stock(1)
    await buyer.lease()
    assert (await report(other))["total"]["leases"] == 0


async def test_what_was_spent_is_what_the_books_say_also_under_many_hands(home: House) -> None:
    buyer = await home.buyer("50.00")
    await home.stock(40)

    async def one(number: int) -> None:
        lease = await buyer.lease("telegram", labels={"hand": str(number % 3)})
        if number % 2:
            await home.text(lease["phone_number"], f"Telegram code: 48291{number % 10}", sender="Telegram")
        await buyer.finish(lease, "completed" if number % 2 else "cancelled")

    await asyncio.gather(*(one(number) for number in range(30)))
    account = data(await buyer.get("/account"))
    found = await report(buyer, group_by="label.hand")
    assert counted(found["total"]) == (30, 15, 15, 0, 1.5)
    assert 50 - account["balance"] == found["total"]["spent"]
    assert sum(group["spent"] for group in found["groups"]) == pytest.approx(1.5)
    await home.books_balance()


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"group_by": "weather"}, "group_by"),
        ({"group_by": "label."}, "group_by"),
        ({"from": "2026-02-30"}, "from"),
        ({"from": "20260401"}, "from"),
        ({"to": "yesterday"}, "to"),
        ({"from": "2026-04-02", "to": "2026-04-01"}, "from"),
        ({"from": "2020-01-01", "to": "2026-04-01"}, "from"),
    ],
)
async def test_a_period_or_grouping_that_does_not_exist_is_named(
    home: House, asked: dict[str, str], field: str
) -> None:
    buyer = await home.buyer()
    assert problem(await buyer.get("/account/usage", **asked), 422, "invalid_request")["field"] == field


async def test_the_period_is_this_month_unless_told() -> None:
    assert usage.period(None, None, TODAY) == (datetime.date(2026, 4, 1), TODAY)
    assert usage.period(None, "2026-02-10", TODAY) == (datetime.date(2026, 2, 1), datetime.date(2026, 2, 10))
    with pytest.raises(InvalidRequest):
        usage.period("2026-04-20", None, TODAY)
