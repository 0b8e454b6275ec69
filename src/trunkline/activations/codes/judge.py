"""Weighs each number of a text by the cues around it."""

import re
from bisect import bisect_left
from typing import NamedTuple

from trunkline.activations.codes.cues import CODE, IS, NAMES, NAMES_BEFORE, OTP, VERIFY, VOUCHER, Cue
from trunkline.activations.codes.numbers import Number

ACCEPTED = 3.0
_BREAK = re.compile(r"[.!?](?=\s|$)|[。！？；;\n]")
_PERCENT = re.compile(r"\d ?%")
_LETTERS_AFTER = re.compile(r"[ \"'“«「\[(]*[:=：][ \n\"'“«「\[(]*([A-Z]{4,10})(?![\w-]| [A-Z]{2})")
_LETTERS_SAID = re.compile(r" (?:is|ist|es|est|è|é|är|er|jest|to)[ :]+[\"'“]?([A-Z]{4,10})(?![\w-]| [A-Z]{2})")
_LETTERS_FIRST = re.compile(r"\W{0,3}([A-Z]{4,10}) (?:is|ist|es|est|è|é|är|er|jest|to) ")
_NEAR, _BESIDE, _CLOSE, _FAR = 14, 20, 40, 160


class Verdict(NamedTuple):
    number: Number
    score: float
    reason: str


class Judge:
    """What a whole text says, once, so that each of its numbers can be weighed quickly."""

    def __init__(self, plain: str, folded: str, cues: list[Cue], numbers: list[Number]) -> None:
        self._plain = plain
        self._folded = folded
        self._cues = cues
        self._numbers = numbers
        self._breaks = [match.start() for match in _BREAK.finditer(folded)]
        self._askers: list[Cue] = []
        present = 0
        for cue in cues:
            present |= cue.kinds
            if cue.kinds & (OTP | CODE):
                self._askers.append(cue)
        self._proves = bool(present & (OTP | VERIFY))
        self._sells = bool(present & VOUCHER) or ("%" in folded and bool(_PERCENT.search(folded)))
        self._lone = sum(number.code is not None for number in numbers) == 1
        self._labels = self._find_labels() if numbers and present & (NAMES | NAMES_BEFORE) else {}
        self._free = sum(number.code is not None and number.start not in self._labels for number in numbers)

    def verdicts(self) -> list[Verdict]:
        """One verdict for each number that could be a code by its shape, in order of the text."""
        verdicts = []
        answered: set[int] = set()
        for number in self._numbers:
            if number.code is None:
                continue
            label = self._labels.get(number.start)
            if label is not None:
                verdicts.append(Verdict(number, -1.0, f"{number.code} is named by “{label}”."))
            else:
                verdicts.append(self._weigh(number, answered))
        return verdicts

    def letters(self) -> str | None:
        """A code of capital letters alone, which only a cue right beside it can tell from a word."""
        for cue in self._askers if not self._sells else ():
            if cue.kinds & OTP or self._proves:
                said = _LETTERS_AFTER.match(self._plain, cue.end) or _LETTERS_SAID.match(self._plain, cue.end)
                if said:
                    return said[1]
        first = _LETTERS_FIRST.match(self._plain)
        if first and any(cue.kinds & OTP and cue.start - first.end() <= _CLOSE for cue in self._askers):
            return first[1]
        return None

    def _find_labels(self) -> dict[int, str]:
        """The numbers that another word claims: the first one after it ("order 884213") or before it (in Turkish)."""
        labels: dict[int, str] = {}
        starts = [number.start for number in self._numbers]
        for position, cue in enumerate(self._cues):
            if cue.kinds & NAMES_BEFORE:
                index = bisect_left(starts, cue.start) - 1
                if index >= 0 and cue.start - self._numbers[index].end <= 5:
                    labels[starts[index]] = self._folded[cue.start : cue.end]
            if cue.kinds & NAMES and not cue.kinds & (OTP | CODE):
                index = bisect_left(starts, cue.end)
                if index < len(starts) and self._claims(position, self._numbers[index]):
                    labels.setdefault(starts[index], self._folded[cue.start : cue.end])
        return labels

    def _claims(self, position: int, number: Number) -> bool:
        """Whether the word that names numbers at ``position`` is about this one, the first after it."""
        cue, start = self._cues[position], number.start
        gap = start - cue.end
        # A word of one or two letters ("no", "on", "at") must touch its number; in CJK that is a whole word.
        reach = 20 if cue.end - cue.start > 2 or self._folded[cue.start] > "\u024f" else 3
        if gap > reach or (gap > 6 and self._parted(cue.end, start)):
            return False
        if self._introduced(number):
            return False
        said = bool(cue.kinds & IS)
        for later in self._cues[position + 1 :]:
            if later.start >= start:
                break
            if later.kinds & (OTP | CODE):
                return False
            said = said or bool(later.kinds & IS)
        said = said or (":" in self._folded[cue.end : start] and self._lone)
        if not said:
            return True
        # "The code for your order is 5521" answers the code; "Your order is 5521" the order.
        return not any(
            asker.end <= cue.start and not self._parted(asker.end, start) and "," not in self._folded[asker.end : start]
            for asker in self._askers
        )

    def _introduced(self, number: Number) -> bool:
        """Whether the text goes on to call the number a code: "Account: 55019 is your verification code"."""
        said = any(cue.kinds & IS and 0 <= cue.start - number.end <= 1 for cue in self._cues)
        return said and any(
            0 < asker.start - number.end <= _CLOSE and not self._parted(number.end, asker.start)
            for asker in self._askers
        )

    def _parted(self, start: int, end: int) -> bool:
        index = bisect_left(self._breaks, start)
        return index < len(self._breaks) and self._breaks[index] < end

    def _weigh(self, number: Number, answered: set[int]) -> Verdict:
        best, weak, nearest = 0.0, True, None
        for cue in self._askers:
            strength = 1.5 if cue.kinds & OTP else 0.0
            if cue.end <= number.start:
                gap = number.start - cue.end
                parted = gap > 5 and self._parted(cue.end, number.start)
                worth = 1.2 if parted else 4.5 if gap <= _NEAR else 3.0 if gap <= _CLOSE else 2.0
                if cue.start in answered:
                    worth -= 1.0
            else:
                gap = cue.start - number.end
                parted = self._parted(number.end, cue.start)
                worth = 1.0 if parted else 3.5 if gap <= _CLOSE else 2.0
            worth += strength / 1.5 if parted else strength
            if gap > _FAR:
                worth -= 0.5
            if worth > best:
                best, weak, nearest = worth, not strength, cue
        if nearest is not None:
            answered.add(nearest.start)
            side = "before" if nearest.end <= number.start else "after"
            reason = f"{number.code}: “{self._folded[nearest.start : nearest.end]}” {side} it"
        elif number.shape in {"digits", "split"} and self._beside_proof(number):
            best, reason = 1.5, f"{number.code}: a word for proving beside it"
        else:
            reason = f"{number.code}: no word for a code is near"
        score = best + self._of_shape(number) + self._of_place(number)
        if self._proves and weak:
            score += 1.0
        if self._sells and (weak or number.shape == "mixed"):
            score -= 4.0
            reason += ", but the text sells or ships"
        if self._free == 1:
            score += 0.5
        return Verdict(number, score, reason + ".")

    def _beside_proof(self, number: Number) -> bool:
        for cue in self._cues:
            if cue.kinds & VERIFY:
                first, last = (cue.end, number.start) if cue.end <= number.start else (number.end, cue.start)
                if last - first <= _BESIDE and not self._parted(first, last):
                    return True
        return False

    def _of_shape(self, number: Number) -> float:
        code = number.code or ""
        if number.shape == "prefixed":
            return 4.0 if self._plain.startswith("G-", number.start) else 0.5
        if number.shape == "mixed":
            return -0.5
        length = len(code)
        if length == 3 or length > 8:
            return -2.0
        if length == 4 and code[:2] in {"19", "20"}:
            return -1.0
        return 1.0 if length == 6 else 0.5

    def _of_place(self, number: Number) -> float:
        worth = 0.0
        head = self._plain[max(0, number.start - 2) : number.start].rstrip(" ")
        tail = self._plain[number.end : number.end + 2].lstrip(" ")
        alone_before = not head or head.endswith("\n")
        alone_after = not tail or tail.startswith("\n")
        if alone_before and alone_after:
            worth += 1.0
            if number.start <= 2 and number.end >= len(self._plain.rstrip()):
                worth += 2.0
        elif number.start <= 4 or number.end >= len(self._plain) - 2:
            worth += 0.5
        if head.endswith("#") or tail.startswith("@"):
            worth -= 1.0
        return worth
