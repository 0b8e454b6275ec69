"""Amounts are exact, keys carry their checksum, cursors are ours."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline import ids, money
from trunkline.errors import InvalidRequest


@given(st.integers(0, 10**15))
def test_what_is_shown_is_read_back_to_the_micro(micros: int) -> None:
    assert money.parse(money.show(micros)) == micros


@given(st.integers(-(10**15), 10**15))
def test_an_amount_has_two_to_six_decimals(micros: int) -> None:
    exponent = money.show(micros).as_tuple().exponent
    assert isinstance(exponent, int)
    assert -6 <= exponent <= -2


@given(st.text())
def test_any_text_is_an_amount_or_is_refused(text: str) -> None:
    try:
        micros = money.parse(text)
    except InvalidRequest:
        return
    assert micros >= 0


def test_an_example_of_each() -> None:
    assert str(money.show(800_000)) == "0.80"
    assert str(money.show(125)) == "0.000125"
    assert str(money.show(0)) == "0.00"
    assert str(money.show(5_000_000_000)) == "5000.00"
    assert money.parse(Decimal("0.80")) == 800_000


@given(st.integers(0, 35), st.sampled_from(ids.BASE62))
def test_one_mistyped_character_is_seen_without_a_database(place: int, character: str) -> None:
    key = ids.new_key("live")
    assert ids.looks_like_key(key)
    at = len("tl_live_") + place
    if key[at] != character:
        assert not ids.looks_like_key(key[:at] + character + key[at + 1 :])


def test_keys_do_not_repeat() -> None:
    assert len({ids.new_key("test") for _ in range(1000)}) == 1000


@given(st.integers(0, 2**63 - 1))
def test_a_cursor_comes_back_as_it_went(position: int) -> None:
    assert ids.from_cursor(ids.cursor(position)) == position


@given(st.text(max_size=30))
def test_a_made_up_cursor_is_refused_or_is_a_place(text: str) -> None:
    try:
        position = ids.from_cursor(text)
    except InvalidRequest:
        return
    assert 0 <= position < 2**63


@pytest.mark.parametrize("text", ["", "-1", "+1", "1.0", "1e3", " 1", "١٢٣", "1" * 19, "abc"])
def test_what_is_no_id_is_none(text: str) -> None:
    assert ids.from_path(text) is None
