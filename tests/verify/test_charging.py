"""What is paid for by the text, and what is kept of test keys."""

import pytest
from tests.house import House, data
from tests.verify.codes import check, code_of, started

from trunkline.verify import checking

pytestmark = pytest.mark.asyncio

BY_TEXT = pytest.mark.settings(TRUNKLINE_VERIFY__CHARGE="sent")


@BY_TEXT
async def test_each_text_that_a_carrier_took_is_paid_for_and_the_approval_is_not(house: House) -> None:
    buyer = await house.buyer("5")
    verification = await started(buyer)
    assert (verification["charge"], await buyer.purse()) == ("sent", (4.95, 0.05))
    await house.codes_go_out()
    assert await buyer.purse() == (4.95, 0)
    await house.later(31)
    data(await buyer.post(f"/verifications/{verification['verification_id']}/resend", None))
    assert await buyer.purse() == (4.90, 0.05)
    await house.codes_go_out()
    await check(buyer, verification, await code_of(house, verification))
    assert await buyer.purse() == (4.90, 0)
    assert data(await buyer.get(f"/verifications/{verification['verification_id']}"))["charged"] == 0.1


@BY_TEXT
async def test_a_text_that_did_not_go_out_costs_nothing(house: House) -> None:
    buyer = await house.buyer("5")
    cancelled = await started(buyer, "+12025550143")
    data(await buyer.post(f"/verifications/{cancelled['verification_id']}/cancel", None))
    assert await buyer.purse() == (5, 0)
    await started(buyer, "+443069990003", ttl=60)  # which the carrier refuses
    await house.codes_go_out()
    assert await buyer.purse() == (4.95, 0.05)
    await house.later(61)
    assert await buyer.purse() == (5, 0)


@BY_TEXT
async def test_a_text_of_which_nobody_knows_is_given_back_unless_its_receipt_comes_first(house: House) -> None:
    buyer = await house.buyer("5")
    database = house.platform.database
    verification = await started(buyer, ttl=60)
    await database.fetch("SELECT * FROM claim_sends('{simulated}', 10)")  # and whoever claimed it is killed
    await house.later(61)
    assert await buyer.purse() == (4.95, 0.05), "it may still be on its way"
    assert await house.sender.look_after() == 1
    assert await buyer.purse() == (5, 0)
    shown = data(await buyer.get(f"/verifications/{verification['verification_id']}"))
    assert (shown["status"], shown["sends"][0]["state"]) == ("expired", "unknown")


async def test_the_books_name_the_verification(house: House) -> None:
    buyer = await house.buyer("5")
    verification = await started(buyer)
    await check(buyer, verification, await code_of(house, verification))
    moved = data(await buyer.get("/account/transactions"))
    assert [(each["kind"], each["verification_id"]) for each in moved[:2]] == [
        ("capture", verification["verification_id"]),
        ("hold", verification["verification_id"]),
    ]
    usage = data(await buyer.get("/account/usage", group_by="service"))
    assert [(each["group"], each["spent"]) for each in usage["groups"]] == [("verify", 0.05)]
    statement = (await buyer.get("/account/statement")).text
    assert ",verify,us,'+12025550142," in statement


async def test_test_keys_verifications_go_in_time_and_live_ones_stay(house: House) -> None:
    buyer = await house.buyer("5")
    for who in (buyer, buyer.testing()):
        verification = await started(who, ttl=60)
        await house.codes_go_out()
        await check(who, verification, await code_of(house, verification))
    await house.platform.database.execute("UPDATE verification SET ended_at = ended_at - interval '8 days'")
    assert await checking.forget_tested(house.platform.database, 7) == 1
    assert data(await buyer.testing().get("/verifications")) == []
    assert len(data(await buyer.get("/verifications"))) == 1
