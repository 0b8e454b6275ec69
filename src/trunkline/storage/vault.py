"""Texts under keys that are thrown away: of a copy of the database made later not even the remains can be read.

There is a key for each day and each number of days for which texts are kept (docs/decisions/0013). A lease's texts are
under the key of the day of its purchase, all under one, so that a repeated text is known however late it comes; a text
that is nobody's, and a part of one that is not whole, are under the key of the day on which they came.
"""

import dataclasses
import datetime
import functools
import hashlib
import os
import secrets
import time

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from trunkline.storage.database import Database, Querier
from trunkline.storage.queries import queries

SQL = queries(__package__)

NONCE = 12  # octets, before the ciphertext; NIST SP 800-38D allows 2**32 random ones under a key
REMEMBERED_SECONDS = 60  # so that a database that lost a key (an older copy brought back) is soon given another

_write = msgspec.msgpack.Encoder().encode
_read = msgspec.msgpack.Decoder(tuple[str, str | None]).decode


@functools.lru_cache(maxsize=256)
def _cipher(key: bytes) -> AESGCM:
    return AESGCM(key)


@dataclasses.dataclass(frozen=True, slots=True)
class TextKey:
    """An AES-256-GCM key and its name."""

    key_id: int
    key: bytes

    def seal(self, body: str, code: str | None) -> bytes:
        return self._seal(secrets.token_bytes(NONCE), _write((body, code)))

    def seal_part(self, payload: bytes) -> bytes:
        """The same octets for the same payload, so that a part that comes twice is known: its nonce is its hash."""
        return self._seal(hashlib.blake2b(payload, digest_size=NONCE, key=self.key).digest(), payload)

    def fingerprint(self, *parts: str) -> bytes:
        """What a text is known by while it is kept; without the key nobody can try codes against it."""
        words = "\0".join(parts).encode("utf-8", "replace")
        return hashlib.blake2b(words, digest_size=16, key=self.key).digest()

    def _seal(self, nonce: bytes, plain: bytes) -> bytes:
        return nonce + _cipher(self.key).encrypt(nonce, plain, None)


def unseal(key: bytes | None, sealed: bytes | None) -> tuple[str, str | None] | None:
    """Body and code; None where they are erased, or their key is gone."""
    plain = _open(key, sealed)
    return None if plain is None else _read(plain)


def opened(
    body: str | None, code: str | None, key: bytes | None, sealed: bytes | None
) -> tuple[str | None, str | None]:
    """Body and code as a row holds them; None where they are erased. In the clear: what came before there were keys."""
    return (unseal(key, sealed) or (None, None)) if sealed else (body, code)


def unseal_part(key: bytes | None, sealed: bytes) -> bytes:
    """The payload; nothing where its key is gone."""
    return _open(key, sealed) or b""


def _open(key: bytes | None, sealed: bytes | None) -> bytes | None:
    if not key or not sealed:
        return None
    try:
        return _cipher(key).decrypt(sealed[:NONCE], sealed[NONCE:], None)
    except InvalidTag:
        return None


class Vault:
    """Finds the key for a text, and makes it where this is the first of its kind; several processes agree on one."""

    def __init__(self) -> None:
        self._keys: dict[tuple[datetime.date | None, int], tuple[TextKey, float]] = {}

    async def key(self, connection: Querier, day: datetime.date | None, days: int) -> TextKey:
        """``day``: of a lease's purchase; None: the database's today. ``days``: how long the text is to be kept."""
        known = self._keys.get((day, days))
        if known is not None and known[1] > time.monotonic():
            return known[0]
        row = await connection.fetchrow(SQL.text_key, day, days)
        if row is None:
            await connection.execute(SQL.make_text_key, day, days, os.urandom(32))
            row = await connection.fetchrow(SQL.text_key, day, days)
            assert row is not None
        found = TextKey(row["key_id"], row["key"])
        if row["committed"]:  # else the caller's transaction, which made it, may yet be rolled back
            now = time.monotonic()
            self._keys = {wanted: kept for wanted, kept in self._keys.items() if kept[1] > now}
            self._keys[day, days] = (found, now + REMEMBERED_SECONDS)
        return found


async def throw_keys_away(database: Database) -> int:
    """Throws away the keys whose texts are all due to be erased; how many keys are gone from the table's file too.

    A key's row outlives the key until the file is written anew, so that whoever is killed in between is made up for.
    """
    await database.execute(SQL.throw_keys_away)
    thrown = [row["key_id"] for row in await database.fetch(SQL.thrown_keys)]
    if not thrown or not await database.write_anew("text_key"):
        return 0
    await database.execute(SQL.forget_keys, thrown)
    return len(thrown)
