"""Reads the verification code out of the text of an SMS: pure, linear in the text, and total over all strings."""

import re
from typing import NamedTuple, TypeVar

from trunkline.activations.codes.brands import Brands, Memory, Mention
from trunkline.activations.codes.cues import Cue, find_cues
from trunkline.activations.codes.grounds import Candidate, Grounds
from trunkline.activations.codes.judge import ACCEPTED, verdicts
from trunkline.activations.codes.letters_only import letters_beside
from trunkline.activations.codes.lexicon import OTP
from trunkline.activations.codes.numbers import find_numbers, without_links
from trunkline.activations.codes.reading import Reading
from trunkline.activations.codes.spelling import fold, plain
from trunkline.activations.codes.webotp import bound_code, without_broken_lines

__all__ = ["Brands", "Candidate", "Extraction", "extract"]

# A long SMS of 255 parts has 39,015 characters, but what a code needs stands at the ends.
_HEAD_LENGTH, _TAIL_LENGTH = 2048, 512
# Each number is weighed against each cue: bounded here, so that the whole stays linear. No honest text has as many.
_MOST_CUES, _MOST_NUMBERS = 128, 48
_CODE_IN_LINK = re.compile(
    r"[?&#/](?:code|otp|pin|passcode|vcode|verification_?code)[=/]([0-9]{4,8}|[0-9]{3}-[0-9]{3})(?![\w-])",
    re.IGNORECASE,
)
_DIGITS_AT_END = re.compile(r"/([0-9]{4,8}|[0-9]{3}-[0-9]{3})/?$")
_TO_VERIFY = re.compile(r"(?:^|[/.])(?:v|c|verify|code|otp|confirm|activate|login|auth|signin)[/.]", re.IGNORECASE)
_LONG_RUN = re.compile(r"([0-9]{4,})")  # longer than any digits in a cue
_MOST_REMEMBERED = 4096
# No text is kept, only where its words stand: by the hash of the text, of longer numbers only their length.
_memory: Memory = {}
_Item = TypeVar("_Item")


class Extraction(NamedTuple):
    """What a text says: its code, the service it is from, and on what grounds it was so read."""

    code: str | None  # ASCII; separators and a prefix such as G- left out, letter case kept
    kind: str  # "webotp": on an origin-bound line; "code": in the text or its link; "link": a magic link; "none"
    confidence: float  # 0..1, that code (or its absence) is right
    grounds: Grounds
    link: str | None = None  # the link that proves the same: a magic link, or one that carries the code

    @property
    def service(self) -> str | None:
        """The slug of the service that the text names, if brands were given."""
        return self.services[0] if self.services else None

    @property
    def services(self) -> tuple[str, ...]:
        """That service, then the others that send in its name."""
        return self.grounds.mention.slugs if self.grounds.mention else ()

    @property
    def signed(self) -> bool:
        """Whether the text gives that name as its sender's, or only speaks of it."""
        return self.grounds.mention is not None and self.grounds.mention.place != "mention"

    @property
    def why(self) -> tuple[str, ...]:
        """What decided, and the numbers turned down, in short sentences."""
        return (self.grounds.decided(), *(f"Not {text}: {reason}." for text, reason in self.grounds.rejected()))


def extract(text: str, brands: Brands | None = None) -> Extraction:
    """The verification code of a text, the service it names, and why; never raises.

    Codes of another trade (promotion, booking, order, voucher, pick-up) are none; a code for a delivery or a ride is
    one. A line as in WICG's Origin-bound one-time codes decides over everything else; the hash of Android's SMS
    Retriever is never a code. Of a text over 2,560 characters only the head and the tail are read.
    """
    if len(text) > _HEAD_LENGTH + _TAIL_LENGTH:
        text = text[:_HEAD_LENGTH] + "\n" + text[-_TAIL_LENGTH:]
    clear = plain(text)
    bound = bound_code(clear) if "@" in clear else None
    body, links = without_links(clear)
    body = without_broken_lines(body)
    folded = fold(body)
    cues, mention = _words_of(body, folded, links, brands)
    if bound is not None:
        why = f"The line for {bound.host} carries the code."
        if brands is not None:
            mention = brands.of_host(bound.host) or mention
        return Extraction(bound.code, "webotp", 0.99, Grounds(body, why, None, (), (), mention))
    return _judged(body, folded, cues, links, mention)


def _words_of(body: str, folded: str, links: list[str], brands: Brands | None) -> tuple[list[Cue], Mention | None]:
    """The cues of a text and the service that it names.

    The texts of a sender differ in their longer numbers, so what the words of one said is remembered for the next.
    """
    if links or (brands is not None and brands.has_digits_in(folded)):
        return _words_anew(body, folded, links, brands)
    memory = brands.memory if brands is not None else _memory
    parts: list[str | int] = list(_LONG_RUN.split(body))
    parts[1::2] = [len(str(run)) for run in parts[1::2]]
    key = hash(tuple(parts))
    known = memory.get(key)
    if known is None:
        known = _words_anew(body, folded, links, brands)
        if len(memory) >= _MOST_REMEMBERED:
            memory.clear()
        memory[key] = known
    return known


def _words_anew(body: str, folded: str, links: list[str], brands: Brands | None) -> tuple[list[Cue], Mention | None]:
    cues = _ends(find_cues(folded), _MOST_CUES)
    return cues, brands.named_in(body, folded, cues, links) if brands is not None else None


def _ends(items: list[_Item], most: int) -> list[_Item]:
    return items if len(items) <= most else items[: most // 2] + items[-most // 2 :]


def _judged(body: str, folded: str, cues: list[Cue], links: list[str], mention: Mention | None) -> Extraction:
    numbers = _ends(find_numbers(body, cues), _MOST_NUMBERS)
    reading = Reading(body, folded, cues, numbers, links)
    weighed = verdicts(reading)
    best = max(weighed, key=lambda verdict: verdict.score, default=None)
    if best is not None and best.score >= ACCEPTED:
        code = best.number.code
        link = next((link for link in links if code and code in link), None) if links else None
        confidence = min(0.98, 0.55 + 0.08 * (best.score - ACCEPTED))
        return Extraction(code, "code", confidence, Grounds(body, None, best, weighed, numbers, mention), link)
    letters = letters_beside(reading)
    if letters is not None:
        why = f"Taken {letters}: letters right beside a word for a code."
        return Extraction(letters, "code", 0.6, Grounds(body, why, None, weighed, numbers, mention))
    if links and not reading.sells and (reading.proves or reading.askers):
        certain = (mention is not None and mention.linked) or any(asker.kinds & OTP for asker in reading.askers)
        for link in links:
            carried = _CODE_IN_LINK.search(link)
            if carried is None and (certain or _TO_VERIFY.search(link)):
                carried = _DIGITS_AT_END.search(link)
            if carried:
                grounds = Grounds(body, "The link carries the code.", None, weighed, numbers, mention)
                return Extraction(carried[1].replace("-", ""), "code", 0.6, grounds, link)
        grounds = Grounds(body, "A link to prove who one is, and no code.", None, weighed, numbers, mention)
        return Extraction(None, "link", 0.7, grounds, links[0])
    confidence = 0.95 if best is None else max(0.5, min(0.95, 0.9 - 0.1 * best.score))
    return Extraction(None, "none", confidence, Grounds(body, None, None, weighed, numbers, mention))
