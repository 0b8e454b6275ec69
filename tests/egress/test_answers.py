"""An answer's head decides, in whatever pieces it comes, and of its body as much is kept as came."""

import asyncio
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trunkline.egress import NoAnswer
from trunkline.egress.answers import BROKEN, EARLY, LATE, LONG, MOST_READ, Answer, Exchange

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n"
ANSWERS: list[tuple[bytes, int, bytes, str | None]] = [  # what comes until the end of the connection
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, b"ok", None),
    (b"HTTP/1.0 200\n\nto the end", 200, b"to the end", None),
    (b"\r\n\nHTTP/1.1 204 \r\nContent-Length: 9\r\n\r\n", 204, b"", None),
    (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 \r\nA: b\r\n\r\nHTTP/1.1 202 x\r\nContent-Length: 1, 1\r\n\r\n1",
        202,
        b"1",
        None,
    ),
    (CHUNKED + b"2;a=b\r\nok\r\n3 \t\nabc\n0\r\nX-Late: 1\r\n\r\n", 200, b"okabc", None),
    (CHUNKED.replace(b"OK", b"OK\r\nContent-Length: 1") + b"2\r\nok\r\n0\r\n\r\n", 200, b"ok", None),
    (CHUNKED + b"2\r\nok\r\n", 200, b"ok", EARLY),
    (CHUNKED + b"2\r\nokay\r\n0\r\n\r\n", 200, b"ok", BROKEN),
    (CHUNKED + b"-2\r\nok\r\n0\r\n\r\n", 200, b"", BROKEN),
    (CHUNKED + b"fffffffffffffffffffffff\r\nok", 200, b"", BROKEN),
    (b"HTTP/1.1 500 \r\nContent-Length: 99\r\n\r\nshort", 500, b"short", EARLY),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", 200, b"", BROKEN),
    (b"HTTP/1.1 410 Gone\r\nContent-Length: -1\r\n\r\nok", 410, b"", BROKEN),
    (b"HTTP/1.1 299 \xff\r\nno colon\r\n: no name\r\nodd name : a\r\nX: a,\r\n \t b\r\n\r\n", 299, b"", None),
]


class Wire:
    """Where a request goes."""

    def write(self, data: bytes) -> None:
        assert data == b"GET"


async def read(pieces: list[bytes], error: Exception | None = None, *, ends: bool = True) -> Answer:
    exchange = Exchange()
    wire: Any = Wire()
    exchange.connection_made(wire)
    asking = asyncio.ensure_future(exchange.ask(b"GET"))
    for piece in pieces:
        exchange.data_received(piece)
    if ends and error is None:
        exchange.eof_received()
    if ends:
        exchange.connection_lost(error)
    await asking
    return await exchange.answer("192.0.2.1", 0.01)


@given(st.sampled_from(ANSWERS), st.lists(st.integers(1, 20), max_size=200))
@example(ANSWERS[3], [1] * 200)
def test_in_whatever_pieces_an_answer_comes_it_is_the_same(
    case: tuple[bytes, int, bytes, str | None], sizes: list[int]
) -> None:
    left, status, body, lacks = case
    pieces = []
    for size in sizes:
        pieces.append(left[:size])
        left = left[size:]
    answer = asyncio.run(read([piece for piece in [*pieces, left] if piece]))
    assert (answer.status, answer.body, answer.lacks) == (status, body, lacks)
    assert "x-late" not in answer.headers
    if status == 299:
        assert answer.headers == {"odd name": "a", "x": "a, b"}


@given(st.binary(max_size=300))
def test_whatever_follows_a_head_its_status_stays(noise: bytes) -> None:
    for head in (b"HTTP/1.1 201 Made\r\n\r\n", CHUNKED, b"HTTP/1.1 201 Made\r\nContent-Length: 100\r\n\r\n"):
        for error in (None, ConnectionResetError(104, "reset")):
            assert asyncio.run(read([head, noise], error)).status in (200, 201)


@given(st.binary(max_size=300))
def test_what_is_no_head_is_no_answer(noise: bytes) -> None:
    if b"HTTP/" not in noise:
        with pytest.raises((NoAnswer, OSError)):
            asyncio.run(read([b"HTTP/1.1 2x" + noise]))


def test_a_body_has_its_time_and_its_length() -> None:
    assert asyncio.run(read([b"HTTP/1.1 200 OK\r\n\r\nok"], ends=False)).lacks == LATE
    endless = asyncio.run(read([b"HTTP/1.1 200 OK\r\n\r\n", *[b"x" * 10_000] * 9], ends=False))
    assert (endless.lacks, 0 < MOST_READ - len(endless.body) < 100) == (LONG, True)
    with pytest.raises(NoAnswer, match="no end"):
        asyncio.run(read([b"HTTP/1.1 200 OK\r\n", *[b"X: " + b"x" * 10_000 + b"\r\n"] * 9], ends=False))
