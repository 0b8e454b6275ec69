"""A text taken apart once: its cues, numbers and sentences, and how they stand to each other."""

import re
from bisect import bisect_left

from trunkline.codes.cues import Cue
from trunkline.codes.lexicon import CODE, COURIER, IS, NAMES, OTP, VERIFY, VOUCHER
from trunkline.codes.numbers import Number

CLOSE, FAR = 48, 160
_BREAK = re.compile(r"[.!?](?=\s|$)|[。！？；;।॥۔؟།\n]")
_LONGEST_SHORT = 4  # "no. 4821", "cod. 4821": a full stop that ends no sentence
_TITLE = re.compile(r"(?:^|[^\w])[A-Z][a-z]{1,2}\.$")  # "Dr. Lee", "Jl. Sudirman"
_PERCENT = re.compile(r"\d ?%")
# What stands right before a number that answers something: "code for order 17: 4821", "code → 4821".
_MARK = re.compile(r"[:：=>→»][ \n\"'“”«‘’(\[{<*]*$|[\"“«「『({\[]$")
_DASH = re.compile(r" ?[-=:：>→] ?")
_PREFIX = re.compile(r"(?:[^\d\n:：]{1,30}[:：])?")  # "Nimbus: "
_QUOTES = frozenset("\"'“”„«»‘’「」『』")
_COLONS = frozenset(":：→>=")
_WORD = re.compile(r"\w")


class Reading:
    """What a whole text says, so that each of its numbers can be weighed quickly.

    ``plain`` and ``folded`` are the text in its two spellings, of one length; ``links`` is what it links to.
    """

    def __init__(self, plain: str, folded: str, cues: list[Cue], numbers: list[Number], links: list[str]) -> None:
        self.plain = plain
        self.folded = folded
        self.cues = cues
        self.numbers = numbers
        self.links = links
        present = 0
        shortened: set[int] = set()
        self._said: set[int] = set()
        self._says: set[int] = set()
        for cue in cues:
            present |= cue.kinds
            if cue.kinds & IS:
                self._said.add(cue.end)
                self._says.add(cue.start)
            if cue.kinds & (NAMES | CODE) and cue.end - cue.start <= _LONGEST_SHORT:
                shortened.add(cue.end)
        self.present = present
        self._breaks = [
            match.start()
            for match in _BREAK.finditer(folded)
            if match[0] != "."
            or not (match.start() in shortened or _TITLE.search(plain[max(0, match.start() - 4) : match.start() + 1]))
        ]
        self.proves = bool(present & (OTP | VERIFY)) or plain.startswith("<#>")
        self.hands_over = bool(present & COURIER)
        self.sells = bool(present & VOUCHER) or ("%" in folded and bool(_PERCENT.search(folded)))
        self.askers = [cue for cue in cues if cue.kinds & (OTP | CODE) and not self.is_label(cue)]
        self.candidates = sum(number.code is not None for number in numbers)

    def is_label(self, cue: Cue) -> bool:
        """Whether a word for a code means another trade's: "order code", unless a courier asks for it.

        One that is more often the code of a place ("pin code 560001") needs a text that proves.
        """
        if not cue.kinds & NAMES:
            return False
        if cue.kinds & VOUCHER:
            return not any(other.kinds & COURIER and not self._parted_cues(cue, other) for other in self.cues)
        return not self.proves and not any(cue.end <= at <= cue.end + 4 for at in self._says)

    def _parted_cues(self, one: Cue, other: Cue) -> bool:
        return self.parted(min(one.end, other.end), max(one.start, other.start))

    def parted(self, start: int, end: int) -> bool:
        """Whether a sentence or a line ends between two places."""
        index = bisect_left(self._breaks, start)
        return index < len(self._breaks) and self._breaks[index] < end

    def apart(self, cue: Cue, number: Number) -> bool:
        """Whether a sentence or a line ends between a cue and a number, on whichever side."""
        return self.parted(cue.end, number.start) if cue.end <= number.start else self.parted(number.end, cue.start)

    def says_at(self, start: int) -> bool:
        """Whether a word such as "is" stands there."""
        return start in self._says

    def said_after(self, end: int, most: int) -> list[int]:
        """Where the answer to a word for a code that ends there may begin: right there, or after an "is"."""
        return [end, *sorted(at for at in self._said if end < at <= end + most and not self.parted(end, at))]

    def said_before(self, number: Number) -> bool:
        """Whether "is" stands right before the number."""
        return number.start in self._said or number.start - 1 in self._said

    def says_of(self, number: Number) -> bool:
        """Whether "is" stands right after the number."""
        return number.end in self._says or number.end + 1 in self._says

    def dashed(self, number: Number) -> bool:
        """Whether a dash or a colon stands right after the number: "4821 - your code"."""
        return bool(_DASH.match(self.plain, number.end))

    def marked(self, number: Number) -> bool:
        """Whether the sentence hands the number over: "… is 4821", "…: 4821", "… (4821)"."""
        if self.said_before(number):
            return True
        return bool(_MARK.search(self.plain[max(0, number.start - 6) : number.start].rstrip(" ")))

    def given(self, number: Number) -> bool:
        """Whether a colon or an arrow stands right before the number."""
        return self.plain[max(0, number.start - 3) : number.start].rstrip(" ")[-1:] in _COLONS

    def quoted(self, number: Number) -> bool:
        """Whether quotation marks enclose the number alone."""
        before, after = self.plain[max(0, number.start - 1) : number.start], self.plain[number.end : number.end + 1]
        return bool(before) and bool(after) and before in _QUOTES and after in _QUOTES

    def bare(self, number: Number) -> bool:
        """Whether the number has a sentence or a line to itself, but for a sender's name before it."""
        index = bisect_left(self._breaks, number.start)
        prefix = _PREFIX.match(self.plain)
        first = self._breaks[index - 1] + 1 if index else prefix.end() if prefix else 0
        last = self._breaks[index] if index < len(self._breaks) else len(self.plain)
        return not _WORD.search(self.plain, first, number.start) and not _WORD.search(self.plain, number.end, last)

    def on_own_line(self, number: Number) -> bool:
        """Whether the number has a line to itself, but for a sender's name before it."""
        first = self.plain.rfind("\n", 0, number.start) + 1
        last = self.plain.find("\n", number.end)
        prefix = _PREFIX.match(self.plain)
        if not first and prefix:
            first = prefix.end()
        rest = self.plain[number.end : last if last >= 0 else len(self.plain)]
        return not _WORD.search(self.plain, first, number.start) and not _WORD.search(rest)

    def is_all(self, number: Number) -> bool:
        """Whether the text says nothing else."""
        return number.start <= 2 and number.end >= len(self.plain.rstrip()) - 1

    def sold_beside(self, number: Number) -> bool:
        """Whether the sentence of the number is the one that sells or ships."""
        return any(cue.kinds & VOUCHER and not self.apart(cue, number) for cue in self.cues)
