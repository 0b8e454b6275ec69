"""The cue words of ``cues/*.toml``, one table for each language, indexed for finding them in a folded text."""

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache
from importlib.resources import files
from typing import NamedTuple

from trunkline.codes.spelling import fold, plain

OTP, CODE, VERIFY, VOUCHER, NAMES, NAMES_BEFORE = (1 << bit for bit in range(6))
UNIT, MONEY, IS, ENTER, COURIER, NUMBER = (1 << bit for bit in range(6, 12))
KINDS = {
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
    "number": NAMES | NUMBER,
    "other_code": CODE | NAMES | VOUCHER,
}
# Scripts written without spaces, and Hangul, whose particles stick to the word.
_RUNNING = (
    "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff"
    "\u3005-\u3007\u3041-\u30ff\u3130-\u318f\u3400-\u9fff\uac00-\ud7af"
)
IN_RUNNING_TEXT = re.compile(f"[*]?[{_RUNNING}]")
WORD = re.compile(rf"[a-z]+|[^\x00-\xbf\u2000-\u2bff\u3000-\u303f\uff00-\uffff،؛؟۔।॥።፡{_RUNNING}]+")
# Senders who cannot write their own letters: "bestaetigen", "aterstaelning".
_SPELT_OUT = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "å": "aa", "ø": "oe", "æ": "ae"})
_LONGEST_STEM = 24


class Senses:
    """What an entry means, by language: most words of one language are also words of others."""

    __slots__ = ("_groups", "known", "languages", "tally")

    def __init__(self, by_language: dict[int, int]) -> None:
        """``by_language``: from the bit of a language (EVERY for an entry of no language) to kinds."""
        groups: dict[int, int] = {}
        self.languages = 0
        self.tally = 0  # a count of 1 for each language, a byte wide, so that counting languages is adding numbers
        for language, kinds in by_language.items():
            groups[kinds] = groups.get(kinds, 0) | language
            self.languages |= language
            if language != EVERY:
                self.tally += 1 << 8 * (language.bit_length() - 1)
        self._groups = tuple(groups.items())
        self.known: dict[int, int] = {}  # kinds by what is spoken, as asked before

    def kinds(self, spoken: int) -> int:
        """Its kinds in the languages that are spoken, a union of bits."""
        kinds = 0
        for meant, languages in self._groups:
            kinds |= meant if languages & spoken else meant & _EVERYWHERE
        if len(self.known) < _MOST_KNOWN:  # hostile texts can teach it no more
            self.known[spoken] = kinds
        return kinds


class Phrase(NamedTuple):
    """Several words, or one with a sign inside."""

    text: str
    is_open: bool  # the last word may go on: "kod podtverzhden*"
    senses: Senses


class Phrases:
    """The phrases that begin with one word, by the signs that follow it, so that few are compared."""

    __slots__ = ("_by_signs", "_lengths")

    def __init__(self, first: str, phrases: Iterable[Phrase]) -> None:
        self._by_signs: dict[str, list[Phrase]] = {}
        for phrase in sorted(phrases, key=lambda phrase: -len(phrase.text)):
            signs = phrase.text[len(first) : len(first) + _MOST_SIGNS]
            self._by_signs.setdefault(signs, []).append(phrase)
        self._lengths = sorted({len(signs) for signs in self._by_signs}, reverse=True)

    def find(self, folded: str, start: int, end: int) -> tuple[int, Senses] | None:
        """Where the longest phrase ends whose first word is at ``start`` to ``end``, and its senses."""
        for length in self._lengths:
            for phrase in self._by_signs.get(folded[end : end + length], ()):
                if folded.startswith(phrase.text, start):
                    after = start + len(phrase.text)
                    if phrase.is_open and (rest := WORD.match(folded, after)):
                        after = rest.end()
                    if not folded[after : after + 1].isalpha():
                        return after, phrase.senses
        return None


EVERY = -1
_MOST_KNOWN = 64
_MOST_SIGNS = 4
_EVERYWHERE = OTP | CODE | VERIFY | COURIER  # texts mix languages: these count in any
_ByLanguage = dict[int, int]  # the bit of a language -> kinds


class Lexicon:
    """Words, beginnings and endings of words, phrases, and pieces of running text, each with its senses."""

    def __init__(self, languages: Iterable[Mapping[str, Sequence[str]]]) -> None:
        self._words: dict[str, _ByLanguage] = {}
        self._beginnings: dict[str, _ByLanguage] = {}
        self._endings: dict[str, _ByLanguage] = {}
        self._phrases: dict[str, dict[tuple[str, bool], _ByLanguage]] = {}
        self._inside: dict[str, _ByLanguage] = {}
        self.tails: set[str] = set()
        families: dict[str, int] = {"any": EVERY}
        for table in languages:
            language = families.setdefault(str(table["family"]), 1 << len(families))
            for kind, entries in table.items():
                for entry in entries if kind in KINDS else ():
                    self._add(fold(plain(entry)), language, KINDS[kind])
                    spelt_out = entry.lower().translate(_SPELT_OUT)
                    if spelt_out != entry.lower():
                        self._add(fold(plain(spelt_out)), language, KINDS[kind])
        self.phrases: dict[str, Phrases] = {}
        for first, found in self._phrases.items():
            phrases = (Phrase(text, is_open, Senses(table)) for (text, is_open), table in found.items())
            self.phrases[first] = Phrases(first, phrases)
        self.pieces: dict[str, list[tuple[str, Senses]]] = {}
        for piece, by_language in sorted(self._inside.items(), key=lambda item: -len(item[0])):
            self.pieces.setdefault(piece[:2], []).append((piece, Senses(by_language)))
        first_signs = {piece[0] for piece in self._inside}
        self.piece_start = re.compile(f"[{re.escape(''.join(sorted(first_signs)))}]" if first_signs else r"(?!)")

    def _add(self, entry: str, language: int, kind: int) -> None:
        if IN_RUNNING_TEXT.match(entry):
            if entry.startswith("*"):
                entry = entry[1:]
                self.tails.add(entry)
            table = self._inside.setdefault(entry, {})
        elif entry.startswith("*"):
            table = self._endings.setdefault(entry[1:], {})
        elif (first := WORD.match(entry)) and first.end() < len(entry.rstrip("*")):
            key = (entry.rstrip("*"), entry.endswith("*"))
            table = self._phrases.setdefault(first[0], {}).setdefault(key, {})
        elif entry.endswith("*"):
            table = self._beginnings.setdefault(entry[:-1], {})
        else:
            table = self._words.setdefault(entry, {})
        table[language] = table.get(language, 0) | kind

    def senses_of(self, word: str) -> Senses | None:
        """The senses of a single word; None for one that is no cue."""
        table = dict(self._words.get(word, ()))
        reach = min(len(word), _LONGEST_STEM)
        nothing: _ByLanguage = {}
        # The longest beginning that each language knows.
        head: _ByLanguage = {}
        for length in range(reach, 1, -1):
            for language, kinds in self._beginnings.get(word[:length], nothing).items():
                head.setdefault(language, kinds)
        tail: _ByLanguage = {}
        for length in range(reach - 1, 2, -1):
            for language, kinds in self._endings.get(word[-length:], nothing).items():
                tail.setdefault(language, kinds)
        for language in head.keys() | tail.keys():
            table.setdefault(language, _compound(head.get(language, 0), tail.get(language, 0)))
        return Senses(table) if table else None


def _compound(head: int, tail: int) -> int:
    if tail & CODE and head:  # "Bestätigungscode" proves, "Gutscheincode" sells.
        return OTP if head & (VERIFY | OTP) else (head & ~CODE) | NAMES
    return head | tail


@cache
def lexicon() -> Lexicon:
    """The lexicon of all languages, read at first use."""
    folder = files(__package__) / "cues"
    tables = sorted((file for file in folder.iterdir() if file.name.endswith(".toml")), key=lambda file: file.name)
    return Lexicon(tomllib.loads(file.read_text(encoding="utf-8")) for file in tables)


@lru_cache(maxsize=1 << 14)
def look_up(word: str) -> tuple[Senses | None, Phrases | None] | None:
    """The senses of a word alone, and the phrases that begin with it; None for a word that is in neither."""
    known = lexicon()
    senses, phrases = known.senses_of(word), known.phrases.get(word)
    return (senses, phrases) if senses is not None or phrases else None
