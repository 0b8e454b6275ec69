"""How a text is cut for sending: its encoding, its segments, and what forces it out of the GSM alphabet."""

import unicodedata
from typing import NamedTuple

from trunkline.carriers import alphabets
from trunkline.carriers.carrier import Alphabet

# What a person would take for the same, and the GSM alphabet has.
_INSTEAD = {
    "\u2018": "'", "\u2019": "'", "\u201a": "'", "\u201c": '"', "\u201d": '"', "\u201e": '"', "\u00ab": '"',
    "\u00bb": '"', "\u2013": "-", "\u2014": "-", "\u2212": "-", "\u2026": "...", "\u00a0": " ", "\u202f": " ",
    "\u2009": " ", "\u00b7": ".", "\u2022": "-", "`": "'", "\u00b4": "'", "\t": " ",
}  # fmt: skip


class Forced(NamedTuple):
    """A character that the GSM alphabet lacks, where it stands first, and one to put in its place, if there is any."""

    character: str
    position: int  # from 0
    instead: str | None


class Segments(NamedTuple):
    """``units``: septets of the GSM alphabet, or UTF-16 units; ``left``: how many more fit into the last part."""

    encoding: str  # "GSM-7" or "UCS-2"
    parts: int
    units: int
    left: int
    forced_by: list[Forced]


def segments(text: str) -> Segments:
    """As the links of carriers cut it."""
    payloads, alphabet = alphabets.split(text)
    is_gsm = alphabet is Alphabet.GSM7
    size = 1 if is_gsm else 2
    whole = (160, 153) if is_gsm else (70, 67)
    room = whole[0] if len(payloads) == 1 else whole[1]
    return Segments(
        "GSM-7" if is_gsm else "UCS-2",
        len(payloads),
        sum(map(len, payloads)) // size,
        room - len(payloads[-1]) // size,
        [] if is_gsm else _forced(text),
    )


def _forced(text: str) -> list[Forced]:
    found: dict[str, Forced] = {}
    for position, character in enumerate(text):
        if character not in found and not _is_gsm(character):
            found[character] = Forced(character, position, _instead(character))
    return list(found.values())


def _instead(character: str) -> str | None:
    plain = _INSTEAD.get(character)
    if plain is not None:
        return plain
    bare = unicodedata.normalize("NFD", character)[0]
    return bare if bare != character and bare.isascii() else None


def _is_gsm(character: str) -> bool:
    return alphabets.encode(character)[1] is Alphabet.GSM7
