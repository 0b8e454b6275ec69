"""Weighs each number of a text by the cues around it."""

import re
from typing import NamedTuple

from trunkline.codes.claims import find_claims, find_endings
from trunkline.codes.cues import Cue
from trunkline.codes.lexicon import COURIER, ENTER, NAMES, NAMES_BEFORE, NUMBER, OTP, VERIFY
from trunkline.codes.numbers import Number
from trunkline.codes.reading import CLOSE, FAR, Reading

ACCEPTED = 3.0
_ONLY_SIGNS = re.compile(r"[^\w\n]*\n{0,2}[^\w\n]*")
_PHONE_LIKE = re.compile(r"\d{4}-\d{4}")
_NEAR, _HELD, _ASKED_BEFORE, _ASKED_AFTER = 14, 20, 6, 14
_SHORT_VERB, _ASKED_TO_PROVE = 4, 3.5


class Verdict(NamedTuple):
    number: Number
    score: float
    ground: str  # what speaks for or against it, a key of the grounds
    cue: Cue | None = None  # the word that decided
    sells: bool = False  # and the text sells or ships, which weighs against it


def verdicts(reading: Reading) -> list[Verdict]:
    """One verdict for each number that could be a code by its shape, in order of the text."""
    claims = find_claims(reading) if reading.candidates and reading.present & (NAMES | NAMES_BEFORE) else {}
    endings = find_endings(reading) if len(reading.numbers) > 1 else frozenset()
    free = [
        number
        for number in reading.numbers
        if number.code is not None and number.start not in claims and not _is_phone_like(reading, number)
    ]
    found = []
    answered: set[int] = set()
    for number in reading.numbers:
        if number.code is None:
            continue
        claim = claims.get(number.start)
        if claim is not None:
            found.append(Verdict(number, -1.0, "claimed", claim))
        elif number.code in endings:
            found.append(Verdict(number, -1.0, "masked"))
        else:
            found.append(_weigh(reading, number, answered, lone=len(free) == 1))
    return found


def _weigh(reading: Reading, number: Number, answered: set[int], *, lone: bool) -> Verdict:
    code = number.code or ""
    marked = reading.marked(number)
    best, weak, ground = 0.0, True, "none"
    nearest: Cue | None = None
    for cue in reading.askers:
        worth = _worth(reading, cue, number, marked)
        if cue.start in answered and cue.end <= number.start:
            worth -= 1.0
        if cue.kinds & OTP:
            worth += 1.5 if worth >= 1.0 else 0.7
        if worth > best:
            best, weak, nearest, ground = worth, not cue.kinds & OTP, cue, "cue"
    if nearest is not None and nearest.end <= number.start:
        answered.add(nearest.start)
    if best < ACCEPTED and not _is_phone_like(reading, number):
        worth, other, by = _without_asker(reading, number, marked, lone=lone)
        if worth > best:
            best, nearest, ground = worth, by, other
            weak = worth < _ASKED_TO_PROVE
    if any(code in link for link in reading.links):
        best, ground = best + 2.0, ground if nearest is not None else "link"
    if ground == "none" and reading.is_all(number):
        ground = "all"
    score = best + _of_shape(reading, number) + _of_place(reading, number)
    if weak and (reading.proves or reading.hands_over):
        score += 1.0
    sells = (
        reading.sells
        and (weak or (ground == "enter" and number.shape == "mixed"))
        and not (reading.hands_over and best >= 2.5)
    )
    if sells:
        digits = reading.proves and number.shape != "mixed"
        score -= 4.0 if not digits else 3.0 if reading.sold_beside(number) else 2.0
    if lone:
        score += 0.5
    if best < 1.5 and ground != "all" and not reading.plain.startswith("G-", number.start):
        score = min(score, ACCEPTED - 0.5)
    return Verdict(number, score, ground, nearest, sells)


def _is_phone_like(reading: Reading, number: Number) -> bool:
    return bool(_PHONE_LIKE.fullmatch(reading.plain, number.start, number.end))


def _worth(reading: Reading, cue: Cue, number: Number, marked: bool) -> float:
    """How closely a word for a code and a number belong together, by their places alone."""
    if cue.end <= number.start:
        gap = number.start - cue.end
        if gap > 5 and reading.parted(cue.end, number.start):
            return _worth_apart(reading, cue, number, gap)
        if gap <= _NEAR:
            touches = marked or reading.proves or _ONLY_SIGNS.fullmatch(reading.plain, cue.end, number.start)
            return 4.5 if touches else 3.0
        if marked:
            return 4.0 if gap <= FAR else 3.0
        return 3.0 if gap <= CLOSE else 1.5
    gap = cue.start - number.end
    if reading.parted(number.end, cue.start):
        return _worth_apart(reading, cue, number, gap)
    said = reading.says_of(number) or reading.dashed(number)
    if gap <= CLOSE:
        return 4.0 if said else 3.0
    return 3.0 if said else 1.0


def _worth_apart(reading: Reading, cue: Cue, number: Number, gap: int) -> float:
    """The worth of a word for a code in another sentence."""
    if gap > FAR:
        return 0.3
    if reading.said_before(number):
        return 2.0
    alone = reading.bare(number) if cue.kinds & OTP else reading.on_own_line(number)
    return 2.5 if alone and number.shape != "mixed" else 0.5


def _without_asker(reading: Reading, number: Number, marked: bool, *, lone: bool) -> tuple[float, str, Cue | None]:
    """What else can speak for a number: its worth, its ground, and the word that decided.

    A verb that asks to put it in, a courier to tell it to, a word of proving beside it, a line of its own.
    """
    asked = _asked(reading, number)
    proof = _proof_beside(reading, number, marked)
    if asked is not None and proof is not None:
        return _ASKED_TO_PROVE, "enter", asked
    looks_so = lone and (len(number.code or "") >= 5 or number.shape == "spelt")
    if asked is not None and (reading.proves or reading.hands_over or looks_so):
        return (3.0 if reading.proves else 2.5), "enter", asked
    if reading.hands_over and number.shape not in {"mixed", "split"} and 4 <= len(number.code or "") <= 6:
        courier = next((cue for cue in reading.cues if cue.kinds & COURIER and _near(reading, cue, number)), None)
        if courier is not None:
            return 2.5, "courier", courier
    if proof is not None and (number.shape in {"digits", "split", "spelt"} or reading.said_before(number)):
        names_it = 0 <= proof.start - number.end <= 1 or (reading.said_before(number) and number.start - proof.end <= 6)
        return (3.0 if names_it else 1.5), "proof", proof
    if reading.proves and reading.quoted(number):
        return 2.5, "quoted", None
    if number.shape == "spelt" and lone and (number.code or "") not in "0123456789":
        return 1.5, "spelt", None
    if reading.proves and reading.on_own_line(number) and (number.shape != "mixed" or lone):
        return 2.0, "bare", None
    return 0.0, "none", None


def _near(reading: Reading, cue: Cue, number: Number) -> bool:
    """Whether a courier is spoken of in the sentence; "Rider 2207" is who it is, not what to tell him."""
    gap = number.start - cue.end if cue.end <= number.start else cue.start - number.end
    return 3 < gap <= CLOSE and not reading.apart(cue, number)


def _asked(reading: Reading, number: Number) -> Cue | None:
    """The verb that asks to put the number in: "Enter 4821 …", "… 4821 eingeben"."""
    for cue in reading.cues:
        if not cue.kinds & ENTER:
            continue
        must_touch = cue.end - cue.start < _SHORT_VERB and reading.folded[cue.start] < "\u0250"  # "84721 ein"
        if cue.end <= number.start:
            if _ONLY_SIGNS.fullmatch(reading.plain, cue.end, number.start):
                return cue
            handed_over = _is_called_number(reading, number) or reading.given(number)
            reach = 2 if must_touch else CLOSE if handed_over else _ASKED_BEFORE
            if number.start - cue.end <= reach and not reading.parted(cue.end, number.start):
                return cue
        elif cue.start - number.end > (1 if must_touch else _ASKED_AFTER):
            continue
        elif not reading.parted(number.end, cue.start):
            return cue
    return None


def _is_called_number(reading: Reading, number: Number) -> bool:
    """Whether a word that only says "number" stands right before: "type on the site the number 4821"."""
    return any(cue.kinds & NUMBER and 0 <= number.start - cue.end <= 2 for cue in reading.cues)


def _proof_beside(reading: Reading, number: Number, marked: bool) -> Cue | None:
    for cue in reading.cues:
        if cue.kinds & VERIFY and not reading.apart(cue, number):
            before = cue.end <= number.start
            gap = number.start - cue.end if before else cue.start - number.end
            handed_over = marked if before else reading.says_of(number)
            if gap <= (FAR if handed_over else _HELD):
                return cue
    return None


def _of_shape(reading: Reading, number: Number) -> float:
    code = number.code or ""
    if number.shape == "prefixed":
        return 4.0 if reading.plain.startswith("G-", number.start) else 0.5
    if number.shape == "mixed":
        return -0.5
    if number.shape == "spelt":
        return 1.5
    length = len(code)
    if length == 3 or length > 8:
        return -2.0
    if length == 4 and code[:2] in {"19", "20"}:
        return -1.0
    return 1.0 if length == 6 else 0.5


def _of_place(reading: Reading, number: Number) -> float:
    worth = 0.0
    plain = reading.plain
    head = plain[max(0, number.start - 2) : number.start].rstrip(" ")
    tail = plain[number.end : number.end + 2].lstrip(" ")
    alone_before = not head or head.endswith("\n")
    alone_after = not tail or tail.startswith("\n")
    if alone_before and alone_after:
        worth += 3.0 if reading.is_all(number) else 1.0
    elif number.start <= 4 or number.end >= len(plain) - 2:
        worth += 0.5
    if head.endswith("#") or tail.startswith(("@", "#")):
        worth -= 1.0
    return worth
