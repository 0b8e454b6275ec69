"""Codes of letters alone, which only a word for a code right beside them can tell from any other word."""

import itertools
import re

from trunkline.codes.lexicon import CODE, ENTER, OTP
from trunkline.codes.reading import Reading

_SIGNS = r"[ \"'“”«»„「『\[({<*]*"
_LETTERS = r"([A-Z]{4,10}|[a-z]{5,8})(?![\w-]|'[a-z])"
_AFTER_SIGN = re.compile(rf"{_SIGNS}[:：=>-]{_SIGNS}\n?{_SIGNS}{_LETTERS}")
_AFTER_SPACE = re.compile(rf" {_SIGNS}{_LETTERS}")
_FIRST = re.compile(r"\W{0,3}([A-Z]{4,10}) ")
_ANOTHER_CAPITAL_WORD = re.compile(r" [A-Z]{2}")
_ASKED = re.compile(r" (?:[^\W\d]+ ){0,2}[\"'“«]?([A-Z]{4,10})(?![\w-])")
_AFTER_COLON = re.compile(r": ?([A-Z]{5,8})(?![\w-])")
_ORDINARY = frozenset(
    ["SENT", "THIS", "THAT", "USED", "VALID", "READY", "NEVER", "ONLY", "HERE", "BELOW", "SECRET", "BLOCKED"]
)
_VOWELS = frozenset("aeiouyAEIOUY")
_MOST_APART = 60


def letters_beside(reading: Reading) -> str | None:
    """The letters of "Your code is KQXWPT" or "KQXWPT is your code"; None where no word for a code is beside any."""
    if reading.sells or not reading.present & (OTP | CODE | ENTER):
        return None
    return _answered(reading) or _asked(reading) or _first(reading)


def _answered(reading: Reading) -> str | None:
    """After a word for a code: "code: KQXWPT", "code for Acme is KQXWPT"."""
    for cue in reading.askers:
        if not (cue.kinds & OTP or reading.proves):
            continue
        for said in reading.said_after(cue.end, _MOST_APART):
            found = _AFTER_SIGN.match(reading.plain, said) or _AFTER_SPACE.match(reading.plain, said)
            if found is not None:
                certain = ":" in found[0] or (said > cue.end and found.re is _AFTER_SPACE)
                if _is_code(reading.plain, found, certain=certain):
                    return found[1]
    return None


def _asked(reading: Reading) -> str | None:
    """After a verb that asks to put them in, or after a colon in a text that has no number at all."""
    if not reading.proves:
        return None
    asked = (_ASKED.match(reading.plain, cue.end) for cue in reading.cues if cue.kinds & ENTER)
    colons = _AFTER_COLON.finditer(reading.plain) if reading.askers and not reading.candidates else iter(())
    for found in itertools.chain(asked, colons):
        if found and _is_code(reading.plain, found, certain=False):
            return found[1]
    return None


def _first(reading: Reading) -> str | None:
    """As the first word: "KQXWPT is your code"."""
    first = _FIRST.match(reading.plain)
    if first is None or not reading.says_at(first.end()) or not _is_code(reading.plain, first, certain=True):
        return None
    is_named = any(cue.kinds & OTP and 0 < cue.start - first.end() <= _MOST_APART for cue in reading.askers)
    return first[1] if is_named else None


def _is_code(plain: str, found: re.Match[str], *, certain: bool) -> bool:
    """Words have vowels, and words in capitals come in rows; ``certain`` where the text says that this is the code."""
    letters = found[1]
    if letters.upper() in _ORDINARY:
        return False
    vowels = sum(letter in _VOWELS for letter in letters)
    if letters.isupper() and certain:
        return not _ANOTHER_CAPITAL_WORD.match(plain, found.end(1))
    if letters.islower():
        return certain and vowels * 5 <= len(letters)
    return vowels * 4 <= len(letters) and not _ANOTHER_CAPITAL_WORD.match(plain, found.end(1))
