"""Reads the verification code out of the text of an SMS: pure, linear in the text, and total over all strings."""

import re
from dataclasses import dataclass
from typing import TypeVar

from trunkline.activations.codes.brands import Brands
from trunkline.activations.codes.cues import CODE, OTP, VERIFY, VOUCHER, Cue, find_cues
from trunkline.activations.codes.judge import ACCEPTED, Judge
from trunkline.activations.codes.letters import fold, plain
from trunkline.activations.codes.numbers import find_numbers, without_links
from trunkline.activations.codes.webotp import bound_code, without_broken_lines

__all__ = ["Brands", "Extraction", "extract"]

# A long SMS of 255 parts has 39,015 characters, but what a code needs stands at the ends.
_HEAD_LENGTH, _TAIL_LENGTH = 2048, 512
# Each number is weighed against each cue: bounded here, so that the whole stays linear. No honest text has as many.
_MOST_CUES, _MOST_NUMBERS = 128, 48
_CODE_IN_LINK = re.compile(
    r"[?&#/](?:code|otp|pin|passcode|vcode|verification_?code)[=/]([0-9]{4,8})(?![\w-])", re.IGNORECASE
)
_DIGITS_AT_END = re.compile(r"/([0-9]{4,8})/?$")
_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Extraction:
    code: str | None  # ASCII; separators and a prefix such as G- left out, letter case kept
    service: str | None  # the slug of the service that the text names, if brands were given
    kind: str  # "webotp": on an origin-bound line; "code": in the text or its link; "link": a magic link; "none"
    confidence: float  # 0..1, that code (or its absence) is right
    why: tuple[str, ...]  # what decided, and the numbers turned down, in short sentences
    link: str | None = None  # the link that proves the same: a magic link, or one that carries the code


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
    cues = find_cues(folded)
    service = None
    if brands is not None:
        service = brands.of_host(bound.host) if bound else None
        service = service or brands.named_in(body, folded, cues, links)
    if bound is not None:
        why = (f"The line for {bound.host} carries the code.",)
        return Extraction(bound.code, service, "webotp", 0.99, why)
    return _judged(body, folded, cues, links, service)


def _ends(items: list[_Item], most: int) -> list[_Item]:
    return items if len(items) <= most else items[: most // 2] + items[-most // 2 :]


def _judged(body: str, folded: str, cues: list[Cue], links: list[str], service: str | None) -> Extraction:
    cues, numbers = _ends(cues, _MOST_CUES), _ends(find_numbers(body, cues), _MOST_NUMBERS)
    judge = Judge(body, folded, cues, numbers)
    verdicts = judge.verdicts()
    best = max(verdicts, key=lambda verdict: verdict.score, default=None)
    rejected = tuple(f"Not {verdict.reason}" for verdict in verdicts if verdict is not best)
    if best is not None and best.score >= ACCEPTED:
        code = best.number.code
        link = next((link for link in links if code and code in link), None)
        confidence = min(0.98, 0.55 + 0.08 * (best.score - ACCEPTED))
        return Extraction(code, service, "code", confidence, (f"Taken {best.reason}", *rejected), link)
    if best is not None:
        rejected = (f"Not {best.reason}", *rejected)
    present = 0
    for cue in cues:
        present |= cue.kinds
    letters = judge.letters()
    if letters is not None:
        return Extraction(
            letters, service, "code", 0.6, (f"Taken {letters}: right beside a word for a code.", *rejected)
        )
    if links and present & (OTP | CODE | VERIFY) and not present & VOUCHER:
        for link in links:
            carried = _CODE_IN_LINK.search(link) or (_DIGITS_AT_END.search(link) if present & (OTP | CODE) else None)
            if carried:
                return Extraction(carried[1], service, "code", 0.6, ("The link carries the code.", *rejected), link)
        return Extraction(None, service, "link", 0.7, ("A link to prove who one is, and no code.", *rejected), links[0])
    confidence = 0.95 if best is None else max(0.5, min(0.95, 0.9 - 0.1 * best.score))
    return Extraction(None, service, "none", confidence, rejected or ("No number that could be a code.",))
