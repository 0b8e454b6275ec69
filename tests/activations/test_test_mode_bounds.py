"""What test keys cost nothing for is bounded: leases at a time and a day, a country's numbers, labels, and how long all
that is kept."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio
from tests.days import within_a_day
from tests.house import Buyer, House, data, opened, problem

from trunkline.accounts import policy
from trunkline.activations import sweeper
from trunkline.activations.sweeper import Keep
from trunkline.audit.acts import Actor

pytestmark = pytest.mark.asyncio

FEW = {
    "TRUNKLINE_POLICY__TEST_MAX_ACTIVE": "6",
    "TRUNKLINE_POLICY__TEST_MAX_ANY": "2",
    "TRUNKLINE_POLICY__TEST_PURCHASES_PER_DAY": "9",
}
KEEP = Keep(test_days=7, label_days=90, warn_bytes=1e15)


@pytest_asyncio.fixture
async def house(house: House) -> House:
    await within_a_day()
    return house


@pytest_asyncio.fixture
async def few(url: str) -> AsyncIterator[House]:
    await within_a_day()
    async with opened(url, **FEW) as house:
        yield house


async def tester(house: House) -> Buyer:
    return (await house.buyer()).testing()


async def override(house: House, buyer: Buyer, **changes: policy.Value) -> None:
    await policy.override(house.platform.database, Actor("operator:test"), buyer.account_id, changes)


# Leases


async def test_an_account_has_so_many_test_leases_at_a_time_by_all_its_keys(few: House) -> None:
    buyer = await tester(few)
    other = buyer.with_key((await buyer.new_key(["numbers"]))["key"])
    leases = [await who.lease("test_timeout", country="us", ttl=600) for who in (buyer, other) for _ in range(3)]
    for who in (buyer, other):
        refused = problem(await who.order("telegram", "gb"), 429, "too_many_active")
        assert (refused["limit"], refused["retry_at"]) == (6, min(each["expires_at"] for each in leases))
    items = [{"country": "us", "service": "whatsapp"}] * 2
    await buyer.cancel(leases[0])
    bought = data(await other.post("/numbers/purchase/batch", {"items": items}))
    assert [item["success"] for item in bought] == [True, False]
    await (await tester(few)).lease("test_timeout", country="us")  # somebody else's


async def test_under_many_hands_no_test_lease_too_many_is_let(few: House) -> None:
    buyer = await tester(few)
    answers = await asyncio.gather(*(buyer.order("test_timeout", "us") for _ in range(9)))
    assert sorted(answer.status_code for answer in answers) == [200] * 6 + [429] * 3


async def test_leases_of_any_are_fewer(few: House) -> None:
    buyer = await tester(few)
    for country in ("us", "gb"):
        await buyer.lease("any", country=country)
    refused = problem(await buyer.order("any", "fr"), 429, "too_many_active")
    assert refused["limit"] == 2
    await buyer.lease("whatsapp", country="us")


async def test_one_account_leaves_most_of_a_countrys_test_numbers_to_the_others(house: House) -> None:
    greedy, other = await tester(house), await tester(house)
    numbers = await house.platform.database.fetchval("SELECT sum(numbers) FROM shelf WHERE country = 'gu' AND test")
    most = max(10, numbers // 5)
    items = [{"country": "gu", "service": "any", "ttl": 3600}] * 20
    for _ in range(4):
        bought = data(await greedy.post("/numbers/purchase/batch", {"items": items}))
    assert [item["success"] for item in bought] == [False] * 20
    held = await house.platform.database.fetchval("SELECT count(*) FROM activation WHERE country = 'gu'")
    assert held == most
    assert problem(await greedy.order("test_success", "gu"), 429, "too_many_active")["limit"] == most
    for service in ("whatsapp", "test_success", "any"):
        await other.lease(service, country="gu")
    await greedy.lease("whatsapp", country="us")


async def test_an_account_has_its_own_caps_on_test_leases_where_the_operator_set_them(few: House) -> None:
    buyer, other = await tester(few), await tester(few)
    await override(few, buyer, test_max_active=2, test_max_any=1, test_purchases_per_day=4)
    leases = [await buyer.lease("any", country="us")]
    assert problem(await buyer.order("any", "us"), 429, "too_many_active")["limit"] == 1
    leases.append(await buyer.lease("test_timeout", country="us"))
    assert problem(await buyer.order("test_timeout", "us"), 429, "too_many_active")["limit"] == 2
    for lease in leases:
        await buyer.cancel(lease)
        await buyer.cancel(await buyer.lease("test_timeout", country="us"))
    assert problem(await buyer.order("test_timeout", "us"), 429, "too_many_purchases")["limit"] == 4
    for _ in range(6):
        await other.lease("test_timeout", country="us")
    await override(few, buyer, test_purchases_per_day=None)
    await buyer.lease("test_timeout", country="us")


async def test_an_account_may_be_let_have_all_of_a_countrys_test_numbers(house: House) -> None:
    buyer = await tester(house)
    numbers = await house.platform.database.fetchval("SELECT sum(numbers) FROM shelf WHERE country = 'gu' AND test")
    await override(house, buyer, test_country_share=Decimal(1), test_max_any=200)
    items = [{"country": "gu", "service": "any"}] * 20
    bought = [item for _ in range(4) for item in data(await buyer.post("/numbers/purchase/batch", {"items": items}))]
    assert sum(item["success"] for item in bought) == min(80, numbers) > max(10, numbers // 5)


async def test_an_account_has_so_many_test_leases_a_day(few: House) -> None:
    buyer = await tester(few)
    for _ in range(9):
        await buyer.cancel(await buyer.lease("test_timeout", country="us"))
    refused = problem(await buyer.order("test_timeout", "us"), 429, "too_many_purchases")
    assert refused["limit"] == 9
    assert refused["retry_at"].endswith("T00:00:00Z")
    assert problem(await buyer.order("test_timeout", "us", dry_run=True), 429, "too_many_purchases")
    await few.platform.database.execute("UPDATE usage SET day = day - 1 WHERE test")
    await buyer.lease("test_timeout", country="us")


async def test_the_caps_of_test_keys_are_not_those_of_live_ones(few: House) -> None:
    live = await few.buyer()
    await few.stock(9)
    for _ in range(8):
        await live.lease("telegram")


# Labels


async def labels(house: House, buyer: Buyer) -> dict[tuple[str, str], int]:
    rows = await house.platform.database.fetch(
        "SELECT dimension, value, leases FROM usage WHERE account_id = $1 AND dimension LIKE 'label.%'",
        buyer.account_id,
    )
    return {(row["dimension"], row["value"]): row["leases"] for row in rows}


async def test_beyond_a_thousand_values_of_a_label_a_day_the_rest_is_counted_together(house: House) -> None:
    buyer = await house.buyer()
    await house.stock(4)
    first = await buyer.lease(labels={"run_id": "first"})
    await house.platform.database.execute("UPDATE label_day SET told_apart = 999")
    second, third = [await buyer.lease(labels={"run_id": run}) for run in ("second", "third")]
    again = await buyer.lease(labels={"run_id": "first"})
    counted = await labels(house, buyer)
    assert counted == {("label.run_id", "first"): 2, ("label.run_id", "second"): 1, ("label.run_id", "other"): 1}
    for lease in (first, second, third, again):
        await buyer.cancel(lease)
    usage = data(await buyer.get("/account/usage", group_by="label.run_id"))
    assert {each["group"]: each["cancelled"] for each in usage["groups"]} == {"first": 2, "second": 1, "other": 1}
    assert usage["total"]["cancelled"] == 4


async def test_beyond_fifty_names_of_labels_a_day_the_rest_is_counted_together(house: House) -> None:
    buyer = await tester(house)
    leases = [
        await buyer.lease("test_timeout", country="us", labels={f"name{each}": "v" for each in range(ten, ten + 10)})
        for ten in range(0, 60, 10)
    ]
    counted = await labels(house, buyer)
    assert len(counted) == 51
    assert counted["label.other", "other"] == 10
    await buyer.cancel(leases[-1])
    assert await house.platform.database.fetchval("SELECT cancelled FROM usage WHERE dimension = 'label.other'") == 10
    assert await labels(house, buyer) == counted


async def test_old_usage_by_labels_is_kept_in_sum(house: House) -> None:
    buyer = await house.buyer()
    await house.stock(3)
    for run in ("1", "2", "2"):
        await buyer.lease(labels={"run_id": run})
    testing = buyer.testing()
    await testing.lease("test_timeout", country="us", labels={"run_id": "3"})
    database = house.platform.database
    await database.execute("UPDATE usage SET day = day - 90")
    assert await sweeper.forget_old(database, KEEP) == 0
    await database.execute("UPDATE usage SET day = day - 1")
    await sweeper.forget_old(database, KEEP)
    assert await labels(house, buyer) == {("label.run_id", "other"): 3}
    assert await database.fetchval("SELECT count(*) FROM usage WHERE test") == 0
    assert await sweeper.forget_old(database, KEEP) == 0
    await database.execute("UPDATE usage SET day = day + 91")


# What is kept


async def test_test_leases_go_with_their_texts_some_days_after_their_end_and_live_ones_stay(house: House) -> None:
    live = await house.buyer()
    testing = live.testing()
    await house.stock(1)
    kept: list[Any] = []
    for who, country in ((live, "ad"), (testing, "us")):
        lease = await who.lease("telegram", country)
        await house.text(lease["phone_number"], "Telegram code: 482913", sender="Telegram")
        await who.complete(lease)
        kept.append(lease)
    running = await testing.lease("telegram", "us", ttl=3600)
    database = house.platform.database
    await database.execute("UPDATE activation SET ended_at = ended_at - interval '6 days 23 hours'")
    assert await sweeper.forget_old(database, KEEP) == 0
    await database.execute("UPDATE activation SET ended_at = ended_at - interval '2 hours'")
    assert await sweeper.forget_old(database, KEEP) == 1
    house.pushed.live.told(None)
    assert data(await live.get(f"/numbers/{kept[0]['activation_id']}"))["status"] == "completed"
    for path in (f"/numbers/{kept[1]['activation_id']}", f"/numbers/status/{kept[1]['activation_id']}"):
        problem(await testing.get(path), 404, "not_found")
    assert (await testing.status(running))["status"] == "waiting"
    assert (
        await database.fetchval("SELECT count(*) FROM message WHERE activation_id = $1", int(kept[1]["activation_id"]))
        == 0
    )
    assert data(await testing.get("/account/usage"))["total"]["received"] == 1, "its use stays counted"
    again = await testing.lease("telegram", "us")
    assert again["activation_id"] not in {kept[1]["activation_id"], running["activation_id"]}


async def test_what_a_removed_lease_was_about_is_not_told_any_more(house: House) -> None:
    testing = await tester(house)
    lease = await testing.lease("test_timeout", "us")
    await testing.cancel(lease)
    database = house.platform.database
    row = await database.fetchrow("SELECT account_id, event_id, created_at FROM event ORDER BY event_id DESC LIMIT 1")
    assert row is not None
    contents = "SELECT count(*) FROM contents_of($1, $2, $3)"
    assert await database.fetchval(contents, *row) == 1
    await database.execute("UPDATE activation SET ended_at = ended_at - interval '8 days'")
    assert await sweeper.forget_old(database, KEEP) == 1
    assert await database.fetchval(contents, *row) == 0


async def test_several_sweepers_remove_each_old_lease_once_in_groups(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper, "GROUP", 3)
    testing = await tester(house)
    for _ in range(14):
        await testing.cancel(await testing.lease("test_timeout", "us"))
    database = house.platform.database
    await database.execute("UPDATE activation SET ended_at = ended_at - interval '8 days'")
    removed = await asyncio.gather(*(sweeper.forget_old(database, KEEP) for _ in range(3)))
    while left := await sweeper.forget_old(database, KEEP):
        removed.append(left)
    assert sum(removed) == 14
    assert max(removed) <= 3 * sweeper.MOST_GROUPS


async def test_a_database_that_has_grown_large_is_warned_of(house: House, caplog: pytest.LogCaptureFixture) -> None:
    await sweeper.clean(house.platform.database, house.platform.inbox, KEEP)
    assert "has grown" not in caplog.text
    await sweeper.clean(house.platform.database, house.platform.inbox, Keep(7, 90, warn_bytes=1))
    assert "the database has grown to" in caplog.text
