"""Peers that do not keep to SMPP, on raw sockets: nothing that they send may hurt more than their own link."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.carriers.raw_peer import RawPeer, RawServer
from tests.carriers.smpp_peer import Inbox, answers_within, bound, carrier, needs_node, running

from trunkline.carriers.smpp import pdu
from trunkline.carriers.smpp.carrier import SmppCarrier
from trunkline.carriers.smpp.message import ShortMessage, short_message_body

TEXT_BODY = short_message_body(ShortMessage(5, 0, b"WhatsApp", 1, 1, b"491511234567", 0, 0, 0, b"482913", {}))
DELIVER = pdu.write_pdu(pdu.DELIVER_SM, 5, TEXT_BODY)


@contextlib.asynccontextmanager
async def raw_link(inbox: Inbox, **options: Any) -> AsyncIterator[tuple[RawPeer, SmppCarrier, RawServer]]:
    """A link bound to a raw peer."""
    async with RawServer.started() as server:
        link = carrier(server.port, **options)
        async with running(link, inbox):
            peer = await server.peer()
            await peer.accept_bind()
            yield peer, link, server
            server.hang_up()  # a raw peer would not answer the farewell


@pytest.mark.asyncio
@pytest.mark.parametrize("length", [0, 4, 15, 65537, 0xFFFFFFFF])
async def test_a_wrong_length_is_answered_and_ends_the_session(length: int) -> None:
    inbox = Inbox()
    async with raw_link(inbox) as (peer, _, server):
        peer.send(DELIVER + struct.pack(">IIII", length, pdu.DELIVER_SM, 0, 6))
        assert await peer.header() == (pdu.DELIVER_SM | pdu.RESPONSE, 0, 5)
        assert await peer.header() == (pdu.GENERIC_NACK, pdu.ESME_RINVCMDLEN, 6 if length > 65536 else 0)
        await peer.closed()
        await (await server.peer()).accept_bind()
        assert inbox.texts.qsize() == 1


@pytest.mark.asyncio
@pytest.mark.parametrize("command_id", [pdu.DELIVER_SM, pdu.DATA_SM])
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", pdu.ESME_RINVMSGLEN),
        (b"\0\x05\0WhatsApp", pdu.ESME_RINVMSGLEN),
        (TEXT_BODY + b"\x04\x24\xff\xffabc", pdu.ESME_RINVOPTPARSTREAM),
    ],
)
async def test_a_garbled_text_is_refused_for_good_and_the_session_goes_on(
    command_id: int, body: bytes, status: int
) -> None:
    inbox = Inbox()
    async with raw_link(inbox) as (peer, _, _):
        if command_id == pdu.DATA_SM and body.startswith(TEXT_BODY):
            body = b"\0\x05\0WhatsApp\0\x01\x01491511234567\0\0\0\0\x04\x24\xff\xffabc"
        peer.send(pdu.write_pdu(command_id, 4, body) + DELIVER)
        assert await peer.header() == (command_id | pdu.RESPONSE, status, 4)
        assert await peer.header() == (pdu.DELIVER_SM | pdu.RESPONSE, 0, 5)
        assert inbox.texts.qsize() == 1


@pytest.mark.asyncio
async def test_a_command_that_is_not_ours_is_answered_and_the_session_goes_on() -> None:
    async with raw_link(Inbox()) as (peer, _, _):
        for command_id in (pdu.SUBMIT_SM, 0x00000003, 0x0000FFFF):
            peer.send(pdu.write_pdu(command_id, 9, b"\xff\xff"))
            assert await peer.header() == (pdu.GENERIC_NACK, pdu.ESME_RINVCMDID, 9)
        # Neither of these has an answer, and nor has an answer to what was not asked.
        for command_id in (pdu.ALERT_NOTIFICATION, pdu.OUTBIND, pdu.SUBMIT_SM | pdu.RESPONSE, pdu.GENERIC_NACK):
            peer.send(pdu.write_pdu(command_id, 10, b"\xff"))
        peer.send(DELIVER)
        assert await peer.header() == (pdu.DELIVER_SM | pdu.RESPONSE, 0, 5)


@pytest.mark.asyncio
async def test_a_text_before_the_bind_is_not_taken_and_one_right_behind_it_is() -> None:
    inbox = Inbox()
    async with RawServer.started() as server, running(carrier(server.port), inbox):
        peer = await server.peer()
        command_id, _, sequence = await peer.header()
        peer.send(DELIVER)
        assert await peer.header() == (pdu.DELIVER_SM | pdu.RESPONSE, pdu.ESME_RINVBNDSTS, 5)
        peer.send(pdu.write_pdu(command_id | pdu.RESPONSE, sequence, b"peer\0") + DELIVER)
        assert await peer.header() == (pdu.DELIVER_SM | pdu.RESPONSE, 0, 5)
        assert inbox.texts.qsize() == 1
        server.hang_up()


@pytest.mark.asyncio
async def test_a_bind_that_is_not_answered_is_given_up() -> None:
    async with RawServer.started() as server, running(carrier(server.port, response_timeout_seconds=0.1), Inbox()):
        peer = await server.peer()
        await peer.header()
        await peer.closed()
        await server.peer()


@pytest.mark.asyncio
async def test_a_peer_that_answers_the_farewell_with_silence_is_left_anyway() -> None:
    async with RawServer.started() as server:
        link = carrier(server.port)
        async with running(link, Inbox()):
            peer = await server.peer()
            await peer.accept_bind()
            peer.send(DELIVER)
            assert await peer.header() == (pdu.DELIVER_SM | pdu.RESPONSE, 0, 5)
            answers_within(link, 0.1)
        assert (await peer.header())[0] == pdu.UNBIND
        await peer.closed()


@pytest.mark.asyncio
async def test_a_peer_that_does_not_read_its_answers_is_not_read_from() -> None:
    inbox = Inbox()
    async with raw_link(inbox) as (peer, _, _):
        enquiries = pdu.write_pdu(pdu.ENQUIRE_LINK, 1) * 10_000
        peer.writer.transport.set_write_buffer_limits(high=0)

        sent = 0

        async def flood() -> None:
            nonlocal sent
            for _ in range(100):  # 16 MB of answers, if anybody were to keep them
                peer.send(enquiries)
                sent += len(enquiries)
                async with asyncio.timeout(0.5):
                    await peer.writer.drain()

        with pytest.raises(TimeoutError):
            await flood()
        await peer.skip(sent)  # now it does read, and each has its answer
        peer.send(DELIVER)
        assert await peer.header() == (pdu.DELIVER_SM | pdu.RESPONSE, 0, 5)


@needs_node
@pytest.mark.asyncio
async def test_a_neighbour_of_a_garbage_peer_lives_on() -> None:
    inbox = Inbox()
    async with bound(inbox) as (smsc, _), raw_link(Inbox()) as (peer, _, server):
        for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"\0" * 64, b"\xff" * 64):
            peer.send(garbage)
            await peer.closed()
            smsc.order("deliver", text="Your code is 482913", destination_addr="491511234567")
            assert await smsc.answers(1) == [0]
            peer = await server.peer()
            await peer.accept_bind()


headers = st.builds(
    struct.pack,
    st.just(">IIII"),
    st.one_of(st.integers(16, 80), st.integers(0, 0xFFFFFFFF)),
    st.sampled_from([1, 2, 4, 5, 6, 9, 0xB, 0x15, 0x102, 0x103, 0x80000000, 0x80000004, 0x80000005, 0x80000009, 77]),
    st.integers(0, 0xFFFFFFFF),
    st.integers(0, 3),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.one_of(st.binary(max_size=120), headers, st.just(DELIVER)), max_size=12))
def test_random_octets_never_break_a_link(chunks: list[bytes]) -> None:
    complaints: list[dict[str, Any]] = []

    async def scenario() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        inbox = Inbox()
        async with raw_link(inbox) as (peer, _, _):
            for chunk in chunks:
                peer.send(chunk)
                await asyncio.sleep(0)  # so that chunks arrive as such
            with contextlib.suppress(OSError):  # it may have hung up already
                peer.writer.write_eof()
            await peer.closed()

    asyncio.run(scenario())
    assert complaints == []
