"""How a code gets to its number: the durable queue, routes, receipts, fallbacks."""

import asyncio
import pathlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from tests.carriers.smpp_peer import Smsc, needs_node
from tests.house import Buyer, House, data, opened
from tests.verify.codes import check, code_of, started

from trunkline.carriers.carrier import DeliveryReceipt, LinkState, StoreAway

pytestmark = pytest.mark.asyncio

GERMAN = "+4915123456789"


async def sends_of(buyer: Buyer, verification: dict[str, Any]) -> Any:
    return data(await buyer.get(f"/verifications/{verification['verification_id']}"))["sends"]


@pytest.mark.parametrize(
    ("number", "state"),
    [
        ("+443069990001", "undelivered"),
        ("+443069990002", "delivered"),
        ("+443069990003", "refused"),
        ("+443069990004", "sent"),
    ],
)
async def test_magic_numbers_show_what_can_become_of_a_text(house: House, number: str, state: str) -> None:
    buyer = (await house.buyer()).testing()
    verification = await started(buyer, number)
    await house.codes_go_out()
    [send] = await sends_of(buyer, verification)
    assert send["state"] == state
    assert (send["error"] is not None) is (state == "refused")


async def test_each_step_is_told_and_the_code_in_none_of_them(house: House) -> None:
    buyer = await house.buyer()
    verification = await started(buyer, "+12025550142", metadata={"user": "7"})
    code = await code_of(house, verification)
    await house.codes_go_out()
    await check(buyer, verification, code)
    rows = await house.platform.database.fetch(
        "SELECT type, data::text AS data FROM event WHERE account_id = $1 ORDER BY event_id", buyer.account_id
    )
    told = [row["type"] for row in rows if row["type"].startswith("verification.")]
    assert told == [f"verification.{what}" for what in ("started", "sent", "delivered", "approved")]
    assert not any(code in row["data"] for row in rows)


async def test_the_code_is_nowhere_in_the_database(house: House) -> None:
    """Looked for as octets in every row of every table, while it lives and after it has been sent and checked."""
    buyer = await house.buyer()
    verification = await started(buyer, "+12025550142", code_length=10, brand="Canary")
    code = await code_of(house, verification)

    async def found() -> list[str]:
        database = house.platform.database
        tables = await database.fetch(
            "SELECT oid::regclass::text AS name FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = "
            "current_schema::regnamespace"
        )
        return [
            row["name"]
            for row in tables
            if await database.fetchval(
                f"SELECT EXISTS (SELECT FROM {row['name']} AS row WHERE row::text LIKE $1 OR row::text LIKE $2)",
                f"%{code}%",
                f"%{code.encode().hex()}%",
            )
        ]

    assert await found() == []
    await house.codes_go_out()
    assert await found() == []
    assert data(await check(buyer, verification, code))["status"] == "approved"
    assert await found() == []
    row = await house.platform.database.fetchrow("SELECT mac, sealed FROM verification")
    assert row is not None
    assert (row["mac"], row["sealed"]) == (None, None)


async def test_a_code_that_would_come_too_late_is_not_sent(house: House) -> None:
    buyer = await house.buyer()
    verification = await started(buyer, ttl=60)
    await house.platform.database.execute("UPDATE verification_send SET deadline = now()")
    assert await house.codes_go_out() == 0
    [send] = await sends_of(buyer, verification)
    assert (send["state"], send["error"]) == ("dropped", "too_late")


async def test_a_claim_whose_process_is_gone_is_unknown_and_never_sent_again(house: House) -> None:
    buyer = await house.buyer()
    verification = await started(buyer)
    database = house.platform.database
    await database.fetch("SELECT * FROM claim_sends('{simulated}', 10)")  # and whoever claimed it is killed
    assert await house.codes_go_out() == 0
    await database.execute("UPDATE verification_send SET submitted_at = now() - interval '61 seconds'")
    assert await house.sender.look_after() == 1
    assert await house.codes_go_out() == 0
    [send] = await sends_of(buyer, verification)
    assert send["state"] == "unknown"


async def test_a_process_that_comes_back_too_late_writes_nothing(house: House) -> None:
    buyer = await house.buyer()
    verification = await started(buyer)
    database = house.platform.database
    [claim] = await database.fetch("SELECT * FROM claim_sends('{simulated}', 10)")
    await database.execute("SELECT put_back_sends($1, $2, '{0}')", [claim["send_id"]], [claim["lease"]])
    await house.codes_go_out()
    await database.execute(
        "SELECT record_sends($1, $2, '{refused}', '{late}', ARRAY['[]'::jsonb])", [claim["send_id"]], [claim["lease"]]
    )
    [send] = await sends_of(buyer, verification)
    assert (send["state"], send["error"]) == ("delivered", None)


@pytest_asyncio.fixture
async def smsc() -> AsyncIterator[Smsc]:
    async with Smsc.started() as smsc:
        yield smsc


@pytest_asyncio.fixture
async def spare() -> AsyncIterator[Smsc]:
    async with Smsc.started() as smsc:
        yield smsc


@pytest_asyncio.fixture
async def routed(url: str, tmp_path: pathlib.Path, smsc: Smsc, spare: Smsc) -> AsyncIterator[House]:
    """A house with two carriers, both with node-smpp at the other end; the first is the cheaper."""
    (tmp_path / "settings.toml").write_text(f"""
[carriers.north]
kind = "smpp"
url = "smpp://user:secret@localhost:{smsc.port}"
[carriers.south]
kind = "smpp"
url = "smpp://user:secret@localhost:{spare.port}"
[verify]
countries = ["de"]
routes = [{{ prefix = "+49", carrier = "south", cost = "0.05" }},
          {{ prefix = "+49", carrier = "north", cost = "0.04" }},
          {{ prefix = "+", carrier = "south", cost = "0.01" }}]
""")
    async with opened(url, TRUNKLINE_CONFIG=str(tmp_path / "settings.toml")) as house:
        carriers = [house.platform.registry.carriers[name] for name in ("north", "south")]
        links = [asyncio.create_task(each.run(house.platform.inbox.put, house.sender.report)) for each in carriers]
        writing = asyncio.create_task(_write(house))
        for peer in (smsc, spare):
            await peer.event("bind")
            await peer.round_trip()
        assert all(each.health().state is LinkState.UP for each in carriers)
        yield house
        for task in (writing, *links):
            task.cancel()
        await asyncio.gather(writing, *links, return_exceptions=True)
        await house.books_balance()


async def _write(house: House) -> None:
    """What a server's sender does of itself: write down outcomes and receipts as they come."""
    while True:
        await house.sender._write()


async def reached(buyer: Buyer, verification: dict[str, Any], *states: str) -> Any:
    """The texts of a verification once they are in these states."""
    async with asyncio.timeout(60):
        while True:
            found = await sends_of(buyer, verification)
            if [each["state"] for each in found] == list(states):
                return found
            await asyncio.sleep(0.01)  # it has no event to await


@needs_node
async def test_a_text_goes_over_the_cheapest_route_and_is_delivered(routed: House, smsc: Smsc) -> None:
    buyer = await routed.buyer()
    verification = await started(buyer, GERMAN, brand="ACME")
    await smsc.behave("on_submit", receipt="after")
    assert await routed.sender.claim() == 1
    submit = await smsc.event("submit")
    assert submit["destination_addr"] == GERMAN[1:]
    assert submit["text"].startswith("ACME: Ihr Code ist ")
    [send] = await reached(buyer, verification, "sent")
    assert send["route"] == "north"


@needs_node
@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_receipt_is_matched_in_either_base_also_before_the_answer(routed: House, smsc: Smsc, when: str) -> None:
    buyer = await routed.buyer()
    verification = await started(buyer, GERMAN)
    await smsc.behave("on_submit", ids="hex", receipt=when)
    await routed.sender.claim()
    await reached(buyer, verification, "delivered")


@needs_node
async def test_a_text_that_is_undelivered_falls_back_to_the_next_route(routed: House, smsc: Smsc, spare: Smsc) -> None:
    buyer = await routed.buyer()
    verification = await started(buyer, GERMAN)
    await smsc.behave("on_submit", ids="hex", receipt="after", stat="UNDELIV")
    await spare.behave("on_submit", ids="hex", receipt="after")
    await routed.sender.claim()
    await reached(buyer, verification, "undelivered", "queued")
    await routed.sender.claim()
    first, second = await reached(buyer, verification, "undelivered", "delivered")
    assert (first["route"], second["route"], second["is_fallback"]) == ("north", "south", True)
    codes = {(await peer.event("submit"))["text"] for peer in (smsc, spare)}
    assert len(codes) == 1, "the same text"


@needs_node
async def test_a_text_that_a_carrier_refuses_falls_back_at_once(routed: House, smsc: Smsc, spare: Smsc) -> None:
    buyer = await routed.buyer()
    verification = await started(buyer, GERMAN)
    await smsc.behave("on_submit", status=0x0B)
    await routed.sender.claim()
    first, _ = await reached(buyer, verification, "refused", "queued")
    assert "ESME_RINVDSTADR" in first["error"]
    await routed.sender.claim()
    await spare.event("submit")


@needs_node
async def test_a_text_of_which_nothing_is_heard_falls_back_once_it_can_arrive_no_more(
    routed: House, smsc: Smsc, spare: Smsc
) -> None:
    buyer = await routed.buyer()
    verification = await started(buyer, GERMAN)
    await routed.sender.claim()
    submit = await smsc.event("submit")
    await reached(buyer, verification, "sent")
    assert await routed.sender.look_after() == 0
    await routed.platform.database.execute("UPDATE verification_send SET submitted_at = now() - interval '31 seconds'")
    assert await routed.sender.look_after() == 1
    assert await routed.sender.look_after() == 0, "once"
    assert submit["validity_period"] is not None, "the first is over when the second begins"
    await routed.sender.claim()
    await spare.event("submit")
    await reached(buyer, verification, "sent", "sent")


@needs_node
async def test_a_link_that_dies_between_submit_and_answer_leaves_a_text_unknown(routed: House, smsc: Smsc) -> None:
    buyer = await routed.buyer()
    verification = await started(buyer, GERMAN)
    await smsc.behave("on_submit", mute=True)
    await routed.sender.claim()
    await smsc.event("submit")
    smsc.order("drop")
    await reached(buyer, verification, "unknown")
    assert await routed.sender.claim() == 0


@needs_node
async def test_a_peer_that_asks_for_less_gets_the_text_later(routed: House, smsc: Smsc) -> None:
    buyer = await routed.buyer()
    verification = await started(buyer, GERMAN)
    await smsc.behave("on_submit", status=0x58, times=1)
    await routed.sender.claim()
    await smsc.event("submit")
    await reached(buyer, verification, "queued")
    await routed.platform.database.execute("UPDATE verification_send SET next_at = now()")
    assert await routed.sender.claim() == 1
    await reached(buyer, verification, "sent")


@needs_node
async def test_what_is_approved_falls_back_no_more(routed: House, smsc: Smsc) -> None:
    buyer = await routed.buyer()
    verification = await started(buyer, GERMAN)
    await routed.sender.claim()
    await reached(buyer, verification, "sent")
    await check(buyer, verification, await code_of(routed, verification))
    await routed.platform.database.execute("UPDATE verification_send SET submitted_at = now() - interval '31 seconds'")
    assert await routed.sender.look_after() == 0


async def test_a_receipt_that_says_it_is_under_way_changes_nothing(house: House) -> None:
    done = house.sender.report(DeliveryReceipt("simulated", "1", "enroute", None))
    assert done.done()


@needs_node
async def test_a_sender_that_is_told_to_end_waits_for_the_answers_to_what_it_has_submitted(
    routed: House, smsc: Smsc
) -> None:
    buyer = await routed.buyer()
    verification = await started(buyer, GERMAN)
    await smsc.behave("on_submit", hold=True)
    sending = asyncio.create_task(routed.sender.run())
    await smsc.event("submit")
    sending.cancel()
    smsc.order("release")
    await asyncio.gather(sending, return_exceptions=True)
    [send] = await sends_of(buyer, verification)
    assert send["state"] == "sent"
    late = routed.sender.report(DeliveryReceipt("north", "1", "delivered", None))
    assert isinstance(late.exception(), StoreAway)
