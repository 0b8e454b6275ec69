"""Finds the cue words of cues.toml in a folded text."""

import re
import tomllib
from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple

from trunkline.activations.codes.letters import fold, plain

OTP, CODE, VERIFY, VOUCHER, NAMES, NAMES_BEFORE, UNIT, MONEY, IS = (1 << bit for bit in range(9))
_KINDS = {
    "otp": OTP,
    "code": CODE,
    "verify": VERIFY,
    "voucher": VOUCHER,
    "names": NAMES,
    "names_before": NAMES_BEFORE,
    "unit": UNIT,
    "money": MONEY,
    "is": IS,
}
# Scripts written without spaces, and Hangul, whose particles stick to the word.
_RUNNING = (
    "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff"
    "\u3005-\u3007\u3041-\u30ff\u3130-\u318f\u3400-\u9fff\uac00-\ud7af"
)
_WORD = re.compile(rf"[a-z]+|[^\x00-\xbf\u2000-\u2bff\u3000-\u303f\uff00-\uffff،؛؟۔।॥።፡{_RUNNING}]+")
_ASCII_WORD = re.compile("[a-z]+")
_STEM_LENGTH = 24


class Cue(NamedTuple):
    start: int
    end: int
    kinds: int  # a union of the bits above: "order" both names a number and sells something


class _Lexicon:
    def __init__(self, languages: dict[str, dict[str, list[str]]]) -> None:
        self.words: dict[str, int] = {}
        self.beginnings: dict[str, int] = {}
        self.endings: dict[str, int] = {}
        self.phrases: dict[str, list[tuple[str, int]]] = {}
        self.inside: dict[str, int] = {}
        for table in languages.values():
            for kind, entries in table.items():
                for entry in entries:
                    self._add(fold(plain(entry)), _KINDS[kind])
        for phrases in self.phrases.values():
            phrases.sort(key=lambda phrase: -len(phrase[0]))

    def _add(self, entry: str, kind: int) -> None:
        if re.match(f"[{_RUNNING}]", entry):
            self.inside[entry] = self.inside.get(entry, 0) | kind
        elif entry.startswith("*"):
            self.endings[entry[1:]] = self.endings.get(entry[1:], 0) | kind
        elif (first := _WORD.match(entry)) and first.end() < len(entry.rstrip("*")):
            self.phrases.setdefault(first[0], []).append((entry.rstrip("*"), kind))
        elif entry.endswith("*"):
            self.beginnings[entry[:-1]] = self.beginnings.get(entry[:-1], 0) | kind
        else:
            self.words[entry] = self.words.get(entry, 0) | kind

    def kinds_of(self, word: str) -> int:
        kinds = self.words.get(word, 0)
        if kinds:
            return kinds
        reach = min(len(word), _STEM_LENGTH)
        head = next((self.beginnings[word[:n]] for n in range(reach, 1, -1) if word[:n] in self.beginnings), 0)
        tail = next((self.endings[word[-n:]] for n in range(reach - 1, 2, -1) if word[-n:] in self.endings), 0)
        if tail & CODE and head:  # A compound: "Bestätigungscode" proves, "Gutscheincode" sells.
            return OTP if head & (VERIFY | OTP) else head & ~CODE
        return head | tail


_LEXICON = _Lexicon(tomllib.loads(files(__package__).joinpath("cues.toml").read_text(encoding="utf-8")))
_INSIDE = re.compile("|".join(map(re.escape, sorted(_LEXICON.inside, key=len, reverse=True))))


@lru_cache(maxsize=1 << 14)
def _look_up(word: str) -> tuple[int, tuple[tuple[str, int], ...]] | None:
    kinds, phrases = _LEXICON.kinds_of(word), tuple(_LEXICON.phrases.get(word, ()))
    return (kinds, phrases) if kinds or phrases else None


def find_cues(folded: str) -> list[Cue]:
    """The cues of a folded text in order; a code word beside a word of proving or of trade is one cue with it."""
    cues = []
    beyond = seen = 0
    for match in (_ASCII_WORD if folded.isascii() else _WORD).finditer(folded):
        found = _look_up(match[0])
        if found is None:
            continue
        start, end = match.span()
        if start < beyond:
            continue
        kinds, phrases = found
        for phrase, phrase_kinds in phrases:
            if folded.startswith(phrase, start) and not folded[start + len(phrase) : start + len(phrase) + 1].isalpha():
                end = start + len(phrase)
                kinds = phrase_kinds
                break
        if kinds:
            cues.append(Cue(start, end, kinds))
            beyond = end
            seen |= kinds
    if not folded.isascii():
        inside = [Cue(*match.span(), _LEXICON.inside[match[0]]) for match in _INSIDE.finditer(folded)]
        if inside:
            cues = sorted(cues + inside)
            seen = CODE
    return _joined(cues, folded) if seen & CODE else cues


def _joined(cues: list[Cue], folded: str) -> list[Cue]:
    joined: list[Cue] = []
    for cue in cues:
        if joined and (cue.kinds | joined[-1].kinds) & CODE:
            before = joined[-1]
            gap = folded[before.end : cue.start]
            other = (before.kinds if cue.kinds & CODE else cue.kinds) & ~CODE
            if other & (VOUCHER | VERIFY) and len(gap) <= 6 and not any(sign in gap for sign in ".,:;!?\n0123456789"):
                # "order code" is no code to us, "code de vérification" surely is one.
                kind = NAMES | VOUCHER if other & VOUCHER else OTP
                joined[-1] = Cue(before.start, cue.end, kind)
                continue
        joined.append(cue)
    return joined
