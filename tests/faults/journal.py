"""A journal of acknowledged effects: what callers and a carrier were told, by which a run is judged afterwards."""

import dataclasses
import itertools
import time
from collections.abc import Iterator


@dataclasses.dataclass(frozen=True, slots=True)
class Call:
    """One HTTP call: when it began (``time.monotonic``), how long it took, and its status; None: no answer came."""

    began: float
    seconds: float
    what: str
    status: int | None

    @property
    def ended(self) -> float:
        return self.began + self.seconds


@dataclasses.dataclass(frozen=True, slots=True)
class End:
    """The end of a lease that its customer was told."""

    word: str
    refund: float


class Journal:
    """Written by many threads: each entry is one assignment or append, and is made before the next thing is asked."""

    def __init__(self) -> None:
        self.orders: dict[str, bytes | None] = {}  # by idempotency key, the first answer; None: none came
        self.ends: dict[str, End] = {}  # by activation
        self.codes: dict[str, set[str]] = {}  # by activation, what its customer has read
        self.sent: list[tuple[str, str]] = []  # texts that the carrier has: recipient, words
        self.acknowledged: list[tuple[str, str]] = []  # those that it was told are kept
        self.calls: list[Call] = []

    def purchases(self) -> Iterator[Call]:
        """Those that were answered with a lease, in the order of their answers."""
        bought = [call for call in list(self.calls) if (call.what, call.status) == ("purchase", 200)]
        return iter(sorted(bought, key=lambda call: call.ended))

    def longest_answer(self) -> float:
        """Seconds; held calls are those that ask to wait, and do not count."""
        return max((call.seconds for call in self.calls if call.what != "wait"), default=0.0)

    def longest_without(self, since: float) -> float:
        """The longest time without a purchase that succeeded, in seconds from ``since`` until now."""
        moments = [since, *(call.ended for call in self.purchases() if call.ended > since), time.monotonic()]
        return max(after - before for before, after in itertools.pairwise(moments))

    def healed_after(self, moment: float) -> float | None:
        """Seconds from a moment to the end of the first purchase that was asked for after it, and succeeded."""
        return next((call.ended - moment for call in self.purchases() if call.began >= moment), None)
