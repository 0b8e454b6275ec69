"""Server-sent events: however the bytes are cut, the same events come out, as WHATWG HTML §9.2.6 says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.cli.customer.server_events import MOST_BYTES, ServerEvent, ServerEvents
from trunkline.errors import OperatorError

END = st.sampled_from([b"\n", b"\r", b"\r\n"])
WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=12)
ODD = st.sampled_from(
    [b"data", b"data:", b"data: a", b"id:7", b"id: \0", b"id", b"event:x", b"retry: 5", b":", b"", b"\xff"]
)
STREAM = st.lists(st.tuples(ODD | WORDS.map(str.encode), END).map(b"".join)).map(b"".join)


def read(*pieces: bytes) -> tuple[list[ServerEvent], str, int | None]:
    events = ServerEvents()
    found = [event for piece in pieces for event in events.feed(piece)]
    return found, events.last_id, events.retry_ms


@given(STREAM | st.binary(), st.data())
def test_any_chunking_gives_the_same_events(stream: bytes, cuts: st.DataObject) -> None:
    places = sorted(cuts.draw(st.lists(st.integers(0, len(stream)))))
    pieces = [stream[start:end] for start, end in zip([0, *places], [*places, len(stream)], strict=True)]
    assert read(*pieces) == read(stream)
    assert read(*(stream[place : place + 1] for place in range(len(stream)))) == read(stream)


def test_an_empty_piece_changes_nothing() -> None:
    assert read(b"data: a\r", b"", b"\n") == read(b"data: a\r\n") == ([], "", None)


NAMES = WORDS.filter(bool)
IDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), min_size=1, max_size=12)


@given(st.lists(st.tuples(IDS, NAMES, st.lists(WORDS, min_size=1, max_size=3))), END, st.booleans())
def test_what_is_written_is_read(written: list[tuple[str, str, list[str]]], end: bytes, bom: bool) -> None:
    stream = b"\xef\xbb\xbf" if bom else b""
    for event_id, name, lines in written:
        block = [f"id: {event_id}", ": a comment", f"event: {name}", *(f"data: {line}" for line in lines), ""]
        stream += b"".join(line.encode() + end for line in block)
    found, last_id, _ = read(stream)
    assert found == [ServerEvent(name, "\n".join(lines), event_id) for event_id, name, lines in written]
    assert last_id == (written[-1][0] if written else "")


@pytest.mark.parametrize(
    ("stream", "found"),
    [
        (b"data: YHOO\ndata: +2\ndata: 10\n\n", [ServerEvent("message", "YHOO\n+2\n10", "")]),
        (
            b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
            [
                ServerEvent("message", "first event", "1"),
                ServerEvent("message", "second event", ""),
                ServerEvent("message", " third event", ""),
            ],
        ),
        (b"data\n\ndata\ndata\n\ndata:", [ServerEvent("message", "", ""), ServerEvent("message", "\n", "")]),
        (b"data:test\n\ndata: test\n\n", [ServerEvent("message", "test", "")] * 2),
        (b"id: 1\nevent: a\n\ndata: x\n\n", [ServerEvent("message", "x", "1")]),
        (b"Data: x\ndatum: y\n data: z\n\n", []),
        (b"data: a\r\n\r\ndata: b\r\rdata: c\n\n", [ServerEvent("message", each, "") for each in "abc"]),
        (b"data: \xe2\x80\xa8\x0b\xc2\x85\n\n", [ServerEvent("message", "\u2028\x0b\x85", "")]),
        (b"data: \xff\n\n", [ServerEvent("message", "\ufffd", "")]),
    ],
)
def test_the_standards_own_examples(stream: bytes, found: list[ServerEvent]) -> None:
    assert read(stream)[0] == found


def test_an_id_counts_once_its_block_is_whole_also_without_data() -> None:
    events = ServerEvents("evt_1")
    assert (events.feed(b"id: evt_2\ndata: x\n"), events.last_id) == ([], "evt_1")
    assert events.feed(b"\n") == [ServerEvent("message", "x", "evt_2")]
    assert (events.feed(b"id: evt_9\n\n"), events.last_id) == ([], "evt_9")


def test_only_digits_say_when_to_come_back() -> None:
    assert read(b"retry: 1500\n\nretry: soon\n\nretry: -1\n\n")[2] == 1500


def test_heartbeats_take_no_room_and_an_endless_event_is_refused() -> None:
    events = ServerEvents()
    for _ in range(9):
        assert events.feed(b":" + bytes(MOST_BYTES // 2) + b"\n") == []
    half = b"data:" + b"x" * (MOST_BYTES // 2) + b"\n"
    assert events.feed(half) == []
    with pytest.raises(OperatorError, match="longer"):
        events.feed(half)
    with pytest.raises(OperatorError, match="longer"):
        ServerEvents().feed(bytes(MOST_BYTES + 1))
