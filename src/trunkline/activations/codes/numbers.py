"""Finds what could be a code in a text, and says of every other number why it cannot be one."""

import re
from typing import NamedTuple

from trunkline.activations.codes.cues import MONEY, UNIT, Cue

# Every run starts at a lookbehind and is bounded or possessive in effect, so that no input makes a match quadratic.
LINK = re.compile(
    r"(?<![\w.@-])(?:https?://|www\.)[^\s<>\"'，。）】」]{1,400}"
    r"|(?<![\w.@-])(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})\.){1,6}[A-Za-z]{2,12}/[^\s<>\"'，。）】」]{1,400}"
    r"|(?<![\w.@-])(?:[A-Za-z0-9-]{0,62}[A-Za-z][A-Za-z0-9-]{0,62}\.){1,6}"
    r"(?:(?:com|net|org|info|app|dev|gov|edu|biz|xyz|online|shop|site|link|club|asia|bank|page|live)\b"
    r"|[a-z]{2}(?![\w]))(?!\.[A-Za-z])",
)
MAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,5}")
_TOKEN = re.compile(r"(?<![A-Za-z0-9])(?=[A-Za-z]{0,10}-?[A-Za-z]{0,10}[0-9])[A-Za-z0-9]+(?:[.,:/][0-9]+[A-Za-z]{0,3}|-[A-Za-z0-9]+)*")
_DATE_PART = re.compile(r"(?:\d{4}-\d{1,2}-\d{1,2}|\d{1,2}-\d{1,2}-\d{4}|\d{1,2}-(?:0?[1-9]|1[0-2])-\d{2}|\d{1,2}-[A-Za-z]{3}(?:-\d{2,4})?)")
_PREFIXED = re.compile(r"[A-Z]{1,4}-(\d{3,8}|\d{3}-\d{3}|\d{4}-\d{4})")
_SIGNS = "$€£¥₹₩₽₺₴₪฿₫₱₦₸₮¢%"


class Number(NamedTuple):
    start: int
    end: int
    code: str | None  # what it reads as a code, or None where its shape already says that it is something else
    shape: str


def find_numbers(plain: str, cues: list[Cue]) -> list[Number]:
    """The numbers of a plain text in order; ``cues`` are its cues, for the units and currencies around a number."""
    starts = {cue.start: cue.kinds for cue in cues if cue.kinds & (UNIT | MONEY)}
    ends = {cue.end: cue.kinds for cue in cues if cue.kinds & MONEY}
    found = [_shaped(plain, *match.span(), starts, ends) for match in _TOKEN.finditer(plain)]
    if len(found) < 2:
        return found
    numbers: list[Number] = []
    group: list[Number] = []
    for number in found:
        groupable = number.shape in {"digits", "split", "short", "phone"}
        if group and not (groupable and plain[group[-1].end : number.start] in {" ", ") ", ")", ")-"}):
            numbers += _grouped(plain, group)
            group = []
        if groupable:
            group.append(number)
        else:
            numbers.append(number)
    return numbers + _grouped(plain, group)


def _grouped(plain: str, group: list[Number]) -> list[Number]:
    """Digits with single spaces between them: one split code, one phone number, or several numbers."""
    if len(group) < 2:
        return group
    start, end = group[0].start, group[-1].end
    parts = re.findall(r"\d+", plain[start:end])
    digits = "".join(parts)
    lengths = {len(part) for part in parts}
    if len(digits) >= 9 and len(digits) <= 18:
        return [Number(start, end, None, "phone")]
    if len(lengths) == 1 and 4 <= len(digits) <= 8 and (lengths & {2, 3, 4} or len(parts) == len(digits)):
        return [Number(start, end, digits, "split")]
    return group


def _shaped(plain: str, start: int, end: int, starts: dict[int, int], ends: dict[int, int]) -> Number:
    token = plain[start:end]
    before = plain[start - 1] if start else " "
    after = plain[end] if end < len(plain) else " "
    if "-" in token and not token.replace("-", "").isdigit():
        head, _, rest = token.partition("-")
        if head.isdigit() and rest.isalpha() and len(rest) != 3:
            end, token, after = start + len(head), head, " "  # "4821-Acme"
    money_before = ends.get(start) or (ends.get(start - 1) if before in " ." else None)
    if before == " " and start > 1 and plain[start - 2] in _SIGNS or before in _SIGNS or money_before:
        return Number(start, end, None, "amount")
    following = starts.get(end) or (starts.get(end + 1) if after in " -" else None)
    if after in _SIGNS or (after == " " and plain[end + 1 : end + 2] in tuple(_SIGNS)) or after == "/" or (following or 0) & MONEY:
        return Number(start, end, None, "amount")
    if before in "*•…xX" or after in "*•":
        return Number(start, end, None, "masked")
    if before == "+":
        return Number(start, end, None, "phone")
    if following and (len(token) <= 3 or not token.isdigit() or not plain[end : end + 3].strip().isascii() or _long(plain, end)):
        return Number(start, end, None, "count")
    if token.isdigit():
        return _digits(start, end, token)
    if "-" in token:
        return _hyphened(start, end, token)
    if any(sign in token for sign in ".,:/"):
        return _punctuated(start, end, token, plain)
    return _mixed(start, end, token, starts, ends)


def _long(plain: str, end: int) -> bool:
    return plain[end + 1 : end + 4].isalpha()


def _digits(start: int, end: int, token: str) -> Number:
    if len(token) > 10:
        return Number(start, end, None, "long")
    return Number(start, end, token, "digits") if len(token) >= 3 else Number(start, end, None, "short")


def _hyphened(start: int, end: int, token: str) -> Number:
    if prefixed := _PREFIXED.fullmatch(token):
        return Number(start, end, prefixed[1].replace("-", ""), "prefixed")
    parts = token.split("-")
    lengths = {len(part) for part in parts}
    joined = "".join(parts)
    if joined.isdigit():
        if _DATE_PART.fullmatch(token) and not (lengths == {2} and int(parts[1]) > 12):
            return Number(start, end, None, "date")
        if len(lengths) == 1 and 4 <= len(joined) <= 8:
            return Number(start, end, joined, "split")
        return Number(start, end, None, "phone")
    if len(lengths) == 1 and 6 <= len(joined) <= 10 and joined.isupper() and joined.isalnum():
        return Number(start, end, joined, "mixed")
    return Number(start, end, None, "name")


def _punctuated(start: int, end: int, token: str, plain: str) -> Number:
    if ":" in token:
        return Number(start, end, None, "time")
    if "/" in token:
        return Number(start, end, None, "date")
    head, _, rest = token.partition("," if "," in token else ".")
    if len(head) >= 4 and head.isdigit() and len(rest) <= 2 and plain[end : end + 1] > "\u2e80":
        return _digits(start, start + len(head), head)  # "482913,5分钟内有效"
    return Number(start, end, None, "amount")


def _mixed(start: int, end: int, token: str, starts: dict[int, int], ends: dict[int, int]) -> Number:
    letters = len(token) - len(token.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"))
    if letters and ends.get(start + letters) and token[letters:].isdigit():
        return Number(start, end, None, "amount")
    digits = len(token) - len(token.lstrip("0123456789"))
    if 0 < digits <= 4 and starts.get(start + digits):
        return Number(start, end, None, "count")
    if 4 <= len(token) <= 10:
        return Number(start, end, token, "mixed")
    return Number(start, end, None, "name")
