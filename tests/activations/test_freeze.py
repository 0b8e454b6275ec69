"""What the operator freezes ends at once: an account's leases, a number's; and nothing that raced it survives."""

import asyncio
import random
from collections.abc import Awaitable
from typing import Any, TypeVar

import httpx
import pytest
from tests.conftest import Serve, Trunkline
from tests.house import NORTH, House, data, opened, problem

from trunkline.accounts.keys import FRESH_SECONDS
from trunkline.activations import freezing, lifecycle
from trunkline.audit.acts import Actor
from trunkline.catalog import numbers, services
from trunkline.errors import InvalidRequest, OperatorError
from trunkline.storage.database import Querier

pytestmark = pytest.mark.asyncio

Result = TypeVar("Result")
CODE = "Your WhatsApp code: 847291"
OPERATOR = Actor("operator:test")
REASON = "a report of abuse"


async def freeze(house: House, account_id: int) -> int:
    """As the command does it; how many leases were ended."""

    async def whole(connection: Querier) -> int:
        return await freezing.freeze(connection, OPERATOR, account_id, REASON)

    return await house.platform.database.transact(whole)


async def unfreeze(house: House, account_id: int) -> None:
    await freezing.unfreeze(house.platform.database, OPERATOR, account_id)


async def freeze_number(house: House, e164: str) -> int:
    async def whole(connection: Querier) -> int:
        number_id = await numbers.freeze(connection, e164, REASON)
        ended: int = await connection.fetchval(lifecycle.SQL.end_all_on, number_id)
        return ended

    return await house.platform.database.transact(whole)


async def unfreeze_number(house: House, e164: str) -> None:
    await numbers.unfreeze(house.platform.database, Actor("operator:test"), e164)


async def live_leases(house: House) -> int:
    count: int = await house.platform.database.fetchval("SELECT count(*) FROM activation WHERE ended_at IS NULL")
    return count


async def after_a_moment(house: House, action: Awaitable[Result]) -> Result:
    for _ in range(random.randrange(4)):
        await house.platform.database.fetchval("SELECT 1")
    return await action


# Accounts


async def test_freezing_an_account_ends_its_leases_with_a_full_refund_and_keeps_those_with_a_text(url: str) -> None:
    async with opened(url, **NORTH, TRUNKLINE_MONEY__CANCEL_FEE="0.05") as house:
        await services.switch(house.platform.database, Actor("operator:test"), "whatsapp", None, enabled=True)
        buyer, other = await house.buyer(), await house.buyer()
        await house.stock(3, carrier="north")
        waiting, texted, others = await buyer.lease(), await buyer.lease(), await other.lease()
        await house.text(texted["phone_number"], CODE, carrier="north")
        assert await freeze(house, buyer.account_id) == 2
        await unfreeze(house, buyer.account_id)
        ended = data(await buyer.get(f"/numbers/{waiting['activation_id']}"))
        assert (ended["status"], ended["refund"]) == ("cancelled", 0.10)
        kept = data(await buyer.get(f"/numbers/{texted['activation_id']}"))
        assert (kept["status"], kept["refund"], kept["sms"]["code"]) == ("completed", 0, "847291")
        assert await buyer.purse() == (4.90, 0)
        assert (await other.status(others))["status"] == "waiting"
        told = await house.platform.database.fetch(
            "SELECT type FROM event WHERE account_id = $1 AND type IN ('activation.cancelled', 'activation.completed')",
            buyer.account_id,
        )
        assert sorted(row["type"] for row in told) == ["activation.cancelled", "activation.completed"]
        await house.books_balance()


async def test_a_purchase_that_races_the_freeze_of_its_account_does_not_survive_it(house: House) -> None:
    await house.stock(400)
    for _ in range(8):
        buyer = await house.buyer()
        freezing = asyncio.create_task(after_a_moment(house, freeze(house, buyer.account_id)))
        answers = await asyncio.gather(*(after_a_moment(house, buyer.order()) for _ in range(12)))
        frozen = await freezing
        assert {answer.status_code for answer in answers} <= {200, 403}
        refused = [answer for answer in answers if answer.status_code == 403]
        assert all(answer.json()["code"] == "account_frozen" for answer in refused)
        assert frozen == len(answers) - len(refused)
        assert await live_leases(house) == 0
        assert (
            await house.platform.database.fetchval(
                "SELECT available_micros FROM balance WHERE account_id = $1", buyer.account_id
            )
            == 5_000_000
        )


async def test_texts_and_cancels_that_race_the_freeze_leave_the_books_right(house: House) -> None:
    await house.stock(200)
    for _ in range(5):
        buyer = await house.buyer()
        leases = [await buyer.lease() for _ in range(8)]
        texts = [after_a_moment(house, house.text(lease["phone_number"], CODE)) for lease in leases[:5]]
        cancels = [after_a_moment(house, buyer.finish(lease, "cancelled")) for lease in leases[3:]]
        await asyncio.gather(freeze(house, buyer.account_id), *texts, *cancels)
        assert await live_leases(house) == 0
        await house.books_balance()


async def test_a_frozen_accounts_keys_are_refused_within_two_seconds_and_work_again_afterwards(
    serve: Serve, trunkline: Trunkline
) -> None:
    server = serve(TRUNKLINE_POLICY__APPEAL="Write to abuse@example.com.")
    customer = trunkline.customer(per_minute=10_000)
    headers = {"Authorization": f"Bearer {customer.live_key}"}
    assert FRESH_SECONDS < 2
    async with httpx.AsyncClient(base_url=server.api, headers=headers, trust_env=False, timeout=60) as client:
        bought = data(await client.post("/numbers/purchase", json={"country": "us", "service": "whatsapp"}))
        done = await asyncio.to_thread(trunkline, "account", "freeze", customer.email, "--reason", REASON)
        assert (done["leases_ended"], done["frozen"]) == (1, REASON)
        await eventually(lambda: client.get("/account"), 403)
        refused = problem(await client.get("/account"), 403, "account_frozen")
        assert REASON in refused["detail"]
        assert "abuse@example.com" in refused["detail"]
        again = await asyncio.to_thread(trunkline.run, "account", "freeze", customer.email, "--reason", REASON)
        assert (again.returncode, again.stderr) == (1, "trunkline: The account is frozen already.\n")
        await asyncio.to_thread(trunkline, "account", "unfreeze", customer.email)
        await eventually(lambda: client.get("/account"), 200)
        assert data(await client.get("/account"))["balance"] == 5
        assert data(await client.get(f"/numbers/{bought['activation_id']}"))["status"] == "cancelled"


async def eventually(ask: Any, status: int) -> None:
    async with asyncio.timeout(30):
        while (await ask()).status_code != status:
            await asyncio.sleep(0.05)


# Numbers


async def test_a_frozen_number_is_never_leased_and_comes_back_when_it_is_unfrozen(house: House) -> None:
    buyer = await house.buyer()
    first, second = await house.stock(2)
    await freeze_number(house, first)
    assert (await buyer.lease())["phone_number"] == second
    problem(await buyer.order(), 404, "no_numbers_available")
    problem(await buyer.order(dry_run=True), 404, "no_numbers_available")
    problem(await buyer.order("any"), 404, "no_numbers_available")
    await unfreeze_number(house, first)
    assert data(await buyer.order(dry_run=True))["dry_run"]
    assert (await buyer.lease())["phone_number"] == first


async def test_what_is_not_frozen_cannot_be_unfrozen_and_a_reason_is_one_that_can_be_shown(house: House) -> None:
    buyer = await house.buyer()
    [number] = await house.stock(1)
    with pytest.raises(OperatorError, match="is not frozen"):
        await unfreeze_number(house, number)
    with pytest.raises(OperatorError, match="is not frozen"):
        await unfreeze(house, buyer.account_id)
    for reason in ("", " ", "a\x07b", "x" * 201):
        with pytest.raises(InvalidRequest, match="printable"):
            await freezing.freeze(house.platform.database, OPERATOR, buyer.account_id, reason)
    assert data(await buyer.get("/account"))


async def test_freezing_a_number_ends_its_leases_of_every_account_with_a_full_refund(house: House) -> None:
    one, two = await house.buyer(), await house.buyer()
    [number] = await house.stock(1)
    leases = [(one, await one.lease("whatsapp")), (two, await two.lease("telegram"))]
    assert await freeze_number(house, number) == 2
    for buyer, lease in leases:
        assert (await buyer.status(lease))["status"] == "cancelled"
        assert await buyer.purse() == (5.00, 0)
    for buyer, _ in leases:
        for service in ("whatsapp", "telegram", "signal"):
            problem(await buyer.order(service), 404, "no_numbers_available")
    await unfreeze_number(house, number)
    assert (await one.lease("whatsapp"))["phone_number"] == number


async def test_a_text_to_a_frozen_number_is_nobodys_and_says_why(house: House) -> None:
    buyer = await house.buyer()
    [number] = await house.stock(1)
    lease = await buyer.lease()
    await freeze_number(house, number)
    assert (await house.text(number, CODE)).what == "unmatched"
    assert (await buyer.status(lease))["sms"] is None
    [row] = await house.platform.database.fetch("SELECT reason FROM message WHERE activation_id IS NULL")
    assert row["reason"] == "the number is frozen"


async def test_a_number_that_rested_when_it_was_frozen_goes_to_nobody_before_its_rest_is_over(url: str) -> None:
    async with opened(url, **NORTH) as house:
        await services.switch(house.platform.database, Actor("operator:test"), "whatsapp", None, enabled=True)
        buyer, other = await house.buyer(), await house.buyer()
        [number] = await house.stock(1, carrier="north")
        lease = await buyer.lease()
        await house.text(number, CODE, carrier="north")
        await buyer.complete(lease)
        await freeze_number(house, number)
        problem(await other.order(), 404, "no_numbers_available")
        await unfreeze_number(house, number)
        problem(await other.order(), 404, "no_numbers_available")
        await house.later(601)
        assert (await other.lease())["phone_number"] == number


async def test_a_purchase_that_races_the_freeze_of_its_number_does_not_survive_it(house: House) -> None:
    buyers = [await house.buyer() for _ in range(6)]
    wanted = ("whatsapp", "telegram", "signal", "any", "viber", "google")
    [number] = await house.stock(1)
    for _ in range(12):
        await asyncio.gather(
            after_a_moment(house, freeze_number(house, number)),
            *(after_a_moment(house, buyer.order(service)) for buyer, service in zip(buyers, wanted, strict=True)),
        )
        assert await live_leases(house) == 0
        problem(await buyers[0].order(), 404, "no_numbers_available")
        await unfreeze_number(house, number)
        await house.later(2000)
        assert (await buyers[0].cancel(await buyers[0].lease()))["refund"] == 0.10
        await house.books_balance()


async def test_the_operator_freezes_and_unfreezes_a_number_by_command_and_sees_it_in_the_list(
    url: str, trunkline: Trunkline
) -> None:
    async with opened(url) as house:
        [number] = await house.stock(1)
    done = await asyncio.to_thread(trunkline, "numbers", "freeze", number, "--reason", REASON)
    assert done == {"e164": number, "frozen": REASON, "leases_ended": 0}
    listed = await asyncio.to_thread(trunkline, "numbers", "list", "--country", "ad")
    assert [(row["e164"], row["frozen"]) for row in listed["numbers"]] == [(number, REASON)]
    for words, complaint in (
        (("freeze", number, "--reason", REASON), f"{number} is frozen already."),
        (("freeze", "+376399999", "--reason", REASON), "The pool has no number +376399999."),
    ):
        refused = await asyncio.to_thread(trunkline.run, "numbers", *words)
        assert (refused.returncode, refused.stderr) == (1, f"trunkline: {complaint}\n")
    assert (await asyncio.to_thread(trunkline, "numbers", "unfreeze", number))["frozen"] is None
    async with opened(url) as house:
        acts = await house.platform.database.fetch(
            "SELECT action, target, data, actor FROM audit_entry ORDER BY entry_id"
        )
        assert [(row["action"], row["target"]) for row in acts] == [
            ("number.frozen", f"number:{number}"),
            ("number.unfrozen", f"number:{number}"),
        ]
        assert acts[0]["actor"].startswith("operator:")
        assert REASON in acts[0]["data"]
