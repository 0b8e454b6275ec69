"""What an account has of its own: the operator's caps on it, and what the customer sets themselves."""

import asyncio
import contextlib
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.conftest import Trunkline
from tests.days import within_a_day
from tests.house import Buyer, House, data, problem

from trunkline.accounts import policy
from trunkline.audit.acts import Actor
from trunkline.errors import InvalidRequest


async def change(buyer: Buyer, **settings: Any) -> Any:
    return await buyer.ask("PATCH", "/account", json=settings)


MINE = ("low_balance", "spend_cap_day", "spend_cap_month", "retention_days")


def of(account: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(account[name] for name in MINE)


pytestmark = pytest.mark.settings(TRUNKLINE_RETENTION__LONGEST_DAYS="7")


@pytest.mark.asyncio
async def test_a_customer_sets_what_is_named_keeps_the_rest_and_clears_with_null(house: House) -> None:
    buyer = await house.buyer()
    assert of(data(await buyer.get("/account"))) == (None, None, None, 1)
    first = data(await change(buyer, low_balance=2.5, spend_cap_day=0, retention_days=0))
    assert of(first) == (2.5, 0, None, 0)
    assert data(await buyer.get("/account")) == first
    assert of(data(await change(buyer, spend_cap_month="12.345678", low_balance=None))) == (None, 0, 12.345678, 0)
    assert of(data(await change(buyer, retention_days=None, spend_cap_day=None))) == (None, None, 12.345678, 1)
    assert of(data(await change(buyer))) == (None, None, 12.345678, 1)
    rows = await house.platform.database.fetch("SELECT * FROM audit_entry WHERE actor LIKE 'key:%' ORDER BY entry_id")
    assert [row["action"] for row in rows] == ["account.settings_changed"] * 3
    assert json.loads(rows[0]["data"]) == {
        "old": {"low_balance": None, "cap_day": None, "retention_days": None},
        "new": {"low_balance": 2.5, "cap_day": 0, "retention_days": 0},
    }
    assert (rows[0]["account_id"], rows[0]["test"]) == (buyer.account_id, False)
    assert rows[0]["actor"].startswith("key:")


@pytest.mark.asyncio
async def test_a_setting_out_of_its_range_is_refused_by_name_and_changes_nothing(house: House) -> None:
    buyer = await house.buyer()
    for field, value in (
        ("low_balance", -1),
        ("spend_cap_day", 0.0000001),
        ("spend_cap_month", 10**10),
        ("retention_days", 8),
        ("retention_days", 31),
        ("retention_days", -1),
        ("retention_days", 1.5),
        ("balance", 100),
        ("max_active", 100),
    ):
        refused = problem(await change(buyer, **{"low_balance": 3, field: value}), 422, "invalid_request")
        assert refused["field"] == field
    assert of(data(await buyer.get("/account"))) == (None, None, None, 1)


@pytest.mark.asyncio
async def test_a_test_key_changes_no_settings_and_sees_no_money(house: House) -> None:
    buyer = await house.buyer()
    data(await change(buyer, low_balance=2, spend_cap_day=3))
    tester = buyer.testing()
    problem(await change(tester, low_balance=1), 403, "forbidden")
    assert of(data(await tester.get("/account"))) == (None, None, None, 1)


@pytest.mark.asyncio
async def test_a_spending_cap_of_the_customers_own_counts_from_its_change_on(house: House) -> None:
    buyer = await house.buyer()
    await house.stock(3)
    data(await change(buyer, spend_cap_day=0.15))
    await within_a_day()
    await buyer.lease()
    problem(await buyer.order(), 402, "spend_cap_reached")
    data(await change(buyer, spend_cap_day=None))
    await buyer.lease()


SOME: dict[str, st.SearchStrategy[Any]] = {
    "max_active": st.integers(-5, 2**31 + 5),
    "purchases_per_hour": st.integers(-5, 2**31 + 5),
    "cancels_per_hour": st.integers(-5, 2**31 + 5),
    "success_floor": st.decimals(-2, 2) | st.decimals(),
    "test_max_active": st.integers(-5, 2**31 + 5),
    "test_country_share": st.decimals(-2, 2) | st.decimals(),
    "retention_days": st.integers(-5, 40),
    "cap_day_micros": st.integers(0, 10**15),
}


@pytest.mark.asyncio
async def test_caps_are_kept_as_they_were_set_or_refused_and_left_alone(house: House) -> None:
    buyer = await house.buyer()
    database = house.platform.database
    loop = asyncio.get_running_loop()

    async def one(changes: dict[str, Any]) -> None:
        before = await policy.of(database, buyer.account_id)
        new = before
        with contextlib.suppress(InvalidRequest):
            new = await policy.override(database, Actor("operator:test"), buyer.account_id, changes)
        assert await policy.of(database, buyer.account_id) == new

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.fixed_dictionaries({}, optional={name: st.none() | some for name, some in SOME.items()}))
    def every(changes: dict[str, Any]) -> None:
        asyncio.run_coroutine_threadsafe(one(changes), loop).result(60)

    await asyncio.to_thread(every)


def test_the_operator_sees_where_each_cap_comes_from_and_changes_it(trunkline: Trunkline) -> None:
    trunkline.environment["TRUNKLINE_POLICY__MAX_ACTIVE"] = "33"
    customer = trunkline.customer()
    shown = trunkline("account", "policy", customer.email)
    assert shown["policy"]["max_active"] == {"value": 33, "from": "settings"}
    assert shown["policy"]["success_floor"] == {"value": 0.1, "from": "settings"}
    assert shown["policy"]["cap_day"] == {"value": None, "from": None}
    changed = trunkline(
        *("account", "policy", customer.email, "--max-active", "5", "--success-floor", "0.25", "--cap-day", "9.50")
    )
    assert changed["policy"]["max_active"] == {"value": 5, "from": "account"}
    assert changed["policy"]["success_floor"] == {"value": 0.25, "from": "account"}
    assert changed["policy"]["cap_day"] == {"value": 9.5, "from": "account"}
    words = trunkline.run("account", "policy", customer.email, "--reset", "max-active", "--low-balance", "1").stdout
    assert "33      settings" in words
    assert "1.00    account" in words
    assert trunkline(
        *("account", "policy", customer.email, "--test-max-any", "3", "--test-country-share", "0.5"),
    )["policy"]["test_country_share"] == {"value": 0.5, "from": "account"}
    for options, complaint in (
        (("--max-active", "-1"), "max_active is 0 to 2147483647."),
        (("--success-floor", "1.5"), "success_floor is a share: 0 to 1, with at most three decimals."),
        (("--test-country-share", "2"), "test_country_share is a share: 0 to 1, with at most three decimals."),
        (("--test-purchases-per-day", "-1"), "test_purchases_per_day is 0 to 2147483647."),
        (("--success-floor", "nan"), "success_floor is a share: 0 to 1, with at most three decimals."),
        (("--cap-day", "1", "--reset", "cap-day"), "--cap-day is given and reset at once."),
    ):
        refused = trunkline.run("account", "policy", customer.email, *options)
        assert (refused.returncode, refused.stderr) == (1, f"trunkline: {complaint}\n")
