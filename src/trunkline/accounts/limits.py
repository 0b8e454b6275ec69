"""Requests a minute for each key, by GCRA: one time stamp a key, no windows to game.

A key that has been idle may send its whole minute's share at once; after that the share flows back evenly. The
documented number at one instant is therefore exactly the limit.
"""

import math
import time
from collections.abc import Callable
from typing import NamedTuple

PERIOD_SECONDS = 60.0
SWEEP_EVERY = 10_000
ROUNDING = 1e-3  # of a request: sums of time stamps are not exact


class Decision(NamedTuple):
    allowed: bool
    remaining: int  # requests that would be let through now
    reset_seconds: int  # until the whole share is there again
    retry_seconds: int  # until the next request is let through; 0 where it was


class Limiter:
    """In the memory of one process; of ``processes`` that share a port each gives its part of every limit."""

    def __init__(self, processes: int = 1, clock: Callable[[], float] = time.monotonic) -> None:
        self._processes = processes
        self._clock = clock
        self._arrivals: dict[int, float] = {}  # key → theoretical arrival time of its next request
        self._taken = 0

    def take(self, key_id: int, per_minute: int) -> Decision:
        """Counts one request of a key, or says when it may come again."""
        share = max(1, per_minute // self._processes)
        step = PERIOD_SECONDS / share
        now = self._clock()
        arrival = max(self._arrivals.get(key_id, 0.0), now)
        room = PERIOD_SECONDS - (arrival - now)
        allowed = room >= step * (1 - ROUNDING)
        if allowed:
            arrival += step
            room -= step
            self._arrivals[key_id] = arrival
            self._taken += 1
            if self._taken % SWEEP_EVERY == 0:
                self._arrivals = {key: until for key, until in self._arrivals.items() if until > now}
        return Decision(
            allowed,
            max(0, int(room / step + ROUNDING)),
            math.ceil(arrival - now),
            0 if allowed else max(1, math.ceil(step - room)),
        )
