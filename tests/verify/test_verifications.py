"""A code is sent to a number, and what its user types is checked."""

import asyncio

import pytest
from tests.house import House, data, problem
from tests.verify.codes import NUMBER, check, code_of, started, wrong

pytestmark = pytest.mark.asyncio


async def test_a_code_that_is_typed_right_is_approved_and_paid_for(house: House) -> None:
    buyer = await house.buyer("5.00")
    verification = await started(buyer, metadata={"user": "7"})
    assert verification["status"] == "pending"
    assert verification["verification_id"].startswith("ver_")
    assert (verification["checks_left"], verification["sends_left"], verification["cost"]) == (5, 4, 0.05)
    assert await buyer.purse() == (4.95, 0.05)
    answer = data(await check(buyer, verification, await code_of(house, verification)))
    assert answer["status"] == "approved"
    assert await buyer.purse() == (4.95, 0)
    shown = data(await buyer.get(f"/verifications/{verification['verification_id']}"))
    assert (shown["status"], shown["charged"], shown["metadata"]) == ("approved", 0.05, {"user": "7"})
    await house.books_balance()


async def test_the_code_arrives_at_a_number_that_is_leased_here(house: House) -> None:
    buyer = await house.buyer("5.00")
    lease = await buyer.lease("any", "us")
    verification = await started(buyer, lease["phone_number"])
    assert await house.codes_go_out() == 1
    sms = (await buyer.status(lease))["sms"]
    assert data(await check(buyer, verification, sms["code"]))["status"] == "approved"
    [send] = data(await buyer.get(f"/verifications/{verification['verification_id']}"))["sends"]
    assert (send["state"], send["route"], send["segments"]) == ("delivered", "simulated", 1)


async def test_wrong_codes_use_up_the_checks_and_nothing_is_charged(house: House) -> None:
    buyer = await house.buyer("5.00")
    verification = await started(buyer)
    code = await code_of(house, verification)
    for left in (4, 3, 2, 1):
        answer = data(await check(buyer, verification, wrong(code)))
        assert (answer["status"], answer["checks_left"]) == ("pending", left)
    problem(await check(buyer, verification, wrong(code)), 429, "max_checks_reached")
    problem(await check(buyer, verification, code), 429, "max_checks_reached")
    assert data(await buyer.get(f"/verifications/{verification['verification_id']}"))["status"] == "failed"
    assert await buyer.purse() == (5, 0)
    await house.books_balance()


async def test_of_a_thousand_checks_at_once_five_are_compared(house: House) -> None:
    buyer = await house.buyer("5.00")
    verification = await started(buyer)
    code = await code_of(house, verification)
    tries = [wrong(code)] * 499 + [code] + [wrong(code)] * 500
    answers = await asyncio.gather(*(check(buyer, verification, each) for each in tries))
    compared = [each for each in answers if each.status_code == 200]
    approved = [each for each in compared if data(each)["status"] == "approved"]
    assert len(compared) <= 5
    assert len(approved) <= 1
    refused = {each.json()["code"] for each in answers if each.status_code != 200}
    assert refused <= {"max_checks_reached", "verification_finished", "too_many_at_once"}
    row = await house.platform.database.fetchrow("SELECT failed, checks_left FROM verification")
    assert row is not None
    assert row["failed"] + len(approved) == 5 - row["checks_left"]


async def test_of_two_right_checks_at_once_one_approves(house: House) -> None:
    buyer = await house.buyer("5.00")
    verification = await started(buyer)
    code = await code_of(house, verification)
    one, other = sorted(
        await asyncio.gather(*(check(buyer, verification, code) for _ in range(2))), key=lambda each: each.status_code
    )
    assert data(one)["status"] == "approved"
    problem(other, 409, "verification_finished")
    await house.books_balance()


@pytest.mark.parametrize("typed", ["{} ", "{:.3}-{:.3}", "arabic", "wide", "{:.3} {:.3}"])
async def test_a_code_may_be_typed_as_people_type(house: House, typed: str) -> None:
    buyer = await house.buyer("5.00")
    verification = await started(buyer)
    code = await code_of(house, verification)
    written = {
        "arabic": "".join(chr(0x660 + int(digit)) for digit in code),
        "wide": "".join(chr(0xFF10 + int(digit)) for digit in code),
        "{:.3}-{:.3}": f"{code[:3]}-{code[3:]}",
        "{:.3} {:.3}": f"{code[:3]} {code[3:]}",
    }.get(typed, code + " ")
    assert data(await check(buyer, verification, written))["status"] == "approved"


@pytest.mark.parametrize("typed", ["", "12", "abc$", "1" * 11, "12345", "9" * 10_000])
async def test_what_can_be_no_code_is_refused_and_not_counted(house: House, typed: str) -> None:
    buyer = await house.buyer("5.00")
    verification = await started(buyer)
    assert problem(await check(buyer, verification, typed), 422, "invalid_request")["field"] == "code"
    assert data(await buyer.get(f"/verifications/{verification['verification_id']}"))["checks_left"] == 5


async def test_a_verification_of_somebody_else_is_not_there(house: House) -> None:
    buyer, stranger = await house.buyer(), await house.buyer()
    verification = await started(buyer)
    code = await code_of(house, verification)
    path = f"/verifications/{verification['verification_id']}"
    for them in (stranger, buyer.testing()):
        problem(await check(them, verification, code), 404, "not_found")
        problem(await them.post(f"{path}/resend", None), 404, "not_found")
        problem(await them.post(f"{path}/cancel", None), 404, "not_found")
        problem(await them.get(path), 404, "not_found")
    problem(await buyer.get("/verifications/20000001"), 404, "not_found")


async def test_it_is_checked_by_number_too_the_newest_first(house: House) -> None:
    buyer = await house.buyer()
    older = await started(buyer)
    newer = await started(buyer)
    code = await code_of(house, newer)
    answer = await buyer.post("/verifications/check", {"phone_number": NUMBER, "code": code})
    assert data(answer)["verification_id"] == newer["verification_id"]
    answer = await buyer.post("/verifications/check", {"phone_number": NUMBER, "code": await code_of(house, older)})
    assert data(answer)["verification_id"] == older["verification_id"]
    problem(await buyer.post("/verifications/check", {"phone_number": NUMBER, "code": code}), 404, "not_found")


async def test_a_resend_waits_and_sends_the_same_code(house: House) -> None:
    buyer = await house.buyer()
    lease = await buyer.lease("any", "us")
    verification = await started(buyer, lease["phone_number"])
    path = f"/verifications/{verification['verification_id']}/resend"
    early = problem(await buyer.post(path, None), 429, "resend_too_early")
    assert early["retry_at"] >= verification["resend_at"]
    await house.codes_go_out()
    await house.later(31)
    again = data(await buyer.post(path, None))
    assert again["sends_left"] == 3
    assert await house.codes_go_out() == 1
    codes = {each["code"] for each in (await buyer.status(lease))["messages"]}
    assert len(codes) == 1
    await house.later(31)
    problem(await buyer.post(path, None), 429, "resend_too_early")
    await house.later(31)
    assert data(await buyer.post(path, None))["sends_left"] == 2


async def test_what_is_not_checked_in_time_expires_and_is_given_back(house: House) -> None:
    buyer = await house.buyer("5.00")
    verification = await started(buyer, ttl=60)
    code = await code_of(house, verification)
    await house.platform.database.execute("UPDATE verification SET expires_at = now()")
    problem(await check(buyer, verification, code), 410, "verification_expired")
    assert await buyer.purse() == (5, 0)
    other = await started(buyer, ttl=60)
    await house.later(61)
    assert data(await buyer.get(f"/verifications/{other['verification_id']}"))["status"] == "expired"
    await house.books_balance()


async def test_it_can_be_cancelled_and_that_again(house: House) -> None:
    buyer = await house.buyer("5.00")
    verification = await started(buyer)
    code = await code_of(house, verification)
    for _ in range(2):
        answer = data(await buyer.post(f"/verifications/{verification['verification_id']}/cancel", None))
        assert answer["status"] == "cancelled"
    problem(await check(buyer, verification, code), 409, "verification_finished")
    assert await buyer.purse() == (5, 0)
    assert await house.codes_go_out() == 0
    await house.books_balance()


async def test_a_payment_is_bound_to_its_amount_and_payee(house: House) -> None:
    buyer = await house.buyer()
    problem(await buyer.post("/verifications", {"phone_number": NUMBER, "amount": "25 EUR"}), 422, "invalid_request")
    verification = await started(buyer, amount="25.00 EUR", payee="ACME Books")
    code = await code_of(house, verification)
    assert problem(await check(buyer, verification, code), 422, "invalid_request")["field"] == "amount"
    other = data(await check(buyer, verification, code, amount="26.00 EUR", payee="ACME Books"))
    assert (other["status"], other["checks_left"]) == ("pending", 4)
    assert data(await check(buyer, verification, code, amount="25.00 EUR", payee="ACME Books"))["status"] == "approved"


async def test_the_list_is_filtered(house: House) -> None:
    buyer = await house.buyer()
    first = await started(buyer, metadata={"run_id": "1"})
    await started(buyer, "+12025550143", metadata={"run_id": "2"})
    listed = data(await buyer.get("/verifications", **{"metadata.run_id": "1"}))
    assert [each["verification_id"] for each in listed] == [first["verification_id"]]
    assert len(data(await buyer.get("/verifications", status="pending", country="US"))) == 2
    assert data(await buyer.get("/verifications", phone_number="+12025550199")) == []
    problem(await buyer.get("/verifications", status="open"), 422, "invalid_request")


async def test_a_dry_run_sends_and_charges_nothing(house: House) -> None:
    buyer = await house.buyer("5.00")
    told = data(await buyer.post("/verifications", {"phone_number": NUMBER, "dry_run": True}))
    assert (told["verification_id"], told["dry_run"]) == (None, True)
    assert await buyer.purse() == (5, 0)
    assert data(await buyer.get("/verifications")) == []


async def test_the_same_idempotency_key_starts_one(house: House) -> None:
    buyer = await house.buyer()
    body = {"phone_number": NUMBER}
    one = await buyer.post("/verifications", body, **{"Idempotency-Key": "signup-1"})
    again = await buyer.post("/verifications", body, **{"Idempotency-Key": "signup-1"})
    assert data(one) == data(again)
    assert len(data(await buyer.get("/verifications"))) == 1


@pytest.mark.parametrize("number", ["123", "+1", "ACME", "+1202555014x", "72000", "+999123456789", "+1 202 555 0142"])
async def test_what_is_no_number_is_refused(house: House, number: str) -> None:
    buyer = await house.buyer("5.00")
    problem(await buyer.post("/verifications", {"phone_number": number}), 422, "invalid_phone_number")
    assert await buyer.purse() == (5, 0)


async def test_who_cannot_pay_gets_no_code_sent(house: House) -> None:
    buyer = await house.buyer("0.04")
    refused = problem(await buyer.post("/verifications", {"phone_number": NUMBER}), 402, "insufficient_balance")
    assert (refused["cost"], refused["balance"]) == (0.05, 0.04)
    assert data(await buyer.get("/verifications")) == []


async def test_a_test_key_pays_nothing(house: House) -> None:
    buyer = (await house.buyer("0")).testing()
    verification = await started(buyer)
    assert data(await check(buyer, verification, await code_of(house, verification)))["status"] == "approved"
    await house.books_balance()


async def test_real_numbers_have_no_route_until_the_operator_names_one(house: House) -> None:
    buyer = await house.buyer()
    problem(await buyer.post("/verifications", {"phone_number": "+14155552671"}), 403, "country_not_allowed")
    data(await buyer.ask("PATCH", "/verify/profiles/default", json={"countries": ["us"]}))
    problem(await buyer.post("/verifications", {"phone_number": "+14155552671"}), 503, "no_route")
