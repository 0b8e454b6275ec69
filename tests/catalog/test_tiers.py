"""Price tiers and currencies: what volume makes cheaper, and accounts whose money is not the operator's."""

from decimal import Decimal

import pytest
import pytest_asyncio
from tests.conftest import Trunkline
from tests.days import within_a_day
from tests.house import Buyer, House, data, pay_in, problem

from trunkline import money
from trunkline.accounts import accounts
from trunkline.audit.acts import Actor
from trunkline.catalog import prices
from trunkline.errors import InvalidRequest


@pytest_asyncio.fixture
async def house(house: House) -> House:
    await within_a_day()
    return house


@pytest.mark.asyncio
async def test_with_so_many_completed_leases_in_the_month_the_next_one_costs_less(house: House) -> None:
    database = house.platform.database
    await prices.set_tier(database, Actor("operator:test"), 2, "12.5")
    await prices.set_tier(database, Actor("operator:test"), 3, "50")
    buyer, other = await house.buyer(), await house.buyer()
    await house.stock(10)
    costs = []
    for _ in range(4):
        lease = await buyer.lease()
        costs.append(lease["cost"])
        await house.text(lease["phone_number"], "Your WhatsApp code: 847291")
        await buyer.complete(lease)
    assert costs == [0.10, 0.10, 0.0875, 0.05]
    assert (await other.lease())["cost"] == 0.10
    shown = data(await buyer.get("/account"))
    assert shown["completed_this_month"] == 4
    assert shown["price_tiers"] == [
        {"from_completed": 2, "percent_off": 12.5},
        {"from_completed": 3, "percent_off": 50},
    ]
    testing = data(await buyer.testing().get("/account"))
    assert (testing["completed_this_month"], testing["price_tiers"]) == (0, shown["price_tiers"])


@pytest.mark.asyncio
async def test_a_tier_that_cannot_be_is_refused(house: House) -> None:
    database = house.platform.database
    for from_completed, percent in (
        (0, "5"), (-1, "5"), (2**31, "5"), (1, "0"), (1, "-1"), (1, "100.01"), (1, "5.001"), (1, "NaN"),
        (1, "Infinity"), (1, "much"), (1, "1e400"), (1, "1e-400"),
    ):  # fmt: skip
        with pytest.raises(InvalidRequest):
            await prices.set_tier(database, Actor("operator:test"), from_completed, percent)
    with pytest.raises(InvalidRequest, match="no tier"):
        await prices.remove_tier(database, Actor("operator:test"), 1)
    assert await prices.tiers(database) == []


@pytest.mark.asyncio
async def test_an_account_in_another_currency_pays_that_currencys_prices_alone(house: House) -> None:
    database = house.platform.database
    await house.stock(2)
    made = await accounts.create(
        database, Actor("operator:test"), "yen@example.com", currency="JPY", per_minute=1_000_000
    )
    await pay_in(database, made.account_id, "1000")
    buyer = Buyer(made, made.live_key, house.api)
    problem(await buyer.order(), 404, "no_numbers_available")  # a price in dollars is none in yen
    await prices.set_price(database, Actor("operator:test"), "whatsapp", "ad", "JPY", money.parse("150"))
    assert (await buyer.lease())["cost"] == 150
    account = data(await buyer.get("/account"))
    assert (account["balance"], account["held"], account["currency"]) == (850, 150, "JPY")


def test_the_operator_sets_lists_and_removes_tiers(trunkline: Trunkline) -> None:
    assert trunkline("price", "tier", "set", "1000", "5") == {"from_completed": 1000, "percent_off": 5}
    assert trunkline("price", "tier", "set", "1000", "7.25")["percent_off"] == 7.25
    trunkline("price", "tier", "set", "10000", "20")
    listed = trunkline("price", "tier", "list")["tiers"]
    assert [(each["from_completed"], Decimal(str(each["percent_off"]))) for each in listed] == [
        (1000, Decimal("7.25")),
        (10000, Decimal(20)),
    ]
    trunkline("price", "tier", "remove", "1000")
    assert len(trunkline("price", "tier", "list")["tiers"]) == 1
    gone = trunkline.run("price", "tier", "remove", "1000")
    assert (gone.returncode, "no tier" in gone.stderr) == (1, True)


def test_the_operator_opens_an_account_in_another_currency_and_credits_it(trunkline: Trunkline) -> None:
    trunkline("account", "create", "eur@example.com", "--credit", "5", "--currency", "eur")
    credited = trunkline("account", "credit", "eur@example.com", "2.50", "--note", "invoice 17")
    assert (credited["balance"], credited["currency"]) == (7.5, "EUR")
    for amount, saying in (
        ("0", "more than 0"),
        ("-5", "0 or more"),
        ("NaN", "0 or more"),
        ("1e400", "too large"),
    ):
        done = trunkline.run("account", "credit", "eur@example.com", amount)
        assert (done.returncode, done.stderr.count("\n"), saying in done.stderr) == (1, 1, True), done.stderr
    done = trunkline.run("account", "create", "x@example.com", "--currency", "EURO")
    assert (done.returncode, "no currency" in done.stderr) == (1, True)
    assert trunkline("account", "show", "eur@example.com")["balance"] == 7.5
