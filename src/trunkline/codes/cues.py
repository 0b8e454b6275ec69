"""Finds the cues of a folded text: the words that say what a number is."""

import re
from typing import NamedTuple

from trunkline.codes.lexicon import CODE, EVERY, NAMES, OTP, VERIFY, VOUCHER, WORD, Senses, lexicon, look_up

_ASCII_WORD = re.compile("[a-z]+")
# No hiragana: it ends a word before a compound.
_HEAD_OF_COMPOUND = re.compile("[\u30a1-\u30fa\u30fc\u3400-\u9fff\uac00-\ud7af]")
_TOGETHER = re.compile(r"[^\W\d_]*[ '’/·]?[^\W\d_]*[ '’/·]?[^\W\d_]*")
_OF = re.compile("(?: ?-? ?| (?:de|di|do|da|del|du|of|d'|for|pour|para|per|dla|fur|til|voor) )")
_MOST_BETWEEN = 6
_MOST_COUNTED = 255  # what a byte of a tally holds


class Cue(NamedTuple):
    start: int
    end: int
    kinds: int  # a union of the bits of the lexicon: "order" both names a number and sells something


# (start, end, senses, whether it is the tail of a compound that nobody has listed: "診察券番号"). Plain tuples, and
# cues made without the keywords of a NamedTuple: both are made for every word, and this is half of the work.
_Hit = tuple[int, int, Senses, bool]
_new = tuple.__new__


def find_cues(folded: str) -> list[Cue]:
    """The cues of a folded text in order; a code word beside a word of proving or of trade is one cue with it.

    A word counts with what it means in the languages that the text seems to be written in.
    """
    hits = _find_words(folded)
    if not folded.isascii():
        inside = _find_inside(folded)
        if inside:
            hits = sorted(hits + inside, key=_start)
    if not hits:
        return []
    spoken = _spoken(hits)
    cues = []
    seen = 0
    for start, end, senses, is_label in hits:
        kinds = senses.known.get(spoken)
        if kinds is None:
            kinds = senses.kinds(spoken)
        if is_label:
            kinds = NAMES
        if kinds:
            cues.append(_new(Cue, (start, end, kinds)))
            seen |= kinds
    return _joined(cues, folded) if seen & CODE else cues


def _start(hit: _Hit) -> int:
    return hit[0]


def _spoken(hits: list[_Hit]) -> int:
    """The languages of a text: those that know all of its cues, or at least half as many as any other knows."""
    common = EVERY
    for hit in hits:
        common &= hit[2].languages
    if common:
        return common
    tally = 0
    for senses in {hit[2] for hit in hits[:_MOST_COUNTED]}:  # each word once
        tally += senses.tally
    counts = tally.to_bytes((tally.bit_length() + 7) // 8, "little")
    enough = (max(counts) + 1) // 2
    spoken = 0
    for language, count in enumerate(counts):
        if count >= enough:
            spoken |= 1 << language
    return spoken


def _find_words(folded: str) -> list[_Hit]:
    hits: list[_Hit] = []
    beyond = 0
    for match in (_ASCII_WORD if folded.isascii() else WORD).finditer(folded):
        found = look_up(match[0])
        if found is None:
            continue
        start, end = match.span()
        if start < beyond:
            continue
        senses, phrases = found
        if phrases is not None and (phrase := phrases.find(folded, start, end)):
            end, senses = phrase
        if senses is not None:
            hits.append((start, end, senses, False))
            beyond = end
    return hits


def _find_inside(folded: str) -> list[_Hit]:
    """The cues of scripts that are written without spaces."""
    known = lexicon()
    hits: list[_Hit] = []
    beyond = 0
    for match in known.piece_start.finditer(folded):
        start = match.start()
        if start < beyond:
            continue
        for piece, senses in (*known.pieces.get(folded[start : start + 2], ()), *known.pieces.get(match[0], ())):
            if folded.startswith(piece, start):
                beyond = start + len(piece)
                is_tail = piece in known.tails and start > 0 and _HEAD_OF_COMPOUND.match(folded, start - 1)
                is_label = bool(is_tail) and not (hits and hits[-1][1] == start)
                hits.append((start, beyond, senses, is_label))
                break
    return hits


def _joined(cues: list[Cue], folded: str) -> list[Cue]:
    joined: list[Cue] = []
    for cue in cues:
        if joined and (cue.kinds | joined[-1].kinds) & CODE:
            before = joined[-1]
            gap = folded[before.end : cue.start]
            other = (before.kinds if cue.kinds & CODE else cue.kinds) & ~CODE
            # "order code" is no code to us, "code de vérification" surely is one.
            if other & VOUCHER and _OF.fullmatch(gap):
                joined[-1] = Cue(before.start, cue.end, NAMES | VOUCHER | CODE)
                continue
            if other & VERIFY and len(gap) <= _MOST_BETWEEN and _TOGETHER.fullmatch(gap):
                joined[-1] = Cue(before.start, cue.end, OTP)
                continue
        joined.append(cue)
    return joined
