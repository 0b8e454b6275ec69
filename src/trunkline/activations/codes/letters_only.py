"""Codes of letters alone, which only a word for a code right beside them can tell from any other word."""

import re

from trunkline.activations.codes.judge import Judge
from trunkline.activations.codes.lexicon import OTP

_SIGNS = r"[ \"'“”«»„「『\[({<*]*"
_LETTERS = r"([A-Z]{4,10}|[a-z]{5,8})(?![\w-]|'[a-z])"
_AFTER_SIGN = re.compile(rf"{_SIGNS}[:：=>-]{_SIGNS}\n?{_SIGNS}{_LETTERS}")
_AFTER_SPACE = re.compile(rf" {_SIGNS}{_LETTERS}")
_FIRST = re.compile(r"\W{0,3}([A-Z]{4,10}) ")
_ANOTHER_CAPITAL_WORD = re.compile(r" [A-Z]{2}")
_VOWELS = frozenset("aeiouyAEIOUY")
_MOST_APART = 60


def letters_beside(plain: str, judge: Judge) -> str | None:
    """The letters of "Your code is KQXWPT" or "KQXWPT is your code"; None where no word for a code is beside any."""
    if judge.sells:
        return None
    for cue in judge.askers:
        if not (cue.kinds & OTP or judge.proves):
            continue
        for said in judge.said_after(cue.end, _MOST_APART):
            found = _AFTER_SIGN.match(plain, said) or _AFTER_SPACE.match(plain, said)
            if found is None:
                continue
            certain = ":" in found[0] or (said > cue.end and found.re is _AFTER_SPACE)
            if _is_code(plain, found, certain=certain):
                return found[1]
    first = _FIRST.match(plain)
    if first is None or not judge.says_at(first.end()) or not _is_code(plain, first, certain=True):
        return None
    is_named = any(cue.kinds & OTP and 0 < cue.start - first.end() <= _MOST_APART for cue in judge.askers)
    return first[1] if is_named else None


def _is_code(plain: str, found: re.Match[str], *, certain: bool) -> bool:
    """Words have vowels, and words in capitals come in rows; ``certain`` where the text says that this is the code."""
    letters = found[1]
    vowels = sum(letter in _VOWELS for letter in letters)
    if letters.isupper() and certain:
        return not _ANOTHER_CAPITAL_WORD.match(plain, found.end(1))
    if letters.islower():
        return certain and vowels * 5 <= len(letters)
    return vowels * 4 <= len(letters) and not _ANOTHER_CAPITAL_WORD.match(plain, found.end(1))
