"""What becomes of a text that is submitted over SMPP (MT), with node-smpp as the peer."""

import asyncio
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.carriers.smpp_peer import Inbox, bound, needs_node

from trunkline.carriers.carrier import (
    LinkDown,
    OutboundText,
    SubmitRefused,
    SubmitThrottled,
    SubmitUnknown,
    receipt_names,
)
from trunkline.carriers.smpp.message import validity_period

NUMBER = "+491511234567"
CODE = OutboundText("ACME", NUMBER, "482913 is your ACME code.", validity_seconds=300)
LONG = OutboundText("ACME", NUMBER, "482913 is your ACME code. " * 8)


@needs_node
@pytest.mark.asyncio
async def test_a_text_is_good_as_long_as_its_code() -> None:
    async with bound(Inbox()) as (smsc, link):
        assert await link.send(CODE) == ["m1"]
        submit = await smsc.event("submit")
        assert submit["registered_delivery"] == 1
        assert submit["validity_period"] is not None
        assert submit["text"] == CODE.text


@given(st.integers(1, 30 * 86_400))
def test_a_validity_period_is_the_time_from_now_in_the_relative_format(seconds: int) -> None:
    found = re.fullmatch(rb"0000(\d\d)(\d\d)(\d\d)(\d\d)000R", validity_period(seconds))
    assert found is not None
    days, hours, minutes, rest = map(int, found.groups())
    assert ((days * 24 + hours) * 60 + minutes) * 60 + rest == seconds


@needs_node
@pytest.mark.asyncio
@pytest.mark.parametrize("status", [0x58, 0x14])
async def test_a_peer_that_asks_for_less_gets_less_and_then_more_again(status: int) -> None:
    async with bound(Inbox()) as (smsc, link):
        await smsc.behave("on_submit", status=status, times=2)
        for _ in range(2):
            with pytest.raises(SubmitThrottled):
                await link.send(CODE)
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert await link.send(CODE) == ["m3"]
        assert loop.time() - began > 0.2, "it waits after it was asked for less"


@needs_node
@pytest.mark.asyncio
async def test_a_link_with_a_rate_keeps_to_it() -> None:
    async with bound(Inbox(), tps=20.0) as (_, link):
        loop = asyncio.get_running_loop()
        began = loop.time()
        await asyncio.gather(*(link.send(CODE) for _ in range(11)))
        assert loop.time() - began >= 0.5


@needs_node
@pytest.mark.asyncio
async def test_a_text_that_finds_no_room_in_its_time_was_not_sent() -> None:
    async with bound(Inbox(), window=1, submit_wait_seconds=0.2) as (smsc, link):
        await smsc.behave("on_submit", hold=True)
        first = asyncio.create_task(link.send(CODE))
        await smsc.event("submit")
        with pytest.raises(SubmitThrottled):
            await link.send(CODE)
        smsc.order("release")
        assert await first == ["m1"]
        await smsc.round_trip()
        assert not smsc.unseen("submit")


@needs_node
@pytest.mark.asyncio
async def test_of_a_text_whose_link_died_before_the_answer_nobody_knows_whether_it_went_out() -> None:
    async with bound(Inbox()) as (smsc, link):
        await smsc.behave("on_submit", mute=True)
        sending = asyncio.create_task(link.send(CODE))
        await smsc.event("submit")
        smsc.order("drop")
        with pytest.raises(SubmitUnknown):
            await sending
        while True:  # once the link knows that it is gone
            try:
                await link.send(CODE)
            except LinkDown:
                break
            except SubmitUnknown:
                continue


@needs_node
@pytest.mark.asyncio
async def test_a_long_text_of_which_one_part_was_refused_is_neither_sent_nor_unsent() -> None:
    async with bound(Inbox()) as (smsc, link):
        await smsc.behave("on_submit", status=0x0B, times=1)
        with pytest.raises(SubmitUnknown) as unknown:
            await link.send(LONG)
        assert unknown.value.message_ids == ["m2"]


@needs_node
@pytest.mark.asyncio
async def test_what_the_peer_refuses_did_not_go_out() -> None:
    async with bound(Inbox()) as (smsc, link):
        await smsc.behave("on_submit", status=0x0B)
        with pytest.raises(SubmitRefused, match="ESME_RINVDSTADR") as refused:
            await link.send(LONG)
        assert not isinstance(refused.value, SubmitThrottled | LinkDown)


@needs_node
@pytest.mark.asyncio
async def test_parts_of_a_long_text_can_be_named_by_sar_parameters() -> None:
    async with bound(Inbox(), long_texts="sar") as (smsc, link):
        ids = await link.send(LONG)
        parts = [await smsc.event("submit") for _ in ids]
        assert [part["sar_segment_seqnum"] for part in parts] == [1, 2]
        assert {part["sar_total_segments"] for part in parts} == {2}
        assert len({part["sar_msg_ref_num"] for part in parts}) == 1
        assert "".join(part["text"] for part in parts) == LONG.text
        assert all(part["udh"] is None for part in parts)


@needs_node
@pytest.mark.asyncio
async def test_a_long_text_can_go_as_a_whole() -> None:
    async with bound(Inbox(), long_texts="payload") as (smsc, link):
        assert await link.send(LONG) == ["m1"]
        assert (await smsc.event("submit"))["payload"] == LONG.text


@given(st.integers(1, 2**64), st.booleans(), st.integers(0, 4))
def test_a_receipt_is_matched_by_its_id_in_either_base_and_with_or_without_zeros(
    number: int, is_upper: bool, zeros: int
) -> None:
    hexadecimal = f"{number:X}" if is_upper else f"{number:x}"
    answered, receipt = "0" * zeros + hexadecimal, str(number)
    assert receipt_names(answered)[0] in receipt_names(receipt)
    assert receipt_names(receipt)[0] in receipt_names(answered)


def test_an_id_that_is_no_number_is_its_own_name_alone() -> None:
    assert receipt_names(" 9F-Acme-17 ") == ("9f-acme-17",)
