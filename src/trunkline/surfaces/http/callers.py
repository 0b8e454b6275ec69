"""Who calls: the key behind a request, counted against its limits, and whether it may call from there at all."""

import dataclasses
import datetime
import functools
from typing import Literal

from trunkline import clock
from trunkline.accounts.keys import Key, Keyring
from trunkline.accounts.limits import Decision, Limiter
from trunkline.accounts.problems import AccountFrozen, InsufficientScope, IpNotAllowed
from trunkline.accounts.shared_limits import SharedLimiter
from trunkline.errors import NotAuthenticated, RateLimited, TrunklineError
from trunkline.surfaces.http.strangers import Strangers

Headers = list[tuple[bytes, bytes]]


class Callers:
    """Lets callers in. ``appeal`` is what a frozen customer is told to do."""

    def __init__(self, keyring: Keyring, limiter: Limiter | SharedLimiter, strangers: Strangers, appeal: str) -> None:
        self._keyring = keyring
        self._strangers = strangers
        self._limiter = limiter
        self._appeal = appeal

    async def admit(self, scope: str, secret: str, advice: str, address: str, headers: Headers) -> Key:
        """The key of a caller's secret; ``advice`` is for who sent none. What is said of limits goes to ``headers``.

        Counted before anything is refused but an unknown key, which its address pays for, so that no refusal is a way
        round the limit. Raises
        NotAuthenticated, RateLimited, IpNotAllowed, AccountFrozen, InsufficientScope.
        """
        key = await self._find(secret, advice, address)
        is_allowed_there = key.allows(address)
        decision = self._limiter.take(key if is_allowed_there else _outsider(key))
        if not isinstance(decision, Decision):
            decision = await decision
        headers += _limit_headers(decision)
        if decision.refused_by is not None:
            raise _rate_limited(decision, decision.refused_by)
        refused = self.refusal(key, scope, address)
        if refused is not None:
            raise refused
        return key

    async def still(self, scope: str, secret: str, address: str) -> Key:
        """The key of a caller who was let in a while ago, as it stands now; not counted again. Raises as ``admit``."""
        key = await self._find(secret, "", address)
        refused = self.refusal(key, scope, address)
        if refused is not None:
            raise refused
        return key

    async def _find(self, secret: str, advice: str, address: str) -> Key:
        key = self._keyring.remembered(secret)
        if key is not None:
            return key
        secret = secret.strip()
        if not self._keyring.knows(secret):  # a customer is not shut out by who tries keys beside them
            await self._strangers.admit_unknown(address)
        try:
            if not secret:
                raise NotAuthenticated(advice)
            return await self._keyring.find(secret)
        except NotAuthenticated:
            self._strangers.failed(address)
            raise

    def refusal(self, key: Key | None, scope: str, address: str) -> TrunklineError | None:
        """Why a key may not do something from somewhere; None: it may."""
        if key is None:
            return NotAuthenticated("The API key is unknown, revoked or expired.")
        if not key.allows(address):
            return IpNotAllowed(f"The key may not be used from {address or 'a connection without an address'}.")
        if key.frozen is not None:
            return AccountFrozen(f"The account is frozen: {key.frozen.rstrip('.')}. {self._appeal}".rstrip())
        if scope not in key.scopes:
            return InsufficientScope(f"The key lacks the scope {scope!r}.", scope=scope)
        return None

    def recognise(self, scope: str, secret: str, address: str) -> Key | None:
        """The caller's key where it is known without a wait and nothing speaks against it; it is not counted yet."""
        key = self._keyring.remembered(secret)
        if key is None or key.frozen is not None or scope not in key.scopes or not key.allows(address):
            return None
        return key

    def count(self, key: Key, headers: Headers) -> bool:
        """Counts a request of a recognised key where that needs no wait; False: it was not counted, use ``admit``."""
        if not isinstance(self._limiter, Limiter):
            return False
        decision = self._limiter.take(key)
        if decision.refused_by is not None:
            return False
        headers += _limit_headers(decision)
        return True


def _outsider(key: Key) -> Key:
    """Who uses a key from where it may not be used: counted apart, lest a thief use up the owner's share."""
    return dataclasses.replace(key, key_id=-key.key_id, account_id=-key.account_id)


def _rate_limited(decision: Decision, limit: Literal["key", "account"]) -> RateLimited:
    again = clock.now() + datetime.timedelta(seconds=decision.retry_seconds)
    if limit == "key":
        detail = f"The key may send {decision.key.per_minute} requests a minute."
    else:
        detail = f"All keys of the account together may send {decision.account.per_minute} requests a minute."
    return RateLimited(detail, retry_at=clock.iso(again), limit=limit)


def _limit_headers(decision: Decision) -> Headers:
    """draft-ietf-httpapi-ratelimit-headers-10: quotas and their window, what remains of each, and when it is whole.

    The tighter limit comes first, for clients that read but one.
    """
    key, account = decision.key, decision.account
    order = b'"default";r=%d;t=%d, "account";r=%d;t=%d'
    shown = (key.remaining, key.reset_seconds, account.remaining, account.reset_seconds)
    if account.remaining < key.remaining:
        order, shown = b'"account";r=%d;t=%d, "default";r=%d;t=%d', (*shown[2:], *shown[:2])
    headers = [(b"ratelimit-policy", _policies(key.per_minute, account.per_minute)), (b"ratelimit", order % shown)]
    if decision.refused_by is not None:
        headers.append((b"retry-after", b"%d" % decision.retry_seconds))
    return headers


@functools.lru_cache(maxsize=4096)
def _policies(key: int, account: int) -> bytes:
    return b'"default";q=%d;w=60, "account";q=%d;w=60' % (key, account)
