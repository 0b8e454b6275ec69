"""What callers without a name do at the door, for the log: a line for each address and minute, not for each act.

However many they are, what is kept of them is bounded, and so is what is written.
"""

import logging
import time
from collections import Counter

log = logging.getLogger("trunkline.api")

TELL_SECONDS = 60
MOST_ADDRESSES = 1_000  # that are counted by themselves
MOST_LINES = 20  # of a kind and minute, the greatest first; the rest in one
OTHERS = "other addresses"


class DoorLog:
    """Counts by address until ``tell``."""

    def __init__(self) -> None:
        self._malformed: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._made_room = 0
        self._not_accepted = 0
        self._why_not = ""
        self._told_at = time.monotonic()

    def malformed(self, address: str) -> None:
        """A request that is not HTTP as it should be."""
        _add(self._malformed, address)

    def refused(self, address: str) -> None:
        """A connection beyond the bound."""
        _add(self._refused, address)

    def made_room(self, count: int) -> None:
        """Connections that were ended for others."""
        self._made_room += count

    def not_accepted(self, error: OSError) -> None:
        """The system has no descriptor for a connection. Said at once, the first time in a minute."""
        self._not_accepted += 1
        self._why_not = error.strerror or str(error)
        if self._not_accepted == 1:
            log.error("a connection cannot be accepted: %s", self._why_not)

    def tell_in_time(self) -> None:
        if time.monotonic() - self._told_at >= TELL_SECONDS:
            self.tell()

    def tell(self) -> None:
        """Writes the lines."""
        self._told_at = time.monotonic()
        _tell(self._malformed, "%d malformed requests from %s")
        _tell(self._refused, "%d connections from %s were refused: there are too many")
        if self._made_room:
            log.warning("%d connections that waited for their callers were ended for others", self._made_room)
        if self._not_accepted > 1:
            log.error("%d times a connection could not be accepted: %s", self._not_accepted, self._why_not)
        self._made_room = self._not_accepted = 0


def _add(counted: Counter[str], address: str) -> None:
    counted[address if address in counted or len(counted) < MOST_ADDRESSES else OTHERS] += 1


def _tell(counted: Counter[str], line: str) -> None:
    told = counted.most_common(MOST_LINES)
    for address, count in told:
        log.warning(line, count, address or "an unknown address", extra={"facts": {"address": address, "count": count}})
    rest = counted.total() - sum(count for _, count in told)
    if rest:
        log.warning(line, rest, f"{len(counted) - len(told)} {OTHERS}", extra={"facts": {"count": rest}})
    counted.clear()
