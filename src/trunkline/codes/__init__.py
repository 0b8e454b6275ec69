"""Reads the verification code out of the text of an SMS: pure, linear in the text, and total over all strings."""

import re
from typing import NamedTuple, TypeVar

from trunkline.codes.brands import Brands, Mention
from trunkline.codes.cues import find_cues
from trunkline.codes.grounds import Candidate, Grounds
from trunkline.codes.judge import ACCEPTED, verdicts
from trunkline.codes.letters_only import letters_beside
from trunkline.codes.lexicon import OTP
from trunkline.codes.memory import Memory, Place, likeness
from trunkline.codes.numbers import find_numbers, without_links
from trunkline.codes.reading import Reading
from trunkline.codes.spelling import fold, plain
from trunkline.codes.webotp import bound_code, without_broken_lines

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
_MOST_REMEMBERED = 4096
_WHOLE = frozenset({"digits"})  # shapes that are a code as they stand
_JOINS = re.compile("[^A-Za-z0-9]")
_memory: Memory = {}  # of texts that were read without brands
_Item = TypeVar("_Item")


class Extraction(NamedTuple):
    """What a text says: its code, and the service it is from."""

    code: str | None  # ASCII; separators and a prefix such as G- left out, letter case kept
    kind: str  # "webotp": on an origin-bound line; "code": in the text or its link; "link": a magic link; "none"
    confidence: float  # 0..1, that code (or its absence) is right
    mention: Mention | None
    link: str | None  # the link that proves the same: a magic link, or one that carries the code
    text: str
    brands: Brands | None

    @property
    def service(self) -> str | None:
        """The slug of the service that the text names, if brands were given."""
        return self.services[0] if self.services else None

    @property
    def services(self) -> tuple[str, ...]:
        """That service, then the others that send in its name."""
        return self.mention.slugs if self.mention else ()

    @property
    def signed(self) -> bool:
        """Whether the text gives that name as its sender's, or only speaks of it."""
        return self.mention is not None and self.mention.place != "mention"

    @property
    def grounds(self) -> Grounds:
        """What the extraction rests on. Read anew, so that reading alone is fast."""
        return _read(_Body.of(self.text), self.brands).grounds

    @property
    def why(self) -> tuple[str, ...]:
        """What decided, and the numbers turned down, in short sentences."""
        grounds = self.grounds
        return (grounds.decided(), *(f"Not {text}: {reason}." for text, reason in grounds.rejected()))


class _Body(NamedTuple):
    """A text as it is read: one spelling, links and broken lines blanked out."""

    clear: str
    plain: str
    folded: str
    links: list[str]

    @classmethod
    def of(cls, text: str) -> "_Body":
        if len(text) > _HEAD_LENGTH + _TAIL_LENGTH:
            text = text[:_HEAD_LENGTH] + "\n" + text[-_TAIL_LENGTH:]
        clear = plain(text)
        body, links = without_links(clear)
        body = without_broken_lines(body)
        return cls(clear, body, fold(body), links)


class _Found(NamedTuple):
    code: str | None
    kind: str
    confidence: float
    grounds: Grounds
    link: str | None = None


def extract(text: str, brands: Brands | None = None) -> Extraction:
    """The verification code of a text, the service it names, and why; never raises.

    Codes of another trade (promotion, booking, order, voucher, pick-up) are none; a code for a delivery or a ride is
    one. A line as in WICG's Origin-bound one-time codes decides over everything else; the hash of Android's SMS
    Retriever is never a code. Of a text over 2,560 characters only the head and the tail are read.

    The texts of a sender differ in their codes alone, so what was found in one is remembered for the next.
    """
    body = _Body.of(text)
    memory = brands.memory if brands is not None else _memory
    key = None
    if not (body.links or "@" in body.clear or (brands is not None and brands.has_digits_in(body.folded))):
        key = likeness(body.plain)  # elsewhere the digits themselves matter: in links, in names such as "1688"
    known = memory.get(key) if key is not None else None
    if known is not None:
        code = body.plain[known.start : known.end]
        if known.joined:
            code = _JOINS.sub("", code)
        return Extraction(code or None, known.kind, known.confidence, known.mention, None, text, brands)
    found = _read(body, brands)
    if key is not None and (place := _place_of(found, body)):
        if len(memory) >= _MOST_REMEMBERED:
            memory.clear()
        memory[key] = place
    return Extraction(found.code, found.kind, found.confidence, found.grounds.mention, found.link, text, brands)


def _place_of(found: _Found, body: _Body) -> Place | None:
    """Where the code of a text stands, for the next text like it; None where that would not hold for each."""
    grounds = found.grounds
    if found.kind == "none" and grounds.decision is None and not grounds.has_masked:
        return Place(0, 0, found.kind, found.confidence, grounds.mention, joined=False)
    if grounds.taken is None or grounds.has_masked:
        return None
    number = grounds.taken.number
    start = number.start
    if number.shape == "prefixed":
        start += body.plain[start : number.end].index("-") + 1
    joined = number.shape not in _WHOLE
    return Place(start, number.end, found.kind, found.confidence, grounds.mention, joined)


def _read(body: _Body, brands: Brands | None) -> _Found:
    cues = _ends(find_cues(body.folded), _MOST_CUES)
    mention = brands.named_in(body.plain, body.folded, cues, body.links) if brands is not None else None
    bound = bound_code(body.clear) if "@" in body.clear else None
    if bound is not None:
        why = f"The line for {bound.host} carries the code."
        if brands is not None:
            mention = brands.of_host(bound.host) or mention
        return _Found(bound.code, "webotp", 0.99, Grounds(body.plain, why, None, (), (), mention))
    numbers = _ends(find_numbers(body.plain, cues), _MOST_NUMBERS)
    return _judged(Reading(body.plain, body.folded, cues, numbers, body.links), mention)


def _ends(items: list[_Item], most: int) -> list[_Item]:
    return items if len(items) <= most else items[: most // 2] + items[-most // 2 :]


def _judged(reading: Reading, mention: Mention | None) -> _Found:
    body, numbers, links = reading.plain, reading.numbers, reading.links
    weighed = verdicts(reading)
    best = max(weighed, key=lambda verdict: verdict.score, default=None)
    if best is not None and best.score >= ACCEPTED:
        code = best.number.code
        link = next((link for link in links if code and code in link), None) if links else None
        confidence = min(0.98, 0.55 + 0.08 * (best.score - ACCEPTED))
        return _Found(code, "code", confidence, Grounds(body, None, best, weighed, numbers, mention), link)
    letters = letters_beside(reading)
    if letters is not None:
        why = f"Taken {letters}: letters right beside a word for a code."
        return _Found(letters, "code", 0.6, Grounds(body, why, None, weighed, numbers, mention))
    if links and not reading.sells and (reading.proves or reading.askers):
        certain = (mention is not None and mention.linked) or any(asker.kinds & OTP for asker in reading.askers)
        for link in links:
            carried = _CODE_IN_LINK.search(link)
            if carried is None and (certain or _TO_VERIFY.search(link)):
                carried = _DIGITS_AT_END.search(link)
            if carried:
                grounds = Grounds(body, "The link carries the code.", None, weighed, numbers, mention)
                return _Found(carried[1].replace("-", ""), "code", 0.6, grounds, link)
        grounds = Grounds(body, "A link to prove who one is, and no code.", None, weighed, numbers, mention)
        return _Found(None, "link", 0.7, grounds, links[0])
    confidence = 0.95 if best is None else max(0.5, min(0.95, 0.9 - 0.1 * best.score))
    return _Found(None, "none", confidence, Grounds(body, None, None, weighed, numbers, mention))
