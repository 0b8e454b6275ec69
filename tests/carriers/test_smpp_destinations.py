"""A text finds its number in whichever form its carrier writes it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.carriers.north import bound_to
from tests.house import NORTH, Buyer, House

from trunkline.carriers.smpp import addresses
from trunkline.carriers.smpp.options import SmppOptions
from trunkline.catalog import numbers
from trunkline.storage.database import Database

OURS = {"us": "+14155550123", "de": "+4915228817386", "ru": "+79161234567", "it": "+390612345678"}


async def stock(house: House, e164: str, country: str, carrier: str = "north") -> None:
    await numbers.stock(house.platform.database, [numbers.Row(1, e164, country, "")], carrier=carrier)


async def lease_of(house: House, e164: str, country: str) -> tuple[Buyer, dict[str, Any]]:
    """A customer who leases the number for every text on it."""
    await stock(house, e164, country)
    database: Database = house.platform.database
    await database.execute("INSERT INTO service_switch (service_id, enabled) VALUES (0, true) ON CONFLICT DO NOTHING")
    buyer = await house.buyer("500.00")
    while True:  # the simulated network's numbers of the country stand beside it
        lease = await buyer.lease("any", country)
        if lease["phone_number"] == e164:
            return buyer, lease


FORMS = [
    *(("us", ton, b"14155550123") for ton in range(7)),
    *(("us", ton, b"4155550123") for ton in (0, 1, 2, 3, 4, 6)),
    ("us", 4, b"5550123"),
    ("us", 0, b"01114155550123"),
    ("us", 2, b"0014155550123"),
    ("us", 5, b"+1 (415) 555-0123"),
    ("de", 2, b"015228817386"),
    ("de", 0, b"15228817386"),
    ("de", 1, b"015228817386"),
    ("de", 3, b"0152/2881-7386"),
    ("de", 0, b"+49 (0)1522 8817386"),
    ("ru", 2, b"89161234567"),
    ("it", 2, b"0612345678"),
]


pytestmark = pytest.mark.settings(**NORTH)


@pytest.mark.asyncio
@pytest.mark.parametrize(("country", "ton", "written"), FORMS)
async def test_a_destination_is_found_however_it_is_written(
    house: House, country: str, ton: int, written: bytes
) -> None:
    await stock(house, OURS[country], country)
    async with bound_to(house) as north:
        assert await north.deliver(written, ton=ton) == 0
        assert await north.kept() == [(OURS[country], None, "no lease was live on the number")]


@pytest.mark.asyncio
async def test_a_text_to_a_national_number_reaches_its_lease(house: House) -> None:
    buyer, lease = await lease_of(house, "+376712345", "ad")
    async with bound_to(house) as north:
        assert await north.deliver(b"712345", ton=2) == 0
    assert (await buyer.status(lease))["sms"]["code"] == "482913"


@pytest.mark.asyncio
@pytest.mark.parametrize("tons", [(1, 2), (2, 1), (2, 2), (2, 4)])
async def test_the_parts_of_a_long_text_meet_at_their_number_however_each_is_addressed(
    house: House, tons: tuple[int, int]
) -> None:
    buyer, lease = await lease_of(house, "+376712345", "ad")
    parts = (b"\x05\x00\x03\x07\x02\x01Your code is 48", b"\x05\x00\x03\x07\x02\x022913 for today")
    async with bound_to(house) as north:
        for ton, part in zip(tons, parts, strict=True):
            assert await north.deliver(b"376712345" if ton == 1 else b"712345", part, ton=ton, esm_class=0x40) == 0
            if part is parts[0]:
                detail = (await buyer.get(f"/numbers/{lease['activation_id']}")).json()["data"]
                assert any(step["type"] == "sms.part" for step in detail["timeline"])
    assert (await buyer.status(lease))["sms"]["code"] == "482913"


@pytest.mark.asyncio
async def test_digits_that_fit_several_numbers_go_to_none_and_the_operator_reads_why(house: House) -> None:
    for e164, country in (("+15005550006", "us"), ("+495005550006", "de")):
        await stock(house, e164, country)
    async with bound_to(house) as north:
        assert await north.deliver(b"5005550006", ton=2) == 0
        [(_, revision, reason)] = await north.kept()
    assert revision is None
    assert reason == "its recipient 5005550006 can be any of 2 numbers in the pool"


@pytest.mark.asyncio
async def test_a_number_of_the_carrier_goes_before_the_same_digits_elsewhere(house: House) -> None:
    await stock(house, "+2025551000", "eg", carrier="south")
    await stock(house, "+12025551000", "us")
    async with bound_to(house) as north:
        assert await north.deliver(b"2025551000", ton=0) == 0
        assert await north.deliver(b"2025551000", b"Your code is 482914", ton=2) == 0
        assert [recipient for recipient, _, _ in await north.kept()] == ["+12025551000"] * 2


@pytest.mark.asyncio
@pytest.mark.parametrize(("ton", "written"), [(0, b"72000"), (3, b"5550123"), (5, b"WhatsApp"), (2, b"07700900123")])
async def test_a_destination_that_is_no_number_of_ours_is_shown_as_it_was_written(
    house: House, ton: int, written: bytes
) -> None:
    await stock(house, OURS["us"], "us")
    async with bound_to(house) as north:
        assert await north.deliver(written, ton=ton) == 0
        assert await north.kept() == [(written.decode(), None, "the number is not in the pool")]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("prefixes", "ton", "written"),
    [
        ({"": "+1415"}, 0, b"5550123"),
        ({"0": "+1"}, 1, b"04155550123"),
        ({"99": "+", "9": "+7"}, 0, b"9914155550123"),
        ({"+99": ""}, 0, b"+9914155550123"),
    ],
)
async def test_a_link_says_what_its_peer_writes_before_a_number(
    house: House, prefixes: dict[str, str], ton: int, written: bytes
) -> None:
    await stock(house, OURS["us"], "us")
    async with bound_to(house, destination_prefixes=prefixes) as north:
        assert await north.deliver(written, ton=ton) == 0
        assert [recipient for recipient, _, _ in await north.kept()] == [OURS["us"]]


@pytest.mark.parametrize("prefixes", [{"a": "+1"}, {"0": "de"}, {"0": "+ 49"}])
def test_a_prefix_that_is_not_digits_is_refused(prefixes: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="destination_prefixes of an SMPP link are digits"):
        SmppOptions(url="smpp://us:secret@127.0.0.1:1", destination_prefixes=prefixes)


@given(st.integers(0, 255), st.binary(max_size=80), st.dictionaries(st.from_regex(r"\A\+?\d{0,3}\Z"), st.just("+1")))
def test_any_destination_has_a_reading(ton: int, octets: bytes, prefixes: dict[str, str]) -> None:
    found = addresses.destination(ton, octets, prefixes)
    assert found.recipient.isprintable()
    assert all(each[0] == "+" and each[1:].isdecimal() for each in found.others)
    assert len(found.recipient) <= 80
