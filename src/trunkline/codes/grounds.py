"""Says in sentences why a text was read as it was. Built only when somebody asks, so that reading stays fast."""

from collections.abc import Sequence
from typing import NamedTuple

from trunkline.codes.brands import Mention
from trunkline.codes.judge import Verdict
from trunkline.codes.numbers import Number

_MOST_TOLD = 20
_SHAPES = {
    "amount": "an amount or a price",
    "masked": "the end of a masked number",
    "phone": "a phone number or a long group",
    "count": "counted by the word after it",
    "time": "a time",
    "date": "a date",
    "long": "too long for a code",
    "hash": "the hash that names an Android app",
    "name": "a name or an identifier",
}
_PLACES = {
    "host": "the line that binds the code names its site",
    "bracket": "in brackets",
    "start": "at the start, as a sender signs",
    "beside": "beside the word for the code",
    "end": "at the end, as a sender signs",
    "link": "the site of its link",
    "mention": "the only service spoken of",
}

_WITHOUT_CUE = {
    "none": "no word for a code is near",
    "quoted": "it is in quotation marks in a text that proves who one is",
    "spelt": "its digits are told one by one",
    "bare": "it has a line to itself in a text that proves who one is",
    "link": "the link of the text carries it too",
    "masked": "it is the end of a masked number",
    "all": "it is all that the text says",
}


class Candidate(NamedTuple):
    """A number of the text that was not taken."""

    text: str
    reason: str


class Grounds(NamedTuple):
    """What an extraction rests on."""

    body: str
    decision: str | None  # where no number was weighed: an origin-bound line, a link, letters
    taken: Verdict | None
    verdicts: Sequence[Verdict]
    numbers: Sequence[Number]
    mention: Mention | None

    @property
    def has_masked(self) -> bool:
        """Whether the text tells the end of a number, which it may say again."""
        return any(number.shape == "masked" for number in self.numbers)

    def decided(self) -> str:
        """The one sentence that says what decided."""
        if self.decision is not None:
            return self.decision
        if self.taken is not None:
            return f"Taken {self.taken.number.code}: {self._ground(self.taken)}."
        if any(number.code for number in self.numbers):
            return "No number has enough that speaks for a code."
        return "No number that could be a code."

    def rejected(self) -> list[Candidate]:
        """The other numbers of three digits or more, in the order of the text, and what each one is instead."""
        weighed = {verdict.number: verdict for verdict in self.verdicts}
        told = []
        for number in self.numbers:
            if (self.taken is not None and number == self.taken.number) or number.shape == "short":
                continue
            verdict = weighed.get(number)
            reason = self._ground(verdict) if verdict is not None else _SHAPES.get(number.shape, number.shape)
            told.append(Candidate(self.body[number.start : number.end], reason))
        return told[:_MOST_TOLD]

    def named(self) -> str | None:
        """How the text names its service."""
        if self.mention is None:
            return None
        return f"{self.mention.slug}: “{self.mention.text}”, {_PLACES[self.mention.place]}"

    def _ground(self, verdict: Verdict) -> str:
        number, cue = verdict.number, verdict.cue
        if cue is None:
            return _WITHOUT_CUE[verdict.ground]
        word = f"“{self.body[cue.start : cue.end]}”"
        if verdict.ground == "claimed":
            return f"{word} says what it is"
        side = "before" if cue.end <= number.start else "after"
        but = ", but the text sells or ships" if verdict.sells else ""
        if verdict is not self.taken and not but:
            but = ", but another is nearer" if self.taken is not None else ", too far or too weak"
        return f"{word} {side} it{but}"
