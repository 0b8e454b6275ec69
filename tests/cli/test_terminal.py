"""What others wrote reaches a terminal as text, never as commands to it."""

import json
import unicodedata

import pytest
from tests.conftest import Trunkline

from trunkline.cli import terminal

HOSTILE = "a\x1b]52;c;Y3Vy\x07\x1b[2J\x9b31m\u202eevil\u2066\u200b\r\x08\x7f\u2028\U000e0041\ud800é漢🙂"


def visible(text: str) -> bool:
    return all(unicodedata.category(each) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for each in text)


def test_controls_are_shown_as_escapes_and_letters_as_they_are() -> None:
    shown = terminal.plain(HOSTILE)
    assert visible(shown)
    begin = r"a\x1b]52;c;Y3Vy\x07\x1b[2J\x9b31m\u202eevil\u2066\u200b\x0d\x08\x7f\u2028\U000e0041\ud800"
    assert shown == begin + "é漢🙂"
    assert terminal.plain("one\ntwo") == r"one\x0atwo"


def test_json_stays_the_same_json() -> None:
    told = json.dumps({HOSTILE.replace("\ud800", ""): [HOSTILE.replace("\ud800", "")]}, ensure_ascii=False)
    exact = terminal.exact(told)
    assert visible(exact)
    assert json.loads(exact) == json.loads(told)
    assert "é漢🙂" in exact


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_a_text_does_not_write_to_the_operators_terminal(trunkline: Trunkline, words: list[str]) -> None:
    text = "Telegram code 12345 \x1b]52;c;Y3Vy\x07\x9b2J\u202e"
    trunkline("simulate", "sms", "--to", "+12025550123", "--from", "Bank", "--text", text)
    shown = trunkline.run("inbox", *words).stdout
    assert visible(shown.replace("\n", ""))
    assert "202e" in shown
    if words:
        assert json.loads(shown)["texts"][0]["text"] == text


def test_a_keys_name_is_shown_with_its_bidirectional_controls_in_the_open(trunkline: Trunkline) -> None:
    trunkline.customer(email="dev@example.com")
    trunkline("key", "create", "dev@example.com", "--name", "ci\u202egpj", "--scope", "numbers")
    for command in (["key", "list", "dev@example.com"], ["audit", "list"], ["audit", "list", "--json"]):
        shown = trunkline.run(*command).stdout
        assert visible(shown.replace("\n", "")), command
        assert "ci\\u202egpj" in shown
