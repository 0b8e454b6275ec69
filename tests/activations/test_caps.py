"""The caps that keep the service in responsible hands, and the ones that customers set on their own spending."""

import asyncio
import datetime
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from tests import house
from tests.days import within_a_day
from tests.house import NORTH, Buyer, House, data, problem

from trunkline import clock

SMALL = {
    "TRUNKLINE_POLICY__MAX_ACTIVE": "3",
    "TRUNKLINE_POLICY__PURCHASES_PER_HOUR": "12",
    "TRUNKLINE_POLICY__CANCELS_PER_HOUR": "11",
    "TRUNKLINE_POLICY__SUCCESS_FLOOR": "0.3",
    "TRUNKLINE_POLICY__APPEAL": "Write to abuse@example.com.",
    "TRUNKLINE_POOL__CANCEL_WAIT_SECONDS": "0",
}


pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def home(url: str) -> AsyncIterator[House]:
    async with house.opened(url, **NORTH, **SMALL) as opened:
        await enable(opened, "telegram", "signal", "whatsapp")
        yield opened


@pytest_asyncio.fixture
async def one_day() -> None:
    """What was spent ends with the day that it was spent in."""
    await within_a_day()


async def enable(home: House, *services: str) -> None:
    for service in services:
        await home.platform.database.execute(
            "INSERT INTO service_switch SELECT service_id, NULL, true FROM service WHERE slug = $1", service
        )


async def set_account(home: House, buyer: Buyer, **columns: Any) -> None:
    for name, value in columns.items():
        await home.platform.database.execute(
            f"UPDATE account SET {name} = $2 WHERE account_id = $1", buyer.account_id, value
        )


def is_soon(text: str, *, within_seconds: float) -> bool:
    wait = (datetime.datetime.fromisoformat(text) - clock.now()).total_seconds()
    return 0 < wait <= within_seconds


async def test_only_so_many_leases_on_real_carriers_are_active_at_a_time(home: House) -> None:
    buyer = await home.buyer()
    await home.stock(6, carrier="north")
    leases = [await buyer.lease("telegram", ttl=600) for _ in range(3)]
    refused = problem(await buyer.order("telegram"), 429, "too_many_active")
    assert is_soon(refused["retry_at"], within_seconds=601)
    await buyer.cancel(leases[0])
    await buyer.lease("telegram")


async def test_under_many_hands_no_lease_too_many_is_let(home: House) -> None:
    buyer = await home.buyer()
    await home.stock(12, carrier="north")
    answers = await asyncio.gather(*(buyer.order("telegram") for _ in range(12)))
    assert sorted(answer.status_code for answer in answers) == [200] * 3 + [429] * 9


async def test_an_account_has_its_own_caps_where_the_operator_set_them(home: House) -> None:
    buyer = await home.buyer()
    await home.stock(8, carrier="north")
    await set_account(home, buyer, max_active=5)
    for _ in range(5):
        await buyer.lease("telegram")
    problem(await buyer.order("telegram"), 429, "too_many_active")


async def test_only_so_many_are_leased_in_an_hour(home: House) -> None:
    buyer = await home.buyer()
    await set_account(home, buyer, purchases_per_hour=2, success_floor=0)
    await home.stock(4, carrier="north")
    for _ in range(2):
        await buyer.cancel(await buyer.lease("telegram"))
    refused = problem(await buyer.order("telegram"), 429, "too_many_purchases")
    assert is_soon(refused["retry_at"], within_seconds=3601)
    await home.later(3601)
    await buyer.lease("telegram")


async def test_only_so_many_are_cancelled_in_an_hour_and_the_rest_end_with_a_refund(home: House) -> None:
    buyer = await home.buyer()
    await set_account(home, buyer, cancels_per_hour=1)
    await home.stock(4, carrier="north")
    first, second = await buyer.lease("telegram"), await buyer.lease("telegram")
    await buyer.cancel(first)
    refused = problem(await buyer.finish(second, "cancelled"), 429, "too_many_cancels")
    assert is_soon(refused["retry_at"], within_seconds=3601)
    assert (await buyer.status(second))["status"] == "waiting"
    await home.later(1300)
    assert (await buyer.purse()) == (5.0, 0.0)
    await home.books_balance()


async def test_who_leases_and_hardly_ever_gets_a_text_is_stopped_and_told_whom_to_ask(home: House) -> None:
    buyer = await home.buyer()
    await home.stock(12, carrier="north")
    for number in range(10):
        lease = await buyer.lease("telegram")
        if number < 2:
            await home.text(lease["phone_number"], "Telegram code: 482913", sender="Telegram", carrier="north")
            await buyer.complete(lease)
        else:
            await buyer.cancel(lease)
    refused = problem(await buyer.order("telegram"), 403, "success_rate_too_low")
    assert (refused["success_rate"], refused["success_floor"]) == (0.2, 0.3)
    assert refused["detail"].endswith("Write to abuse@example.com.")
    await home.later(24 * 3600)
    await buyer.lease("telegram")


async def test_the_simulated_network_has_no_caps(home: House) -> None:
    buyer = await home.buyer()
    await home.stock(5)
    for _ in range(5):
        await buyer.lease("telegram")


async def test_where_both_have_numbers_the_capped_get_simulated_ones(home: House) -> None:
    buyer = await home.buyer()
    await set_account(home, buyer, max_active=0)
    await home.stock(2)
    await home.stock(2, carrier="north")
    for _ in range(2):
        lease = await buyer.lease("telegram")
        assert data(await buyer.get(f"/numbers/{lease['activation_id']}"))["carrier"] == "simulated"
    problem(await buyer.order("telegram"), 404, "no_numbers_available")


async def test_a_service_that_is_the_customers_own_needs_no_switch_and_has_no_caps(home: House) -> None:
    buyer, other = await home.buyer(), await home.buyer()
    await home.stock(8, carrier="north")
    problem(await buyer.order("viber"), 403, "service_not_enabled")
    await home.platform.database.execute(
        "INSERT INTO service_control (account_id, service_id, domain, method, token, proved_at)"
        " SELECT $1, service_id, 'viber.com', 'dns', 'x', now() FROM service WHERE slug = 'viber'",
        buyer.account_id,
    )
    for _ in range(5):
        await buyer.lease("viber")
    problem(await other.order("viber"), 403, "service_not_enabled")


async def test_a_frozen_account_leases_nothing(home: House) -> None:
    buyer = await home.buyer()
    await home.stock(1)
    await buyer.get("/account")  # the key is known by now
    await home.platform.database.execute(
        "UPDATE account SET frozen_at = now(), frozen_reason = 'resale' WHERE account_id = $1", buyer.account_id
    )
    refused = problem(await buyer.order("telegram"), 403, "account_frozen")
    assert "resale" in refused["detail"]
    assert "Write to abuse@example.com." in refused["detail"]


@pytest.mark.usefixtures("one_day")
@pytest.mark.parametrize("whose", ["account", "key"])
@pytest.mark.parametrize("period", ["day", "month"])
async def test_spending_stops_at_the_cap_that_the_customer_set(home: House, whose: str, period: str) -> None:
    buyer = await home.buyer()
    await home.stock(5)
    table, where = ("account", "account_id = $1") if whose == "account" else ("api_key", "account_id = $1")
    await home.platform.database.execute(
        f"UPDATE {table} SET cap_{period}_micros = 250000 WHERE {where}", buyer.account_id
    )
    lease = await buyer.lease("telegram")
    await buyer.lease("telegram")
    refused = problem(await buyer.order("telegram"), 402, "spend_cap_reached")
    assert (refused["of"], refused["period"], refused["cap"], refused["spent"]) == (whose, period, 0.25, 0.2)
    assert is_soon(refused["retry_at"], within_seconds=86400 if period == "day" else 31 * 86400 + 1)
    await buyer.cancel(lease)  # what is refunded can be spent again
    await buyer.lease("telegram")
    problem(await buyer.order("telegram"), 402, "spend_cap_reached")


@pytest.mark.usefixtures("one_day")
async def test_a_rotated_key_goes_on_with_what_was_spent_before_it(home: House) -> None:
    buyer = await home.buyer()
    await home.stock(4)
    key = await buyer.new_key(cap_day=0.25)
    first = Buyer(buyer.account, key["key"], home.api)
    await first.lease("telegram")
    rotated = data(await buyer.post(f"/keys/{key['key_id']}/rotate", {"overlap_hours": 1}))
    second = Buyer(buyer.account, rotated["key"], home.api)
    await second.lease("telegram")
    problem(await second.order("telegram"), 402, "spend_cap_reached")
    await buyer.lease("telegram")


@pytest.mark.usefixtures("one_day")
async def test_a_cap_holds_under_many_hands_and_within_a_batch(home: House) -> None:
    buyer = await home.buyer()
    await home.stock(30)
    await set_account(home, buyer, cap_day_micros=700000)
    answers = await asyncio.gather(*(buyer.order("telegram") for _ in range(12)))
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [402] * 5
    await set_account(home, buyer, cap_day_micros=900000)
    items = [{"country": "ad", "service": "telegram"}] * 5
    bought = data(await buyer.post("/numbers/purchase/batch", {"items": items}))
    assert [item["success"] for item in bought] == [True, True, False, False, False]


@pytest.mark.usefixtures("one_day")
async def test_volume_in_the_month_makes_leases_cheaper_and_running_ones_stay_as_they_were(home: House) -> None:
    buyer = await home.buyer()
    await home.stock(8)
    await home.platform.database.execute("INSERT INTO price_tier VALUES (2, 10), (3, 33.33)")
    costs = []
    for number in range(4):
        lease = await buyer.lease("telegram")
        costs.append(lease["cost"])
        await home.text(lease["phone_number"], f"Telegram code: 48291{number}", sender="Telegram")
        await buyer.complete(lease)
    assert costs == [0.1, 0.1, 0.09, 0.06667]
    waiting = await buyer.lease("telegram")
    await home.platform.database.execute("DELETE FROM price_tier")
    assert (await buyer.cancel(waiting))["refund"] == 0.06667
    other = await home.buyer()
    assert (await other.lease("telegram"))["cost"] == 0.1
    await home.books_balance()


async def test_a_falling_balance_is_told_once_when_it_passes_the_mark(home: House) -> None:
    buyer = await home.buyer("0.45")
    await home.stock(4)
    await set_account(home, buyer, low_balance_micros=300000)
    for _ in range(4):
        await buyer.lease("telegram")
    rows = await home.platform.database.fetch(
        "SELECT data ->> 'balance_micros' AS balance FROM event WHERE type = 'balance.low' AND account_id = $1",
        buyer.account_id,
    )
    assert [row["balance"] for row in rows] == ["250000"]
