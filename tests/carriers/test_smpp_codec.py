"""PDUs to messages and back, in whatever pieces they arrive."""

import itertools
import struct
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.carriers.carrier import Alphabet, Part
from trunkline.carriers.smpp import addresses, pdu
from trunkline.carriers.smpp.data_coding import alphabet_table
from trunkline.carriers.smpp.message import ShortMessage, read_data_sm, read_short_message, short_message_body
from trunkline.carriers.smpp.parts import concatenation_header, cut_header, sar_part
from trunkline.carriers.smpp.receipts import read_receipt

octet = st.integers(0, 255)
address = st.binary(max_size=30).filter(lambda octets: 0 not in octets)
tlvs = st.dictionaries(
    st.integers(0, 0xFFFF).filter(lambda tag: tag != pdu.TLV_MESSAGE_PAYLOAD), st.binary(max_size=40), max_size=4
)
messages = st.builds(
    ShortMessage, octet, octet, address, octet, octet, address, octet, octet, octet, st.binary(max_size=254), tlvs
)


def frame(body: bytes, command_id: int = pdu.DELIVER_SM) -> bytes:
    return pdu.write_pdu(command_id, 7, body)


def data_sm_body(message: ShortMessage) -> bytes:
    """SMPP 3.4 §4.7.1, written apart from the product, which only reads it."""
    return b"".join(
        (
            b"WAP\0",
            bytes((message.source_ton, message.source_npi)) + message.source + b"\0",
            bytes((message.destination_ton, message.destination_npi)) + message.destination + b"\0",
            bytes((message.esm_class, message.registered_delivery, message.data_coding)),
            struct.pack(">HH", pdu.TLV_MESSAGE_PAYLOAD, len(message.payload)) + message.payload,
            pdu.write_tlvs(message.tlvs),
        )
    )


@given(messages)
def test_a_message_that_was_written_reads_the_same(message: ShortMessage) -> None:
    assert read_short_message(frame(short_message_body(message))) == message


@given(messages)
def test_the_text_of_a_data_sm_is_its_message_payload(message: ShortMessage) -> None:
    read = read_data_sm(frame(data_sm_body(message)))
    assert read.payload == message.payload
    read.tlvs = message.tlvs
    assert read == message


@given(messages, st.binary(min_size=255, max_size=3000))
def test_a_payload_too_long_for_short_message_travels_in_message_payload(message: ShortMessage, long: bytes) -> None:
    message.payload = long
    assert read_short_message(frame(short_message_body(message))).payload == long


@given(messages, st.data())
def test_a_message_cut_short_is_refused_and_never_misread(message: ShortMessage, data: st.DataObject) -> None:
    message.tlvs = {}
    for body, read in ((short_message_body(message), read_short_message), (data_sm_body(message), read_data_sm)):
        cut = data.draw(st.integers(0, len(body) - 1))
        if read is read_data_sm and cut == len(body) - 4 - len(message.payload):
            assert read(frame(body[:cut])).payload == b""  # it ends where its message_payload would begin
            continue
        with pytest.raises(pdu.MalformedPdu) as refused:
            read(frame(body[:cut]))
        assert refused.value.command_status in (pdu.ESME_RINVMSGLEN, pdu.ESME_RINVOPTPARSTREAM)


@given(st.binary(max_size=400))
def test_random_octets_are_a_message_or_refused(body: bytes) -> None:
    for read in (read_short_message, read_data_sm):
        try:
            message = read(frame(body))
        except pdu.MalformedPdu:
            continue
        read_receipt(message, Alphabet.GSM7, "acme")
        cut_header(message.payload)
        sar_part(message.tlvs)
        assert addresses.sender(message.source_ton, message.source).isprintable()
        assert addresses.destination(message.destination_ton, message.destination).recipient.isprintable()


@given(st.lists(st.binary(max_size=300), max_size=8), st.data())
def test_a_stream_gives_the_same_pdus_however_it_is_chunked(bodies: list[bytes], data: st.DataObject) -> None:
    sent = [frame(body) for body in bodies]
    stream = b"".join(sent)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=12).map(sorted))
    splitter = pdu.Splitter()
    got = []
    for start, end in itertools.pairwise([0, *cuts, len(stream)]):
        splitter.feed(stream[start:end])
        # Not every chunk is followed by taking everything: a full window takes none for a while.
        for _ in range(data.draw(st.integers(0, 3))):
            octets = splitter.take()
            if octets is not None:
                got.append(octets)
    got.extend(iter(splitter.take, None))
    assert got == sent


def test_a_pdu_in_single_octets_is_whole_with_the_last_of_them() -> None:
    sent = frame(bytes(65520))
    splitter = pdu.Splitter()
    for position in range(len(sent) - 1):
        splitter.feed(sent[position : position + 1])
        assert splitter.take() is None
    splitter.feed(sent[-1:])
    assert splitter.take() == sent


@pytest.mark.parametrize("chunk", [1 << 14, 1 << 23])
def test_a_stream_that_waited_long_is_cut_in_time_linear_in_its_length(chunk: int) -> None:
    sent = frame(bytes(84))
    stream = sent * 80_000
    splitter = pdu.Splitter()
    for start in range(0, len(stream), chunk):
        splitter.feed(stream[start : start + chunk])
    began = time.process_time()
    assert sum(1 for octets in iter(splitter.take, None) if octets == sent) == 80_000
    assert time.process_time() - began < 10  # copying the rest for each PDU would be 320 GB


@pytest.mark.parametrize("length", [0, 3, 15, 65537, 0xFFFFFFFF])
def test_a_length_out_of_bounds_ends_the_stream_after_the_pdus_before_it(length: int) -> None:
    good = frame(b"abc")
    splitter = pdu.Splitter()
    splitter.feed(good + struct.pack(">IIII", length, pdu.DELIVER_SM, 0, 99))
    assert splitter.take() == good
    with pytest.raises(pdu.MalformedPdu) as refused:
        splitter.take()
    assert refused.value.command_status == pdu.ESME_RINVCMDLEN
    assert refused.value.sequence == (99 if length > 65536 else 0)


@pytest.mark.parametrize("octets", [b"\x04", b"\x04\x24\x00", b"\x04\x24\x00\x05abcd", b"\x00\x1e\x00\x01a\x00"])
def test_an_optional_parameter_that_runs_over_the_end_is_refused(octets: bytes) -> None:
    with pytest.raises(pdu.MalformedPdu) as refused:
        pdu.read_tlvs(octets, 0)
    assert refused.value.command_status == pdu.ESME_RINVOPTPARSTREAM


@pytest.mark.parametrize(
    ("payload", "text", "part"),
    [
        (bytes.fromhex("050003070201") + b"abc", b"abc", Part(7, 2, 1)),
        (bytes.fromhex("06080401070302") + b"abc", b"abc", Part(0x0107, 3, 2)),
        (bytes.fromhex("0b0504158200000003090201") + b"x", b"x", Part(9, 2, 1)),  # ports, then concatenation
        (bytes.fromhex("0a000307020100030803 03".replace(" ", "")) + b"x", b"x", Part(8, 3, 3)),  # the last one counts
        (bytes.fromhex("050003070101") + b"x", b"x", None),  # one of one
        (bytes.fromhex("050003070203") + b"x", b"x", None),  # the third of two
        (bytes.fromhex("050003070200") + b"x", b"x", None),
        (bytes.fromhex("050009070201") + b"x", b"x", None),  # the element runs over the header
        (bytes.fromhex("0400020702") + b"x", b"x", None),  # an element too short
        (bytes.fromhex("00") + b"x", b"x", None),
        (bytes.fromhex("0100") + b"x", b"x", None),
        (bytes.fromhex("20000307") + b"x", bytes.fromhex("20000307") + b"x", None),  # the header runs over the payload
        (b"", b"", None),
    ],
)
def test_a_user_data_header_is_taken_off_and_believed_where_it_makes_sense(
    payload: bytes, text: bytes, part: Part | None
) -> None:
    assert cut_header(payload) == (text, part)


@given(st.integers(0, 255), st.integers(2, 255), st.data(), st.binary())
def test_the_header_of_a_part_reads_as_the_part(reference: int, total: int, data: st.DataObject, text: bytes) -> None:
    part = Part(reference, total, data.draw(st.integers(1, total)))
    assert cut_header(concatenation_header(part) + text) == (text, part)


def test_sar_parameters_count_only_together() -> None:
    together = {
        pdu.TLV_SAR_MSG_REF_NUM: b"\x01\x02",
        pdu.TLV_SAR_TOTAL_SEGMENTS: b"\x03",
        pdu.TLV_SAR_SEGMENT_SEQNUM: b"\x02",
    }
    assert sar_part(together) == Part(0x0102, 3, 2)
    for tag in together:
        assert sar_part({other: value for other, value in together.items() if other != tag}) is None
        assert sar_part({**together, tag: b""}) in (None, Part(0, 3, 2))
        assert sar_part({**together, tag: b"\x01\x02\x03"}) is None


@pytest.mark.parametrize(
    ("ton", "octets", "sender", "recipient"),
    [
        (1, b"491511234567", "+491511234567", "+491511234567"),
        (1, b"+491511234567", "+491511234567", "+491511234567"),
        (1, b"00491511234567", "+491511234567", "+491511234567"),
        (0, b"491511234567", "491511234567", "+491511234567"),
        (0, b"00491511234567", "00491511234567", "+491511234567"),
        (2, b"+491511234567", "+491511234567", "+491511234567"),
        (2, b"01511234567", "01511234567", "01511234567"),
        (3, b"72000", "72000", "72000"),
        (5, b"WhatsApp", "WhatsApp", "WhatsApp"),
        (5, b"1234", "1234", "1234"),
        (1, b"WhatsApp", "WhatsApp", "WhatsApp"),
        (1, b"\xb2\xb3", "²³", "²³"),
        (5, b"Caf\xe9\x07\x1b Bar ", "Café Bar", "Café Bar"),
        (1, b"4" * 90, "+" + "4" * 63, "+" + "4" * 63),
        (5, b"A" * 90, "A" * 64, "A" * 64),
        (1, b"", "", ""),
        (1, b"+", "+", "+"),
    ],
)
def test_addresses_are_kept_as_the_platform_keeps_them(ton: int, octets: bytes, sender: str, recipient: str) -> None:
    assert addresses.sender(ton, octets) == sender
    assert addresses.destination(ton, octets).recipient == recipient


@pytest.mark.parametrize(
    ("coding", "alphabet"),
    [
        (0, Alphabet.GSM7),
        (1, Alphabet.ASCII),
        (2, Alphabet.BINARY),
        (3, Alphabet.LATIN1),
        (4, Alphabet.BINARY),
        (8, Alphabet.UCS2),
        (0x10, Alphabet.GSM7),  # flash
        (0x15, Alphabet.BINARY),
        (0x18, Alphabet.UCS2),  # flash in UCS-2
        (0x20, Alphabet.BINARY),  # compressed
        (0x48, Alphabet.UCS2),
        (0xC8, Alphabet.GSM7),
        (0xE8, Alphabet.UCS2),
        (0xF1, Alphabet.GSM7),
        (0xF5, Alphabet.BINARY),
        (0x90, Alphabet.GSM7),
    ],
)
def test_a_data_coding_means_what_the_standards_say_unless_the_link_says_otherwise(
    coding: int, alphabet: Alphabet
) -> None:
    assert alphabet_table({})[coding] is alphabet
    assert alphabet_table({coding: Alphabet.UTF8})[coding] is Alphabet.UTF8
