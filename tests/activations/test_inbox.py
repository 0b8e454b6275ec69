"""Texts on their way in: put together, committed before anybody hears yes, of one effect however often they come."""

import asyncio
import itertools

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.database_line import Line
from tests.house import House

from trunkline.activations.inbox import LONGEST_TEXT, Inbox, Outcome
from trunkline.carriers.carrier import Alphabet, InboundText, Part, StoreAway
from trunkline.carriers.simulated import carrier as simulator
from trunkline.catalog.prices import Catalog
from trunkline.storage.database import Database

PATIENCE_SECONDS = 90.0
LONG = "Your WhatsApp code: 847291. " + "Do not share it with anybody, whoever asks. " * 6 + "–"


def parts(to: str, text: str, *, reference: int = 7, octets: int = 134, sender: str = "INFO") -> list[InboundText]:
    """A long text as a carrier hands it over, cut without regard for characters, as some senders do."""
    payload = text.encode("utf-16-be")
    pieces = [payload[start : start + octets] for start in range(0, len(payload), octets)]
    return [
        InboundText("simulated", sender, to, piece, Alphabet.UCS2, Part(reference, len(pieces), number))
        for number, piece in enumerate(pieces, 1)
    ]


async def put_all(inbox: Inbox, texts: list[InboundText]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        await asyncio.gather(*(inbox.put(text) for text in texts))


async def stored(house: House) -> list[tuple[str | None, int | None]]:
    return [(kept.body, kept.row["revision"]) for kept in await house.kept()]


async def nothing_is_left_of_parts(house: House) -> None:
    assert await house.platform.database.fetchval("SELECT count(*) FROM assembly") == 0
    assert await house.platform.database.fetchval("SELECT count(*) FROM assembly_part") == 0


# Long texts


@pytest.mark.asyncio
async def test_a_long_text_is_put_together_whatever_the_order_of_its_parts(house: House) -> None:
    buyer = await house.buyer()
    lease = await buyer.lease(country="us")
    text = "Your WhatsApp code: 847291 " + "😀" * 90
    whole = parts(lease["phone_number"], text, octets=66)
    assert len(whole) == 7, "an odd number of characters in each part, so that pairs of surrogates are cut in two"
    for order in itertools.islice(itertools.permutations(whole), 0, 5040, 720):
        body = text.replace("847291", str(800_000 + len(await stored(house))))
        pieces = parts(lease["phone_number"], body, octets=66)
        for number, piece in enumerate(order, 1):
            assert piece.part is not None
            [outcome] = await house.platform.inbox.receive([pieces[piece.part.number - 1]])
            assert outcome.what == ("delivered" if number == 7 else "part")
        assert (await buyer.status(lease))["sms"]["full_text"] == body
    await nothing_is_left_of_parts(house)


@pytest.mark.asyncio
async def test_parts_that_come_over_two_processes_at_once_make_one_text(house: House) -> None:
    buyer = await house.buyer("50.00")
    platform = house.platform
    other = Inbox(platform.database, platform.catalog)
    leases = [await buyer.lease(country="us") for _ in range(20)]
    wanted = {lease["phone_number"]: LONG.replace("847291", str(100_000 + n)) for n, lease in enumerate(leases)}
    coming = [[*parts(number, text)] for number, text in wanted.items()]
    odd = [text for whole in coming for text in whole[::2]]
    even = [text for whole in reversed(coming) for text in whole[1::2]]
    await asyncio.gather(put_all(platform.inbox, odd), put_all(other, even))
    for lease in leases:
        status = await buyer.status(lease)
        assert (status["revision"], status["sms"]["full_text"]) == (1, wanted[lease["phone_number"]])
    await nothing_is_left_of_parts(house)


@pytest.mark.asyncio
async def test_a_part_that_comes_twice_counts_once(house: House) -> None:
    buyer = await house.buyer()
    lease = await buyer.lease(country="us")
    first, *others = parts(lease["phone_number"], LONG)
    await put_all(house.platform.inbox, [first, first, *others[:-1], first, others[0]])
    assert (await buyer.status(lease))["revision"] == 0
    await put_all(house.platform.inbox, [others[-1]])
    await put_all(house.platform.inbox, [first, *others])  # all of it again, as after a lost acknowledgement
    status = await buyer.status(lease)
    assert (status["revision"], status["sms"]["full_text"]) == (1, LONG)


@pytest.mark.asyncio
async def test_a_reference_that_comes_round_again_does_not_mix_two_texts(house: House) -> None:
    buyer = await house.buyer()
    lease = await buyer.lease(country="us")
    number = lease["phone_number"]
    elder, *_ = parts(number, LONG)
    newer = parts(number, LONG.replace("847291", "222222"))
    outcomes = await house.platform.inbox.receive([elder, *newer])
    assert [outcome.what for outcome in outcomes[:-1]] == ["part"] * len(newer)
    assert outcomes[-1].what == "delivered"
    assert (await buyer.status(lease))["sms"]["full_text"] == LONG.replace("847291", "222222")
    assert await house.platform.inbox.give_incomplete() == 1, "what came of the elder is not lost"
    elder_text, newer_text = sorted((await buyer.status(lease))["messages"], key=lambda sms: not sms["incomplete"])
    assert (elder_text["code"], elder_text["incomplete"], newer_text["incomplete"]) == ("847291", True, False)
    assert elder_text["full_text"].endswith("[…]")
    await nothing_is_left_of_parts(house)


@pytest.mark.asyncio
async def test_parts_are_told_apart_by_sender_recipient_and_reference(house: House) -> None:
    buyer = await house.buyer()
    leases = [await buyer.lease(country="us") for _ in range(2)]
    [first, second] = [lease["phone_number"] for lease in leases]
    texts = [
        parts(first, LONG, reference=1),
        parts(first, LONG.replace("847291", "222222"), reference=2),
        parts(first, LONG.replace("847291", "333333"), reference=1, sender="OTHER"),
        parts(second, LONG.replace("847291", "444444"), reference=1),
    ]
    await put_all(house.platform.inbox, [part for row in zip(*texts, strict=True) for part in row])
    assert sorted(sms["code"] for sms in (await buyer.status(leases[0]))["messages"]) == ["222222", "333333", "847291"]
    assert [sms["code"] for sms in (await buyer.status(leases[1]))["messages"]] == ["444444"]


# Once, in order, and never in each other's way


@pytest.mark.asyncio
async def test_the_same_text_twice_has_one_effect_however_it_comes(house: House) -> None:
    buyer = await house.buyer()
    lease = await buyer.lease(country="us")
    text = simulator.inbound("WhatsApp", lease["phone_number"], "Your WhatsApp code: 847291")
    inboxes = [Inbox(house.platform.database, house.platform.catalog) for _ in range(4)]
    await asyncio.gather(*(put_all(inbox, [text] * 8) for inbox in inboxes))
    number = int(lease["activation_id"])
    assert await house.platform.inbox.receive([text, text]) == [Outcome("repeated", number)] * 2
    assert (await buyer.status(lease))["revision"] == 1
    assert await stored(house) == [("Your WhatsApp code: 847291", 1)]
    events = "SELECT count(*) FROM event WHERE type = 'sms.received'"
    assert await house.platform.database.fetchval(events) == 1
    unknown = simulator.inbound("WhatsApp", "+376300000", "Your WhatsApp code: 847291")
    what = [outcome.what for outcome in await house.platform.inbox.receive([unknown, unknown])]
    assert what == ["unmatched", "repeated"]


@pytest.mark.asyncio
async def test_the_texts_of_a_number_keep_their_order(house: House) -> None:
    buyer = await house.buyer()
    inbox = Inbox(house.platform.database, house.platform.catalog, group_size=7)
    leases = [await buyer.lease(country="us") for _ in range(10)]
    coming = [
        simulator.inbound("WhatsApp", lease["phone_number"], f"Your WhatsApp code: {100_000 + count}")
        for count in range(60)
        for lease in leases
    ]
    await put_all(inbox, coming)
    for lease in leases:
        messages = (await buyer.status(lease))["messages"]
        assert [sms["code"] for sms in messages] == [str(100_000 + count) for count in range(60)]
        assert [sms["revision"] for sms in messages] == list(range(1, 61))


@pytest.mark.asyncio
@settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(payload=st.binary(max_size=400), alphabet=st.sampled_from(Alphabet), sender=st.text(max_size=20))
async def test_there_is_no_payload_that_cannot_be_stored(
    house: House, payload: bytes, alphabet: Alphabet, sender: str
) -> None:
    text = InboundText("simulated", sender, "+376300000", payload, alphabet)
    piece = InboundText("simulated", sender, "+376300000", payload, alphabet, Part(len(payload), 2, 1))
    outcomes = await house.platform.inbox.receive([text, piece])
    assert outcomes[0].what in ("unmatched", "repeated")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("payload", "alphabet", "kept"),
    [
        (b"\xd8\x3d" + "Code 847291".encode("utf-16-be"), Alphabet.UCS2, "\ufffdCode 847291"),
        ("Code 847291".encode("utf-16-be") + b"\xde\x00", Alphabet.UCS2, "Code 847291\ufffd"),
        ("Code 847291".encode("utf-16-be") + b"\x00", Alphabet.UCS2, "Code 847291"),
        (b"Code\x00 847291", Alphabet.LATIN1, "Code 847291"),
        (b"Code \xff\xfe847291", Alphabet.UTF8, "Code \ufffd\ufffd847291"),
        (b"Code 847291 " + b"x" * 50_000, Alphabet.ASCII, ("Code 847291 " + "x" * 50_000)[:LONGEST_TEXT]),
        (b"", Alphabet.GSM7, ""),
    ],
)
async def test_a_strange_text_is_kept_as_well_as_it_can_be(
    house: House, payload: bytes, alphabet: Alphabet, kept: str
) -> None:
    buyer = await house.buyer()
    lease = await buyer.lease(country="us")
    outcomes = await house.platform.inbox.receive(
        [InboundText("simulated", "+14155550123", lease["phone_number"], payload, alphabet)]
    )
    assert outcomes[0].what == "delivered"
    assert (await buyer.status(lease))["sms"]["full_text"] == kept


@pytest.mark.asyncio
async def test_a_text_that_cannot_be_stored_does_not_hold_up_its_neighbours(house: House) -> None:
    impossible = [
        InboundText("simulated", "INFO", "+3763\x0000000", b"NUL in the recipient", Alphabet.ASCII),
        InboundText("simulated", "INFO", "+376300000", b"a part of none", Alphabet.ASCII, Part(1, 1, 1)),
        InboundText("simulated", "INFO", "+376300000", b"a part of far too many", Alphabet.ASCII, Part(1, 70_000, 1)),
    ]
    good = [simulator.inbound("INFO", f"+37630000{n % 3}", f"Good text {n}") for n in range(30)]
    coming = good[:10] + impossible[:1] + good[10:20] + impossible[1:] + good[20:]
    futures = [house.platform.inbox.put(text) for text in coming]
    async with asyncio.timeout(PATIENCE_SECONDS):
        await asyncio.wait(futures)
    refused = [text for text, future in zip(coming, futures, strict=True) if isinstance(future.exception(), StoreAway)]
    assert refused == impossible
    assert sorted(kept.body or "" for kept in await house.kept()) == sorted(f"Good text {n}" for n in range(30))


@pytest.mark.asyncio
async def test_a_carrier_is_told_to_wait_when_more_texts_wait_for_a_commit_than_may(house: House) -> None:
    inbox = Inbox(house.platform.database, house.platform.catalog, backlog=5)
    futures = [inbox.put(simulator.inbound("INFO", "+376300000", f"Text {n}")) for n in range(9)]
    refused = [future.done() and isinstance(future.exception(), StoreAway) for future in futures]
    assert refused == [False] * 5 + [True] * 4
    await put_all(inbox, [])
    async with asyncio.timeout(PATIENCE_SECONDS):
        await asyncio.wait(futures)
    assert len(await stored(house)) == 5


# The database goes away


async def far_inbox(line: Line, house: House) -> tuple[Database, Inbox]:
    """An inbox whose database stands at the other end of the line; what it knows of the catalog is near."""
    database = await Database.open(line.url)
    return database, Inbox(database, Catalog(house.platform.database, ["simulated"]))


@pytest.mark.asyncio
async def test_while_the_database_is_away_texts_are_refused_and_later_they_are_taken(url: str, house: House) -> None:
    buyer = await house.buyer()
    lease = await buyer.lease(country="us")
    number = lease["phone_number"]
    texts = [simulator.inbound("WhatsApp", number, f"Your WhatsApp code: {code}") for code in range(1000, 1050)]
    async with Line.laid(url) as line:
        database, inbox = await far_inbox(line, house)
        await inbox.put(texts[0])
        line.cut()
        futures = [inbox.put(text) for text in texts[1:]]
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.wait(futures)
        assert all(isinstance(future.exception(), StoreAway) for future in futures)
        assert line.refused < 10, "texts of one group are not tried one by one while nobody could take them"
        assert (await buyer.status(lease))["revision"] == 1
        line.mend()
        await put_all(inbox, texts)
        await database.close()
    await house.pushed.tail.look()  # another inbox wrote them
    assert [sms["code"] for sms in (await buyer.status(lease))["messages"]] == [str(n) for n in range(1000, 1050)]


@pytest.mark.asyncio
async def test_a_text_whose_commit_was_not_heard_of_is_refused_and_counts_once_when_it_comes_again(
    url: str, house: House
) -> None:
    buyer = await house.buyer()
    lease = await buyer.lease(country="us")
    text = simulator.inbound("WhatsApp", lease["phone_number"], "Your WhatsApp code: 847291")
    async with Line.laid(url) as line:
        database, inbox = await far_inbox(line, house)
        await inbox.put(simulator.inbound("INFO", "+376300000", "so that the statements are known"))
        line.swallow_answers(after=2)  # the looks for the number's leases and their key are answered, the commit is not
        future = inbox.put(text)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await line.answer_swallowed()
            line.cut()
            await asyncio.wait([future])
        assert isinstance(future.exception(), StoreAway)
        assert (await buyer.status(lease))["revision"] == 1, "it was committed"
        line.mend()
        await put_all(inbox, [text, text])
        await database.close()
    assert (await buyer.status(lease))["revision"] == 1


@pytest.mark.asyncio
async def test_texts_whose_connections_are_ended_by_the_server_are_stored_once(url: str, house: House) -> None:
    buyer = await house.buyer()
    lease = await buyer.lease(country="us")
    killer = await asyncpg.connect(url)
    ended = 0
    for count in range(40):
        text = simulator.inbound("WhatsApp", lease["phone_number"], f"Your WhatsApp code: {1000 + count}")
        future = house.platform.inbox.put(text)
        await asyncio.sleep(0)
        ended += await killer.fetchval(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.wait([future])
            while future.exception() is not None:  # what a carrier's peer does
                assert isinstance(future.exception(), StoreAway)
                future = house.platform.inbox.put(text)
                await asyncio.wait([future])
    await killer.close()
    assert ended > 20
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await house.platform.database.ping():  # the last ones ended are being replaced
            pass
    codes = [sms["code"] for sms in (await buyer.status(lease))["messages"]]
    assert codes == [str(1000 + count) for count in range(40)]
