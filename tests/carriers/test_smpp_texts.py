"""Texts in and out, as node-smpp writes and reads them."""

import asyncio
from typing import Any

import pytest
from tests.carriers.smpp_peer import PATIENCE_SECONDS, Inbox, answers_within, bound, needs_node, only

from trunkline.carriers.alphabets import decode
from trunkline.carriers.carrier import (
    Alphabet,
    DeliveryReceipt,
    InboundText,
    LinkDown,
    OutboundText,
    Part,
    SubmitRefused,
    SubmitUnknown,
)

pytestmark = [needs_node, pytest.mark.asyncio]

NUMBER = "491511234567"
HEADER_8_BIT = "050003070201"
HEADER_16_BIT = "060804010703 02".replace(" ", "")
SAR = {"sar_msg_ref_num": 0x0107, "sar_total_segments": 3, "sar_segment_seqnum": 2}
RECEIPT_TEXT = (
    "id:4A1F_x sub:001 dlvrd:001 submit date:2601011200 done date:2601011201 stat:UNDELIV err:069 text:Your code"
)


@pytest.mark.parametrize(
    ("sent", "alphabet", "text"),
    [
        # node-smpp writes GSM octets and labels them 1, which is ASCII by the book: the link is told.
        ({"text": "Ihr Code {€}: 482913 @ÄÖÜ"}, Alphabet.GSM7, "Ihr Code {€}: 482913 @ÄÖÜ"),
        ({"text": "Ihr Code {€}: 482913", "data_coding": 0}, Alphabet.GSM7, "Ihr Code {€}: 482913"),
        ({"text": "Kod: 482913 – ок 😀"}, Alphabet.UCS2, "Kod: 482913 – ок 😀"),
        ({"text": "Código 482913 ë", "data_coding": 3}, Alphabet.LATIN1, "Código 482913 ë"),
        ({"hex": "00ff10", "data_coding": 4}, Alphabet.BINARY, "00ff10"),
        ({"hex": "1b65", "data_coding": 0xF0}, Alphabet.GSM7, "€"),
        ({"hex": "d0bad0bed0b4", "data_coding": 12}, Alphabet.UTF8, "код"),
        ({"hex": "", "data_coding": 0}, Alphabet.GSM7, ""),
    ],
)
async def test_a_text_reads_as_it_was_written(sent: dict[str, Any], alphabet: Alphabet, text: str) -> None:
    inbox = Inbox()
    async with bound(inbox, alphabets={1: "gsm7", 12: "utf8"}) as (smsc, _):
        for payload in (False, True):
            smsc.order("deliver", **sent, destination_addr=NUMBER, payload=payload)
            got = await inbox.text()
            assert (got.carrier, got.sender, got.recipient) == ("acme", "WhatsApp", f"+{NUMBER}")
            assert (got.alphabet, decode(got.payload, got.alphabet), got.part) == (alphabet, text, None)
        assert await smsc.answers(2) == [0, 0]


async def test_a_text_labelled_ascii_is_ascii_where_the_link_says_nothing() -> None:
    inbox = Inbox()
    async with bound(inbox) as (smsc, _):
        smsc.order("deliver", text="Your code is 482913", destination_addr=NUMBER)
        got = await inbox.text()
        assert (got.alphabet, got.payload) == (Alphabet.ASCII, b"Your code is 482913")


@pytest.mark.parametrize("order", ["deliver", "data"])
@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"udh": HEADER_8_BIT, "esm_class": 0x40}, Part(7, 2, 1)),
        ({"udh": HEADER_16_BIT, "esm_class": 0x40}, Part(0x0107, 3, 2)),
        (SAR, Part(0x0107, 3, 2)),
        ({}, None),
    ],
)
async def test_a_part_of_a_long_text_says_where_it_belongs(
    order: str, fields: dict[str, Any], part: Part | None
) -> None:
    inbox = Inbox()
    async with bound(inbox) as (smsc, _):
        for payload in {True, order == "data"}:
            smsc.order(order, hex=b"Your code".hex(), payload=payload, data_coding=0, destination_addr=NUMBER, **fields)
            assert await inbox.text() == InboundText(
                "acme", "WhatsApp", f"+{NUMBER}", b"Your code", Alphabet.GSM7, part
            )
            assert await smsc.answers(1, f"{order}_sm_resp") == [0]


async def test_a_header_that_makes_no_sense_does_not_cost_the_text() -> None:
    inbox = Inbox()
    async with bound(inbox) as (smsc, _):
        smsc.order("deliver", hex="ff" + b"Your code".hex(), data_coding=0, esm_class=0x40, destination_addr=NUMBER)
        got = await inbox.text()
        assert (got.payload, got.part) == (b"\xffYour code", None)
        assert await smsc.answers(1) == [0]


@pytest.mark.parametrize(
    ("fields", "receipt"),
    [
        ({"text": RECEIPT_TEXT, "esm_class": 4}, DeliveryReceipt("acme", "4A1F_x", "undeliverable", "069")),
        (
            {"text": RECEIPT_TEXT, "esm_class": 4, "payload": True},
            DeliveryReceipt("acme", "4A1F_x", "undeliverable", "069"),
        ),
        (
            {"text": "", "esm_class": 4, "receipted_message_id": "m1", "message_state": 2},
            DeliveryReceipt("acme", "m1", "delivered", None),
        ),
        (
            {"text": "", "receipted_message_id": "m1", "message_state": 5, "network_error_code": "030022"},
            DeliveryReceipt("acme", "m1", "undeliverable", "34"),
        ),
        (
            {"text": "", "esm_class": 0x20, "receipted_message_id": "m1", "message_state": 1},
            DeliveryReceipt("acme", "m1", "enroute", None),
        ),
    ],
)
@pytest.mark.parametrize("order", ["deliver", "data"])
async def test_a_receipt_is_reported_and_acknowledged_when_safe(
    order: str, fields: dict[str, Any], receipt: DeliveryReceipt
) -> None:
    inbox = Inbox(holding=True)
    async with bound(inbox) as (smsc, _):
        smsc.order(order, **{"payload": order == "data", **fields}, destination_addr="72000", source_addr=NUMBER)
        assert await inbox.receipt() == receipt
        assert inbox.texts.empty()
        await smsc.round_trip()
        assert not smsc.unseen("answer")
        inbox.commit_all()
        assert await smsc.answers(1, f"{order}_sm_resp") == [0]


async def test_a_text_that_only_looks_like_a_receipt_is_delivered() -> None:
    inbox = Inbox()
    async with bound(inbox) as (smsc, _):
        smsc.order("deliver", text=RECEIPT_TEXT, destination_addr=NUMBER)
        assert (await inbox.text()).payload.startswith(b"id:4A1F")
        assert inbox.receipts.empty()


@pytest.mark.parametrize(
    ("sender", "source"),
    [
        ("+4915199999", ("4915199999", 1, 1)),
        ("72000", ("72000", 0, 0)),
        ("Acme", ("Acme", 5, 0)),
    ],
)
@pytest.mark.parametrize("bind", ["transceiver", "transmitter"])
async def test_a_text_is_sent_with_its_addresses_typed(bind: str, sender: str, source: tuple[str, int, int]) -> None:
    async with bound(Inbox(), bind=bind) as (smsc, link):
        assert await link.send(OutboundText(sender, f"+{NUMBER}", "Hallo [€]")) == ["m1"]
        submit = await smsc.event("submit")
        assert (submit["source_addr"], submit["source_addr_ton"], submit["source_addr_npi"]) == source
        assert only(submit, "destination_addr", "dest_addr_ton", "dest_addr_npi") == {
            "destination_addr": NUMBER,
            "dest_addr_ton": 1,
            "dest_addr_npi": 1,
        }
        assert only(submit, "text", "data_coding", "esm_class", "udh", "registered_delivery") == {
            "text": "Hallo [€]",
            "data_coding": 0,
            "esm_class": 0,
            "udh": None,
            "registered_delivery": 1,
        }


@pytest.mark.parametrize(("text", "data_coding"), [("ab€ " * 100, 0), ("код 😀 " * 40, 8)])
async def test_a_long_text_is_sent_in_parts_that_the_peer_can_join(text: str, data_coding: int) -> None:
    async with bound(Inbox()) as (smsc, link):
        message_ids = await link.send(OutboundText("Acme", f"+{NUMBER}", text))
        parts = [await smsc.event("submit") for _ in message_ids]
        assert len(parts) > 2
        assert message_ids == [f"m{number}" for number in range(1, len(parts) + 1)]
        assert "".join(part["text"] for part in parts) == text
        assert {(part["esm_class"], part["data_coding"]) for part in parts} == {(0x40, data_coding)}
        references = {part["udh"][:6] for part in parts}
        assert len(references) == 1
        assert [part["udh"][6:] for part in parts] == [
            f"{len(parts):02x}{number:02x}" for number in range(1, len(parts) + 1)
        ]


async def test_answers_to_submits_find_their_texts_in_any_order() -> None:
    async with bound(Inbox()) as (smsc, link):
        await smsc.behave("on_submit", hold=True)
        first = asyncio.create_task(link.send(OutboundText("Acme", f"+{NUMBER}", "one")))
        assert (await smsc.event("submit"))["text"] == "one"
        second = asyncio.create_task(link.send(OutboundText("Acme", f"+{NUMBER}", "two")))
        assert (await smsc.event("submit"))["text"] == "two"
        smsc.order("release")
        assert (await first, await second) == (["m1"], ["m2"])


async def test_sending_waits_while_the_window_is_full() -> None:
    async with bound(Inbox(), window=3) as (smsc, link):
        await smsc.behave("on_submit", hold=True)
        sends = [asyncio.create_task(link.send(OutboundText("Acme", f"+{NUMBER}", str(n)))) for n in range(5)]
        assert [(await smsc.event("submit"))["text"] for _ in range(3)] == ["0", "1", "2"]
        await smsc.round_trip()
        assert not smsc.unseen("submit")
        await smsc.behave("on_submit")
        smsc.order("release")
        assert [(await smsc.event("submit"))["text"] for _ in range(2)] == ["3", "4"]
        assert [len(message_ids) for message_ids in await asyncio.gather(*sends)] == [1] * 5


async def test_a_text_that_the_peer_refuses_is_refused_and_of_one_without_an_answer_nobody_knows() -> None:
    async with bound(Inbox()) as (smsc, link):
        await smsc.behave("on_submit", status=0x0B)
        with pytest.raises(SubmitRefused, match=r"acme: submit_sm refused: ESME_RINVDSTADR \(0x0B\)"):
            await link.send(OutboundText("Acme", f"+{NUMBER}", "Hallo"))
        await smsc.behave("on_submit", mute=True)
        answers_within(link, 0.3)
        with pytest.raises(SubmitUnknown, match=r"submit_sm: no answer within 0\.3 s"):
            await link.send(OutboundText("Acme", f"+{NUMBER}", "Hallo"))
        await smsc.event("submit")
        await smsc.event("submit")
        answers_within(link, PATIENCE_SECONDS)
        await smsc.behave("on_submit")
        assert await link.send(OutboundText("Acme", f"+{NUMBER}", "Hallo")) == ["m3"]


async def test_of_a_text_on_its_way_when_the_link_is_lost_nobody_knows_and_one_that_waits_was_not_sent() -> None:
    async with bound(Inbox(), window=1) as (smsc, link):
        await smsc.behave("on_submit", mute=True)
        sends = [asyncio.create_task(link.send(OutboundText("Acme", f"+{NUMBER}", "Hallo"))) for _ in range(3)]
        await smsc.event("submit")
        smsc.order("drop")
        outcomes = await asyncio.gather(*sends, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [SubmitUnknown, LinkDown, LinkDown]
        assert all("the link is gone" in str(outcome) for outcome in outcomes)


async def test_a_text_that_cannot_be_sent_is_refused_at_once() -> None:
    async with bound(Inbox(), bind="receiver") as (_, link):
        with pytest.raises(SubmitRefused, match="receiver"):
            await link.send(OutboundText("Acme", f"+{NUMBER}", "Hallo"))
    async with bound(Inbox()) as (smsc, link):
        for sender, text in (("A" * 21, "x"), ("A\0B", "x"), ("Acme", "x" * 153 * 256)):
            with pytest.raises(SubmitRefused):
                await link.send(OutboundText(sender, f"+{NUMBER}", text))
        await smsc.round_trip()
        assert not smsc.unseen("submit")
