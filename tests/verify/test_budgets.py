"""Budgets outlive resends, cancels, profiles and new starts."""

import itertools
from typing import Any

import pytest
from tests.house import Buyer, House, data, problem
from tests.verify.codes import NUMBER, check, code_of, started, wrong

pytestmark = pytest.mark.asyncio


async def start(buyer: Buyer, number: str = NUMBER, **more: Any) -> Any:
    return await buyer.post("/verifications", {"phone_number": number, **more})


async def test_a_number_gets_five_texts_in_ten_minutes_and_ten_in_a_day(house: House) -> None:
    buyer = await house.buyer("50")
    for _ in range(5):
        await started(buyer)
    refused = problem(await start(buyer), 429, "too_many_sends")
    assert (refused["rule"], refused["value"], refused["threshold"]) == ("sends_per_ten_minutes", 5, 5)
    assert refused["retry_at"]
    assert (await start(buyer, "+12025550143")).status_code == 200, "another number"
    assert (await start(await house.buyer())).status_code == 200, "another account"
    await house.later(601)
    for _ in range(5):
        await started(buyer)
    await house.later(601)
    assert problem(await start(buyer), 429, "too_many_sends")["rule"] == "sends_per_day"
    await house.later(86_400)
    assert (await start(buyer)).status_code == 200


async def test_resends_count_too(house: House) -> None:
    buyer = await house.buyer("50")
    verification = await started(buyer, ttl=600)
    path = f"/verifications/{verification['verification_id']}/resend"
    for pause in (30, 60, 120):
        await house.later(pause)
        data(await buyer.post(path, None))
    await started(buyer)
    await house.later(120)
    assert problem(await buyer.post(path, None), 429, "too_many_sends")["rule"] == "sends_per_ten_minutes"


async def test_a_verification_has_as_many_texts_as_its_profile_says(house: House) -> None:
    buyer = await house.buyer()
    data(await buyer.post("/verify/profiles", {"slug": "strict", "sends": 2}))
    verification = await started(buyer, profile="strict")
    path = f"/verifications/{verification['verification_id']}/resend"
    await house.later(30)
    assert data(await buyer.post(path, None))["sends_left"] == 0
    await house.later(60)
    problem(await buyer.post(path, None), 429, "max_sends_reached")


async def test_an_address_begins_ten_in_an_hour(house: House) -> None:
    buyer = await house.buyer("50")
    numbers = (f"+120255501{line:02d}" for line in itertools.count())
    for line in range(10):
        assert (await start(buyer, next(numbers), client_ip=f"2001:db8:1:2::{line:x}")).status_code == 200
    refused = problem(await start(buyer, next(numbers), client_ip="2001:db8:1:2:ffff::1"), 429, "too_many_from_address")
    assert (refused["rule"], refused["threshold"]) == ("starts_per_address", 10)
    assert (await start(buyer, next(numbers), client_ip="2001:db8:1:3::1")).status_code == 200
    assert (await start(buyer, next(numbers), client_ip="198.51.100.7")).status_code == 200
    assert (
        problem(await start(buyer, next(numbers), client_ip="10.0.0"), 422, "invalid_request")["field"] == "client_ip"
    )
    await house.later(3600)
    assert (await start(buyer, next(numbers), client_ip="2001:db8:1:2::1")).status_code == 200


async def test_whoever_tries_all_day_gets_twenty_comparisons(house: House) -> None:
    """By resending, cancelling, starting anew and changing profiles, for a simulated day."""
    buyer = await house.buyer("50")
    for slug in ("one", "two", "three"):
        data(await buyer.post("/verify/profiles", {"slug": slug}))
    profiles = itertools.cycle(("one", "two", "three", "default"))
    compared = 0
    for hour in range(23):
        answer = await start(buyer, profile=next(profiles))
        if answer.status_code == 429:
            assert answer.json()["code"] in ("too_many_sends", "too_many_checks")
        else:
            verification = data(answer)
            code = await code_of(house, verification)
            while (checked := await check(buyer, verification, wrong(code))).status_code == 200:
                compared += 1
            assert checked.json()["code"] in ("max_checks_reached", "too_many_checks", "verification_finished")
            compared += checked.json()["code"] == "max_checks_reached"  # the one that used up the last
            await buyer.post(f"/verifications/{verification['verification_id']}/cancel", None)
        await house.later(3600)
        assert compared <= 20, hour
    assert compared == 20
    refused = problem(await start(buyer), 429, "too_many_checks")
    assert (refused["value"], refused["threshold"]) == (20, 20)
    assert (await start(buyer, "+12025550143")).status_code == 200


async def test_two_verifications_of_a_number_share_its_wrong_checks(house: House) -> None:
    buyer = await house.buyer("50")
    pending = [await started(buyer) for _ in range(5)]
    codes = [await code_of(house, each) for each in pending]
    for each, code in zip(pending[:4], codes[:4], strict=True):
        for _ in range(5):
            await check(buyer, each, wrong(code))
    refused = problem(await check(buyer, pending[4], codes[4]), 429, "too_many_checks")
    assert refused["retry_at"]
    assert data(await buyer.get(f"/verifications/{pending[4]['verification_id']}"))["checks_left"] == 5


async def test_a_profiles_test_number_has_a_fixed_code_and_no_limits(house: House) -> None:
    buyer = await house.buyer("5")
    number = "+12025550188"
    test = buyer.testing()
    data(await test.ask("PATCH", "/verify/profiles/default", json={"test_numbers": {number: "123456"}}))
    for _ in range(12):
        verification = await started(test, number)
    assert await house.codes_go_out() == 0
    assert "nothing is sent" in verification["notes"][0]
    assert data(await check(test, verification, "123456"))["status"] == "approved"
    live = await started(buyer, number)
    assert await house.codes_go_out() == 1, "a live key sends"
    assert data(await check(buyer, live, await code_of(house, live)))["status"] == "approved"


@pytest.mark.settings(TRUNKLINE_VERIFY__LIVE_TEST_NUMBERS="true")
async def test_the_operator_may_let_live_keys_use_test_numbers(house: House) -> None:
    buyer = await house.buyer("5")
    data(await buyer.ask("PATCH", "/verify/profiles/default", json={"test_numbers": {NUMBER: "4711"}}))
    verification = await started(buyer)
    assert await house.codes_go_out() == 0
    assert data(await check(buyer, verification, "4711"))["status"] == "approved"
    assert await buyer.purse() == (5, 0)


async def test_who_has_a_spend_cap_is_stopped_by_it(house: House) -> None:
    buyer = await house.buyer("5")
    await house.platform.database.execute(
        "UPDATE account SET cap_day_micros = 100000 WHERE account_id = $1", buyer.account_id
    )
    await started(buyer)
    await started(buyer, "+12025550143")
    refused = problem(await start(buyer, "+12025550144"), 402, "spend_cap_reached")
    assert (refused["cap"], refused["spent"], refused["of"]) == (0.1, 0.1, "account")
