"""The books: what does not balance cannot be written, what is written stays, and who tampers is found out."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio
from tests.house import Buyer, House, opened

from trunkline.ledger import journal

pytestmark = pytest.mark.asyncio

INSERT = """
INSERT INTO transfer (account_id, activation_id, kind, debit, credit, amount_micros, currency)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""


@pytest_asyncio.fixture
async def house(url: str) -> AsyncIterator[House]:
    async with opened(url) as house:
        yield house


@pytest_asyncio.fixture
async def buyer(house: House) -> Buyer:
    """With a lease of each kind: captured, released, and one that still holds."""
    buyer = await house.buyer()
    await house.stock(3)
    captured, released, _ = [await buyer.lease() for _ in range(3)]
    await house.text(captured["phone_number"], "Your WhatsApp code: 847291")
    await buyer.cancel(released)
    return buyer


async def test_the_books_show_what_was_paid_in_held_captured_and_released(house: House, buyer: Buyer) -> None:
    verdict = await journal.verify(house.platform.database)
    assert verdict == journal.Verdict(
        True, transfers=6, accounts=1, revenue_micros=100_000, held_micros=100_000, off=[]
    )
    assert await buyer.purse() == (4.80, 0.10)


async def test_a_transfer_that_is_none_of_the_five_kinds_cannot_be_written(house: House, buyer: Buyer) -> None:
    for kind, debit, credit, amount in (
        ("hold", "available", "held", 0),
        ("hold", "available", "held", -1),
        ("hold", "available", "available", 1),
        ("hold", "held", "available", 1),
        ("hold", "funding", "held", 1),
        ("capture", "available", "revenue", 1),
        ("release", "revenue", "available", 1),
        ("fee", "available", "revenue", 1),
        ("credit", "funding", "available", 1),  # money from outside has no lease
    ):
        with pytest.raises(asyncpg.CheckViolationError):
            await house.platform.database.execute(INSERT, buyer.account_id, 1, kind, debit, credit, amount, "USD")
    await house.books_balance()


async def test_a_transfer_without_a_balance_to_keep_cannot_be_written(house: House, buyer: Buyer) -> None:
    for account, currency in ((1, "USD"), (buyer.account_id, "EUR")):
        with pytest.raises(asyncpg.RaiseError, match="no balance in its currency"):
            await house.platform.database.execute(INSERT, account, None, "credit", "funding", "available", 1, currency)
    await house.books_balance()


async def test_no_transfer_takes_a_balance_below_zero(house: House, buyer: Buyer) -> None:
    for kind, debit, credit, amount in (
        ("hold", "available", "held", 4_800_001),
        ("capture", "held", "revenue", 100_001),
        ("release", "held", "available", 100_001),
        ("fee", "held", "revenue", 100_001),
    ):
        with pytest.raises(asyncpg.CheckViolationError, match=r"balance_(available|held)"):
            await house.platform.database.execute(INSERT, buyer.account_id, 99, kind, debit, credit, amount, "USD")
    assert await buyer.purse() == (4.80, 0.10)
    await house.books_balance()


async def test_what_is_written_stays(house: House, buyer: Buyer) -> None:
    for change in ("UPDATE transfer SET amount_micros = 1", "DELETE FROM transfer", "TRUNCATE transfer"):
        with pytest.raises(asyncpg.RaiseError, match="append-only"):
            await house.platform.database.execute(change)
    await house.books_balance()


async def test_a_lease_is_held_once_and_ends_once(house: House, buyer: Buyer) -> None:
    database = house.platform.database
    leases = await database.fetch("SELECT activation_id, state::text FROM activation ORDER BY 1")
    for lease in leases:
        for kind, debit, credit in (
            ("hold", "available", "held"),
            ("capture", "held", "revenue"),
            ("release", "held", "available"),
        ):
            if (lease["state"], kind) in (("waiting", "capture"), ("waiting", "release")):
                continue
            with pytest.raises(asyncpg.UniqueViolationError):
                await database.execute(INSERT, buyer.account_id, lease["activation_id"], kind, debit, credit, 1, "USD")
    await house.books_balance()


TAMPERING = {
    "UPDATE balance SET available_micros = available_micros + 1": {"balance_wrong"},
    "UPDATE balance SET held_micros = held_micros + 1, available_micros = available_micros - 1": {"balance_wrong"},
    "UPDATE transfer SET amount_micros = amount_micros + 1 WHERE kind = 'credit'": {"balance_wrong"},
    "UPDATE transfer SET amount_micros = 1 WHERE kind IN ('hold', 'capture')": {"balance_wrong", "lease_wrong"},
    "DELETE FROM transfer WHERE kind = 'capture'": {"balance_wrong", "lease_wrong"},
    "UPDATE transfer SET activation_id = activation_id + 1000 WHERE kind = 'release'": {"lease_wrong"},
    "UPDATE activation SET cost_micros = cost_micros + 1 WHERE state = 'waiting'": {"lease_wrong"},
    "UPDATE activation SET state = 'expired', ended_at = now() WHERE state = 'waiting'": {"lease_wrong"},
    "INSERT INTO transfer (account_id, activation_id, kind, debit, credit, amount_micros, currency)"
    " VALUES (77, 88, 'hold', 'available', 'held', 1, 'USD')": {"balance_wrong", "lease_wrong"},
}


async def test_who_tampers_with_a_row_is_found_out(house: House, buyer: Buyer) -> None:
    database = house.platform.database
    tables = ("transfer", "activation", "balance")
    await database.execute("ALTER TABLE transfer DISABLE TRIGGER USER")
    for table in tables:
        await database.execute(f"CREATE TABLE honest_{table} AS TABLE {table}")
    for tampering, off in TAMPERING.items():
        await database.execute(tampering)
        verdict = await journal.verify(database)
        assert not verdict.ok
        assert {each["what"] for each in verdict.off} == off, tampering
        for each in verdict.off:
            assert ("account_id" if each["what"] == "balance_wrong" else "activation_id") in each
        for table in tables:
            await database.execute(f"DELETE FROM {table}")
            await database.execute(f"INSERT INTO {table} OVERRIDING SYSTEM VALUE TABLE honest_{table}")
        await house.books_balance()
