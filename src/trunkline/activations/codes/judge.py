"""Weighs each number of a text by the cues around it."""

import re
from bisect import bisect_left
from typing import NamedTuple

from trunkline.activations.codes.cues import Cue
from trunkline.activations.codes.lexicon import CODE, COURIER, ENTER, IS, NAMES, NAMES_BEFORE, OTP, VERIFY, VOUCHER
from trunkline.activations.codes.numbers import Number

ACCEPTED = 3.0
_BREAK = re.compile(r"[.!?](?=\s|$)|[。！？；;\n]")
_PERCENT = re.compile(r"\d ?%")
# What stands right before a number that answers something: "code for order 17: 4821", "code → 4821".
_MARK = re.compile(r"[:：=>→»][ \n\"'“”«‘’(\[{<*]*$|[\"“«「『({\[]$")
_ONLY_SIGNS = re.compile(r"[^\w\n]*\n?[^\w\n]*")
_WORD = re.compile(r"\w")
_WORDS = re.compile(r"[^\W\d_]+")
_ASIDE = re.compile("[,(（，、]")  # what follows is said of something else
_DIGITS = re.compile(r"\d+")
_NEAR, _CLOSE, _FAR = 14, 48, 160
_HELD, _ASKED_BEFORE, _ASKED_AFTER = 20, 6, 14


class Verdict(NamedTuple):
    number: Number
    score: float
    ground: str  # "cue": a word for a code; "enter"; "proof"; "link"; "claimed": another word; "masked"; "none"
    cue: Cue | None = None  # the word that decided
    sells: bool = False  # and the text sells or ships, which weighs against it


class Judge:
    """What a whole text says, once, so that each of its numbers can be weighed quickly."""

    def __init__(self, plain: str, folded: str, cues: list[Cue], numbers: list[Number], links: list[str]) -> None:
        self._plain = plain
        self._folded = folded
        self._cues = cues
        self._numbers = numbers
        self._links = links
        self._breaks = [match.start() for match in _BREAK.finditer(folded)]
        present = 0
        for cue in cues:
            present |= cue.kinds
        self.proves = bool(present & (OTP | VERIFY)) or plain.startswith("<#>")
        self._hands_over = bool(present & COURIER)
        self.sells = bool(present & VOUCHER) or ("%" in folded and bool(_PERCENT.search(folded)))
        self._said = {cue.end for cue in cues if cue.kinds & IS}
        self._says = {cue.start for cue in cues if cue.kinds & IS}
        self.askers = [cue for cue in cues if cue.kinds & (OTP | CODE) and not self._is_label(cue)]
        self._lone = sum(number.code is not None for number in numbers) == 1
        self._labels = self._find_labels() if numbers and present & (NAMES | NAMES_BEFORE) else {}
        self._endings = self._find_endings() if len(numbers) > 1 else frozenset()
        self._free = sum(number.code is not None and number.start not in self._labels for number in numbers)

    def says_at(self, start: int) -> bool:
        """Whether a word such as "is" stands there."""
        return start in self._says

    def said_after(self, end: int, most: int) -> list[int]:
        """Where the answer to a word for a code that ends there may begin: right there, or after an "is"."""
        return [end, *sorted(at for at in self._said if end < at <= end + most and not self._parted(end, at))]

    def _is_label(self, cue: Cue) -> bool:
        """A word for a code that is more often one for a place ("pin code 560001") needs a text that proves."""
        return (
            bool(cue.kinds & NAMES) and not self.proves and not any(cue.end <= at <= cue.end + 4 for at in self._says)
        )

    def verdicts(self) -> list[Verdict]:
        """One verdict for each number that could be a code by its shape, in order of the text."""
        verdicts = []
        answered: set[int] = set()
        for number in self._numbers:
            if number.code is None:
                continue
            label = self._labels.get(number.start)
            if label is not None:
                verdicts.append(Verdict(number, -1.0, "claimed", label))
            elif number.code in self._endings:
                verdicts.append(Verdict(number, -1.0, "masked"))
            else:
                verdicts.append(self._weigh(number, answered))
        return verdicts

    def _find_endings(self) -> frozenset[str]:
        """What stands at the end of a masked number, which a text may say again: "card x4417 … BLOCK 4417"."""
        masked = [number for number in self._numbers if number.shape == "masked"]
        return frozenset(
            digits[-1] for number in masked if (digits := _DIGITS.findall(self._plain, number.start, number.end))
        )

    def _find_labels(self) -> dict[int, Cue]:
        """The numbers that another word claims: the first one after it ("order 884213") or before it (in Turkish)."""
        labels: dict[int, Cue] = {}
        starts = [number.start for number in self._numbers]
        for position, cue in enumerate(self._cues):
            if cue.kinds & NAMES_BEFORE:
                index = bisect_left(starts, cue.start) - 1
                if index >= 0 and cue.start - self._numbers[index].end <= 5:
                    labels[starts[index]] = cue
            if cue.kinds & NAMES and (not cue.kinds & (OTP | CODE) or self._is_label(cue)):
                index = bisect_left(starts, cue.end)
                if index < len(starts) and self._claims(position, self._numbers[index]):
                    labels.setdefault(starts[index], cue)
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
        known = 0
        for later in self._cues[position + 1 :]:
            if later.start >= start:
                break
            if later.kinds & (OTP | CODE) and not self._is_label(later):
                return False
            if later.kinds & (ENTER | VERIFY) and not later.kinds & (NAMES | IS):
                return False
            said = said or bool(later.kinds & IS)
            known += 1
        strangers = len(_WORDS.findall(self._folded, cue.end, start)) - known
        if strangers >= 3 or (strangers >= 1 and self._handed_over(number)):
            return False
        said = said or (":" in self._folded[cue.end : start] and self._lone)
        if not said:
            return True
        # "The code for your order is 5521" answers the code; "Your order is 5521" the order.
        return not any(
            asker.end <= cue.start
            and not self._parted(asker.end, start)
            and not _ASIDE.search(self._folded, asker.end, start)
            for asker in self.askers
        )

    def _handed_over(self, number: Number) -> bool:
        """Whether a verb or a word for a code that follows is closer to the number than a word before it."""
        return self._marked(number) or any(
            cue.kinds & (OTP | CODE | ENTER) and 0 <= cue.start - number.end <= 3 for cue in self._cues
        )

    def _introduced(self, number: Number) -> bool:
        """Whether the text goes on to call the number a code: "Account: 55019 is your verification code"."""
        said = number.end in self._says or number.end + 1 in self._says
        return said and any(
            0 < asker.start - number.end <= _CLOSE and not self._parted(number.end, asker.start)
            for asker in self.askers
        )

    def _parted(self, start: int, end: int) -> bool:
        index = bisect_left(self._breaks, start)
        return index < len(self._breaks) and self._breaks[index] < end

    def _marked(self, number: Number) -> bool:
        """Whether the sentence hands the number over: "… is 4821", "…: 4821", "… (4821)"."""
        if number.start in self._said or number.start - 1 in self._said:
            return True
        return bool(_MARK.search(self._plain[max(0, number.start - 6) : number.start].rstrip(" ")))

    def _weigh(self, number: Number, answered: set[int]) -> Verdict:
        marked = self._marked(number)
        best, weak, nearest = 0.0, True, None
        for cue in self.askers:
            worth = self._worth(cue, number, marked)
            if cue.start in answered and cue.end <= number.start:
                worth -= 1.0
            if cue.kinds & OTP:
                worth += 1.5 if worth >= 1.0 else 0.7
            if worth > best:
                best, weak, nearest = worth, not cue.kinds & OTP, cue
        ground = "cue" if nearest is not None else "none"
        if nearest is not None:
            answered.add(nearest.start)
        if best < 3.0 and number.shape != "mixed":
            asked = self._asked(number) if self._may_be_asked(number) else None
            if asked is not None and best < 2.5:
                best, nearest, ground = 2.5, asked, "enter"
            elif nearest is None:
                proof = self._proof_beside(number, marked)
                if proof is not None:
                    best, nearest, ground = 1.5, proof, "proof"
                elif self.proves and self._bare(number):
                    best, ground = 2.0, "bare"
        if self._links and number.code is not None and any(number.code in link for link in self._links):
            best, ground = best + 2.0, ground if nearest is not None else "link"
        if ground == "none" and self._is_all(number):
            ground = "all"
        score = best + self._of_shape(number) + self._of_place(number)
        if weak and (self.proves or self._hands_over):
            score += 1.0
        sells = self.sells and weak and not (self._hands_over and best >= 2.5)
        if sells:
            digits = self.proves and number.shape != "mixed"
            score -= 4.0 if not digits else 3.0 if self._sold_beside(number) else 2.0
        if self._free == 1:
            score += 0.5
        if best < 1.5 and not self._is_all(number) and not self._plain.startswith("G-", number.start):
            score = min(score, ACCEPTED - 0.5)
        return Verdict(number, score, ground, nearest, sells)

    def _sold_beside(self, number: Number) -> bool:
        """Whether the sentence of the number is the one that sells or ships."""
        return any(
            cue.kinds & VOUCHER
            and not (
                self._parted(cue.end, number.start) if cue.end <= number.start else self._parted(number.end, cue.start)
            )
            for cue in self._cues
        )

    def _is_all(self, number: Number) -> bool:
        """Whether the text says nothing else."""
        return number.start <= 2 and number.end >= len(self._plain.rstrip()) - 1

    def _bare(self, number: Number) -> bool:
        """Whether the number has a sentence or a line to itself."""
        index = bisect_left(self._breaks, number.start)
        first = self._breaks[index - 1] + 1 if index else 0
        last = self._breaks[index] if index < len(self._breaks) else len(self._plain)
        return not _WORD.search(self._plain, first, number.start) and not _WORD.search(self._plain, number.end, last)

    def _worth(self, cue: Cue, number: Number, marked: bool) -> float:
        """How closely a word for a code and a number belong together, by their places alone."""
        if cue.end <= number.start:
            gap = number.start - cue.end
            if gap > 5 and self._parted(cue.end, number.start):
                return (2.5 if self._bare(number) else 2.0 if marked else 0.5) if gap <= _FAR else 0.3
            if gap <= _NEAR:
                return (
                    4.5 if marked or self.proves or _ONLY_SIGNS.fullmatch(self._plain, cue.end, number.start) else 3.0
                )
            if marked:
                return 4.0 if gap <= _FAR else 3.0
            return 3.0 if gap <= _CLOSE else 1.5
        gap = cue.start - number.end
        if gap > 5 and self._parted(number.end, cue.start):
            return (2.5 if self._bare(number) else 0.5) if gap <= _FAR else 0.3
        said = number.end in self._says or number.end + 1 in self._says
        if gap <= _CLOSE:
            return 4.0 if said else 3.0
        return 3.0 if said else 1.0

    def _may_be_asked(self, number: Number) -> bool:
        """A verb such as "use" or "enter" needs a text that proves, or a lone number that looks like a code."""
        return self.proves or self._hands_over or (self._lone and len(number.code or "") >= 6)

    def _asked(self, number: Number) -> Cue | None:
        """The verb that asks to put the number in: "Enter 4821 …", "… 4821 eingeben"."""
        for cue in self._cues:
            if cue.kinds & ENTER:
                if cue.end <= number.start:
                    if number.start - cue.end <= _ASKED_BEFORE and not self._parted(cue.end, number.start):
                        return cue
                elif cue.start - number.end <= _ASKED_AFTER and not self._parted(number.end, cue.start):
                    return cue
        return None

    def _proof_beside(self, number: Number, marked: bool) -> Cue | None:
        for cue in self._cues:
            if cue.kinds & VERIFY:
                first, last = (cue.end, number.start) if cue.end <= number.start else (number.end, cue.start)
                reach = _CLOSE if marked and cue.end <= number.start else _HELD
                if last - first <= reach and not self._parted(first, last):
                    return cue
        return None

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
            if self._is_all(number):
                worth += 2.0
        elif number.start <= 4 or number.end >= len(self._plain) - 2:
            worth += 0.5
        if head.endswith("#") or tail.startswith(("@", "#")):
            worth -= 1.0
        return worth
