"""Finds what could be a code in a text, and says of every other number why it cannot be one."""

import re
from typing import NamedTuple

from trunkline.codes.cues import Cue
from trunkline.codes.lexicon import CODE, MONEY, OTP, UNIT

# Each of these begins at a boundary, and its repeated parts cannot share a character (a label never gives one back), so
# that no text makes a search slow.
_PATH = r"[^\s<>\"'，。）】」]{1,400}"
_LINK = re.compile(
    rf"(?<![\w.@-])(?:(?:https?://|www\.){_PATH}"
    rf"|(?![0-9]+\.)(?:[A-Za-z0-9-]{{1,63}}+\.){{1,6}}(?:[A-Za-z]{{2,12}}/{_PATH}"
    r"|(?:com|net|org|info|app|dev|gov|edu|biz|xyz|online|shop|site|link|club|asia|bank|page|live)\b(?!\.[A-Za-z])"
    r"|[a-z]{2}(?!\w)(?!\.[A-Za-z])))"
)
_LINKISH = re.compile(r"\.[A-Za-z]|://")
_LINKISH_WORD = re.compile(r"(?<!\S)\S*?(?:\.[A-Za-z]|://)\S*")
_MAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,5}")
_RUN = re.compile(r"[0-9][A-Za-z0-9]*(?:[.,:/][0-9]+[A-Za-z]{0,3}|-[A-Za-z0-9]+)*")
_LETTERS = re.compile(r"[A-Za-z]+")
# The 11 characters by which Android's SMS Retriever finds the app that a text is for, as a word of their own:
# https://developers.google.com/identity/sms-retriever/verify#computing_your_apps_hash_string
_APP_HASH = re.compile(r"(?<!\S)[A-Za-z0-9+/]{11}(?!\S)")
_DATE = re.compile(
    r"\d{4}-\d{1,2}-\d{1,2}|\d{1,2}-\d{1,2}-\d{4}|\d{1,2}-(?:0?[1-9]|1[0-2])-\d{2}|\d{1,2}-[A-Za-z]{3}(?:-\d{2,4})?"
)
# What stands before the year of a date with a month in words: "14 Mar ", "March 14, ", "14 de marzo de ".
_BEFORE_YEAR = re.compile(
    r"(?<!\d)\d{1,2}(?:st|nd|rd|th)?[ .,/-]{1,2}(?:(?:de|di|of) )?(?:[^\W\d_]{3,12}[ .,/-]{1,2}(?:(?:de|del) )?)?$"
)
_CLOCK = re.compile(r"\d{1,2}h\d{2}")
_MASKED = re.compile(r"[Xx]{2,}-?\d{2,6}|x\d{3,5}|[A-Z0-9]+XX[A-Z0-9]+")
_ELLIPSIS = re.compile(r"(?:\.{2,}|…)\w")
_SPAN = re.compile(r"\d{1,2}-\d{1,2}")  # "14-16 óra"
_MASKS = frozenset("xX*•")  # "XXXX 4471"
_MASK_BEFORE = re.compile(r"(?<![A-Za-z])(?:[Xx]{2,}|[*•]{2,}) $")
_PREFIXED = re.compile(r"[A-Z]{1,8}-(\d{3,8}|\d{3}-\d{3}|\d{4}-\d{4})")
_SIGNS = frozenset("$€£¥₹₩₽₺₴₪฿₫₱₦₸₮¢%")
_BETWEEN_GROUPS = frozenset({" ", ") ", ")", ")-", " - ", "- ", " -"})
# Digits one by one, as a machine reads them out: "7, 0, 3, 9", "4 8 2 - 9 1 3", "9 . 1 . 1 . 6".
_ONE_BY_ONE = re.compile(r"(?<![\w.,+-])[0-9](?:(?: [.,-] |, | |-|\. )[0-9](?![0-9])){3,9}(?![\w-]|[.,][0-9]| [0-9])")
_FEWEST_SPELT = 4
_SUFFIXED = re.compile(r"[a-z]{1,5}-([0-9]{4,8})")
_GROUPABLE = frozenset({"digits", "split", "short", "phone"})


class Number(NamedTuple):
    start: int
    end: int
    code: str | None  # what it reads as a code, or None where its shape already says that it is something else
    shape: str


def without_links(plain: str) -> tuple[str, list[str]]:
    """The text with its links and mail addresses blanked out, so that nothing in them counts; and the links."""
    links: list[str] = []
    if not _LINKISH.search(plain):
        return plain, links

    def blank(match: re.Match[str]) -> str:
        links.append(match[0].rstrip(".,;:!?"))
        return " " * len(match[0])

    def blank_in_word(match: re.Match[str]) -> str:
        word = _MAIL.sub(lambda mail: " " * len(mail[0]), match[0]) if "@" in match[0] else match[0]
        return _LINK.sub(blank, word)

    return _LINKISH_WORD.sub(blank_in_word, plain), links


def find_numbers(plain: str, cues: list[Cue]) -> list[Number]:
    """The numbers of a plain text in order; ``cues`` are its cues, for the units and currencies around a number."""
    runs = [match.span() for match in _RUN.finditer(plain)]
    if not runs:
        return []
    starts: dict[int, Cue] = {}
    ends: dict[int, int] = {}
    asked: list[Cue] = []
    for cue in cues:
        kinds = cue.kinds
        if kinds & (UNIT | MONEY):
            starts[cue.start] = cue
        if kinds & (MONEY | OTP | CODE):
            ends[cue.end] = kinds
            if kinds & (OTP | CODE):
                asked.append(cue)
    numbers: list[Number] = []
    group: list[Number] = []
    beyond = 0
    singles = sum(end - start == 1 for start, end in runs) if len(runs) >= _FEWEST_SPELT else 0
    spelt = dict(match.span() for match in _ONE_BY_ONE.finditer(plain)) if singles >= _FEWEST_SPELT else {}
    for start, end in runs:
        if start in spelt:
            beyond = spelt[start]
            numbers += _grouped(plain, group, asked)
            group = []
            digits = re.sub(r"\D", "", plain[start:beyond])
            numbers.append(Number(start, beyond, digits, "spelt"))
        if start < beyond:
            continue
        if start and (plain[start - 1] == "-" or plain[start - 1].isalpha()):
            start = _widened(plain, start)
        number = _shaped(plain, start, end, starts, ends)
        groupable = number.shape in _GROUPABLE
        if group and not (groupable and plain[group[-1].end : number.start] in _BETWEEN_GROUPS):
            numbers += _grouped(plain, group, asked)
            group = []
        if groupable:
            group.append(number)
        else:
            numbers.append(number)
    return numbers + _grouped(plain, group, asked)


def _widened(plain: str, start: int) -> int:
    """Where a run begins once the letters before its first digit are counted in: "RKJ-YP6", "G-123456"."""
    limit = max(0, start - 21)
    while start > limit and plain[start - 1].isascii() and plain[start - 1].isalnum():
        start -= 1
    if start - 1 > limit and plain[start - 1] == "-" and plain[start - 2].isascii() and plain[start - 2].isalpha():
        start -= 1
        while start > limit and plain[start - 1].isascii() and plain[start - 1].isalpha():
            start -= 1
    return start


def _grouped(plain: str, group: list[Number], asked: list[Cue]) -> list[Number]:
    """Digits with single spaces between them: one split code, one phone number, or several numbers."""
    if len(group) < 2:
        return group
    start, end = group[0].start, group[-1].end
    parts = re.findall(r"\d+", plain[start:end])
    digits = "".join(parts)
    lengths = {len(part) for part in parts}
    if lengths == {3} and len(parts) == 3 and _is_asked(start, end, asked):
        return [Number(start, end, digits, "split")]
    if 9 <= len(digits) <= 18:
        return [Number(start, end, None, "phone")]
    if lengths == {2} and len(parts) == 4 and not _is_asked(start, end, asked):
        return [Number(start, end, None, "phone")]  # as Danes and Norwegians write theirs
    if len(lengths) == 1 and 4 <= len(digits) <= 8 and (lengths & {2, 3, 4} or len(parts) == len(digits)):
        return [Number(start, end, digits, "split")]
    if len(parts) == 2 and 5 <= len(digits) <= 8 and min(lengths) >= 2 and _is_asked(start, end, asked):
        return [Number(start, end, digits, "split")]
    return group


def _is_asked(start: int, end: int, asked: list[Cue]) -> bool:
    """Whether a word for a code is so near that even "947 1083" is one code: right before, or after a first word."""
    return any(0 <= start - cue.end <= 6 or (start <= 2 and 0 < cue.start - end <= 24) for cue in asked)


def _shaped(plain: str, start: int, end: int, starts: dict[int, Cue], ends: dict[int, int]) -> Number:
    token = plain[start:end]
    if not token.isdigit():
        start, end = _trimmed(start, end, token, starts, ends)
        token = plain[start:end]
    before = plain[start - 1] if start else " "
    after = plain[end] if end < len(plain) else " "
    if (after in ".…" and _ELLIPSIS.match(plain, end)) or (
        before == "." and plain.endswith("..", 0, start)
    ):  # "TX7k...9QpA", "..4471"
        return Number(start, end, None, "masked")
    if before == "/" and start > 1 and plain[start - 2].isalpha():  # "NF/88214"
        return Number(start, end, None, "name")
    if before in _SIGNS or after in _SIGNS or after == "/" or ends.get(start, 0) & MONEY:
        return Number(start, end, None, "amount")
    if before == " " and start > 1 and (plain[start - 2] in _SIGNS or ends.get(start - 1, 0) & MONEY):
        return Number(start, end, None, "amount")
    if before == "." and ends.get(start - 1, 0) & MONEY:  # "Rs.2500"
        return Number(start, end, None, "amount")
    unit = starts.get(end) or (starts.get(end + 1) if after in " -" else None)
    if (unit and unit.kinds & MONEY and not plain.startswith("/", unit.end)) or (
        after == " " and plain[end + 1 : end + 2] in _SIGNS
    ):
        return Number(start, end, None, "amount")
    if (
        before == " "
        and plain[start - 2 : start - 1] in _MASKS
        and _MASK_BEFORE.search(plain[max(0, start - 8) : start])
    ):
        return Number(start, end, None, "masked")
    if before != after and (before in "*•…xX" or after in "*•"):  # "*482913*" is bold, "*4821" a card.
        return Number(start, end, None, "masked")
    if before == "+":
        return Number(start, end, None, "phone")
    # Of larger numbers a unit is more likely the next word: "1234 m…", "482913 dan…".
    long_unit = unit and (unit.end - unit.start >= 3 or plain[unit.start] > "\u024f")
    if unit and (len(token) <= (4 if long_unit else 3) or _SPAN.fullmatch(token)):
        return Number(start, end, None, "count")
    if token.isdigit():
        is_year = (
            len(token) == 4 and token[:2] in {"19", "20"} and _BEFORE_YEAR.search(plain[max(0, start - 24) : start])
        )
        return Number(start, end, None, "date") if is_year else _digits(start, end, token)
    if _MASKED.fullmatch(token):
        return Number(start, end, None, "masked")
    if _CLOCK.fullmatch(token):
        return Number(start, end, None, "time")
    if any(sign in token for sign in ".,:/"):
        return Number(start, end, None, "time" if ":" in token else "date" if "/" in token else "amount")
    if "-" in token:
        return _hyphened(plain, start, end, token, ends)
    return _mixed(plain, start, end, starts, ends)


def _trimmed(start: int, end: int, token: str, starts: dict[int, Cue], ends: dict[int, int]) -> tuple[int, int]:
    """Without what sticks to a number: "OTP482913", "Code-482913", "4821-Acme", "482913,5分钟内有效"."""
    letters = _LETTERS.match(token)
    lead = letters.end() if letters else 0
    if lead and ends.get(start + lead, 0) & (OTP | CODE):
        lead += token.startswith("-", lead)
        return (start + lead, end) if token[lead:].isdigit() else (start, end)
    head, _, rest = token.partition("-")
    if head.isdigit() and rest.isalpha() and not _DATE.fullmatch(token):
        return start, start + len(head)
    head, _, rest = token.partition(",")
    unit = starts.get(end)
    if unit and unit.kinds & UNIT and head.isdigit() and len(head) >= 4 and len(rest) <= 2:
        return start, start + len(head)
    return start, end


def _digits(start: int, end: int, token: str) -> Number:
    if len(token) > 10:
        return Number(start, end, None, "long")
    return Number(start, end, token, "digits") if len(token) >= 3 else Number(start, end, None, "short")


def _hyphened(plain: str, start: int, end: int, token: str, ends: dict[int, int]) -> Number:
    parts = token.split("-")
    if (prefixed := _PREFIXED.fullmatch(token)) and (len(parts[0]) < 4 or plain.lower().count(parts[0].lower()) > 1):
        return Number(start, end, prefixed[1].replace("-", ""), "prefixed")
    if particle := _SUFFIXED.fullmatch(token):  # Bantu and other languages: "ngu-719446"
        return Number(start + particle.start(1), end, particle[1], "digits")
    lengths = {len(part) for part in parts}
    joined = "".join(parts)
    if joined.isdigit():
        if _DATE.fullmatch(token):
            return Number(start, end, None, "date")
        if len(lengths) == 1 and 4 <= len(joined) <= 8:
            return Number(start, end, joined, "split")
        asked = [at for at in range(start - 6, start + 1) if ends.get(at, 0) & (OTP | CODE)]
        if len(parts) == 2 and 5 <= len(joined) <= 8 and min(lengths) >= 2 and asked:
            return Number(start, end, joined, "split")
        return Number(start, end, None, "phone")
    if len(lengths) == 1 and 6 <= len(joined) <= 10 and joined.isupper():
        return Number(start, end, joined, "mixed")
    return Number(start, end, None, "name")


def _mixed(plain: str, start: int, end: int, starts: dict[int, Cue], ends: dict[int, int]) -> Number:
    token = plain[start:end]
    letters = _LETTERS.match(token)
    if letters and ends.get(start + letters.end(), 0) & MONEY and token[letters.end() :].isdigit():
        return Number(start, end, None, "amount")
    digits = len(token) - len(token.lstrip("0123456789"))
    unit = starts.get(start + digits) if 0 < digits <= 4 else None
    if unit is not None and unit.end == end:
        return Number(start, end, None, "count")
    if token[0] == "N" and token[1:].isdigit() and len(token) > 3:  # the naira
        return Number(start, end, None, "amount")
    word_start = 1 + max(plain.rfind(" ", 0, start), plain.rfind("\n", 0, start))
    if _APP_HASH.match(plain, word_start):
        return Number(start, end, None, "hash")
    if len(token) == 4 and token.islower() and sum(sign.isdigit() for sign in token) == 1:  # "yad2", "bc1q"
        return Number(start, end, None, "name")
    if 4 <= len(token) <= 10:
        return Number(start, end, token, "mixed")
    return Number(start, end, None, "name")
