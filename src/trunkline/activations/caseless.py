"""Compatibility caseless matching (Unicode §3.13, D146): texts compared as a person reads them.

Wide, styled and composed letters are the plain ones, case does not matter, any run of blanks is one, and what nobody
sees is not there: format characters, variation selectors, fillers.
"""

import functools
import unicodedata

# Default_Ignorable_Code_Point (UAX #44) beyond the format characters (Cf).
_UNSEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0") | {
    chr(point) for point in (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))
}


def as_read(text: str) -> str:
    """What is compared; empty where there is nothing to see."""
    if not text.isascii():
        seen = "".join(char for char in text if char not in _UNSEEN and unicodedata.category(char) != "Cf")
        text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", seen).casefold())
    return " ".join(text.lower().split())


@functools.lru_cache(maxsize=4096)
def pattern_as_read(pattern: str) -> str:
    """``as_read`` of what is compared again and again: a filter of a lease, a sender ID of a service."""
    return as_read(pattern)
