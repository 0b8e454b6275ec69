"""Which numbers of a text another word claims: an account, an order, a phone, the code of another trade."""

import re
from bisect import bisect_left, bisect_right

from trunkline.codes.cues import Cue
from trunkline.codes.lexicon import CODE, COURIER, ENTER, IS, NAMES, NAMES_BEFORE, NUMBER, OTP, VERIFY
from trunkline.codes.numbers import Number
from trunkline.codes.reading import CLOSE, Reading

_WORDS = re.compile(r"[^\W\d_]+")
_ASIDE = re.compile("[,(（，、]")  # what follows is said of something else
_GIVES = re.compile("[:：→>=]")
_LETTERS = re.compile(r"[^\W\d_](?<![</]s)")
_DIGITS = re.compile(r"\d+")
_REACH, _REACH_OF_SHORT, _TOUCHING = 20, 3, 2
_LONGER_THAN_AN_ENDING = 5
_MOST_STRANGERS, _PROVING, _ASKED_AFTER = 2, 14, 24


def find_claims(reading: Reading) -> dict[int, Cue]:
    """The cue that claims a number, by the number's start: "order 884213", or in Turkish "4821 ile biten"."""
    claims: dict[int, Cue] = {}
    starts = [number.start for number in reading.numbers]
    for position, cue in enumerate(reading.cues):
        if cue.kinds & NAMES_BEFORE:
            index = bisect_left(starts, cue.start) - 1
            if index >= 0 and _touches(reading, reading.numbers[index], cue):
                claims[starts[index]] = cue
        if cue.kinds & NAMES and (not cue.kinds & (OTP | CODE) or reading.is_label(cue)):
            index = bisect_right(starts, cue.start)  # "A/c XX8841": the word may end inside its number
            if index and cue.start < reading.numbers[index - 1].end:
                continue  # a part of an alphanumeric one: "SR4821"
            if index < len(starts) and _claims(reading, position, reading.numbers[index]):
                claims.setdefault(starts[index], cue)
    return claims


def find_endings(reading: Reading) -> frozenset[str]:
    """What stands at the end of a masked number, which a text may say again: "card x4417 … BLOCK 4417"."""
    masked = [number for number in reading.numbers if number.shape == "masked"]
    return frozenset(
        digits[-1] for number in masked if (digits := _DIGITS.findall(reading.plain, number.start, number.end))
    )


def _touches(reading: Reading, number: Number, cue: Cue) -> bool:
    between = reading.plain[number.end : cue.start]
    return len(between) <= 5 and not _LETTERS.search(between)


def _claims(reading: Reading, position: int, number: Number) -> bool:
    """Whether the word that names numbers at ``position`` is about this one, the first after it."""
    cue, start = reading.cues[position], number.start
    gap = start - cue.end
    # A word of one or two letters ("no", "on", "at") must touch its number; in CJK that is a whole word.
    reach = _REACH if cue.end - cue.start > 2 or reading.folded[cue.start] > "\u024f" else _REACH_OF_SHORT
    if gap > reach or (gap > 6 and reading.parted(cue.end, start)):
        return False
    between = reading.folded[max(cue.end, 0) : start]
    if ("\n" in between and ":" not in between) or _introduced(reading, number):
        return False
    if _ends_the_line(reading, number) and _asked_alone(reading, cue, number):
        return False
    if cue.kinds & NUMBER and _answers_before(reading, cue, start):
        return False
    if _GIVES.search(between) and any(
        verb.kinds & ENTER and 0 <= cue.start - verb.end <= CLOSE and not reading.parted(verb.end, start)
        for verb in reading.cues
    ):
        return False  # "Type in the app Acme Mobile: 4821"
    said = bool(cue.kinds & IS)
    known = 0
    for later in reading.cues[position + 1 :]:
        if later.start >= start:
            break
        if later.kinds & (OTP | CODE) and not reading.is_label(later):
            return False
        if later.kinds & (ENTER | VERIFY) and not later.kinds & (NAMES | IS):
            return False
        said = said or bool(later.kinds & IS)
        known += 1
    strangers = len(_WORDS.findall(reading.folded, cue.end, start)) - known
    if strangers > _MOST_STRANGERS or (strangers > 0 and _handed_over(reading, number)):
        return False
    if not (said or (_GIVES.search(between) and _is_the_only_one(reading, number))):
        return True
    # "The code for your order is 5521" answers the code; "Your order is 5521" the order.
    return not any(
        asker.end <= cue.start
        and not reading.parted(asker.end, start)
        and not _ASIDE.search(reading.folded, asker.end, start)
        for asker in reading.askers
    )


def _ends_the_line(reading: Reading, number: Number) -> bool:
    return not reading.plain[number.end : number.end + 1].strip()


def _asked_alone(reading: Reading, cue: Cue, number: Number) -> bool:
    """Whether a one-time code is asked for in the sentence, and this is the only number: "OTP of your card 4471902"."""
    return (
        reading.candidates == 1
        and len(number.code or "") >= _LONGER_THAN_AN_ENDING
        and any(
            asker.kinds & OTP
            and asker.end <= cue.start
            and not reading.parted(asker.end, number.start)
            and not _ASIDE.search(reading.folded, asker.end, number.start)
            for asker in reading.askers
        )
    )


def _is_the_only_one(reading: Reading, number: Number) -> bool:
    """Whether no other number of its sentence could be a code."""
    return not any(
        other.code is not None
        and other is not number
        and not reading.parted(min(other.end, number.end), max(other.start, number.start))
        for other in reading.numbers
    )


def _introduced(reading: Reading, number: Number) -> bool:
    """Whether the text goes on to call the number a code: "Account: 55019 is your verification code"."""
    return reading.says_of(number) and any(
        0 < asker.start - number.end <= CLOSE and not reading.parted(number.end, asker.start)
        for asker in reading.askers
    )


def _answers_before(reading: Reading, cue: Cue, start: int) -> bool:
    """Whether a word that only says "number" belongs to another near it: "OTP number 4821", "type the number 4821"."""
    for other in reading.cues:
        if other.end <= cue.start:
            near = cue.start - other.end <= (_PROVING if other.kinds & VERIFY else CLOSE)
            asks = bool(other.kinds & (OTP | CODE | ENTER | COURIER | VERIFY)) and not reading.is_label(other)
            aside = reading.parted(other.end, start) or _ASIDE.search(reading.folded, other.end, cue.start)
            if near and asks and not aside:
                return True
        elif other.kinds & ENTER and other.start > start and not reading.parted(start, other.start):
            return other.start - start <= _ASKED_AFTER
    return False


def _handed_over(reading: Reading, number: Number) -> bool:
    """Whether the sentence hands the number over, or a word for a code follows: closer than a word before it."""
    return reading.marked(number) or any(
        cue.kinds & (OTP | CODE | ENTER) and 0 <= cue.start - number.end <= 3 for cue in reading.cues
    )
