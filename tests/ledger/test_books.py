"""The books: what does not balance cannot be written, what is written stays, and who tampers is found out."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys

import asyncpg
import pytest
import pytest_asyncio
from tests.conftest import Trunkline
from tests.house import Buyer, House

from trunkline.ledger import deposits, journal

pytestmark = [pytest.mark.asyncio, pytest.mark.unbalanced]

INSERT = """
INSERT INTO transfer (account_id, activation_id, kind, debit, credit, amount_micros, currency)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""


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


BALANCE, LEASE, USAGE, DEPOSIT = "balance_wrong", "lease_wrong", "usage_wrong", "deposit_wrong"
CREDIT = "credit_wrong"
MOVED = "INSERT INTO transfer (account_id, activation_id, kind, debit, credit, amount_micros, currency, deposit_id)"
TAMPERING = {
    "UPDATE balance SET available_micros = available_micros + 1": {BALANCE},
    "UPDATE balance SET held_micros = held_micros + 1, available_micros = available_micros - 1": {BALANCE},
    "UPDATE transfer SET amount_micros = amount_micros + 1 WHERE kind = 'credit' AND deposit_id IS NULL": {
        BALANCE,
        CREDIT,
    },
    "UPDATE transfer SET amount_micros = 1 WHERE kind IN ('hold', 'capture')": {BALANCE, LEASE, USAGE},
    "DELETE FROM transfer WHERE kind = 'capture'": {BALANCE, LEASE},
    "DELETE FROM transfer WHERE kind = 'release'": {BALANCE, LEASE, USAGE},
    "UPDATE transfer SET activation_id = activation_id + 1000 WHERE kind = 'release'": {LEASE, USAGE},
    "UPDATE activation SET cost_micros = cost_micros + 1 WHERE state = 'waiting'": {LEASE},
    "UPDATE activation SET state = 'expired', ended_at = now() WHERE state = 'waiting'": {LEASE},
    "UPDATE activation SET refund_micros = refund_micros - 1 WHERE state = 'cancelled'": {LEASE},
    "UPDATE activation SET day = day - 1 WHERE state = 'received'": {USAGE},
    "UPDATE activation SET account_id = account_id + 1 WHERE state = 'waiting'": {LEASE, USAGE},
    f"{MOVED} VALUES (77, 88, 'hold', 'available', 'held', 1, 'USD', NULL)": {BALANCE, LEASE},
    f"{MOVED} SELECT account_id, NULL, 'credit', 'funding', 'available', 1, 'EUR', NULL FROM balance": {
        BALANCE,
        CREDIT,
    },
    "UPDATE usage SET micros = micros + 1 WHERE dimension = 'key'": {USAGE},
    "UPDATE usage SET received = 0 WHERE dimension = 'service'": {USAGE},
    "DELETE FROM usage WHERE dimension = 'country'": {USAGE},
    "UPDATE deposit SET state = 'pending', paid_at = NULL WHERE state = 'paid'": {DEPOSIT},
    "UPDATE deposit SET state = 'paid', paid_at = now() WHERE state = 'pending'": {DEPOSIT},
    "UPDATE deposit SET amount_micros = amount_micros + 1 WHERE state = 'paid'": {DEPOSIT},
    "UPDATE deposit SET currency = 'EUR' WHERE state = 'paid'": {DEPOSIT},
    "UPDATE transfer SET deposit_id = NULL WHERE deposit_id IS NOT NULL": {DEPOSIT, CREDIT},
    f"{MOVED} SELECT account_id, NULL, 'credit', 'funding', 'available', amount_micros, currency, NULL FROM transfer"
    " WHERE kind = 'credit' AND deposit_id IS NULL": {BALANCE, CREDIT},
    "UPDATE transfer SET amount_micros = amount_micros * 2 WHERE deposit_id IS NOT NULL": {BALANCE, DEPOSIT},
    "DELETE FROM deposit WHERE state = 'paid'": {DEPOSIT},
    f"DROP INDEX transfer_deposit; {MOVED} SELECT account_id, NULL, 'credit', 'funding', 'available', amount_micros,"
    " currency, deposit_id FROM deposit WHERE state = 'paid'": {BALANCE, DEPOSIT},
}
NAMES = {BALANCE: "account_id", LEASE: "activation_id", USAGE: "day", DEPOSIT: "deposit_id", CREDIT: "account_id"}


async def test_who_tampers_with_a_row_is_found_out_and_the_row_is_named(house: House, buyer: Buyer) -> None:
    database = house.platform.database
    tables = ("transfer", "activation", "balance", "usage", "deposit")
    await database.execute(
        "INSERT INTO deposit (account_id, amount_micros, currency, provider, provider_ref) VALUES"
        " ($1, 25000000, 'USD', 'stripe', 'cs_1'), ($1, 10000000, 'USD', 'stripe', 'cs_2')",
        buyer.account_id,
    )
    await database.execute(deposits.SQL.deposit_paid, 1001)
    await house.books_balance()
    for table in ("transfer", "activation"):
        await database.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    await database.execute("ALTER TABLE transfer DROP CONSTRAINT transfer_deposit_id_fkey")
    for table in tables:
        await database.execute(f"CREATE TABLE honest_{table} AS TABLE {table}")
    for tampering, off in TAMPERING.items():
        await database.execute(tampering)
        verdict = await journal.verify(database)
        assert not verdict.ok
        assert {each["what"] for each in verdict.off} == off, tampering
        for each in verdict.off:
            assert each[NAMES[each["what"]]] is not None
        for table in tables:
            await database.execute(f"DELETE FROM {table}")
            await database.execute(f"INSERT INTO {table} OVERRIDING SYSTEM VALUE TABLE honest_{table}")
        await house.books_balance()


async def test_the_proof_is_one_look_however_many_pieces_it_takes(
    house: House, buyer: Buyer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "CHUNK", 2)
    seen = []
    others: list[asyncio.Task[Buyer]] = []

    def looked_at(done: int, rows: int) -> None:
        seen.append((done, rows))
        if not others:  # while it looks, another pays in: its look is from before
            others.append(asyncio.get_running_loop().create_task(house.buyer("7")))

    verdict = await journal.verify(house.platform.database, looked_at)
    assert (verdict.ok, verdict.transfers, verdict.revenue_micros, verdict.held_micros) == (True, 6, 100_000, 100_000)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert seen[-1][0] == seen[-1][1] > 6
    await others[0]
    await house.books_balance()


async def test_a_lease_across_accounts_is_named_even_where_the_sums_are_right(house: House, buyer: Buyer) -> None:
    other = await house.buyer()
    database = house.platform.database
    await database.execute("ALTER TABLE transfer DISABLE TRIGGER USER")
    await database.execute("UPDATE transfer SET account_id = $1 WHERE kind <> 'credit'", other.account_id)
    await database.execute(
        "UPDATE balance SET available_micros = booked.available, held_micros = booked.held"
        "  FROM (SELECT account_id, sum(amount_micros) FILTER (WHERE book = 'available') AS available,"
        "               coalesce(sum(amount_micros) FILTER (WHERE book = 'held'), 0) AS held"
        "          FROM posting GROUP BY account_id) AS booked WHERE booked.account_id = balance.account_id"
    )
    verdict = await journal.verify(database)
    assert [each["what"] for each in verdict.off] == ["lease_wrong"] * 3


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
async def test_the_proof_shows_its_progress_on_a_terminal_and_nowhere_else(trunkline: Trunkline) -> None:
    def shown(*words: str) -> tuple[str, str]:
        ours, theirs = os.openpty()
        done = subprocess.run(
            [sys.executable, "-m", "trunkline", "ledger", "verify", *words],
            env=trunkline.environment | {"TERM": "xterm"}, stdout=subprocess.PIPE, stderr=theirs, text=True, check=True,
        )  # fmt: skip
        os.close(theirs)
        bar = b""
        with contextlib.suppress(OSError):  # that is the end: nobody is left who could write
            while piece := os.read(ours, 65536):
                bar += piece
        os.close(ours)
        return done.stdout, bar.decode()

    trunkline.customer(credit="5")
    words, bar = shown()
    assert "the books balance" in words
    assert "proving" in bar
    assert "100%" in bar
    machine, bar = shown("--json")
    assert json.loads(machine)["ok"]
    assert bar == ""
    assert trunkline.run("ledger", "verify").stderr == ""
