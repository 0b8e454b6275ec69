"""Pacing of submit_sm: a token bucket for the link's rate, which additive increase and multiplicative decrease move.

A peer that answers ESME_RTHROTTLED (0x58) or ESME_RMSGQFUL (0x14) asks for less (SMPP 3.4 §5.1.3): the rate is halved,
and grows again with what the peer takes.
"""

import asyncio

SLOWEST = 1.0  # submits a second
FIRST_GUESS = 50.0  # where the operator names no rate, and the peer asks for less
PAUSE_SECONDS = 0.5  # after each time that the peer asks for less
GROWTH = 0.02  # of the rate, with each submit that is taken
NO_LIMIT_ABOVE = 5_000.0  # a rate that has grown so far again is none


class Pacer:
    """When the next submit_sm of a link may be written."""

    def __init__(self, tps: float | None) -> None:
        """``tps``: submits a second that were agreed with the peer; None: as many as it takes."""
        self._most = tps
        self._rate = tps
        self._next = 0.0

    async def turn(self) -> None:
        """Waits until it may be; turns are given in the order of asking."""
        if self._rate is None and not self._next:
            return
        loop = asyncio.get_running_loop()
        now = loop.time()
        at = max(self._next, now)
        if self._rate is not None:
            self._next = at + 1 / self._rate
        elif now >= self._next:
            self._next = 0.0
        if at > now:
            await asyncio.sleep(at - now)

    def taken(self) -> None:
        """The peer took one."""
        if self._rate is not None and self._rate != self._most:
            grown = self._rate * (1 + GROWTH)
            self._rate = min(grown, self._most) if self._most is not None else grown
            if self._most is None and grown > NO_LIMIT_ABOVE:
                self._rate = None

    def throttled(self) -> None:
        """The peer asked for less. Several answers to what was written at once count as one."""
        now = asyncio.get_running_loop().time()
        if now >= self._next - PAUSE_SECONDS / 2 or self._rate is None:
            self._rate = max((self._rate or FIRST_GUESS * 2) / 2, SLOWEST)
        self._next = max(self._next, now + PAUSE_SECONDS)
