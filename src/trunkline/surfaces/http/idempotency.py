"""The same Idempotency-Key gets the same answer: the answer is written in the transaction of its effect.

An error is not recorded, because its transaction is rolled back with everything else.

An answer that holds a secret is recorded too, since who lost it in a broken connection has no other way to that secret;
but sealed (AES-256-GCM) under a key derived from the caller's own, of which the database has a hash alone. So whoever
reads the tables learns nothing, and only the key that asked first gets the answer again.
"""

import dataclasses
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from trunkline.accounts.keys import Key
from trunkline.errors import IdempotencyInFlight, IdempotencyKeyReused, InvalidRequest
from trunkline.storage.database import Querier
from trunkline.storage.queries import bind, queries

SQL = queries(__package__)

NONCE_BYTES = 12


@dataclasses.dataclass(frozen=True, slots=True)
class Claim:
    account_id: int
    mode: str
    key: str
    fingerprint: bytes
    seal: AESGCM | None = None


def claim(key: Key, header: bytes, fingerprint: bytes, *, sealed_under: bytes | None = None) -> Claim:
    """Of an answer that is ``sealed_under`` the caller's secret, where it holds one itself.

    Raises InvalidRequest for a header that is no key: 1 to 255 printable ASCII characters.
    """
    text = header.decode("latin-1").strip()
    if not 1 <= len(text) <= 255 or not text.isascii() or not text.isprintable():
        raise InvalidRequest("An Idempotency-Key has 1 to 255 printable ASCII characters.", field="Idempotency-Key")
    seal = None
    if sealed_under is not None:
        seal = AESGCM(HKDF(SHA256(), 32, salt=None, info=b"trunkline: a recorded answer").derive(sealed_under))
    return Claim(key.account_id, key.mode, text, fingerprint, seal)


async def take(connection: Querier, claim: Claim) -> bytes | None:
    """The first answer if there is one; None where the caller is the first, and holds the claim until its commit.

    Raises IdempotencyInFlight while another request holds it, IdempotencyKeyReused for another body, and for another
    API key where the answer is sealed.
    """
    if not await connection.fetchval(SQL.claim, claim.account_id, claim.mode, claim.key):
        raise IdempotencyInFlight("A request with this Idempotency-Key is still running; ask again in a moment.")
    row = await connection.fetchrow(SQL.earlier, claim.account_id, claim.mode, claim.key)
    if row is None:
        return None
    if row["fingerprint"] != claim.fingerprint:
        raise IdempotencyKeyReused("This Idempotency-Key was used for another request.")
    answer: bytes = row["answer"]
    if claim.seal is None:
        return answer
    try:
        return claim.seal.decrypt(answer[:NONCE_BYTES], answer[NONCE_BYTES:], claim.fingerprint)
    except InvalidTag:
        raise IdempotencyKeyReused(
            "This Idempotency-Key was used with another API key, which alone may ask again."
        ) from None


async def record(connection: Querier, claim: Claim, answer: bytes) -> None:
    if claim.seal is not None:
        nonce = os.urandom(NONCE_BYTES)
        answer = nonce + claim.seal.encrypt(nonce, answer, claim.fingerprint)
    await connection.execute(
        *bind(
            SQL.record,
            account=claim.account_id,
            mode=claim.mode,
            key=claim.key,
            fingerprint=claim.fingerprint,
            answer=answer,
        )
    )
