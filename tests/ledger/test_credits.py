"""Money from nowhere is found: each credit has the deposit or the operator's act behind it, one to one."""

import hashlib

import asyncpg
import pytest
from tests.conftest import Trunkline, database_url
from tests.house import Buyer, House, pay_in

from trunkline.audit import acts
from trunkline.audit.acts import Actor
from trunkline.ledger import journal
from trunkline.storage.database import Database
from trunkline.storage.migrate import PREPARE, migrate, scripts

pytestmark = [pytest.mark.asyncio, pytest.mark.unbalanced]

INSERT = """
INSERT INTO transfer (account_id, kind, debit, credit, amount_micros, currency, act_id)
VALUES ($1, 'credit', 'funding', 'available', $2, 'USD', $3)
"""


async def acted(house: House, buyer: Buyer, action: str, **data: object) -> int:
    return await acts.record(
        house.platform.database, Actor("operator:x"), action, "account:x", data, account_id=buyer.account_id
    )


async def off(house: House) -> list[tuple[int | None, int, int]]:
    verdict = await journal.verify(house.platform.database)
    assert verdict.ok == (not verdict.off)
    assert {each["what"] for each in verdict.off} <= {"credit_wrong"}, verdict.off
    return [(each["account_id"], each["credited_micros"], each["audited_micros"]) for each in verdict.off]


async def test_a_credit_that_nobody_decided_is_found_though_the_balance_agrees(house: House) -> None:
    buyer = await house.buyer("100")
    await house.platform.database.execute(INSERT, buyer.account_id, 1_000_000_000, None)
    assert await buyer.purse() == (1100.0, 0.0)
    assert await off(house) == [(buyer.account_id, 1_000_000_000, 0)]


async def test_one_act_is_one_credit(house: House) -> None:
    buyer = await house.buyer("100")
    database = house.platform.database
    [act] = await database.fetch("SELECT entry_id FROM audit_entry WHERE action = 'account.created'")
    with pytest.raises(asyncpg.UniqueViolationError):
        await database.execute(INSERT, buyer.account_id, 100_000_000, act["entry_id"])
    for again in (None, act["entry_id"]):
        await database.execute("DROP INDEX IF EXISTS transfer_act")
        await database.execute(INSERT, buyer.account_id, 100_000_000, again)
    assert await off(house) == [(buyer.account_id, 100_000_000, 0)] * 2


async def test_an_act_of_another_amount_account_or_kind_is_none_for_a_credit(house: House) -> None:
    buyer, other = await house.buyer("1"), await house.buyer("1")
    database = house.platform.database
    for act_id in (
        await acted(house, buyer, "account.credited", amount=5, currency="USD"),
        await acted(house, other, "account.credited", amount=7, currency="USD"),
        await acted(house, buyer, "account.credited", amount=7, currency="EUR"),
        await acted(house, buyer, "account.unfrozen", amount=7, currency="USD"),
    ):
        await database.execute(INSERT, buyer.account_id, 7_000_000, act_id)
    named = await off(house)
    assert sorted(each[1:] for each in named) == [(7_000_000, 0), (7_000_000, 5_000_000), *[(7_000_000, 7_000_000)] * 2]


async def test_an_act_without_its_credit_is_found_too(house: House) -> None:
    buyer = await house.buyer("1")
    await acted(house, buyer, "account.credited", amount=3, currency="USD")
    assert await off(house) == [(buyer.account_id, 0, 3_000_000)]


async def test_an_account_begins_with_the_credit_that_its_act_names(trunkline: Trunkline) -> None:
    trunkline.customer(credit="5")
    found = trunkline("ledger", "verify", "--json")
    assert (found["ok"], found["off"]) == (True, [])


BEFORE = """
    INSERT INTO account (email, currency, per_minute) VALUES ('old@example.com', 'USD', 60);
    INSERT INTO balance (account_id, currency, available_micros) SELECT account_id, 'USD', 15000000 FROM account;
    INSERT INTO transfer (account_id, kind, debit, credit, amount_micros, currency)
    SELECT account_id, 'credit', 'funding', 'available', 5000000, 'USD' FROM account, generate_series(1, 3);
    INSERT INTO audit_entry (actor, account_id, action, target, data)
    SELECT 'operator:x', account_id, 'account.created', 'account', '{"credit": 5.00, "currency": "USD"}' FROM account;
    INSERT INTO audit_entry (actor, account_id, action, target, data)
    SELECT 'operator:x', account_id, 'account.credited', 'account', '{"amount": 5, "currency": "USD"}' FROM account;
    INSERT INTO audit_pending SELECT entry_id FROM audit_entry;
"""


async def test_books_from_before_credits_named_their_acts_are_whole_and_stay_guarded(postgres: str) -> None:
    """One of three credits is from before there was an audit: it gets its act at the upgrade."""
    admin = await asyncpg.connect(postgres)
    await admin.execute("DROP DATABASE IF EXISTS credits_upgraded WITH (FORCE)")
    await admin.execute("CREATE DATABASE credits_upgraded TEMPLATE template0")
    await admin.close()
    url = database_url(postgres, "credits_upgraded")
    connection = await asyncpg.connect(url)
    await connection.execute(PREPARE)
    for name, text, _ in [each for each in scripts() if each[0] < "0005"]:
        await connection.execute(text)
        digest = hashlib.sha256(text.encode()).hexdigest()
        await connection.execute("INSERT INTO schema_version (name, digest) VALUES ($1, $2)", name, digest)
    await connection.execute(BEFORE)
    await connection.close()
    await migrate(url)
    database = await Database.open(url)
    try:
        account_id = await database.fetchval("SELECT account_id FROM account")
        assert (await journal.verify(database)).ok
        written = await database.fetch("SELECT data ->> 'note' AS note FROM audit_entry WHERE actor = 'system'")
        assert ["before credits were audited" in row["note"] for row in written] == [True]
        assert await database.fetchval("SELECT count(*) FROM audit_pending") == 3
        await database.execute(INSERT, account_id, 5_000_000, None)
        [wrong] = (await journal.verify(database)).off
        assert (wrong["what"], wrong["credited_micros"], wrong["audited_micros"]) == ("credit_wrong", 5_000_000, 0)
        await pay_in(database, account_id, "5")
        assert (await journal.verify(database)).off == [wrong]
    finally:
        await database.close()
