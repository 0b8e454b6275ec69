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
    assert verdict == journal.Verdict(True, transfers=6, accounts=1, revenue_micros=100_000, held_micros=100_000, off=[])
    assert await buyer.purse() == (4.80, 0.10)


@pytest.mark.parametrize(
    ("kind", "debit", "credit", "amount"),
    [
        ("hold", "available", "held", 0),
        ("hold", "available", "held", -1),
        ("hold", "available", "available", 1),
        ("hold", "held", "available", 1),
        ("hold", "funding", "held", 1),
        ("capture", "available", "revenue", 1),
        ("release", "revenue", "available", 1),
        ("fee", "available", "revenue", 1),
        ("credit", "funding", "available", 1),  # money from outside has no lease
    ],
)
async def test_a_transfer_that_is_none_of_the_five_kinds_cannot_be_written(
    house: House, buyer: Buyer, kind: str, debit: str, credit: str, amount: int
) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await house.platform.database.execute(INSERT, buyer.account_id, 1, kind, debit, credit, amount, "USD")


@pytest.mark.parametrize(("account", "currency"), [(1, "USD"), (None, "EUR")])
async def test_a_transfer_without_a_balance_to_keep_cannot_be_written(
    house: House, buyer: Buyer, account: int | None, currency: str
) -> None:
    with pytest.raises(asyncpg.RaiseError, match="no balance in its currency"):
        await house.platform.database.execute(
            INSERT, account or buyer.account_id, None, "credit", "funding", "available", 1, currency
        )


@pytest.mark.parametrize(
    ("kind", "debit", "credit", "amount"),
    [
        ("hold", "available", "held", 4_800_001),
        ("capture", "held", "revenue", 100_001),
        ("release", "held", "available", 100_001),
        ("fee", "held", "revenue", 100_001),
    ],
)
async def test_no_transfer_takes_a_balance_below_zero(
    house: House, buyer: Buyer, kind: str, debit: str, credit: str, amount: int
) -> None:
    database = house.platform.database
    with pytest.raises(asyncpg.CheckViolationError, match="balance_(available|held)"):
        await database.execute(INSERT, buyer.account_id, 99, kind, debit, credit, amount, "USD")
    assert await buyer.purse() == (4.80, 0.10)
    await database.execute(INSERT, buyer.account_id, 99, kind, debit, credit, amount - 1, "USD")  # to zero it may


@pytest.mark.parametrize("change", ["UPDATE transfer SET amount_micros = 1", "DELETE FROM transfer", "TRUNCATE transfer"])
async def test_what_is_written_stays(house: House, buyer: Buyer, change: str) -> None:
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
                await database.execute(
                    INSERT, buyer.account_id, lease["activation_id"], kind, debit, credit, 1, "USD"
                )
    await house.books_balance()


@pytest.mark.parametrize(
    ("tampering", "off"),
    [
        ("UPDATE balance SET available_micros = available_micros + 1", {"balance_wrong"}),
        ("UPDATE balance SET held_micros = held_micros + 1, available_micros = available_micros - 1", {"balance_wrong"}),
        ("UPDATE transfer SET amount_micros = amount_micros + 1 WHERE kind = 'credit'", {"balance_wrong"}),
        (
            "UPDATE transfer SET amount_micros = amount_micros - 1 WHERE kind IN ('hold', 'capture')",
            {"balance_wrong", "lease_wrong"},
        ),
        ("DELETE FROM transfer WHERE kind = 'capture'", {"balance_wrong", "lease_wrong"}),
        ("UPDATE transfer SET activation_id = activation_id + 1000 WHERE kind = 'release'", {"lease_wrong"}),
        ("UPDATE activation SET cost_micros = cost_micros + 1 WHERE state = 'waiting'", {"lease_wrong"}),
        ("UPDATE activation SET state = 'expired', ended_at = now() WHERE state = 'waiting'", {"lease_wrong"}),
        (
            "INSERT INTO transfer (account_id, activation_id, kind, debit, credit, amount_micros, currency)"
            " VALUES (77, 88, 'hold', 'available', 'held', 1, 'USD')",
            {"balance_wrong", "lease_wrong"},
        ),
    ],
)
async def test_who_tampers_with_a_row_is_found_out(house: House, buyer: Buyer, tampering: str, off: set[str]) -> None:
    async with house.platform.database.transaction() as connection:
        await connection.execute("ALTER TABLE transfer DISABLE TRIGGER USER")
        await connection.execute(tampering)
        await connection.execute("ALTER TABLE transfer ENABLE TRIGGER USER")
    verdict = await journal.verify(house.platform.database)
    assert not verdict.ok
    assert {each["what"] for each in verdict.off} == off
    for each in verdict.off:
        assert ("account_id" if each["what"] == "balance_wrong" else "activation_id") in each
