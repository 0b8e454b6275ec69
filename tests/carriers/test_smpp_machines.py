"""Messages for machines, and receipts in disguise: acknowledged, kept for the operator, and nobody pays for them."""

from typing import Any

import pytest
import pytest_asyncio
from tests.carriers.north import North, bound_to
from tests.house import NORTH, Buyer, House

from trunkline.carriers.smpp import pdu

APPENDIX_B = b"id:77 sub:001 dlvrd:001 submit date:2601011200 done date:2601011201 stat:DELIVRD err:000 text:Code 1234"
WAP_PUSH = bytes.fromhex("0605040b8423f0") + b"\x01\x06\x04\x03\xae\x81\xea\x8d\xca"
PORT_AND_PART = bytes.fromhex("0b05040b8423f00003070201") + b"code 482913"


pytestmark = pytest.mark.settings(**NORTH)


@pytest_asyncio.fixture
async def house(house: House) -> House:
    await house.stock(1, carrier="north")
    await house.platform.database.execute(
        "INSERT INTO service_switch (service_id, enabled) VALUES (0, true) ON CONFLICT DO NOTHING"
    )
    return house


async def leased(house: House) -> tuple[Buyer, Any, bytes]:
    buyer = await house.buyer("5.00")
    lease = await buyer.lease("any")
    return buyer, lease, lease["phone_number"][1:].encode()


async def nobody_pays(north: North, buyer: Buyer, lease: Any, reason: str | None) -> None:
    """The text is there for the operator, with its reason, and the lease waits on with its money held."""
    status = await buyer.status(lease)
    assert (status["status"], status["sms"]) == ("waiting", None)
    assert (await buyer.purse())[1] > 0
    assert [(revision, why) for _, revision, why in await north.kept()] == ([(None, reason)] if reason else [])


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"text": WAP_PUSH, "esm_class": 0x40, "data_coding": 4}, "it is for an application, at port 2948"),
        ({"text": PORT_AND_PART, "esm_class": 0x40}, "it is for an application, at port 2948"),
        (
            {"text": b"\x04\x04\x02\xe2\xe2" + b"code 482913", "esm_class": 0x40},
            "it is for an application, at port 226",
        ),
        ({"tlvs": {pdu.TLV_DESTINATION_PORT: b"\x15\xb3"}}, "it is for an application, at port 5555"),
        ({"text": b"\x02\x70\x00\x00\x01", "esm_class": 0x40}, "it is for an application on the SIM"),
        (
            {"text": b"\x04\x01\x02\x00\x03" + b"3 new messages", "esm_class": 0x40},
            "it tells that messages wait elsewhere, and is to be discarded",
        ),
        ({"protocol_id": 0x40}, "it is a short message of type 0, which is to be discarded"),
        ({"protocol_id": 0x7F, "data_coding": 0xF6}, "it is data for a SIM, by its protocol identifier"),
        ({"data_coding": 0xC8}, "it tells that messages wait elsewhere, and is to be discarded"),
        ({"text": b""}, "the message is empty"),
        ({"text": b"", "data_sm": True}, "the message is empty"),
        ({"text": b"\x02\x25\x00", "esm_class": 0x40}, "the message is empty"),
        ({"text": b"\x00\x81\x99\x03", "data_coding": 4}, "its octets are no text"),
        ({"text": b"Your code is 482913", "esm_class": 0x04}, "it is a delivery receipt that names no message"),
        (
            {"text": b"", "esm_class": 0x20, "tlvs": {pdu.TLV_MESSAGE_STATE: b"\x01"}},
            "it is a delivery notification that names no message",
        ),
        ({"text": APPENDIX_B}, "it reads like a delivery receipt, and is not marked as one"),
        (
            {"text": APPENDIX_B.decode().encode("utf-16-be")[:254], "data_coding": 8},
            "it reads like a delivery receipt, and is not marked as one",
        ),
    ],
)
async def test_a_message_for_a_machine_costs_nobody_anything(
    house: House, message: dict[str, Any], reason: str
) -> None:
    buyer, lease, to = await leased(house)
    async with bound_to(house) as north:
        assert await north.deliver(to, **message) == 0
        await nobody_pays(north, buyer, lease, reason)
        assert north.receipts == []
        assert await north.deliver(to, b"Your code is 555121") == 0
    assert (await buyer.status(lease))["sms"]["code"] == "555121"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "message",
    [
        {"text": APPENDIX_B, "data_coding": 8},
        {"text": APPENDIX_B[:-1], "data_coding": 8},  # an odd number of octets
        {"text": APPENDIX_B.decode().encode("utf-16-le")[:220], "data_coding": 8},
        {"text": APPENDIX_B, "data_coding": 4},
        {"text": APPENDIX_B, "data_coding": 0xF5},
        {"text": b"id:77 stat:DELIVRD", "data_coding": 8},
        {"text": b"", "tlvs": {pdu.TLV_RECEIPTED_MESSAGE_ID: b"77\0", pdu.TLV_MESSAGE_STATE: b"\x02"}},
    ],
)
async def test_a_receipt_is_one_in_whatever_coding_it_comes(house: House, message: dict[str, Any]) -> None:
    buyer, lease, to = await leased(house)
    async with bound_to(house) as north:
        assert await north.deliver(to, esm_class=0x04, **message) == 0
        assert [(receipt.message_id, receipt.state) for receipt in north.receipts] == [("77", "delivered")]
        await nobody_pays(north, buyer, lease, None)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "message",
    [
        {"protocol_id": 0x41},
        {"protocol_id": 0x47},
        {"data_coding": 0xD0},
        {"text": "Your code is 482913".encode("utf-16-be"), "data_coding": 0xE0},
        {"text": b"Your code is 482913", "data_coding": 4},
        {"text": "Your code is 482913".encode("utf-16-be"), "data_coding": 4},
        {"text": b"\x04\x01\x02\x80\x03" + b"Your code is 482913", "esm_class": 0x40},
        {"esm_class": 0x10},
        {"text": b"id: your code is 482913 stat: fine"},
        {"tlvs": {pdu.TLV_MESSAGE_PAYLOAD: b"\0"}},
        {"text": b"See the attachment", "tlvs": {pdu.TLV_MESSAGE_PAYLOAD: b"Your code is 482913"}},
        {"text": b"", "tlvs": {pdu.TLV_MESSAGE_PAYLOAD: b"Your code is 482913"}, "data_sm": True},
    ],
)
async def test_a_text_for_a_person_is_one_however_oddly_it_is_marked(house: House, message: dict[str, Any]) -> None:
    buyer, lease, to = await leased(house)
    async with bound_to(house) as north:
        assert await north.deliver(to, **message) == 0
    assert (await buyer.status(lease))["sms"]["code"] == "482913"


@pytest.mark.asyncio
async def test_a_coding_that_a_link_maps_is_a_text_although_it_says_discard(house: House) -> None:
    buyer, lease, to = await leased(house)
    async with bound_to(house, alphabets={0xC0: "gsm7"}) as north:
        assert await north.deliver(to, data_coding=0xC0) == 0
    assert (await buyer.status(lease))["sms"]["code"] == "482913"
