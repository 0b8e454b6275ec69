"""What the reader of codes makes of texts: our own in texts.jsonl, single rules, and hostile input."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.codes import score

from trunkline import codes
from trunkline.codes import Brands, extract
from trunkline.codes.cues import find_cues
from trunkline.codes.lexicon import KINDS
from trunkline.codes.spelling import fold, plain

ROWS = [
    ("nimbus", "Nimbus", "nimbus.example", ["云帆", "Нимбус", "nimbus-mail.example"]),
    ("harborbank", "Harbor Bank", "harborbank.example", []),
    ("google", "Google", "google.com", ["谷歌"]),
    ("alipay", "Alipay", "alipay.com", ["支付宝"]),
    ("line", "LINE", "line.me", ["ไลน์"]),
    ("ebay", "eBay", "ebay.com", []),
    ("att", "AT&T", "att.com", []),
]
BRANDS = Brands(ROWS)
CUES = Path(codes.__file__).parent / "cues"
FOLDER = Path(__file__).parent / "texts"
TEXTS, WORLD = (
    [json.loads(line) for line in (FOLDER / name).read_text(encoding="utf-8").splitlines()]
    for name in ("rules.jsonl", "world.jsonl")
)


def code_in(text: str) -> str | None:
    return extract(text).code


@pytest.mark.parametrize("row", TEXTS, ids=lambda row: f"{row['lang']}-{row['kind']}-{row['code']}")
def test_each_of_our_texts_is_read_as_a_person_would(row: dict[str, Any]) -> None:
    found = extract(row["text"], BRANDS)
    assert found.code == row["code"], found.why
    if row["service"]:
        assert found.service == row["service"]


@pytest.mark.parametrize("file", sorted(CUES.glob("*.toml")), ids=lambda file: file.stem)
def test_every_word_of_a_language_can_be_found(file: Path) -> None:
    table = tomllib.loads(file.read_text(encoding="utf-8"))
    assert table.keys() <= KINDS.keys() | {"family"}
    lost = [
        entry
        for kind in KINDS.keys() & table.keys()
        for entry in table[kind]
        if not entry.startswith("*") and not find_cues(fold(plain(entry.rstrip("*"))))
    ]
    assert lost == []


def test_our_texts_are_many_in_many_languages() -> None:
    texts = TEXTS + WORLD
    assert len(texts) >= 3000
    assert len({row["lang"] for row in texts}) >= 90
    assert sum(row["code"] is None for row in texts) >= 1500


def test_of_texts_of_the_whole_world_99_in_100_are_read_right_and_1_in_100_without_a_code_is_not() -> None:
    scores = score.of(TEXTS + WORLD)
    total = score.total(scores)
    assert total.exact >= 0.99, total.missed
    assert total.false_positives <= 0.01, total.mistaken
    assert total.named >= 0.95


def test_the_page_on_reading_codes_shows_the_score_as_it_is() -> None:
    assert score.table(score.of(TEXTS + WORLD)) in score.PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "code", "host_service"),
    [
        ("Your code is 1.\n@nimbus.example #448210", "448210", "nimbus"),
        ("@login.nimbus.example #448-210", "448210", "nimbus"),
        ("Nimbus\r\n@nimbus.example #9031 @shop.example", "9031", "nimbus"),
        ("@NIMBUS.EXAMPLE #9031", "9031", "nimbus"),
        ("@nimbus.example #1", "1", "nimbus"),
    ],
)
def test_a_line_bound_to_a_site_decides_over_all_else(text: str, code: str, host_service: str) -> None:
    found = extract(text, BRANDS)
    assert (found.code, found.service, found.kind) == (code, host_service, "webotp")


@pytest.mark.parametrize(
    "text",
    [
        "@nimbus.example#448210",
        "@nimbus.example  #448210",
        "see @nimbus.example #448210",
        "@a.example code #448210",
        "@x:80 #123456",
    ],
)
def test_a_line_that_only_resembles_a_bound_one_gives_no_code(text: str) -> None:
    assert code_in(text) is None


@pytest.mark.parametrize(
    "split", ["482 913", "482\u00a0913", "482-913", "482\u2013913", "482\u2011913", "48 29 13", "4 8 2 9 1 3"]
)
def test_a_split_code_is_put_together(split: str) -> None:
    assert code_in(f"Your code is {split}.") == "482913"


@pytest.mark.parametrize("phone", ["415 555 0123", "+1 415-555-0123", "(415) 555-0123", "8 800 100-70-10"])
def test_a_split_phone_number_is_not(phone: str) -> None:
    assert code_in(f"Lost your code? Call {phone}") is None


@pytest.mark.parametrize(
    "zero", [0x30, 0x660, 0x6F0, 0x966, 0x9E6, 0xA66, 0xB66, 0xBE6, 0xE50, 0xED0, 0x1040, 0x17E0, 0xFF10, 0x1D7CE]
)
def test_the_digits_of_every_script_come_back_as_ascii(zero: int) -> None:
    written = "".join(chr(zero + int(digit)) for digit in "739204")
    assert code_in(f"OTP: {written}") == "739204"


def test_invisible_characters_do_not_split_a_code() -> None:
    assert code_in("\u202aYour code\u200c is\u2066 48\u200b29\ufeff13\u2069") == "482913"


def test_an_app_hash_is_never_a_code() -> None:
    assert code_in("<#> Your code is 4821\nK9x+Zt81LmB") == "4821"
    assert code_in("<#> Your code is on its way\nK9x+Zt81LmB") is None
    assert code_in("Your verification code is on its way 6q3sJ5ApRx2") is None


def test_letters_alone_need_a_word_for_a_code_right_beside_them() -> None:
    assert code_in("Your verification code is: KQXWPT") == "KQXWPT"
    assert code_in("Your verification code was sent. THANKS") is None
    assert code_in("VERIFICATION CODE: NEVER SHARE IT") is None
    assert code_in("Use promo code: SPRING") is None


def test_the_case_of_letters_is_kept() -> None:
    assert code_in("Your security code is aB3dE9") == "aB3dE9"


def test_an_amount_beside_the_code_is_not_taken() -> None:
    assert code_in("USD 4821.00 at ACME. OTP 730915") == "730915"
    assert code_in("Your payment of Rs 482913 is due, keep your PIN safe") is None


def test_a_name_before_a_number_claims_it() -> None:
    assert code_in("OTP verified, ref 482913") is None
    assert code_in("OTP for card ending 4821 is 730915") == "730915"
    assert code_in("4821 ile biten kartinizin sifresi degisti") is None


def test_a_code_for_an_order_counts_only_where_it_proves_something() -> None:
    assert code_in("Order 884213: tell OTP 5521 to the rider") == "5521"
    assert code_in("Your order code is 5521") is None
    assert code_in("Kod odbioru: 5521") is None


def test_a_number_counted_in_minutes_is_no_code() -> None:
    assert code_in("Your password expires in 120 minutes") is None
    assert code_in("验证码120分钟内有效") is None


def test_a_text_of_nothing_but_a_number_is_its_code() -> None:
    assert code_in("482913") == "482913"
    assert code_in("12") is None
    assert code_in("+14155550123") is None
    assert code_in("01-02-2025") is None


def test_a_link_that_carries_the_code_gives_it() -> None:
    found = extract("Verify your number: https://nimbus.example/v?code=482913", BRANDS)
    assert (found.code, found.kind, found.link) == ("482913", "code", "https://nimbus.example/v?code=482913")
    both = extract("Your code is 482913 or tap nimbus.example/v/482913.")
    assert (both.code, both.link) == ("482913", "nimbus.example/v/482913")


def test_a_magic_link_is_a_link_and_no_code() -> None:
    found = extract("Log in to Nimbus: https://nimbus.example/m/x9K-204819375", BRANDS)
    assert (found.code, found.kind, found.service) == (None, "link", "nimbus")
    assert found.link == "https://nimbus.example/m/x9K-204819375"
    assert extract("Track your parcel at https://nimbus.example/t/482913").kind == "none"


@pytest.mark.parametrize(
    ("text", "service"),
    [
        ("【支付宝】验证码482913", "alipay"),
        ("[Harbor Bank] code 482913", "harborbank"),
        ("Nimbus: 482913 is your code for Google Pay", "nimbus"),
        ("Your Harbor Bank code is 482913", "harborbank"),
        ("482913 is your code - AT&T", "att"),
        ("Код 482913 Нимбус", "nimbus"),
        ("รหัสไลน์ของคุณคือ 482913", "line"),
        ("Your ebay code is 482913", "ebay"),
        ("Code 482913, see https://help.nimbus-mail.example/x", "nimbus"),
        ("hold the line, your code is 482913", None),
        ("Your Harborbanker code is 482913", None),
        ("Code 482913, see https://notnimbus.example/x", None),
    ],
)
def test_the_service_is_the_one_that_the_text_names(text: str, service: str | None) -> None:
    assert extract(text, BRANDS).service == service
    assert extract(text).service is None


def test_every_answer_says_why_in_sentences() -> None:
    taken = extract("Order 884213: your OTP is 5521")
    assert taken.why[0].startswith("Taken 5521")
    assert any("884213" in reason for reason in taken.why[1:])
    assert extract("hello").why == ("No number that could be a code.",)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=300))
def test_any_text_gets_an_answer(text: str) -> None:
    found = extract(text, BRANDS)
    assert 0 <= found.confidence <= 1
    assert found.kind in {"webotp", "code", "link", "none"}
    assert found.code is None or found.code
    assert found.why


PIECES = (
    "Your code is", "OTP", "verification", "order", "card ending", "4821", "482913", "48-29-13", "G-482913", "$12.50",
    "12:30", "Enter", "rider", "Nimbus", "Harbor Bank", "【云帆】", "验证码", "為", "رمز التحقق", "कोड", "٤٨٢١",
    "\n", ".", ":", "(", "@nimbus.example #448210", "https://nimbus.example/v/482913", "<#>", "K9x+Zt81LmB", "\u202e",
    "\u200b", "x4821", "KQXWPT", "is", "no.", "min", "1 2 3 4", "wi fi password", "\ud83d", "1688",
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(
    pieces=st.lists(st.sampled_from(PIECES) | st.text(max_size=6), max_size=14), glue=st.sampled_from([" ", "", "\n"])
)
def test_a_text_is_read_the_same_whatever_was_read_before(pieces: list[str], glue: str) -> None:
    text = glue.join(pieces)
    afresh, again = extract(text, Brands(ROWS)), extract(text, BRANDS)
    assert (afresh.code, afresh.service, afresh.kind, afresh.why) == (again.code, again.service, again.kind, again.why)
    assert afresh.code is None or afresh.code.strip()
    other = text.replace("4821", "7350").replace("482913", "735064")  # leaves a memory of the same shape
    assert extract(other, BRANDS).code == extract(other, Brands(ROWS)).code


@settings(max_examples=200, deadline=None)
@given(
    code=st.integers(0, 99_999_999).map(lambda number: f"{number:06d}"),
    before=st.sampled_from(["", "Nimbus: ", "Hi! "]),
)
def test_a_plain_text_gives_back_any_code_that_was_sent(code: str, before: str) -> None:
    assert code_in(f"{before}Your verification code is {code}. Do not share it.") == code


@pytest.mark.parametrize(
    "unit",
    [
        "1",
        "1 ",
        "a.",
        "a-",
        "1-",
        "1,",
        "code ",
        "@a #",
        "http://a",
        "码",
        "验证码1",
        "[",
        "a@",
        "\ud800",
        "\u0300",
        "Nimbus ",
        "1.a/",
        "a" * 63 + ".",
        "code 1234 ",
        "order 1234 ",
    ],
)
def test_a_hostile_text_of_64_kib_is_answered(unit: str) -> None:
    # A search that backtracks would not come back within the life of the test run.
    assert extract(unit * (65536 // len(unit)), BRANDS).why


def test_the_end_of_a_very_long_text_is_read() -> None:
    assert code_in("word " * 20_000 + "\nYour code is 482913") == "482913"
