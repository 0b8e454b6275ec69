"""Octets to characters and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.carriers.alphabets import decode, encode, split
from trunkline.carriers.carrier import Alphabet

# 3GPP TS 23.038 §6.2.1, typed from the tables by code point, apart from the product's own table.
BASIC = [
    *(0x40, 0xA3, 0x24, 0xA5, 0xE8, 0xE9, 0xF9, 0xEC, 0xF2, 0xC7, 0x0A, 0xD8, 0xF8, 0x0D, 0xC5, 0xE5),
    *(0x394, 0x5F, 0x3A6, 0x393, 0x39B, 0x3A9, 0x3A0, 0x3A8, 0x3A3, 0x398, 0x39E, None, 0xC6, 0xE6, 0xDF, 0xC9),
    *(0x20, 0x21, 0x22, 0x23, 0xA4, *range(0x25, 0x40)),
    *(0xA1, *range(0x41, 0x5B), 0xC4, 0xD6, 0xD1, 0xDC, 0xA7),
    *(0xBF, *range(0x61, 0x7B), 0xE4, 0xF6, 0xF1, 0xFC, 0xE0),
]
EXTENSION = dict(
    zip((0x0A, 0x14, 0x28, 0x29, 0x2F, 0x3C, 0x3D, 0x3E, 0x40, 0x65), "\f^{}\\[~]|€", strict=True),
)
GSM_CHARACTERS = "".join(chr(code) for code in BASIC if code) + "".join(EXTENSION.values())

gsm_texts = st.text(GSM_CHARACTERS)
texts = st.text().filter(lambda text: "\0" not in text)


def test_every_gsm_septet_is_the_character_of_the_standard() -> None:
    assert len(BASIC) == 128
    for septet, code in enumerate(BASIC):
        if code is not None:
            assert decode(bytes([septet]), Alphabet.GSM7) == chr(code)
            assert encode(chr(code)) == (bytes([septet]), Alphabet.GSM7)
    for septet, character in EXTENSION.items():
        assert decode(bytes([0x1B, septet]), Alphabet.GSM7) == character
        assert encode(character) == (bytes([0x1B, septet]), Alphabet.GSM7)


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (b"\x1b\x41", "A"),  # no such escape: the plain character
        (b"a\x1b", "a "),
        (b"\x1b\x1b\x65", " e"),  # reserved for another table: a space
        (b"a\x80\xff", "a\ufffd\ufffd"),
        (b"\x1b\xe5", "\ufffd"),
        (b"", ""),
    ],
)
def test_gsm_octets_that_mean_nothing_are_shown_as_the_standard_says(payload: bytes, text: str) -> None:
    assert decode(payload, Alphabet.GSM7) == text


@pytest.mark.parametrize(
    ("alphabet", "payload", "text"),
    [
        (Alphabet.UCS2, "код 482913 😀".encode("utf-16-be"), "код 482913 😀"),
        (Alphabet.UCS2, b"\x00A\x00", "A"),
        (Alphabet.UCS2, b"\xd8\x3d\x00A", "\ufffdA"),
        (Alphabet.UCS2, b"\xde\x00\x00A", "\ufffdA"),
        (Alphabet.UCS2, b"\x00A\xd8\x3d", "A\ufffd"),
        (Alphabet.LATIN1, b"caf\xe9", "café"),
        (Alphabet.ASCII, b"caf\xe9", "caf\ufffd"),
        (Alphabet.ASCII, b"code\0\0", "code"),
        (Alphabet.UTF8, "код".encode() + b"\xff", "код\ufffd"),
        (Alphabet.BINARY, b"\x00\xff", "00ff"),
    ],
)
def test_a_payload_is_read_in_its_alphabet(alphabet: Alphabet, payload: bytes, text: str) -> None:
    assert decode(payload, alphabet) == text


@given(st.binary(), st.sampled_from(Alphabet))
def test_whatever_comes_can_be_stored_as_text(payload: bytes, alphabet: Alphabet) -> None:
    text = decode(payload, alphabet)
    assert "\0" not in text
    text.encode()  # no lone surrogates


@given(st.one_of(gsm_texts, texts))
def test_a_text_that_was_encoded_reads_the_same(text: str) -> None:
    payload, alphabet = encode(text)
    assert decode(payload, alphabet) == text


@given(st.text(st.characters(categories=["Cs", "Lu"])))
def test_broken_characters_do_not_stop_a_text(text: str) -> None:
    payload, alphabet = encode(text)
    decode(payload, alphabet)


@given(st.one_of(st.text(GSM_CHARACTERS, min_size=100), st.text("{}€a", min_size=150), st.text("a😀", min_size=60)))
def test_a_long_text_is_cut_between_characters(text: str) -> None:
    payloads, alphabet = split(text)
    assert "".join(decode(payload, alphabet) for payload in payloads) == text
    assert b"".join(payloads) == encode(text)[0]
    if len(payloads) > 1:
        assert max(map(len, payloads)) <= (153 if alphabet is Alphabet.GSM7 else 134)
        assert min(map(len, payloads[:-1])) >= (152 if alphabet is Alphabet.GSM7 else 132)


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("", [0]),
        ("a" * 160, [160]),
        ("a" * 161, [153, 8]),
        ("€" * 80, [160]),
        ("€" * 81, [152, 10]),
        ("ж" * 70, [140]),
        ("ж" * 71, [134, 8]),
        ("😀" * 36, [132, 12]),
    ],
)
def test_a_text_is_cut_only_where_it_is_too_long(text: str, sizes: list[int]) -> None:
    assert [len(payload) for payload in split(text)[0]] == sizes
