"""The same Idempotency-Key gets the same answer: the answer is written in the transaction of its effect.

An error is not recorded, because its transaction is rolled back with everything else.
"""

import dataclasses

from trunkline.accounts.keys import Key
from trunkline.errors import IdempotencyInFlight, IdempotencyKeyReused, InvalidRequest
from trunkline.storage.database import Querier
from trunkline.storage.queries import queries

SQL = queries(__package__)


@dataclasses.dataclass(frozen=True, slots=True)
class Claim:
    account_id: int
    mode: str
    key: str
    fingerprint: bytes


def claim(key: Key, header: bytes, fingerprint: bytes) -> Claim:
    """Raises InvalidRequest for a header that is no key: 1 to 255 printable ASCII characters."""
    text = header.decode("latin-1").strip()
    if not 1 <= len(text) <= 255 or not text.isascii() or not text.isprintable():
        raise InvalidRequest("An Idempotency-Key has 1 to 255 printable ASCII characters.", field="Idempotency-Key")
    return Claim(key.account_id, "test" if key.test else "live", text, fingerprint)


async def take(connection: Querier, claim: Claim) -> bytes | None:
    """The first answer if there is one; None where the caller is the first, and holds the claim until its commit.

    Raises IdempotencyInFlight while another request holds it, IdempotencyKeyReused for another body.
    """
    if not await connection.fetchval(SQL.claim, claim.account_id, claim.mode, claim.key):
        raise IdempotencyInFlight("A request with this Idempotency-Key is still running; ask again in a moment.")
    row = await connection.fetchrow(SQL.earlier, claim.account_id, claim.mode, claim.key)
    if row is None:
        return None
    if row["fingerprint"] != claim.fingerprint:
        raise IdempotencyKeyReused("This Idempotency-Key was used for another request.")
    answer: bytes = row["answer"]
    return answer


async def record(connection: Querier, claim: Claim, answer: bytes) -> None:
    await connection.execute(SQL.record, claim.account_id, claim.mode, claim.key, claim.fingerprint, answer)
