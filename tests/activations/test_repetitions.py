"""A carrier's repetition has one effect and reaches no other account; the same words sent anew are a new text."""

import asyncio
import dataclasses
import datetime
import itertools
import pathlib

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.conftest import Trunkline
from tests.house import NORTH, Buyer, House, problem

from trunkline.activations import erasure
from trunkline.activations.inbox import Inbox, Outcome
from trunkline.activations.repeats import read_secret
from trunkline.carriers.carrier import Alphabet, Identity, InboundText
from trunkline.carriers.simulated import carrier as simulator

TEXT = "Your WhatsApp code: 314159"
LONG_AGO = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
FAR = datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)
NO_REST = {"TRUNKLINE_CARRIERS__NORTH__QUARANTINE_SECONDS": "0", "TRUNKLINE_POOL__CANCEL_WAIT_SECONDS": "0"}
pytestmark = [pytest.mark.asyncio, pytest.mark.settings(**NORTH, **NO_REST)]


@pytest_asyncio.fixture
async def house(house: House) -> House:
    await house.platform.database.execute(
        "INSERT INTO service_switch SELECT service_id, NULL, true FROM service WHERE slug = 'whatsapp'"
    )
    return house


def sms(
    to: str,
    sequence: int | str,
    session: str | None = "s1",
    *,
    text: str = TEXT,
    doubtful: tuple[tuple[datetime.datetime | None, datetime.datetime], ...] = ((None, FAR),),
) -> InboundText:
    identity = Identity(str(sequence), session, doubtful)
    return InboundText("north", "WhatsApp", to, text.encode(), Alphabet.UTF8, identity=identity)


async def put(house: House, *texts: InboundText) -> list[str]:
    return [outcome.what for outcome in await house.platform.inbox.receive(texts)]


async def revision(buyer: Buyer, lease: dict[str, str]) -> int:
    found: int = (await buyer.status(lease))["revision"]
    return found


async def came(house: House, hours: float) -> None:
    """What has come, came so much earlier."""
    await house.platform.database.execute(
        "UPDATE message SET received_at = received_at - $1::interval", datetime.timedelta(hours=hours)
    )


@pytest.mark.parametrize("hours", [0, 1, 71.9])
@pytest.mark.parametrize("again", [("7", "s1"), ("8", "s1"), ("7", "s2"), ("9", "s2")])
async def test_a_repetition_never_reaches_another_account(house: House, again: tuple[str, str], hours: float) -> None:
    first, second = await house.buyer(), await house.buyer()
    [number] = await house.stock(1, carrier="north")
    lease = await first.lease()
    assert await put(house, sms(number, 7)) == ["delivered"]
    await first.complete(lease)
    await came(house, hours)
    other = await second.lease()
    assert other["phone_number"] == number
    assert await house.platform.inbox.receive([sms(number, *again)]) == [Outcome("repeated", None)]
    assert await revision(second, other) == 0
    assert (await second.cancel(other))["refund"] == other["cost"]
    assert await put(house, sms(number, 10, text="Your WhatsApp code: 271828")) == ["unmatched"]


async def test_a_repetition_of_an_erased_text_is_known_and_nothing_to_try_codes_against_is_in_the_database(
    house: House,
) -> None:
    first, second = await house.buyer(), await house.buyer()
    database = house.platform.database
    await database.execute("UPDATE account SET retention_days = 0 WHERE account_id = $1", first.account_id)
    [number] = await house.stock(1, carrier="north")
    lease = await first.lease()
    await put(house, sms(number, 7))
    before = await database.fetchval("SELECT fingerprint FROM message")
    await first.complete(lease)
    await house.later(0)
    assert [kept.body for kept in await house.kept()] == [None]
    other = await second.lease()
    assert await put(house, sms(number, 1, "s2")) == ["repeated"]
    assert await revision(second, other) == 0
    after = await database.fetchval("SELECT fingerprint FROM message")
    assert after != before
    elsewhere = Inbox(database, house.platform.catalog, secret=b"another")
    [outcome] = await elsewhere.receive([sms(number, 2, "s2")])
    assert outcome.what == "delivered", "who has the database alone cannot tell what the text was"


async def test_what_no_carrier_repeats_any_more_is_forgotten(house: House) -> None:
    buyer, database = await house.buyer(), house.platform.database
    [number] = await house.stock(1, carrier="north")
    assert await put(house, sms(number, 7)) == ["unmatched"]
    await came(house, 73.1)
    await buyer.lease()
    assert await put(house, sms(number, 7, "s2")) == ["delivered"]
    await database.execute("UPDATE repeat_key SET day = day - 9")
    await erasure.forget_repeats(database, house.platform.inbox.secret)
    assert await database.fetchval("SELECT count(*) FROM message WHERE fingerprint IS NOT NULL") == 1
    assert await database.fetchval("SELECT count(*) FROM repeat_key") == 0


async def test_a_text_of_nobodys_that_comes_again_is_nobodys_still(house: House) -> None:
    first, second = await house.buyer(), await house.buyer()
    [number] = await house.stock(1, carrier="north")
    lease = await first.lease()
    await first.cancel(lease)
    assert await put(house, sms(number, 7)) == ["unmatched"]
    await house.platform.database.execute("UPDATE slot SET open_at = now() WHERE open_at <> 'infinity'")
    other = await second.lease()
    assert other["phone_number"] == number
    assert await put(house, sms(number, 8), sms(number, 7, "s2")) == ["repeated", "repeated"]
    assert await revision(second, other) == 0
    [kept] = await house.kept()
    assert (kept.row["outcome"], kept.row["repeats"]) == ("unmatched", 2)


async def test_the_same_words_sent_anew_are_a_new_text(house: House) -> None:
    buyer = await house.buyer()
    [number] = await house.stock(1, carrier="north")
    lease = await buyer.lease()
    assert await put(house, sms(number, 7)) == ["delivered"]
    assert await put(house, sms(number, 8)) == ["delivered"]
    assert await put(house, sms(number, 8), sms(number, 7)) == ["repeated", "repeated"]
    assert await revision(buyer, lease) == 2
    events = "SELECT count(*) FROM event WHERE type = 'sms.received'"
    assert await house.platform.database.fetchval(events) == 2
    await buyer.complete(lease)
    again = await buyer.lease()
    assert again["phone_number"] == number
    assert await put(house, sms(number, 9)) == ["delivered"], "an application under test sends fixed codes"


async def test_over_another_session_only_what_may_not_have_been_acknowledged_is_a_repetition(house: House) -> None:
    buyer = await house.buyer()
    await house.stock(1, carrier="north")
    lease = await buyer.lease()
    number = lease["phone_number"]
    assert await put(house, sms(number, 7)) == ["delivered"]
    assert await put(house, sms(number, 1, "s2")) == ["repeated"]
    assert await put(house, sms(number, 2, "s2", doubtful=((LONG_AGO, LONG_AGO + datetime.timedelta(1)),))) == [
        "delivered"
    ]
    assert await put(house, sms(number, 3, "s3", doubtful=())) == ["delivered"]
    assert await revision(buyer, lease) == 3


async def test_a_message_id_of_the_carriers_own_decides_alone(house: House) -> None:
    first, second = await house.buyer(), await house.buyer()
    [number] = await house.stock(1, carrier="north")
    lease = await first.lease()
    assert await put(house, sms(number, "SM1", None), sms(number, "SM1", None)) == ["delivered", "repeated"]
    assert await put(house, sms(number, "SM2", None)) == ["delivered"]
    await first.complete(lease)
    other = await second.lease()
    assert await put(house, sms(number, "SM1", None)) == ["repeated"]
    assert await put(house, sms(number, "SM3", None)) == ["delivered"]
    assert await revision(second, other) == 1


async def test_within_one_group_the_same_is_known_too(house: House) -> None:
    buyer = await house.buyer()
    [number] = await house.stock(1, carrier="north")
    await buyer.lease()
    coming = [sms(number, 1), sms(number, 1), sms(number, 2), sms(number, 9, "s2"), sms(number, 2), sms(number, 3)]
    assert await put(house, *coming) == ["delivered", "repeated", "delivered", "repeated", "repeated", "delivered"]
    [first, *_] = await house.kept()
    assert first.row["repeats"] >= 1


async def test_the_operator_sees_what_came_again_and_how_often(house: House, trunkline: Trunkline) -> None:
    first, second = await house.buyer(), await house.buyer()
    [number] = await house.stock(1, carrier="north")
    lease = await first.lease()
    await put(house, sms(number, 7))
    assert trunkline("inbox")["texts"] == []
    await first.complete(lease)
    await second.lease()
    await put(house, sms(number, 7, "s2"))
    await put(house, sms(number, 7, "s3"))
    [shown] = trunkline("inbox")["texts"]
    assert (shown["outcome"], shown["repeats"], shown["activation_id"]) == ("delivered", 2, lease["activation_id"])
    assert shown["repeated_at"]
    assert "came again 2 times" in trunkline.run("inbox").stdout


async def test_each_text_that_is_simulated_is_a_new_one(house: House, trunkline: Trunkline) -> None:
    buyer = (await house.buyer()).testing()
    lease = await buyer.lease(country="us")
    wanted = ("simulate", "sms", "--to", lease["phone_number"], "--from", "WhatsApp", "--text", TEXT)
    assert [trunkline(*wanted)["outcome"] for _ in range(3)] == ["delivered"] * 3
    await house.pushed.tail.look()
    status = await buyer.status(lease)
    assert status["revision"] == 3
    assert {text["code"] for text in status["messages"]} == {"314159"}


async def test_a_planned_text_that_is_sent_twice_counts_once(house: House) -> None:
    buyer = (await house.buyer()).testing()
    lease = await buyer.lease("test_success", "us")
    planned = await house.platform.database.fetchrow("SELECT * FROM simulated_text")
    assert planned is not None
    text = simulator.inbound(
        planned["sender"], planned["recipient"], planned["body"], planned["activation_id"],
        name=f"planned {planned['simulated_text_id']}",
    )  # fmt: skip
    assert await put(house, text) == ["delivered"]  # and then the process is killed
    await house.network()
    assert await revision(buyer, lease) == 1


async def test_the_same_repetition_over_two_processes_at_once_has_one_effect(house: House) -> None:
    buyer = await house.buyer()
    [number] = await house.stock(1, carrier="north")
    lease = await buyer.lease()
    inboxes = [Inbox(house.platform.database, house.platform.catalog) for _ in range(4)]
    await asyncio.gather(
        *(inbox.put(sms(number, place, f"s{place}")) for place, inbox in enumerate(inboxes) for _ in range(5))
    )
    await house.pushed.tail.look()
    assert await revision(buyer, lease) == 1


async def test_the_secret_is_made_once_and_read_ever_after(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "data" / "repeat-secret"
    secret = read_secret(file)
    assert len(secret) == 32
    assert read_secret(file) == secret
    assert file.stat().st_mode & 0o077 == 0
    spoilt = file.with_name("spoilt")
    spoilt.write_bytes(b"short")
    assert read_secret(spoilt) != read_secret(spoilt)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(0, 2)),
        st.tuples(st.just("repeat"), st.integers(0, 30)),
        st.tuples(st.just("drop"), st.integers(0, 30)),
        st.tuples(st.just("lease"), st.integers(0, 1)),
    ),
    max_size=14,
)
_sessions = itertools.count(1)


@pytest.mark.filterwarnings("ignore:Generating overly large repr")  # of the house, where the test fails
@settings(max_examples=40, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS)
async def test_each_text_has_one_effect_and_only_on_whom_it_was_for(house: House, steps: list[tuple[str, int]]) -> None:
    """A link that drops between commit and answer, two accounts on one number, the same few words again and again."""
    operator = f"Tower {next(_sessions)}"
    [number] = await house.stock(1, carrier="north", operator=operator)
    buyers = [await house.buyer("50.00") for _ in range(2)]
    session, sequence = f"session {next(_sessions)}", itertools.count(1)
    live: tuple[int, dict[str, str]] | None = None
    sent: list[tuple[InboundText, int | None]] = []  # and whose lease was live
    effects = [0, 0]
    for step, which in steps:
        if step == "lease":
            if live is not None:
                holder, lease = live
                state = (await buyers[holder].status(lease))["status"]
                await buyers[holder].finish(lease, "completed" if state == "received" else "cancelled")
            answer = await buyers[which].order(operator=operator)
            live = (which, answer.json()["data"]) if answer.status_code == 200 else None
        elif step == "send":
            text = sms(number, next(sequence), session, text=f"{session}: your WhatsApp code is 10000{which}")
            [outcome] = await house.platform.inbox.receive([text])
            owner = live[0] if live else None
            elder = {who for former, who in sent if former.payload == text.payload}
            if owner is None:
                assert outcome.what == "unmatched"
            elif not elder - {owner}:
                assert outcome.what == "delivered", "sent anew"
            effects_of = [owner] if outcome.what == "delivered" else []
            for account in effects_of:
                assert account is not None
                effects[account] += 1
            sent.append((text, owner))
        elif sent:
            text, _ = sent[which % len(sent)]
            assert text.identity is not None
            if step == "drop":
                session = f"session {next(_sessions)}"
                text = dataclasses.replace(text, identity=Identity(str(next(sequence)), session, ((None, FAR),)))
            assert await put(house, text) == ["repeated"]
    seen = [0, 0]
    for account, buyer in enumerate(buyers):
        leases = (await buyer.get("/numbers", limit=100)).json()["data"]
        mine = {former.payload.decode() for former, who in sent if who == account}
        texts = [text["full_text"] for lease in leases for text in lease["messages"]]
        assert set(texts) <= mine
        seen[account] = len(texts)
    assert seen == effects
    assert len({kept.row["message_id"] for kept in await house.kept() if kept.row["recipient"] == number}) <= len(sent)


async def test_a_repetition_does_not_stop_a_cancel(house: House) -> None:
    first, second = await house.buyer(), await house.buyer()
    [number] = await house.stock(1, carrier="north")
    lease = await first.lease()
    await put(house, sms(number, 7))
    problem(await first.finish(lease, "cancelled"), 409, "sms_already_received")
    await first.complete(lease)
    other = await second.lease()
    before = await second.purse()
    assert before[1] == other["cost"]
    await put(house, sms(number, 7, "s2"))
    assert await second.purse() == before
