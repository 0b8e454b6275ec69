"""API keys: made once, kept as hashes, looked up in one cached step.

A secret has 178 random bits, so one SHA-256 is the right hash: there is nothing to guess, and every request pays it.
"""

import asyncio
import dataclasses
import hashlib
import time
from ipaddress import IPv4Network, IPv6Network
from typing import Literal

from trunkline import ids
from trunkline.errors import NotAuthenticated
from trunkline.storage.database import Querier
from trunkline.storage.queries import queries

SQL = queries(__package__)

ALL_SCOPES = ["numbers", "verify", "account:read", "webhooks", "admin"]
FRESH_SECONDS = 1.0  # how long a process trusts what it knows of a key: revocation reaches everyone within 2 s
MOST_REMEMBERED = 20_000

Mode = Literal["live", "test"]


@dataclasses.dataclass(frozen=True, slots=True)
class Key:
    """Who is calling, and what they may do."""

    key_id: int
    account_id: int
    test: bool
    scopes: frozenset[str]
    per_minute: int  # requests by this key
    account_per_minute: int | None = None  # and by all of the account's keys; None: the operator's setting
    burst: int | None = None  # requests at one instant; None: a whole minute's
    expires: float | None = None  # seconds since the epoch
    networks: tuple[IPv4Network | IPv6Network, ...] = ()  # where it may be used from; empty: anywhere
    frozen: str | None = None  # why the operator has frozen the account


def new_secret(mode: str) -> tuple[str, bytes]:
    """A secret and its hash."""
    secret = ids.new_key(mode)
    return secret, hashlib.sha256(secret.encode()).digest()


class Keyring:
    """Finds the key behind a secret; remembers it for a second, and asks once for many callers."""

    def __init__(self, database: Querier) -> None:
        self._database = database
        self._known: dict[bytes, tuple[Key | None, float]] = {}
        self._asked: dict[bytes, asyncio.Future[Key | None]] = {}

    def remembered(self, secret: str) -> Key | None:
        """The key if this process has just seen it, without a wait; None if it must be looked up."""
        known = self._known.get(hashlib.sha256(secret.encode()).digest())
        if known is None or time.monotonic() - known[1] > FRESH_SECONDS:
            return None
        key = known[0]
        return None if key is None or (key.expires is not None and key.expires <= time.time()) else key

    async def find(self, secret: str) -> Key:
        """Raises NotAuthenticated for a secret that is mistyped, unknown, revoked or past its time."""
        if not ids.looks_like_key(secret):
            raise NotAuthenticated("The API key is mistyped: its checksum does not fit.")
        digest = hashlib.sha256(secret.encode()).digest()
        key, seen = self._known.get(digest, (None, 0.0))
        if time.monotonic() - seen > FRESH_SECONDS:
            key = await self._ask(digest)
        if key is None or (key.expires is not None and key.expires <= time.time()):
            raise NotAuthenticated("The API key is unknown, revoked or expired.")
        return key

    async def _ask(self, digest: bytes) -> Key | None:
        waiting = self._asked.get(digest)
        if waiting is None:
            waiting = self._asked[digest] = asyncio.ensure_future(self._look_up(digest))
            waiting.add_done_callback(lambda _: self._asked.pop(digest, None))
        return await asyncio.shield(waiting)

    async def _look_up(self, digest: bytes) -> Key | None:
        seen = time.monotonic()
        row = await self._database.fetchrow(SQL.find_key, digest)
        key = None
        if row is not None:
            scopes = frozenset(row["scopes"])
            key = Key(
                row["key_id"],
                row["account_id"],
                row["mode"] == "test",
                scopes,
                row["per_minute"],
                row["account_per_minute"],
                row["burst"],
                row["expires"],
                tuple(row["cidrs"]),
                row["frozen_reason"],
            )
        if len(self._known) >= MOST_REMEMBERED:
            self._known.clear()
        self._known[digest] = key, seen
        return key
