"""Requests a minute, for each key and for all keys of its account together, by GCRA: one time stamp for each.

There are no windows to game. Who has been idle may send the burst at once, a whole minute's share unless the operator
set another; after that the share flows back evenly. A request passes where both have room, and otherwise counts on
neither. docs/limits.md says what this means to callers.
"""

import functools
import math
import time
from collections.abc import Callable
from typing import Literal, NamedTuple

from trunkline.accounts.keys import Key

PERIOD_SECONDS = 60.0
SWEEP_EVERY = 10_000
ROUNDING = 1e-3  # of a request: sums of time stamps are not exact
HAIR_SECONDS = 1e-6  # so that they do not make a second more


class Rate(NamedTuple):
    """How fast a share flows back, and how much of it there is at most."""

    per_minute: int  # as documented, of all processes together
    step: float  # seconds that one request costs
    capacity: float  # seconds that may be owed: the burst


class Standing(NamedTuple):
    """How a key or an account stands after a request."""

    per_minute: int
    remaining: int  # requests that would be let through now
    reset_seconds: int  # until the whole burst is there again


class Decision(NamedTuple):
    refused_by: Literal["key", "account"] | None  # None: let through; else the one to wait for longer
    retry_seconds: int  # until the next request is let through; 0 where it was
    key: Standing
    account: Standing


def account_share(per_minute: int, account_per_minute: int | None, default: int) -> int:
    """Requests a minute by all keys of an account: never fewer than one of them has."""
    return max(per_minute, default if account_per_minute is None else account_per_minute)


@functools.lru_cache(maxsize=4096)
def rates(
    per_minute: int, account_per_minute: int | None, burst: int | None, default: int, parts: int
) -> tuple[Rate, Rate]:
    """A key's and its account's, for one of ``parts`` processes that each give their part and know nothing of others.

    The parts of a limit add up to it at most; each is 1 at least.
    """
    together = account_share(per_minute, account_per_minute, default)

    def rate(limit: int, at_once: int) -> Rate:
        step = PERIOD_SECONDS / max(1, limit // parts)
        return Rate(limit, step, max(1, at_once // parts) * step)

    return rate(per_minute, burst or per_minute), rate(together, max(together, burst or 0))


def decision(passed: bool, key: Rate, account: Rate, key_owes: float, account_owes: float) -> Decision:
    """What to tell the caller; ``…_owes`` are the seconds until nothing is owed any more, this request's included."""
    refused_by: Literal["key", "account"] | None = None
    retry_seconds = 0
    if not passed:
        key_wait = key_owes + key.step - key.capacity
        account_wait = account_owes + account.step - account.capacity
        refused_by = "account" if account_wait > key_wait else "key"
        retry_seconds = max(1, math.ceil(max(key_wait, account_wait) - HAIR_SECONDS))
    return Decision(refused_by, retry_seconds, _standing(key, key_owes), _standing(account, account_owes))


def _standing(rate: Rate, owes: float) -> Standing:
    room = int((rate.capacity - owes) / rate.step + ROUNDING)
    return Standing(rate.per_minute, room if room > 0 else 0, math.ceil(owes - HAIR_SECONDS))


class Limiter:
    """In the memory of one process; of ``parts`` processes over one database each gives its part of every limit."""

    def __init__(self, parts: int = 1, *, account_per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._parts = parts
        self._account_per_minute = account_per_minute  # where an account has none of its own
        self._clock = clock
        self._keys: dict[int, float] = {}  # key → when it owes nothing any more
        self._accounts: dict[int, float] = {}
        self._taken = 0

    def take(self, key: Key, *, passed_elsewhere: bool = False) -> Decision:
        """Counts one request of a key, or says when it may come again.

        One that ``passed_elsewhere`` is counted whatever is owed, so that nobody begins anew who comes here after it.
        """
        of_key, of_account = rates(
            key.per_minute, key.account_per_minute, key.burst, self._account_per_minute, self._parts
        )
        now = self._clock()
        key_owes = self._keys.get(key.key_id, 0.0) - now
        account_owes = self._accounts.get(key.account_id, 0.0) - now
        # Never below nothing, nor above a burst that was made smaller meanwhile.
        key_owes = 0.0 if key_owes < 0 else min(key_owes, of_key.capacity)
        account_owes = 0.0 if account_owes < 0 else min(account_owes, of_account.capacity)
        passed = passed_elsewhere or (
            of_key.capacity - key_owes >= of_key.step * (1 - ROUNDING)
            and of_account.capacity - account_owes >= of_account.step * (1 - ROUNDING)
        )  # fmt: skip
        if passed:
            key_owes += of_key.step
            account_owes += of_account.step
            self._keys[key.key_id] = now + key_owes
            self._accounts[key.account_id] = now + account_owes
            self._taken += 1
            if self._taken % SWEEP_EVERY == 0:
                self._keys = {each: until for each, until in self._keys.items() if until > now}
                self._accounts = {each: until for each, until in self._accounts.items() if until > now}
        return decision(passed, of_key, of_account, key_owes, account_owes)
