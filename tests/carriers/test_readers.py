"""Texts in every alphabet that SMPP names, and under labels that are not theirs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.carriers.alphabets import decode
from trunkline.carriers.carrier import Alphabet
from trunkline.carriers.smpp.data_coding import alphabet_table

JAPANESE = "認証コードは 482913 です"
RUSSIAN = "Ваш код: 482913"
KOREAN = "인증번호 482913"
CHINESE = "您的验证码是482913，请勿告诉他人"


@pytest.mark.parametrize(
    ("coding", "codec", "text"),
    [
        (1, "ascii", "Your code is 482913"),
        (2, "ascii", "Your code is 482913"),
        (3, "latin-1", "Código 482913 ë"),
        (4, "utf-8", RUSSIAN),
        (4, "utf-16-be", "Your code is 482913"),
        (5, "shift_jis", JAPANESE),
        (5, "euc_jp", JAPANESE),
        (5, "ascii", "Your code is 482913"),
        (5, "ascii", "G-482913"),
        (6, "iso8859-5", RUSSIAN),
        (7, "iso8859-8", "הקוד שלך: 482913"),
        (8, "utf-16-be", CHINESE),
        (9, "shift_jis", JAPANESE),
        (10, "iso2022_jp", JAPANESE),
        (13, "euc_jp", JAPANESE),
        (13, "iso2022_jp_2", "丂 482913"),
        (14, "euc_kr", KOREAN),
        (0x18, "utf-16-be", RUSSIAN),
        (0xE0, "utf-16-be", RUSSIAN),
        (0xF6, "ascii", "Your code is 482913"),
    ],
)
def test_every_data_coding_of_the_standard_is_read(coding: int, codec: str, text: str) -> None:
    assert decode(text.encode(codec), alphabet_table({})[coding]) == text


def test_bare_jis_is_read() -> None:
    text = "コードは４８２９１３です"
    payload = bytes(octet & 0x7F for octet in text.encode("euc_jp"))
    assert decode(payload, Alphabet.JIS) == text


@pytest.mark.parametrize(
    ("alphabet", "payload", "text"),
    [
        (Alphabet.UCS2, b"Your code is 482913", "Your code is 482913"),
        (Alphabet.UCS2, b"Code: 4711", "Code: 4711"),
        (Alphabet.UCS2, f"{RUSSIAN}!".encode(), f"{RUSSIAN}!"),
        (Alphabet.UCS2, "Your code is 482913".encode("utf-16-le"), "Your code is 482913"),
        (Alphabet.UCS2, "\ufeffcode 482913".encode("utf-16-be"), "code 482913"),
        (Alphabet.UCS2, "\ufeffкод 482913".encode("utf-16-le"), "код 482913"),
        (Alphabet.GSM7, RUSSIAN.encode(), RUSSIAN),
        (Alphabet.LATIN1, "Código 482913 – ë".encode(), "Código 482913 – ë"),
        (Alphabet.LATIN1, "„Code“ 482913 €".encode("cp1252"), "„Code“ 482913 €"),
        (Alphabet.ASCII, "Código 482913".encode(), "Código 482913"),
        (Alphabet.CYRILLIC, RUSSIAN.encode(), RUSSIAN),
    ],
)
def test_a_wrong_label_is_seen_where_it_is_sure(alphabet: Alphabet, payload: bytes, text: str) -> None:
    assert decode(payload, alphabet) == text


@pytest.mark.parametrize(
    "text",
    ["你好", "O`Y}", "ㅋㅋㅋ", "ㄱㄱ", "一一一一", "　　一", "한국어", "Å", "删除", CHINESE, RUSSIAN, KOREAN, JAPANESE],
)
def test_what_may_be_meant_as_labelled_is_read_as_labelled(text: str) -> None:
    assert decode(text.encode("utf-16-be"), Alphabet.UCS2) == text


@given(st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FA5), max_size=9))
def test_a_short_chinese_text_is_never_taken_for_octets(text: str) -> None:
    assert decode(text.encode("utf-16-be"), Alphabet.UCS2) == text


@given(st.integers(0, 255), st.binary(max_size=300))
def test_any_octets_in_any_data_coding_are_a_text_that_can_be_stored(coding: int, payload: bytes) -> None:
    text = decode(payload, alphabet_table({})[coding])
    text.encode()
    assert "\0" not in text
