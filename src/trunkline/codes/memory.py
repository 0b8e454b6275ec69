"""What was found in one text, for the next one that differs in its code alone."""

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from trunkline.codes.brands import Mention

# What differs between two texts of one sender: longer digits than any cue has, and a code in two halves.
_CHANGING = re.compile(r"((?<![0-9])[0-9]{3}[- ][0-9]{3}(?![0-9])|[0-9]{4,})")
_CENTURIES = frozenset({"19", "20"})  # four digits that could be a year are weighed apart


class Place(NamedTuple):
    """Where the code of a text stands, and of all texts like it."""

    start: int
    end: int  # 0 where there is none
    kind: str
    confidence: float
    mention: "Mention | None"
    joined: bool  # from parts: separators are left out


# No text is kept: only hashes, and places.
Memory = dict[int, Place]


def likeness(plain: str) -> int:
    """What two texts share that read the same: a hash of the words, and how long and of what kind the numbers are."""
    parts: list[str | int] = list(_CHANGING.split(plain))
    for index in range(1, len(parts), 2):
        run = str(parts[index])
        if not run.isdigit():
            parts[index] = run[3]
        elif len(run) != 4 or run[:2] not in _CENTURIES:
            parts[index] = len(run)
        else:
            parts[index] = -4
    return hash(tuple(parts))
