"""What became of verifications: counted once, in groups, with intervals."""

import datetime

import pytest
from tests.house import Buyer, House, data, problem
from tests.verify.codes import check, code_of, started, wrong

from trunkline.events.fan_out import FanOut

pytestmark = pytest.mark.asyncio


async def counted(house: House) -> None:
    """Lets the reader of the outbox catch up."""
    await FanOut(house.platform.database, lambda _: None, keep_days=30).take()


async def some(house: House, buyer: Buyer) -> None:
    for number in ("+12025550142", "+12025550143", "+442079460142"):
        verification = await started(buyer, number)
        await house.codes_go_out()
        if number != "+12025550143":
            await check(buyer, verification, await code_of(house, verification))
    blocked = await buyer.post("/verifications", {"phone_number": "+443069990005"})
    problem(blocked, 403, "blocked_by_guard")


async def test_each_event_is_counted_once_however_often_the_outbox_is_read(house: House) -> None:
    buyer = await house.buyer()
    await some(house, buyer)
    for _ in range(2):
        await counted(house)
    [today] = data(await buyer.get("/verifications/stats"))
    assert today["group"] == datetime.datetime.now(datetime.UTC).date().isoformat()
    assert {name: today[name] for name in ("started", "sent", "delivered", "approved", "blocked", "failed")} == {
        "started": 3, "sent": 3, "delivered": 3, "approved": 2, "blocked": 1, "failed": 0,
    }  # fmt: skip
    assert (today["cost"], today["cost_per_approved"]) == (0.1, 0.05)
    assert today["conversion_rate"] is None, "from two nothing is sure"


async def test_they_are_grouped_by_what_is_asked_for(house: House) -> None:
    buyer = await house.buyer()
    await some(house, buyer)
    await counted(house)
    by_country = {
        each["group"]: each["started"] for each in data(await buyer.get("/verifications/stats", by="country"))
    }
    assert by_country == {"us": 2, "gb": 1}
    for by in ("prefix", "route", "sender", "template", "profile"):
        groups = data(await buyer.get("/verifications/stats", by=by))
        assert sum(each["started"] for each in groups) == 3, by
    problem(await buyer.get("/verifications/stats", by="colour"), 422, "invalid_request")
    assert data(await buyer.testing().get("/verifications/stats")) == []
    assert data(await (await house.buyer()).get("/verifications/stats")) == []


async def test_a_rate_of_many_has_its_interval(house: House) -> None:
    buyer = await house.buyer("50")
    await house.platform.database.execute(
        "INSERT INTO verify_outcome"
        " SELECT $1, false, current_date, 'us', '+1202555', 'default', 'default', 'north', 'A', what, bucket, count, 0"
        " FROM (VALUES ('started', -1, 100), ('approved', 40, 60), ('expired', -1, 40),"
        " ('delivered', 20, 90), ('undelivered', -1, 10)) AS seen (what, bucket, count)",
        buyer.account_id,
    )
    [group] = data(await buyer.get("/verifications/stats", by="route"))
    assert group["conversion_rate"]["value"] == 0.6
    assert group["conversion_rate"]["low"] < 0.6 < group["conversion_rate"]["high"]
    assert group["conversion_rate"]["sample"] == 100
    assert group["delivery_rate"]["value"] == 0.9
    assert 1.5 < group["receipt_p50"]["value"] < 2
    assert group["approval_p50"]["value"] > group["receipt_p50"]["value"]


async def test_a_wrong_code_is_no_end(house: House) -> None:
    buyer = await house.buyer()
    verification = await started(buyer, "+12025550142")
    await check(buyer, verification, wrong(await code_of(house, verification)))
    await counted(house)
    [today] = data(await buyer.get("/verifications/stats"))
    assert (today["approved"], today["failed"]) == (0, 0)
