"""API keys: kept as hashes, looked up in one cached step. ``issuing`` makes and ends them.

A secret has 178 random bits, so one SHA-256 is the right hash: there is nothing to guess, and every request pays it.
"""

import asyncio
import contextlib
import dataclasses
import functools
import hashlib
import ipaddress
import logging
import time
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Literal

from trunkline import ids
from trunkline.errors import NotAuthenticated, Unavailable
from trunkline.storage.database import Querier, Row
from trunkline.storage.queries import queries

SQL = queries(__package__)

ALL_SCOPES = ["numbers", "verify", "account:read", "webhooks", "admin"]
FRESH_SECONDS = 1.0  # how long a process trusts what it knows of a key: revocation reaches everyone within 2 s
MOST_REMEMBERED = 20_000
MOST_GUESSES = 5_000  # secrets that are nobody's
WRITE_USES_SECONDS = 10.0  # how long a process keeps in memory when a key was last used
LAST_WRITE_SECONDS = 5.0

Mode = Literal["live", "test"]
MODES: tuple[Mode, Mode] = ("live", "test")
Network = IPv4Network | IPv6Network

log = logging.getLogger("trunkline.accounts")


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
    networks: tuple[Network, ...] = ()  # where it may be used from; empty: anywhere
    frozen: str | None = None  # why the operator has frozen the account
    cap_day_micros: int | None = None  # what may be spent with it
    cap_month_micros: int | None = None

    @property
    def is_limited(self) -> bool:
        """Whether it has less than its account: a cap, an end, or places where alone it may be used."""
        return any(each is not None for each in (self.expires, self.cap_day_micros, self.cap_month_micros)) or bool(
            self.networks
        )

    def is_over(self, now: float) -> bool:
        return self.expires is not None and self.expires <= now

    @property
    def mode(self) -> Mode:
        return "test" if self.test else "live"

    def allows(self, address: str) -> bool:
        """Whether it may be used from an address; IPv4 in IPv6 (``::ffff:10.0.0.1``) is that IPv4 address."""
        if not self.networks:
            return True
        caller = _address(address)
        return caller is not None and any(caller in network for network in self.networks)


@functools.lru_cache(maxsize=4096)
def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:  # a Unix socket has none
        return None
    return getattr(address, "ipv4_mapped", None) or address


async def standing(connection: Querier, key_ids: Iterable[int]) -> dict[int, Key]:
    """These keys as they stand in the database; who is revoked or past its time is missing."""
    now = time.time()
    found = [_key(row) for row in await connection.fetch(SQL.find_keys, list(key_ids))]
    return {key.key_id: key for key in found if not key.is_over(now)}


def _key(row: Row) -> Key:
    return Key(
        row["key_id"],
        row["account_id"],
        row["mode"] == "test",
        frozenset(row["scopes"]),
        row["per_minute"],
        row["account_per_minute"],
        row["burst"],
        row["expires"],
        tuple(row["cidrs"]),
        row["frozen_reason"],
        row["cap_day_micros"],
        row["cap_month_micros"],
    )


class Keyring:
    """Finds the key behind a secret; remembers it for a second, and asks once for many callers.

    It notes when a key was last presented, also where the request is refused for something else; ``keep_uses`` writes
    that down.
    """

    def __init__(self, database: Querier) -> None:
        self._database = database
        self._known: dict[bytes, tuple[Key, float]] = {}
        self._nobodys: dict[bytes, float] = {}  # apart, so that guesses push no key out
        self._asked: dict[bytes, asyncio.Future[Key | None]] = {}
        self._uses: dict[int, float] = {}  # key id → seconds since the epoch

    def remembered(self, secret: str) -> Key | None:
        """The key if this process has just seen it, without a wait; None if it must be looked up."""
        known = self._known.get(hashlib.sha256(secret.encode()).digest())
        if known is None or time.monotonic() - known[1] > FRESH_SECONDS:
            return None
        return self._used(known[0])

    def knows(self, secret: str) -> bool:
        """Whether this process has seen the secret to be a key's, however long ago."""
        return self._known.get(hashlib.sha256(secret.encode()).digest(), (None, 0.0))[0] is not None

    async def find(self, secret: str) -> Key:
        """Raises NotAuthenticated for a secret that is mistyped, unknown, revoked or past its time."""
        if not ids.looks_like_key(secret):
            raise NotAuthenticated("The API key is mistyped: its checksum does not fit.")
        digest = hashlib.sha256(secret.encode()).digest()
        key, seen = self._known.get(digest) or (None, self._nobodys.get(digest, 0.0))
        if time.monotonic() - seen > FRESH_SECONDS:
            key = await self._ask(digest)
        known = self._used(key)
        if known is None:
            raise NotAuthenticated("The API key is unknown, revoked or expired.")
        return known

    def _used(self, key: Key | None) -> Key | None:
        """The key, its use noted; None where its time is over."""
        now = time.time()
        if key is None or key.is_over(now):
            return None
        if key.key_id in self._uses or len(self._uses) < MOST_REMEMBERED:
            self._uses[key.key_id] = now
        return key

    async def write_uses(self) -> None:
        """Writes down all uses since the last time, in one statement; what cannot be written is kept."""
        uses, self._uses = self._uses, {}
        if not uses:
            return
        try:
            await self._database.execute(SQL.note_uses, list(uses), list(uses.values()))
        except BaseException:
            self._uses = uses | self._uses
            raise

    async def keep_uses(self, every_seconds: float = WRITE_USES_SECONDS) -> None:
        """Runs until cancelled, and then writes a last time."""
        try:
            while True:
                await asyncio.sleep(every_seconds)
                try:
                    await self.write_uses()
                except Unavailable as error:
                    log.warning("the last use of keys is written later: %s", error.detail)
                except Exception:
                    log.exception("the last use of keys could not be written")
        finally:
            with contextlib.suppress(Unavailable, TimeoutError):
                async with asyncio.timeout(LAST_WRITE_SECONDS):
                    await self.write_uses()

    async def _ask(self, digest: bytes) -> Key | None:
        waiting = self._asked.get(digest)
        if waiting is None:
            waiting = self._asked[digest] = asyncio.ensure_future(self._look_up(digest))
            waiting.add_done_callback(lambda _: self._asked.pop(digest, None))
        return await asyncio.shield(waiting)

    async def _look_up(self, digest: bytes) -> Key | None:
        seen = time.monotonic()
        row = await self._database.fetchrow(SQL.find_key, digest)
        key = _key(row) if row is not None else None
        if key is None:
            self._known.pop(digest, None)
            if len(self._nobodys) >= MOST_GUESSES:
                self._nobodys.clear()
            self._nobodys[digest] = seen
            return None
        if len(self._known) >= MOST_REMEMBERED:
            self._known.clear()
        self._known[digest] = key, seen
        return key
