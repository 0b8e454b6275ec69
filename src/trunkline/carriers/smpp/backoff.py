"""When to connect again: exponential back-off with full jitter, for a peer that is away, not for one that lets go."""

import random
from typing import Final

_FIRST_SECONDS: Final = 0.5
_LEAST_SECONDS: Final = 0.1  # not at once, for the peer's sake
_STEADY_SECONDS: Final = 2.0  # a session that lasted so long begins anew
_LONGEST_AFTER_BOUND_SECONDS: Final = 5.0  # a peer that took the bind is there, however soon it let go


class Backoff:
    """The pauses of one link. Only connections and binds that fail make them long, ``most_seconds`` at most."""

    def __init__(self, most_seconds: float) -> None:
        self._most_seconds = most_seconds
        self._delay = _FIRST_SECONDS

    def after(self, bound_seconds: float) -> float:
        """Seconds to wait after a session that was bound for so long; 0: it never was."""
        if bound_seconds >= _STEADY_SECONDS:
            self._delay = _FIRST_SECONDS
        most = min(self._most_seconds, _LONGEST_AFTER_BOUND_SECONDS) if bound_seconds else self._most_seconds
        delay = min(self._delay, most)
        self._delay = min(self._delay * 2, most)
        # Jittered, so that links lost together do not come back together.
        return random.uniform(min(_LEAST_SECONDS, delay), delay)  # noqa: S311
