"""Text made comparable: one spelling for each digit, dash, space and letter, and nothing invisible.

Both steps map one character to one character at most, so a position found in a folded text is the same position in
the plain one.
"""

import re
import unicodedata
from collections.abc import Callable

_BASE_OF = {
    "ı": "i",
    "ł": "l",
    "đ": "d",
    "ø": "o",
    "æ": "a",
    "œ": "o",
    "ß": "s",
    "ð": "d",
    "þ": "t",
    "ə": "e",
    "ħ": "h",
    "ɓ": "b",
    "ɖ": "d",
    "ɗ": "d",
    "ɛ": "e",
    "ɣ": "g",
    "ƙ": "k",
    "ŋ": "n",
    "ɔ": "o",
    "ʋ": "v",
    "ƴ": "y",
}
_BASE_OF |= {"ي": "ی", "ى": "ی", "ك": "ک", "أ": "ا", "إ": "ا", "آ": "ا", "ة": "ه", "ۀ": "ه", "ؤ": "و", "ئ": "ی"}
_BASE_OF |= {"-": " ", "_": " ", "’": "'", "ς": "σ"}
# Marks that spell no sound of their own: accents over Latin, Hebrew points, Arabic vowels, emoji variation. The marks
# of Indic and Thai scripts are vowels and stay.
_SILENT = (
    (0x300, 0x36F),
    (0x591, 0x5C7),
    (0x610, 0x61A),
    (0x64B, 0x65F),
    (0x670, 0x670),
    (0x20D0, 0x20FF),
    (0xFE00, 0xFE0F),
)
_NARROWED = frozenset(":#@=/.-%+*()[]<>'\"&?$!")


def _plain(char: str) -> str | None:
    digit = unicodedata.decimal(char, None)
    if digit is not None:
        return str(digit)
    if char in "\n\t":
        return char
    category = unicodedata.category(char)
    if category == "Cf" or char == "ـ" or any(first <= ord(char) <= last for first, last in _SILENT):
        return None
    if category in {"Zl", "Zp"} or char in "\r\x85":
        return "\n"
    if category in {"Zs", "Cc", "Cs"}:
        return " "
    if category == "Pd" or char == "\N{MINUS SIGN}":
        return "-"
    wide = unicodedata.normalize("NFKC", char)
    if len(wide) == 1 and wide.isascii() and (wide.isalpha() or wide in _NARROWED):
        return wide  # Mathematical letters and full-width signs, but not the comma: "1234，5分" is no decimal.
    return char


def _fold(char: str) -> str:
    lower = char.lower()[:1]
    if ord(lower) < 0x530 or 0x1E00 <= ord(lower) < 0x2000:
        lower = unicodedata.normalize("NFD", lower)[0]
    return _BASE_OF.get(lower, lower)


class _Table(dict[int, str | None]):
    """A table for str.translate that learns each character at first sight, so that import stays fast."""

    def __init__(self, rule: Callable[[str], str | None]) -> None:
        super().__init__()
        self._rule = rule

    def __missing__(self, point: int) -> str | None:
        mapped = self._rule(chr(point))
        if point <= 0xFFFF:  # Bounded: hostile texts can teach it no more than the basic plane.
            self[point] = mapped
        return mapped


_PLAIN = _Table(_plain)
_FOLD = _Table(_fold)


# Letters of other scripts that are taken for ours (UTS #39, confusables.txt): where a capital is, its small letter too.
_LIKE = "авгеһіјкԛмнорстухѕԁԍҽѵѡүьαβεικνορτυχγζμηօոսհցզյ", "abrehijkqmhopctyxsdgevwybabeikvoptuxyzmnonuhgqj"
_LOOKALIKES = str.maketrans(*(letters + letters.upper() for letters in _LIKE))
_MIXED = re.compile("[A-Za-z][\u0370-\u058f]|[\u0370-\u058f][A-Za-z]")
_WORD = re.compile("[A-Za-z0-9\u0370-\u058f]+")


def plain(text: str) -> str:
    """The text with ASCII digits, plain spaces and hyphens, narrow letters, and without invisible characters."""
    if text.isascii():
        return text.replace("\r", "\n")
    return text.translate(_PLAIN)


def fold(text: str) -> str:
    """A plain text in lower case without accents, hyphens as spaces; as long as what it is given.

    A cue is made of letters, so "2FA" is spelt as its other name, MFA.
    """
    folded = text.lower().replace("-", " ").replace("_", " ") if text.isascii() else text.translate(_FOLD)
    return folded.replace("2fa", "mfa") if "2fa" in folded else folded


def in_one_script(text: str) -> str:
    """A plain text, of the same length, in which no word mixes Latin letters with others that look like them."""
    if text.isascii() or not _MIXED.search(text):
        return text
    return _WORD.sub(lambda word: word[0].translate(_LOOKALIKES) if _MIXED.search(word[0]) else word[0], text)
