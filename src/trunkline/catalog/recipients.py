"""Which number of the pool a text is for, where its carrier writes numbers in another form than E.164."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Protocol

from trunkline import phone
from trunkline.storage.database import Querier
from trunkline.storage.queries import queries

SQL = queries(__package__)

FEWEST_DIGITS = 6  # of a number without its country; anything shorter is a service of the network


class Addressed(Protocol):
    """A text, as far as this asks."""

    @property
    def carrier(self) -> str: ...
    @property
    def recipient(self) -> str: ...  # the likeliest reading
    @property
    def others(self) -> tuple[str, ...]: ...  # further readings as whole numbers, likelier first
    @property
    def written(self) -> str: ...  # the digits as they came
    @property
    def local(self) -> bool: ...  # whether they may lack the area code too


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """The number that is meant, or why none of several that could be is taken."""

    e164: str | None
    reason: str | None = None


async def elsewhere(connection: Querier, texts: Sequence[Addressed], pool: Mapping[str, str]) -> dict[int, Found]:
    """What texts mean whose likeliest reading is no number of their carrier, by their place; only where it is another.

    ``pool``: the likeliest readings that are in the pool, with the carrier of each. A number of the text's own carrier
    goes before the others, a whole number before one whose country has to be added. Nobody's text is guessed at: where
    the digits fit several numbers, none gets it.
    """
    open_ = {
        place: text for place, text in enumerate(texts) if text.written and pool.get(text.recipient) != text.carrier
    }
    if not open_:
        return {}
    whole = {each for text in open_.values() for each in text.others}
    endings = {text.written[-FEWEST_DIGITS:] for text in open_.values() if len(text.written) >= FEWEST_DIGITS}
    rows = await connection.fetch(SQL.alike, list(whole), list(endings))
    near = {row["e164"]: row["carrier"] for row in rows} | dict(pool)
    found = {place: _meant(text, near) for place, text in open_.items()}
    return {
        place: each for place, each in found.items() if each.reason or each.e164 not in (None, open_[place].recipient)
    }


def _meant(text: Addressed, near: Mapping[str, str]) -> Found:
    ending = text.written[-FEWEST_DIGITS:]
    local = [
        e164 for e164 in near if e164.endswith(ending) and phone.is_dialled_as(e164, text.written, in_town=text.local)
    ]
    for own in (True, False):
        for reading in (text.recipient, *text.others):
            if reading in near and (near[reading] == text.carrier) is own:
                return Found(reading)
        fitting = [e164 for e164 in local if (near[e164] == text.carrier) is own]
        if len(fitting) == 1:
            return Found(fitting[0])
        if fitting:
            return Found(None, f"its recipient {text.written} can be any of {len(fitting)} numbers in the pool")
    return Found(None)
