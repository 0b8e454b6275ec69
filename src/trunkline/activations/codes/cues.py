"""Finds the cue words of cues.toml in a folded text."""

import re
import tomllib
from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple

from trunkline.activations.codes.spelling import fold, plain

OTP, CODE, VERIFY, VOUCHER, NAMES, NAMES_BEFORE, UNIT, MONEY, IS, ENTER, COURIER = (1 << bit for bit in range(11))
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
    "enter": ENTER,
    "courier": COURIER,
}
# Senders who cannot write their own letters: "bestaetigen", "aterstaelning".
_SPELT_OUT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "å": "aa", "ø": "oe", "æ": "ae"})
# Scripts written without spaces, and Hangul, whose particles stick to the word.
_RUNNING = (
    "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff"
    "\u3005-\u3007\u3041-\u30ff\u3130-\u318f\u3400-\u9fff\uac00-\ud7af"
)
_WORD = re.compile(rf"[a-z]+|[^\x00-\xbf\u2000-\u2bff\u3000-\u303f\uff00-\uffff،؛؟۔।॥።፡{_RUNNING}]+")
_HEAD = re.compile(
    "[\u30a1-\u30fa\u30fc\u3400-\u9fff\uac00-\ud7af]"
)  # no hiragana, which ends a word before a compound
_ASCII_WORD = re.compile("[a-z]+")
_STEM_LENGTH = 24
_TOGETHER = re.compile(r"[^\W\d_]*[ '’/·]?[^\W\d_]*[ '’/·]?[^\W\d_]*")


class Cue(NamedTuple):
    start: int
    end: int
    kinds: int  # a union of the bits above: "order" both names a number and sells something


class _Lexicon:
    def __init__(self, languages: dict[str, dict[str, list[str]]]) -> None:
        self.words: dict[str, int] = {}
        self.beginnings: dict[str, int] = {}
        self.endings: dict[str, int] = {}
        self.phrases: dict[str, list[tuple[str, bool, int]]] = {}
        self.inside: dict[str, int] = {}
        self.tails: set[str] = set()
        for table in languages.values():
            for kind, entries in table.items():
                for entry in entries:
                    self._add(fold(plain(entry)), _KINDS[kind])
                    spelt_out = entry.lower().translate(_SPELT_OUT)
                    if spelt_out != entry.lower():
                        self._add(fold(plain(spelt_out)), _KINDS[kind])
        for phrases in self.phrases.values():
            phrases.sort(key=lambda phrase: -len(phrase[0]))

    def _add(self, entry: str, kind: int) -> None:
        if re.match(f"[*]?[{_RUNNING}]", entry):
            if entry.startswith("*"):
                entry = entry[1:]
                self.tails.add(entry)
            self.inside[entry] = self.inside.get(entry, 0) | kind
        elif entry.startswith("*"):
            self.endings[entry[1:]] = self.endings.get(entry[1:], 0) | kind
        elif (first := _WORD.match(entry)) and first.end() < len(entry.rstrip("*")):
            self._add_phrase(first[0], entry.rstrip("*"), entry.endswith("*"), kind)
        elif entry.endswith("*"):
            self.beginnings[entry[:-1]] = self.beginnings.get(entry[:-1], 0) | kind
        else:
            self.words[entry] = self.words.get(entry, 0) | kind

    def _add_phrase(self, first: str, entry: str, is_open: bool, kind: int) -> None:
        phrases = self.phrases.setdefault(first, [])
        for index, (known, known_open, kinds) in enumerate(phrases):
            if (known, known_open) == (entry, is_open):
                phrases[index] = (entry, is_open, kinds | kind)
                return
        phrases.append((entry, is_open, kind))

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
def _look_up(word: str) -> tuple[int, tuple[tuple[str, bool, int], ...]] | None:
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
        for phrase, is_open, phrase_kinds in phrases:
            if folded.startswith(phrase, start):
                after = start + len(phrase)
                if is_open and (rest := _WORD.match(folded, after)):
                    after = rest.end()
                if not folded[after : after + 1].isalpha():
                    end, kinds = after, phrase_kinds
                    break
        if kinds:
            cues.append(Cue(start, end, kinds))
            beyond = end
            seen |= kinds
    if not folded.isascii():
        inside: list[Cue] = []
        for match in _INSIDE.finditer(folded):
            start, end = match.span()
            kinds = _LEXICON.inside[match[0]]
            compound = match[0] in _LEXICON.tails and start and _HEAD.match(folded, start - 1)
            if compound and not (inside and inside[-1].end == start):
                kinds = NAMES  # of a sort that nobody has listed: "診察券番号"
            inside.append(Cue(start, end, kinds))
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
            if other & (VOUCHER | VERIFY) and len(gap) <= 6 and _TOGETHER.fullmatch(gap):
                # "order code" is no code to us, "code de vérification" surely is one.
                kind = NAMES | VOUCHER if other & VOUCHER else OTP
                joined[-1] = Cue(before.start, cue.end, kind)
                continue
        joined.append(cue)
    return joined
