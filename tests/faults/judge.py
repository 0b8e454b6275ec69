"""The judge: the invariants of the product, looked for in the database and asked of the server after a fault.

I1 postings sum to zero; I2 no balance below zero; I3 each lease ends once; I4 no number has two leases of a service at
once; I5 every acknowledged write survives; I6 a text that was acknowledged took effect once; I7 every event has its
delivery; I8 the same idempotency key gets the same answer.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator

import asyncpg
import requests

from tests.faults.load import is_in_flight
from tests.faults.world import World
from trunkline.storage import embedded, vault

PATIENCE_SECONDS = 120

OVERDRAWN = "SELECT count(*) FROM balance WHERE available_micros < 0 OR held_micros < 0"
ENDED_TWICE = """
    SELECT count(*) FROM (SELECT activation_id FROM transfer WHERE kind IN ('capture', 'release')
                           GROUP BY activation_id HAVING count(*) > 1) AS twice"""
NOT_ENDED_IN_MONEY = """
    SELECT count(*) FROM activation
     WHERE (state <> 'waiting') <> EXISTS (SELECT FROM transfer
                                            WHERE transfer.activation_id = activation.activation_id
                                              AND kind IN ('capture', 'release', 'fee'))"""
OVERLAPPING = """
    SELECT count(*) FROM activation AS one JOIN activation AS other
        ON other.number_id = one.number_id AND other.service_id = one.service_id
       AND other.activation_id > one.activation_id
       AND tstzrange(one.created_at, one.ended_at) && tstzrange(other.created_at, other.ended_at)"""
UNDELIVERED = """
    SELECT count(*) FROM event
     WHERE type IN ('activation.completed', 'activation.cancelled', 'activation.expired', 'sms.received')
       AND created_at > (SELECT min(created_at) FROM webhook_endpoint)
       AND NOT EXISTS (SELECT FROM webhook_delivery AS delivery
                        WHERE delivery.event_id = event.event_id
                          AND (state <> 'pending' OR next_at < 'infinity'))"""
DELIVERED = "SELECT count(*) FROM webhook_delivery WHERE state = 'delivered'"
TEXTS = """
    SELECT message.recipient, sealed, key FROM message JOIN text_key USING (key_id) WHERE activation_id IS NOT NULL"""


def judge(world: World) -> None:
    """Raises AssertionError for the first invariant that does not hold; the server has healed by then."""
    world.wait_until_ready()
    _carrier_is_rid_of_its_texts(world)
    _keys_get_the_same_answers(world)
    _ends_stand(world)
    asyncio.run(_database_holds(world))
    for words in (("ledger", "verify"), ("audit", "verify")):
        verdict = world.operator(*words)
        assert verdict["ok"], (words, verdict)


def _carrier_is_rid_of_its_texts(world: World) -> None:
    journal = world.journal
    world.smsc.hear_out()
    world.smsc.wait_for(len(journal.sent) - len(world.smsc.acknowledged))
    journal.acknowledged = list(world.smsc.acknowledged)
    assert Counter(journal.acknowledged) == Counter(journal.sent), "I6: a text was acknowledged twice, or is lost"


def _keys_get_the_same_answers(world: World) -> None:
    """Those that were never answered get their answer now."""
    journal = world.journal
    with _session(world) as session:
        for key, heard in list(journal.orders.items()):
            deadline = time.monotonic() + PATIENCE_SECONDS
            while True:
                answer = session.post(
                    world.api + "/numbers/purchase",
                    json={"country": "ad", "service": "whatsapp"}, headers={"Idempotency-Key": key}, timeout=30,
                )  # fmt: skip
                if not is_in_flight(answer):
                    break
                assert time.monotonic() < deadline, f"I8: {key} stays in flight"
            assert answer.status_code == 200, f"I8: {key}: {answer.text}"
            assert heard is None or heard == answer.content, f"I8: {key} was answered {heard!r}, now {answer.content!r}"
            journal.orders[key] = answer.content


def _ends_stand(world: World) -> None:
    with _session(world) as session:
        for activation_id, end in world.journal.ends.items():
            lease = session.get(f"{world.api}/numbers/{activation_id}", timeout=30).json()["data"]
            told = (end.word, end.refund)
            assert (lease["status"], lease["refund"]) == told, f"I5: {activation_id} was {told}, is {lease}"


async def _database_holds(world: World) -> None:
    journal = world.journal
    async with _connected(world) as connection:
        assert await connection.fetchval(OVERDRAWN) == 0, "I2"
        assert await connection.fetchval(ENDED_TWICE) == 0, "I3: captured and released"
        assert await connection.fetchval(NOT_ENDED_IN_MONEY) == 0, "I3: a lease and its money disagree"
        assert await connection.fetchval(OVERLAPPING) == 0, "I4"
        assert await connection.fetchval("SELECT count(*) FROM activation") == len(journal.orders), "I5: leases"
        kept = [
            (row["recipient"], (vault.unseal(row["key"], row["sealed"]) or ("", None))[0])
            for row in await connection.fetch(TEXTS)
        ]
        assert Counter(kept) == Counter(journal.acknowledged), "I6: texts in leases are not those acknowledged"
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await connection.fetchval(UNDELIVERED):
                await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def _connected(world: World) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    share = await asyncio.to_thread(embedded.start, world.data_dir)
    try:
        connection = await asyncpg.connect(share.url)
        yield connection
        await connection.close()
    finally:
        share.release()


@contextlib.contextmanager
def _session(world: World):  # type: ignore[no-untyped-def]
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Authorization"] = f"Bearer {world.customer.live_key}"
        yield session
