"""What a lease may rely on, rule by rule, as its buyer sees it through the API."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from tests.database_line import Line
from tests.house import NORTH, House, data, opened, problem

from trunkline.activations import lifecycle
from trunkline.activations.lifecycle import Order
from trunkline.activations.problems import NoNumbersAvailable
from trunkline.activations.views import Lease
from trunkline.audit.acts import Actor
from trunkline.carriers.carrier import SIMULATED
from trunkline.carriers.registry import Terms
from trunkline.catalog import services
from trunkline.catalog.countries import countries
from trunkline.errors import TrunklineError
from trunkline.storage.database import Database

pytestmark = pytest.mark.asyncio

TTL = 60


@pytest_asyncio.fixture
async def north(url: str) -> AsyncIterator[House]:
    """With a carrier that charges, on which WhatsApp is open."""
    async with opened(url, **NORTH) as house:
        await services.switch(house.platform.database, Actor("operator:test"), "whatsapp", None, enabled=True)
        yield house
        await house.books_balance()


# How a lease ends


async def test_saying_completed_twice_is_harmless_and_answers_the_same(house: House) -> None:
    buyer = await house.buyer()
    await house.stock(1)
    lease = await buyer.lease()
    await house.text(lease["phone_number"], "Your WhatsApp code: 847291")
    first = await buyer.complete(lease)
    assert (first["status"], first["refund"], first["sms"]["code"]) == ("completed", 0, "847291")
    assert await buyer.complete(lease) == first
    assert await buyer.purse() == (4.90, 0)


async def test_saying_cancelled_twice_refunds_once_and_answers_the_same(house: House) -> None:
    buyer = await house.buyer()
    await house.stock(1)
    lease = await buyer.lease()
    assert await buyer.purse() == (4.90, 0.10)
    first = await buyer.cancel(lease)
    assert (first["status"], first["refund"]) == ("cancelled", 0.10)
    assert await buyer.cancel(lease) == first
    assert await buyer.purse() == (5.00, 0)


async def test_a_lease_that_has_ended_refuses_the_other_word(house: House) -> None:
    buyer = await house.buyer()
    await house.stock(3)
    completed, cancelled, expired = [await buyer.lease(ttl=TTL) for _ in range(3)]
    await house.text(completed["phone_number"], "Your WhatsApp code: 847291")
    await buyer.complete(completed)
    await buyer.cancel(cancelled)
    await house.later(TTL)
    for lease, word, stands in (
        (completed, "cancelled", "completed"),
        (cancelled, "completed", "cancelled"),
        (expired, "cancelled", "expired"),
        (expired, "completed", "expired"),
    ):
        refused = problem(await buyer.finish(lease, word), 409, "activation_finished")
        assert refused["activation_status"] == stands
    assert await buyer.purse() == (4.90, 0)


async def test_a_lease_without_a_text_cannot_be_completed(house: House) -> None:
    buyer = await house.buyer()
    await house.stock(1)
    lease = await buyer.lease()
    problem(await buyer.finish(lease, "completed"), 409, "no_sms_received")
    assert (await buyer.status(lease))["status"] == "waiting"
    assert await buyer.purse() == (4.90, 0.10)


async def test_a_text_that_arrived_first_beats_the_cancel_and_is_shown_by_its_refusal(house: House) -> None:
    buyer = await house.buyer()
    await house.stock(1)
    lease = await buyer.lease()
    assert (await buyer.status(lease))["can_cancel"]
    await house.text(lease["phone_number"], "Your WhatsApp code: 847291", sender="WhatsApp")
    refused = problem(await buyer.finish(lease, "cancelled"), 409, "sms_already_received")
    assert refused["sms"]["code"] == "847291"
    assert refused["sms"]["full_text"] == "Your WhatsApp code: 847291"
    status = await buyer.status(lease)
    assert (status["status"], status["can_cancel"], status["can_finish"]) == ("received", False, True)
    assert await buyer.purse() == (4.90, 0)


async def test_a_lease_without_a_text_expires_and_its_hold_is_released(house: House) -> None:
    buyer = await house.buyer()
    await house.stock(1)
    lease = await buyer.lease(ttl=TTL)
    await house.later(TTL - 30)
    assert (await buyer.status(lease))["status"] == "waiting"
    await house.later(30)
    ended = data(await buyer.get(f"/numbers/{lease['activation_id']}"))
    assert (ended["status"], ended["refund"]) == ("expired", 0.10)
    assert await buyer.purse() == (5.00, 0)


async def test_a_lease_with_a_text_is_completed_at_its_deadline(house: House) -> None:
    buyer = await house.buyer()
    await house.stock(1)
    lease = await buyer.lease(ttl=TTL)
    await house.text(lease["phone_number"], "Your WhatsApp code: 847291")
    await house.later(TTL)
    ended = await buyer.complete(lease)
    assert (ended["status"], ended["refund"], ended["sms"]["code"]) == ("completed", 0, "847291")
    assert await buyer.purse() == (4.90, 0)


@pytest.mark.parametrize(("fee", "refund", "balance"), [("0.03", 0.07, 4.97), ("7", 0, 4.90)])
async def test_the_cancel_fee_is_kept_and_never_exceeds_the_cost(
    url: str, fee: str, refund: float, balance: float
) -> None:
    async with opened(url, TRUNKLINE_MONEY__CANCEL_FEE=fee) as house:
        buyer = await house.buyer()
        await house.stock(2)
        cancelled = await buyer.cancel(await buyer.lease())
        assert cancelled["refund"] == refund
        assert await buyer.purse() == (balance, 0)
        lease = await buyer.lease(ttl=TTL)
        await house.later(TTL)
        assert data(await buyer.get(f"/numbers/{lease['activation_id']}"))["refund"] == refund
        received = await buyer.lease()
        await house.text(received["phone_number"], "Your WhatsApp code: 847291")
        await buyer.complete(received)
        assert (await buyer.purse())[0] == pytest.approx(balance - 0.10 + refund - 0.10)
        await house.books_balance()


async def test_a_lease_on_a_carrier_that_charges_cannot_be_cancelled_for_two_minutes(north: House) -> None:
    buyer = await north.buyer()
    await north.stock(1, carrier="north")
    lease = await buyer.lease()
    assert not (await buyer.status(lease))["can_cancel"]
    refused = problem(await buyer.finish(lease, "cancelled"), 409, "cancel_too_early")
    assert refused["cancel_available_at"] >= lease["cancel_available_at"]
    assert await buyer.purse() == (4.90, 0.10)
    await north.later(120)
    assert (await buyer.status(lease))["can_cancel"]
    assert (await buyer.cancel(lease))["refund"] == 0.10


async def test_a_simulated_number_can_be_cancelled_at_once(north: House) -> None:
    buyer = await north.buyer()
    await north.stock(1)
    assert (await buyer.cancel(await buyer.lease()))["status"] == "cancelled"


# Texts


async def test_a_text_without_a_code_counts_as_received(house: House) -> None:
    buyer = await house.buyer()
    await house.stock(1)
    lease = await buyer.lease()
    assert await buyer.status(lease) | {"expires_at": "", "cancel_available_at": ""} == {
        "status": "waiting", "sms": None, "revision": 0, "messages": [], "expires_at": "", "cancel_available_at": "",
        "can_cancel": True, "can_finish": False,
    }  # fmt: skip
    await house.text(lease["phone_number"], "Welcome to WhatsApp!")
    status = await buyer.status(lease)
    assert (status["status"], status["sms"]["code"], status["revision"]) == ("received", None, 1)
    assert status["sms"]["full_text"] == "Welcome to WhatsApp!"
    assert await buyer.purse() == (4.90, 0)


async def test_further_texts_raise_the_revision_and_cost_nothing(house: House) -> None:
    buyer = await house.buyer()
    await house.stock(1)
    lease = await buyer.lease()
    for code in ("111111", "222222", "333333"):
        await house.text(lease["phone_number"], f"Your WhatsApp code: {code}")
    status = await buyer.status(lease)
    texts = [(sms["revision"], sms["code"]) for sms in status["messages"]]
    assert texts == [(1, "111111"), (2, "222222"), (3, "333333")]
    assert (status["sms"], status["revision"]) == (status["messages"][-1], 3)
    assert await buyer.purse() == (4.90, 0)


@pytest.mark.parametrize("end", ["cancelled", "expired"])
async def test_a_late_text_is_kept_for_the_operator_billed_to_nobody_shown_to_nobody(house: House, end: str) -> None:
    former, next_buyer = await house.buyer(), await house.buyer()
    [number] = await house.stock(1)
    lease = await former.lease(ttl=TTL)
    if end == "cancelled":
        await former.cancel(lease)
    await house.later(TTL)
    assert (await house.text(number, "Your WhatsApp code: 847291")).what == "unmatched"
    following = await next_buyer.lease()
    assert following["phone_number"] == number
    assert (await next_buyer.status(following))["sms"] is None
    assert (await former.status(lease))["sms"] is None
    assert await former.purse() == (5.00, 0)
    assert await next_buyer.purse() == (4.90, 0.10)
    [kept] = await house.kept()
    assert (kept.body, kept.row["activation_id"]) == ("Your WhatsApp code: 847291", None)
    assert kept.row["reason"] == "no lease was live on the number"


async def test_a_text_meant_for_another_service_is_not_shown(house: House) -> None:
    buyer = await house.buyer()
    await house.stock(1)
    lease = await buyer.lease("telegram")
    assert (await house.text(lease["phone_number"], "Your WhatsApp code: 847291")).what == "unmatched"
    assert (await buyer.status(lease))["sms"] is None
    detail = data(await buyer.get(f"/numbers/{lease['activation_id']}"))
    assert "1 text has come to the number since" in detail["timeline"][-1]["detail"]
    assert "847291" not in str(detail)


async def test_the_sender_and_contains_filters_decide_which_texts_count(house: House) -> None:
    buyer = await house.buyer()
    await house.stock(1)
    lease = await buyer.lease(sender="acme*", contains="Berlin")
    number = lease["phone_number"]
    await house.text(number, "Your WhatsApp code for berlin: 111111", sender="Other")
    await house.text(number, "Your WhatsApp code: 222222", sender="ACME-42")
    await house.text(number, "Your WhatsApp code for berlin: 333333", sender="ACME-42")
    assert [sms["code"] for sms in (await buyer.status(lease))["messages"]] == ["333333"]


@pytest.mark.parametrize("unseen", [" ", "\N{ZERO WIDTH SPACE}", "\t\N{SOFT HYPHEN}", "\N{HANGUL FILLER}"])
@pytest.mark.parametrize("field", ["sender", "contains"])
async def test_a_filter_that_shows_nothing_is_refused(house: House, field: str, unseen: str) -> None:
    buyer = await house.buyer()
    await house.stock(1)
    assert problem(await buyer.order(**{field: unseen}), 422, "invalid_request")["field"] == field


# Which number


async def test_a_number_serves_several_services_at_once_and_each_gets_its_own_text(house: House) -> None:
    first, second = await house.buyer(), await house.buyer()
    [number] = await house.stock(1)
    whatsapp, telegram = await first.lease("whatsapp"), await second.lease("telegram")
    assert whatsapp["phone_number"] == telegram["phone_number"] == number
    problem(await second.order("whatsapp"), 404, "no_numbers_available")
    await house.texts(number, "Your Telegram code: 22222", "Your WhatsApp code: 111111")
    assert (await first.status(whatsapp))["sms"]["code"] == "111111"
    assert (await second.status(telegram))["sms"]["code"] == "22222"


async def test_a_cancelled_number_goes_to_no_other_account_while_a_text_could_come(house: House) -> None:
    former, other = await house.buyer(), await house.buyer()
    [number] = await house.stock(1)
    await former.cancel(await former.lease(ttl=TTL))
    problem(await other.order(), 404, "no_numbers_available")
    assert (await other.lease("telegram"))["phone_number"] == number  # for another service it may
    again = await former.lease(ttl=TTL)
    assert again["phone_number"] == number
    await former.cancel(again)
    await house.later(TTL - 30)
    problem(await other.order(), 404, "no_numbers_available")
    await house.later(30)
    assert (await other.lease())["phone_number"] == number


@pytest.mark.parametrize("end", ["completed", "expired"])
async def test_a_simulated_number_is_free_once_its_text_has_come_or_its_time_is_over(house: House, end: str) -> None:
    former, other = await house.buyer(), await house.buyer()
    [number] = await house.stock(1)
    lease = await former.lease(ttl=TTL)
    if end == "completed":
        await house.text(number, "Your WhatsApp code: 847291")
        await former.complete(lease)
    else:
        await house.later(TTL)
    assert (await other.lease())["phone_number"] == number


async def test_a_number_on_a_real_carrier_rests_ten_minutes_after_each_lease(north: House) -> None:
    former, other = await north.buyer(), await north.buyer()
    [number] = await north.stock(1, carrier="north")
    lease = await former.lease()
    await north.text(number, "Your WhatsApp code: 847291", carrier="north")
    await former.complete(lease)
    for buyer in (former, other):
        problem(await buyer.order(), 404, "no_numbers_available")
    await north.later(570)
    for buyer in (former, other):
        problem(await buyer.order(), 404, "no_numbers_available")
    await north.later(30)
    assert (await other.lease())["phone_number"] == number


async def test_any_leases_a_number_alone_and_gets_every_text(house: House) -> None:
    first, second = await house.buyer(), await house.buyer()
    [number] = await house.stock(1)
    alone = await first.lease("any")
    for service in ("any", "whatsapp", "telegram"):
        problem(await second.order(service), 404, "no_numbers_available")
    await house.text(number, "Your WhatsApp code: 111111", sender="WhatsApp")
    await house.text(number, "Lunch at noon?", sender="+37699999")
    assert [sms["code"] for sms in (await first.status(alone))["messages"]] == ["111111", None]


async def test_any_does_not_get_a_number_that_another_service_has(house: House) -> None:
    first, second = await house.buyer(), await house.buyer()
    [number] = await house.stock(1)
    lease = await first.lease("telegram", ttl=TTL)
    problem(await second.order("any"), 404, "no_numbers_available")
    await house.later(TTL)
    assert (await first.status(lease))["status"] == "expired"
    assert (await second.lease("any"))["phone_number"] == number


@pytest.mark.parametrize(("held", "wanted"), [("any", "whatsapp"), ("whatsapp", "any")])
async def test_a_refused_look_at_a_number_does_not_keep_it_away_after_its_lease(
    house: House, held: str, wanted: str
) -> None:
    former, other = await house.buyer(), await house.buyer()
    [number] = await house.stock(1)
    lease = await former.lease(held, ttl=3600)
    problem(await other.order(wanted), 404, "no_numbers_available")
    await house.text(number, "Your WhatsApp code: 847291")
    await former.complete(lease)
    assert (await other.lease(wanted))["phone_number"] == number


@pytest.mark.parametrize(("former_service", "next_service"), [("whatsapp", "any"), ("any", "whatsapp")])
async def test_a_text_that_could_still_come_for_one_account_is_not_read_by_another_through_any(
    house: House, former_service: str, next_service: str
) -> None:
    former, other = await house.buyer(), await house.buyer()
    [number] = await house.stock(1)
    await former.cancel(await former.lease(former_service, ttl=3600))
    problem(await other.order(next_service), 404, "no_numbers_available")
    await house.text(number, "Your WhatsApp code: 847291")
    listed = data(await other.get("/numbers"))
    assert "847291" not in str(listed)


async def test_an_operator_can_be_chosen(house: House) -> None:
    buyer = await house.buyer()
    [blue], [red] = await house.stock(1, operator="Blue"), await house.stock(1, operator="Red")
    assert (await buyer.lease(operator="Red"))["phone_number"] == red
    problem(await buyer.order(operator="Red"), 404, "no_numbers_available")
    problem(await buyer.order(operator="Green"), 404, "no_numbers_available")
    assert (await buyer.lease())["phone_number"] == blue


async def test_where_a_country_has_no_number_the_answer_names_countries_that_have(house: House) -> None:
    buyer = await house.buyer()
    refused = problem(await buyer.order(country="AD"), 404, "no_numbers_available")
    assert {"gb", "us", "de"} <= set(refused["countries"])
    await house.stock(1)
    lease = await buyer.lease(country="AD")
    assert lease["country"] == "ad"
    assert "ad" not in problem(await buyer.order(country="ad"), 404, "no_numbers_available")["countries"]


async def test_what_is_leased_is_told_also_where_the_database_goes_away_before_the_refusals_beside_it_are_whole(
    url: str, house: House
) -> None:
    buyer = await house.buyer()
    [number] = await house.stock(1)
    orders = [
        Order(
            country=country, service="whatsapp", max_micros=None, operator=None, ttl=TTL, sender=None, contains=None,
            labels={},
        )
        for country in ("ad", "mc")
    ]  # fmt: skip
    async with Line.laid(url) as line:
        database = await Database.open(line.url, connections=1)

        async def purchase(*, dry_run: bool) -> list[Lease | TrunklineError]:
            return await lifecycle.purchase(
                database, buyer.account_id, orders, key_id=0, test=False, policy=lifecycle.Policy(), dry_run=dry_run,
                terms={SIMULATED: Terms(cancel_wait_seconds=0, rest_seconds=0)}, countries=countries(),
            )  # fmt: skip

        await purchase(dry_run=True)  # so that the statements are known
        line.swallow_answers(after=1)
        purchasing = asyncio.create_task(purchase(dry_run=False))
        async with asyncio.timeout(60):
            await line.answer_swallowed()
            line.cut()
            leased, refused = await purchasing
        await database.close()
    assert isinstance(leased, Lease)
    assert leased.phone_number == number
    assert isinstance(refused, NoNumbersAvailable)
    assert refused.countries == []


async def test_unknown_countries_services_and_fields_are_named_and_cost_nothing(house: House) -> None:
    buyer = await house.buyer()
    await house.stock(1)
    assert problem(await buyer.order(country="zz"), 404, "unknown_country")["field"] == "country"
    assert problem(await buyer.order("whatsup"), 404, "unknown_service")["field"] == "service"
    assert problem(await buyer.order(max_prise=1), 422, "invalid_request")["field"] == "max_prise"
    for wrong in ({"ttl": 59}, {"ttl": 3601}, {"max_price": -1}, {"labels": {"": "x"}}, {"sender": ""}):
        problem(await buyer.order(**wrong), 422, "invalid_request")
    assert data(await buyer.get("/numbers")) == []
    assert await buyer.purse() == (5.00, 0)


# Money


async def test_a_price_above_the_buyers_maximum_is_refused_with_the_price(house: House) -> None:
    buyer = await house.buyer()
    await house.stock(1)
    assert problem(await buyer.order(max_price=0.099999), 409, "price_above_max")["min_price"] == 0.10
    assert await buyer.purse() == (5.00, 0)
    assert (await buyer.lease(max_price=0.10))["cost"] == 0.10


async def test_who_cannot_pay_gets_no_number(house: House) -> None:
    buyer = await house.buyer("0.15")
    await house.stock(2)
    lease = await buyer.lease()
    refused = problem(await buyer.order(), 402, "insufficient_balance")
    assert (refused["balance"], refused["cost"]) == (0.05, 0.10)
    await buyer.cancel(lease)
    await buyer.lease()


async def test_a_dry_run_tells_the_price_and_changes_nothing(house: House) -> None:
    buyer = await house.buyer("0.10")
    await house.stock(1)
    seen = await buyer.lease(dry_run=True)
    assert (seen["cost"], seen["phone_number"], seen["activation_id"], seen["dry_run"]) == (0.10, None, None, True)
    assert data(await buyer.get("/numbers")) == []
    assert await buyer.purse() == (0.10, 0)
    tables = ("activation", "slot", "event WHERE type NOT LIKE 'key.%'", "message")
    assert [await house.platform.database.fetchval(f"SELECT count(*) FROM {table}") for table in tables] == [0] * 4
    await buyer.lease()
    problem(await buyer.order(dry_run=True), 402, "insufficient_balance")
    problem(await (await house.buyer()).order(dry_run=True), 404, "no_numbers_available")


async def test_a_real_carriers_service_is_closed_until_the_operator_opens_it_there(north: House) -> None:
    buyer = await north.buyer()
    await north.stock(3, carrier="north")
    database = north.platform.database
    problem(await buyer.order("telegram"), 403, "service_not_enabled")
    problem(await buyer.order("any"), 403, "service_not_enabled")
    await services.switch(database, Actor("operator:test"), "telegram", "us", enabled=True)
    problem(await buyer.order("telegram"), 403, "service_not_enabled")
    await services.switch(database, Actor("operator:test"), "telegram", "ad", enabled=True)
    await buyer.lease("telegram")
    await services.switch(
        database, Actor("operator:test"), "whatsapp", "ad", enabled=False
    )  # a country's rule outweighs the one for all
    problem(await buyer.order("whatsapp"), 403, "service_not_enabled")
    await north.stock(1)
    simulated = await buyer.lease("whatsapp")  # the simulated network is open
    assert data(await buyer.get(f"/numbers/{simulated['activation_id']}"))["carrier"] == "simulated"


async def test_while_a_real_carrier_is_configured_live_keys_do_not_see_the_simulated_network(url: str) -> None:
    async with opened(url, **NORTH | {"TRUNKLINE_POOL__SIMULATED": "auto"}) as house:
        buyer = await house.buyer()
        problem(await buyer.order(country="us"), 404, "no_numbers_available")
        assert (await buyer.testing().lease(country="us"))["cost"] == 0


# Test keys


async def test_a_test_key_sees_test_numbers_only_and_pays_nothing(house: House) -> None:
    buyer = await house.buyer("0")
    testing = buyer.testing()
    await house.stock(1)
    [number] = await house.stock(1, test=True)
    problem(await buyer.order(), 402, "insufficient_balance")
    lease = await testing.lease()
    assert (lease["phone_number"], lease["cost"]) == (number, 0)
    problem(await testing.order(), 404, "no_numbers_available")
    await house.text(number, "Your WhatsApp code: 847291")
    assert (await testing.status(lease))["sms"]["code"] == "847291"
    done = await testing.complete(lease)
    assert (done["cost"], done["refund"]) == (0, 0)
    assert await house.platform.database.fetchval("SELECT count(*) FROM transfer") == 0


async def test_nothing_of_a_test_key_is_seen_with_a_live_key_nor_the_other_way_round(house: House) -> None:
    live = await house.buyer()
    testing = live.testing()
    await house.stock(1)
    await house.stock(1, test=True)
    leases = {live: await live.lease(), testing: await testing.lease()}
    for mine, others in ((live, testing), (testing, live)):
        foreign = leases[others]
        path = foreign["activation_id"]
        problem(await mine.get(f"/numbers/status/{path}"), 404, "not_found")
        problem(await mine.get(f"/numbers/{path}"), 404, "not_found")
        problem(await mine.finish(foreign, "cancelled"), 404, "not_found")
        assert [lease["activation_id"] for lease in data(await mine.get("/numbers"))] == [leases[mine]["activation_id"]]
    assert await testing.purse() == (0, 0)
    assert data(await testing.get("/account/transactions")) == []


# In bulk, and whose it is


async def test_a_bulk_purchase_answers_in_the_order_asked_and_each_for_itself(house: House) -> None:
    buyer = await house.buyer("0.25")
    await house.stock(3)
    wanted = [
        {"country": "ad", "service": "whatsapp", "labels": {"run_id": "a"}},
        {"country": "zz", "service": "whatsapp"},
        {"country": "ad", "service": "nobody"},
        {"country": "ad", "service": "telegram", "max_price": 0.01},
        {"country": "ad", "service": "telegram"},
        {"country": "ad", "service": "signal"},
    ]
    answers = data(await buyer.post("/numbers/purchase/batch", {"items": wanted}))
    assert [answer["success"] for answer in answers] == [True, False, False, False, True, False]
    codes = [answer.get("code") for answer in answers]
    assert codes == [None, "unknown_country", "unknown_service", "price_above_max", None, "insufficient_balance"]
    assert [answers[place]["data"]["service"] for place in (0, 4)] == ["whatsapp", "telegram"]
    assert answers[0]["data"]["labels"] == {"run_id": "a"}
    assert await buyer.purse() == (0.05, 0.20)


async def test_a_bulk_poll_answers_by_id_and_null_for_what_is_not_yours(house: House) -> None:
    buyer, other = await house.buyer(), await house.buyer()
    await house.stock(3)
    mine, theirs, also_mine = await buyer.lease(), await other.lease(), await buyer.lease()
    await house.text(also_mine["phone_number"], "Your WhatsApp code: 847291")
    ids = [mine["activation_id"], theirs["activation_id"], "1", "nonsense", also_mine["activation_id"]]
    answers = data(await buyer.post("/numbers/status", {"activation_ids": ids}))
    assert list(answers) == ids
    assert [each and each["status"] for each in answers.values()] == ["waiting", None, None, None, "received"]
    assert answers[also_mine["activation_id"]]["sms"]["code"] == "847291"


async def test_somebody_elses_lease_answers_exactly_as_one_that_does_not_exist(house: House) -> None:
    buyer, other = await house.buyer(), await house.buyer()
    await house.stock(1)
    theirs = await other.lease()
    absent = {"activation_id": "99999999"}

    async def asked(lease: dict[str, Any]) -> list[dict[str, Any]]:
        answers = [
            await buyer.get(f"/numbers/status/{lease['activation_id']}"),
            await buyer.get(f"/numbers/{lease['activation_id']}"),
            await buyer.finish(lease, "cancelled"),
            await buyer.finish(lease, "completed"),
        ]
        return [problem(answer, 404, "not_found") | {"request_id": None} for answer in answers]

    assert await asked(theirs) == await asked(absent)
    assert (await other.status(theirs))["status"] == "waiting"


async def test_leases_are_listed_newest_first_and_found_by_status_service_and_label(house: House) -> None:
    buyer = await house.buyer()
    await house.stock(3)
    first = await buyer.lease("whatsapp", labels={"run_id": "r1", "team": "blue"})
    second = await buyer.lease("telegram", labels={"run_id": "r2", "team": "blue"})
    third = await buyer.lease("signal")
    await buyer.cancel(third)

    async def found(**filters: str) -> list[str]:
        return [lease["activation_id"] for lease in data(await buyer.get("/numbers", **filters))]

    a, b, c = (lease["activation_id"] for lease in (first, second, third))
    assert await found() == [c, b, a]
    assert await found(status="waiting") == [b, a]
    assert await found(service="telegram") == [b]
    assert await found(country="AD") == [c, b, a]
    assert await found(country="us") == []
    assert await found(**{"label.run_id": "r1"}) == [a]
    assert await found(**{"label.team": "blue"}) == [b, a]
    assert await found(**{"label.team": "blue", "label.run_id": "r2"}) == [b]
    page = (await buyer.get("/numbers", limit=2)).json()
    assert [lease["activation_id"] for lease in page["data"]] == [c, b]
    assert await found(cursor=page["next_cursor"]) == [a]
    eleven = {f"label{number}": "x" for number in range(11)}
    problem(await buyer.order(labels=eleven), 422, "invalid_request")
