"""Keyed fingerprints by which a carrier's repetition is known, for as long as carriers repeat.

A lease's texts are erased before that, and then nobody must be able to try codes against what is left. So the
fingerprint of a text that is kept is made with a key of the database, which several processes share, and as the text is
erased it is hashed once more with a secret that is not in the database (docs/decisions/0024).
"""

import dataclasses
import datetime
import hashlib
import logging
import os
import pathlib
import secrets
import time

from trunkline.storage import secret_file
from trunkline.storage.database import Querier
from trunkline.storage.queries import queries
from trunkline.storage.vault import REMEMBERED_SECONDS, TextKey

SQL = queries(__package__)
log = logging.getLogger("trunkline.inbox")

DAYS = 4  # for which a key is used; it is looked at for as many more, which is longer than carriers repeat


@dataclasses.dataclass(frozen=True, slots=True)
class Fingerprints:
    """``new`` is what a text is known by from now on, the others what it may be known by from before."""

    new: bytes
    elder: bytes  # under the key of the days before
    erased: bytes
    elder_erased: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class Hasher:
    """Makes fingerprints of today."""

    now: TextKey
    before: TextKey
    secret: bytes

    def fingerprints(self, *parts: str) -> Fingerprints:
        new, elder = self.now.fingerprint(*parts), self.before.fingerprint(*parts)
        return Fingerprints(new, elder, self._erased(new), self._erased(elder))

    def _erased(self, fingerprint: bytes) -> bytes:
        """As ``erase_of_leases`` and ``erase_nobodys`` leave it."""
        return hashlib.sha256(self.secret + fingerprint).digest()


class Repeats:
    """Finds the keys for fingerprints, and makes them; several processes agree on one."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._known: tuple[datetime.date, Hasher, float] | None = None

    async def hasher(self, connection: Querier) -> Hasher:
        today = datetime.datetime.now(datetime.UTC).date()
        first = today - datetime.timedelta(days=today.toordinal() % DAYS)
        known = self._known
        if known is not None and known[0] == first and known[2] > time.monotonic():
            return known[1]
        days = [first, first - datetime.timedelta(days=DAYS)]
        rows = await connection.fetch(SQL.repeat_keys, days)
        if len(rows) < len(days):
            await connection.execute(SQL.make_repeat_keys, days, [os.urandom(32) for _ in days])
            rows = await connection.fetch(SQL.repeat_keys, days)
        keys = {row["day"]: TextKey(0, row["key"]) for row in rows}
        hasher = Hasher(keys[days[0]], keys[days[1]], self._secret)
        if all(row["committed"] for row in rows):
            self._known = (first, hasher, time.monotonic() + REMEMBERED_SECONDS)
        return hasher


def read_secret(file: pathlib.Path) -> bytes:
    """The secret of a file, which is made where there is none.

    Where it cannot be kept this process has one of its own: what is erased is then known again until it ends.
    """
    try:
        return secret_file.read(file)
    except OSError as error:
        log.warning("the secret %s cannot be kept: %s; repetitions of erased texts are not known again after a restart",
                    file, error.strerror)  # fmt: skip
        return secrets.token_bytes(secret_file.OCTETS)
