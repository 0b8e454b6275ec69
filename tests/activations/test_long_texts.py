"""Long texts: parts that are repeated, mixed up, late or missing; nobody sees another's words, and nothing is lost."""

import asyncio
import datetime
import random

import pytest
from tests.conftest import Trunkline
from tests.house import NORTH, Buyer, House, data, opened

from trunkline.activations import long_texts
from trunkline.carriers.carrier import Alphabet, InboundText, Part
from trunkline.codes import extract

pytestmark = pytest.mark.asyncio

HELLO = "Hello! This is WhatsApp. Somebody, hopefully you, wants to sign in. "


def parts(
    to: str, *texts: str, reference: int = 1, kind: str = "8", sender: str = "INFO", carrier: str = "simulated"
) -> list[InboundText]:
    return [
        InboundText(carrier, sender, to, text.encode(), Alphabet.UTF8, Part(reference, len(texts), number, kind))
        for number, text in enumerate(texts, 1)
    ]


async def put(house: House, *texts: InboundText) -> list[str]:
    return [(await house.platform.inbox.receive([text]))[0].what for text in texts]


async def seen(buyer: Buyer, lease: dict[str, str]) -> list[tuple[str, str | None, bool]]:
    status = await buyer.status(lease)
    return [(sms["full_text"], sms["code"], sms["incomplete"]) for sms in status["messages"]]


async def waited(house: House, seconds: float) -> int:
    """What is given once nothing has come for so long."""
    passed = datetime.timedelta(seconds=seconds)
    for earlier in (
        "UPDATE assembly SET touched_at = touched_at - $1::interval, began_at = began_at - $1",
        "UPDATE finished_part SET finished_at = finished_at - $1::interval",
        "UPDATE activation SET created_at = created_at - $1::interval",
    ):
        await house.platform.database.execute(earlier, passed)
    given = await house.platform.inbox.give_incomplete()
    await house.pushed.tail.look()
    return given


# Parts that come again


async def test_a_repeated_part_is_not_joined_to_the_next_accounts_text(house: House) -> None:
    first, second = await house.buyer(), await house.buyer()
    [number] = await house.stock(1)
    lease = await first.lease()
    mine = parts(number, HELLO, "Your code: 111-111")
    assert await put(house, *mine) == ["part", "delivered"]
    assert await put(house, mine[1]) == ["part"]
    await first.complete(lease)
    assert await put(house, mine[1]) == ["part"], "between the leases"
    other = await second.lease()
    assert await put(house, mine[1]) == ["part"], "and during the next"
    theirs = parts(number, HELLO, "Your code: 222-222")
    assert (await put(house, *theirs))[-1] == "delivered"
    assert await seen(second, other) == [(HELLO + "Your code: 222-222", "222222", False)]
    assert await put(house, mine[0], theirs[0]) == ["part", "part"]
    assert await waited(house, 400) == 0, "a repetition founds nothing"
    assert len(await seen(second, other)) == 1


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_a_repeated_part_is_not_joined_to_the_next_text_of_its_lease(
    house: House, order: tuple[int, int]
) -> None:
    buyer = await house.buyer()
    lease = await buyer.lease(country="us")
    number = lease["phone_number"]
    one = parts(number, "Your WhatsApp code: 111111. ", "The second part of text ONE")
    two = parts(number, "Your WhatsApp code: 222222. ", "The second part of text TWO")
    await put(house, *one, one[1], *(two[place] for place in order), two[1], one[0])
    assert [text for text, _, _ in await seen(buyer, lease)] == [
        "Your WhatsApp code: 111111. The second part of text ONE",
        "Your WhatsApp code: 222222. The second part of text TWO",
    ]
    assert await waited(house, 400) == 0


async def test_texts_that_have_a_part_in_common_are_whole(house: House) -> None:
    buyer = await house.buyer()
    lease = await buyer.lease(country="us")
    wanted = []
    for code in range(500_000, 500_006):
        pieces = parts(lease["phone_number"], f"Your WhatsApp code: {code}. ", "Do not share it. ", "Best regards")
        if code % 2:
            pieces.reverse()
        await put(house, *pieces)
        wanted.append(f"Your WhatsApp code: {code}. Do not share it. Best regards")
        await waited(house, 15)  # where it was in doubt
    assert [text for text, _, _ in await seen(buyer, lease)] == wanted


async def test_another_accounts_number_is_never_shown_where_a_part_is_lost(house: House) -> None:
    first, second = await house.buyer(), await house.buyer()
    [number] = await house.stock(1)
    lease = await first.lease()
    mine = parts(number, "Dear customer, ", "your code: 111-111")
    await put(house, *mine)
    await first.complete(lease)
    other = await second.lease()
    theirs = parts(number, "Dear subscriber, ", "your code: 222-222")
    assert await put(house, mine[1], theirs[0]) == ["part", "part"]
    assert await waited(house, 15) == 1
    assert await seen(second, other) == [("Dear subscriber, […]", None, True)]


async def test_a_whole_long_text_that_is_repeated_reaches_no_other_account(url: str) -> None:
    async with opened(url, **NORTH, TRUNKLINE_CARRIERS__NORTH__QUARANTINE_SECONDS="0") as house:
        await house.platform.database.execute(
            "INSERT INTO service_switch SELECT service_id, NULL, true FROM service WHERE slug = 'whatsapp'"
        )
        first, second = await house.buyer(), await house.buyer()
        [number] = await house.stock(1, carrier="north")
        lease = await first.lease()
        mine = parts(number, HELLO, "Your code: 111-111", carrier="north")
        assert (await put(house, *mine))[-1] == "delivered"
        await first.complete(lease)
        other = await second.lease()
        assert (await put(house, *mine))[-1] == "repeated"
        assert await seen(second, other) == []
        assert (await put(house, *parts(number, HELLO, "Your code: 222-222", carrier="north")))[-1] == "delivered"
        assert [code for _, code, _ in await seen(second, other)] == ["222222"]


# Parts that do not belong together


@pytest.mark.parametrize("other", [{"kind": "16"}, {"kind": "sar"}, {"reference": 2}, {"sender": "OTHER"}])
async def test_parts_of_different_references_widths_and_senders_never_join(house: House, other: dict[str, str]) -> None:
    buyer = await house.buyer()
    lease = await buyer.lease(country="us")
    one = parts(lease["phone_number"], "Code: 111111. ", "End of one")
    two = parts(lease["phone_number"], "Code: 222222. ", "End of two", **other)  # type: ignore[arg-type]
    await put(house, one[0], two[1], two[0], one[1])
    assert sorted(text for text, _, _ in await seen(buyer, lease)) == [
        "Code: 111111. End of one",
        "Code: 222222. End of two",
    ]


async def test_parts_do_not_join_across_the_end_of_a_lease_or_half_an_hour(house: House) -> None:
    first, second = await house.buyer(), await house.buyer()
    [number] = await house.stock(1)
    lease = await first.lease(ttl=3600)
    mine = parts(number, "Your code: 111-111. ", "Bye")
    await put(house, mine[0])
    await first.cancel(lease)
    await house.platform.database.execute("UPDATE slot SET open_at = now() WHERE open_at <> 'infinity'")
    other = await second.lease(ttl=3600)
    theirs = parts(number, "Your code: 222-222. ", "Bye")
    assert await put(house, theirs[1]) == ["part"]
    assert await waited(house, 0) == 1, "what came before is the operator's"
    assert [(kept.body, kept.row["outcome"]) for kept in await house.kept()] == [
        ("Your code: 111-111. […]", "unmatched")
    ]
    assert await waited(house, 301) == 1
    assert await seen(second, other) == [("[…]Bye", None, True)]
    assert await waited(house, 1800) == 0
    assert await put(house, theirs[0]) == ["part"]
    assert await seen(second, other) == [("[…]Bye", None, True)]


# Parts that are missing


async def test_an_incomplete_text_is_seen_at_once_and_given_when_the_rest_does_not_come(
    house: House, trunkline: Trunkline
) -> None:
    buyer = await house.buyer()
    lease = await buyer.lease(country="us")
    first, last = parts(lease["phone_number"], "Your WhatsApp code: 333333. Do not share", " it with anybody.")
    assert await put(house, first) == ["part"]
    detail = data(await buyer.get(f"/numbers/{lease['activation_id']}"))
    assert [(step["type"], step["detail"]) for step in detail["timeline"][1:]] == [
        ("sms.part", "Of a long text part 1 of 2 has come to the number."),
        ("waiting", "A long text is coming to the number."),
    ]
    assert "333333" not in str(detail)
    [shown] = trunkline("inbox")["texts"]
    assert (shown["outcome"], shown["incomplete"], shown["activation_id"]) == ("incomplete", True, None)
    assert "333333" in shown["text"]
    assert await waited(house, 200) == 0
    assert await waited(house, 101) == 1
    assert await seen(buyer, lease) == [("Your WhatsApp code: 333333. Do not share[…]", "333333", True)]
    assert (await buyer.purse())[1] == 0, "it captures the hold, as any text does"
    assert await put(house, first) == ["part"]
    assert await waited(house, 301) == 0
    assert await put(house, last) == ["delivered"]
    assert (await seen(buyer, lease))[1:] == [
        ("Your WhatsApp code: 333333. Do not share it with anybody.", "333333", False)
    ]
    assert trunkline("inbox")["texts"] == []


async def test_what_has_come_is_given_before_its_lease_ends(house: House) -> None:
    buyer = await house.buyer()
    lease = await buyer.lease(country="us", ttl=240)
    await put(house, parts(lease["phone_number"], "Your WhatsApp code: 333333. Do not share", " it.")[0])
    await house.later(30)
    assert await seen(buyer, lease) == []
    await house.later(211)
    status = await buyer.status(lease)
    assert (status["status"], status["revision"], status["sms"]["code"]) == ("completed", 1, "333333")


async def test_every_part_that_comes_later_is_given(house: House) -> None:
    buyer = await house.buyer()
    lease = await buyer.lease(country="us")
    pieces = parts(lease["phone_number"], "Your WhatsApp ", "code: 333333. ", "Bye")
    await put(house, pieces[0])
    assert await waited(house, 301) == 1
    await put(house, pieces[2])
    assert await waited(house, 301) == 1
    await put(house, pieces[1])
    assert [text for text, _, _ in await seen(buyer, lease)] == [
        "Your WhatsApp […]",
        "Your WhatsApp […]Bye",
        "Your WhatsApp code: 333333. Bye",
    ]


async def test_an_incomplete_text_of_nobodys_is_kept_for_the_operator(house: House, trunkline: Trunkline) -> None:
    await put(house, parts("+376300000", "Your code: 333333. ", "Bye")[0])
    assert await waited(house, 301) == 1
    [shown] = trunkline("inbox")["texts"]
    assert (shown["outcome"], shown["incomplete"], shown["text"]) == ("unmatched", True, "Your code: 333333. […]")
    assert await house.platform.database.fetchval("SELECT count(*) FROM assembly WHERE given_at IS NULL") == 0


async def test_incomplete_texts_are_given_once_by_several_processes(house: House) -> None:
    buyer = await house.buyer("50.00")
    leases = [await buyer.lease(country="us") for _ in range(12)]
    for lease in leases:
        await put(house, parts(lease["phone_number"], "Your WhatsApp code: 333333. ", "Bye")[0])
    await house.platform.database.execute("UPDATE assembly SET touched_at = now() - interval '1 hour'")
    given = await asyncio.gather(*(house.platform.inbox.give_incomplete() for _ in range(4)))
    assert sum(given) == 12
    await house.pushed.tail.look()
    assert [len(await seen(buyer, lease)) for lease in leases] == [1] * 12


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Your WhatsApp code: 333333[…]", "333333"),
        ("Your WhatsApp code: 3333[…]", None),
        ("[…]33 is your WhatsApp code[…]", None),
        ("Your WhatsApp code: 847291. Do not share[…]", "847291"),
    ],
)
async def test_a_code_that_may_be_cut_off_is_not_read(text: str, code: str | None) -> None:
    assert extract(long_texts.legible(text)).code == code


# All of it


@pytest.mark.parametrize("seed", range(6))
async def test_no_part_is_lost_or_shown_to_another_whatever_is_repeated_and_in_whatever_order(
    house: House, seed: int
) -> None:
    """Two accounts one after the other on a number, one reference, parts that come again at any time."""
    chance = random.Random(seed)
    buyers = [await house.buyer("50.00") for _ in range(2)]
    [number] = await house.stock(1)
    sent: list[InboundText] = []
    for place in range(6):
        buyer = buyers[place % 2]
        lease = await buyer.lease()
        code = f"{place + 1}" * 6
        pieces = parts(number, f"{place}a Your WhatsApp ", f"code: {code}. ", f"Bye {place}")
        coming = pieces + [piece for piece in pieces if chance.random() < 0.4]
        chance.shuffle(coming)
        for piece in coming:
            again = [chance.choice(sent)] if sent and chance.random() < 0.4 else []
            await put(house, *again, piece)
        sent += pieces
        await waited(house, 15)
        whole = f"{place}a Your WhatsApp code: {code}. Bye {place}"
        assert [each for each in await seen(buyer, lease) if not each[2]] == [(whole, code, False)]
        assert all(text.startswith(f"{place}a") or place == int(text[-1]) for text, _, _ in await seen(buyer, lease))
        await buyer.complete(lease)
