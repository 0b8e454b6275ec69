"""Rate-limited logging: whatever one address is refused is one line a minute, with how often each thing was.

Anybody can be refused as often as they like: a line for each would fill the disk, and none would hide who tries keys.
"""

import asyncio
import dataclasses
import logging
import time
from collections import Counter

MOST_ADDRESSES = 1_000  # that are told apart at a time; the rest are counted together
MOST_LINES = 20  # written at a time, of those that were refused most often; the rest share one
GATHER_SECONDS = 2.0  # from the first refusal to its line
QUIET_SECONDS = 60.0  # between two lines about an address
OTHERS = "other addresses"


@dataclasses.dataclass(slots=True)
class _Address:
    due: float  # when its next line may be written, as time.monotonic() tells it
    counted: Counter[str] = dataclasses.field(default_factory=Counter)


class Refusals:
    """Counts by address and by what (``401 invalid_key``), of which there are few, none chosen by a caller.

    Belongs to an event loop; ``close`` writes what is not written yet.
    """

    def __init__(self, log: logging.Logger, *, most_addresses: int = MOST_ADDRESSES) -> None:
        self._log = log
        self._most_addresses = most_addresses
        self._known: dict[str, _Address] = {}
        self._timer: asyncio.TimerHandle | None = None

    def note(self, address: str, what: str) -> None:
        """``address`` "" is that of a connection without one."""
        found = self._known.get(address)
        if found is None:
            if len(self._known) >= self._most_addresses:
                address = OTHERS
            found = self._known.setdefault(address, _Address(time.monotonic() + GATHER_SECONDS))
        found.counted[what] += 1
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(GATHER_SECONDS, self._look)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._write(float("inf"))

    def _look(self) -> None:
        self._write(time.monotonic())
        again = self._known and asyncio.get_running_loop().call_later(GATHER_SECONDS, self._look)
        self._timer = again or None

    def _write(self, now: float) -> None:
        due = []
        for address, found in list(self._known.items()):
            if found.due > now:
                continue
            if not found.counted:
                del self._known[address]
                continue
            due.append((address, Counter(found.counted)))
            found.counted.clear()
            found.due = now + QUIET_SECONDS
        due.sort(key=lambda each: each[1].total(), reverse=True)
        for address, counted in due[:MOST_LINES]:
            self._say(address or "a socket without address", counted, address=address or None)
        if rest := due[MOST_LINES:]:
            together = sum((counted for _, counted in rest), Counter[str]())
            self._say(f"{len(rest)} {OTHERS}", together, addresses=len(rest))

    def _say(self, who: str, counted: Counter[str], **facts: object) -> None:
        counts = ", ".join(f"{count} x {what}" for what, count in sorted(counted.items()))
        self._log.warning("refused %s: %s", who, counts, extra={"facts": {**facts, "refused": dict(counted)}})
