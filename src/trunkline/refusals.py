"""Rate-limited logging: whatever one address is refused is one line a minute, with how often each thing was.

Anybody can be refused as often as they like: a line for each would fill the disk, and none would hide who tries keys.
"""

import asyncio
import dataclasses
import logging
import time
from collections import Counter

MOST_ADDRESSES = 1_000  # that are told apart at a time; the rest share a line
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
        for address, found in list(self._known.items()):
            if found.due > now:
                continue
            if not found.counted:
                del self._known[address]
                continue
            counts = ", ".join(f"{count} x {what}" for what, count in sorted(found.counted.items()))
            facts = {"address": address or None, "refused": dict(found.counted)}
            self._log.warning("refused %s: %s", address or "a socket without address", counts, extra={"facts": facts})
            found.counted.clear()
            found.due = now + QUIET_SECONDS
