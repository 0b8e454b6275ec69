"""Requests without a key, by GCRA for each address: public routes, paths that are none, keys that nobody has.

An IPv6 address counts as its /64, which is what a household or a virtual server gets (RFC 6177). Who is beyond the
limit is answered after a pause, so that a loop costs hardly more than a client that waits.
"""

import asyncio
import datetime
import functools
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address, ip_network

from trunkline import clock
from trunkline.accounts.limits import HAIR_SECONDS, PERIOD_SECONDS, ROUNDING
from trunkline.errors import RateLimited

MOST_REMEMBERED = 50_000  # addresses that owe something; of more than that the longest silent are forgotten
PAUSE_SECONDS = 0.5
MOST_PAUSING = 500  # at a time; beyond that they are answered at once


class Strangers:
    """Of one of ``parts`` processes, which each give their part; ``per_minute`` 0: there is no limit."""

    def __init__(self, per_minute: int, *, parts: int = 1, now: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        here = max(1, per_minute // parts)
        self._step = PERIOD_SECONDS / here
        self._capacity = here * self._step
        self._now = now
        self._requests: OrderedDict[str, float] = OrderedDict()  # address → when it owes nothing any more
        self._failures: OrderedDict[str, float] = OrderedDict()
        self._probes: OrderedDict[str, float] = OrderedDict()
        self._pausing = 0

    async def admit(self, address: str, headers: list[tuple[bytes, bytes]]) -> None:
        """Counts a request to what is public, and adds to ``headers`` how the address stands. Raises RateLimited."""
        if not self._per_minute:
            return
        owes, passed = self._take(self._requests, address)
        remaining = max(0, int((self._capacity - owes) / self._step + ROUNDING))
        headers += [
            (b"ratelimit-policy", b'"address";q=%d;w=60' % self._per_minute),
            (b"ratelimit", b'"address";r=%d;t=%d' % (remaining, math.ceil(owes - HAIR_SECONDS))),
        ]
        if not passed:
            await self._pause()
            raise self._refusal(owes, f"An address may send {self._per_minute} requests a minute without a key.")

    async def admit_unknown(self, address: str) -> None:
        """Before a key is looked up that nobody here knows. Raises RateLimited after too many that were none."""
        owes = self._owes(self._failures, address) if self._per_minute else 0.0
        if self._is_beyond(owes):
            await self._pause()
            raise self._refusal(owes, f"An address may try {self._per_minute} keys a minute that are none.")

    def failed(self, address: str) -> None:
        """Counts a request whose key, or signature, was none."""
        if self._per_minute:
            self._take(self._failures, address)

    async def slow_failures(self, address: str) -> None:
        """Lets who has failed too often wait, without a refusal: a message of another system must not be lost."""
        if self._per_minute and self._is_beyond(self._owes(self._failures, address)):
            await self._pause()

    async def slow_probes(self, address: str) -> None:
        """Counts a probe; too many are answered late, and never refused: a balancer would take the server out."""
        if self._per_minute and not self._take(self._probes, address)[1]:
            await self._pause()

    def _owes(self, counted: OrderedDict[str, float], address: str) -> float:
        return min(max(0.0, counted.get(_network(address), 0.0) - self._now()), self._capacity)

    def _is_beyond(self, owes: float) -> bool:
        return self._capacity - owes < self._step * (1 - ROUNDING)

    def _take(self, counted: OrderedDict[str, float], address: str) -> tuple[float, bool]:
        owes = self._owes(counted, address)
        if self._is_beyond(owes):
            return owes, False
        owes += self._step
        network = _network(address)
        counted[network] = self._now() + owes
        counted.move_to_end(network)
        if len(counted) > MOST_REMEMBERED:
            counted.popitem(last=False)
        return owes, True

    async def _pause(self) -> None:
        if self._pausing < MOST_PAUSING:
            self._pausing += 1
            try:
                await asyncio.sleep(PAUSE_SECONDS)
            finally:
                self._pausing -= 1

    def _refusal(self, owes: float, detail: str) -> RateLimited:
        seconds = max(1, math.ceil(owes + self._step - self._capacity - HAIR_SECONDS))
        again = clock.now() + datetime.timedelta(seconds=seconds)
        return RateLimited(detail, retry_at=clock.iso(again), limit="address")


@functools.lru_cache(maxsize=4096)
def _network(address: str) -> str:
    """What is counted as one: an IPv4 address, or the /64 of an IPv6 address; all sockets without one together."""
    if address and isinstance(ip_address(address), IPv6Address):
        return str(ip_network(f"{address}/64", strict=False))
    return address
