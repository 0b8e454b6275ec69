"""The schema: what the migrations make is what the snapshot says, however often and by however many they are run."""

import asyncio
import hashlib

import asyncpg
import pytest

from tests.conftest import database_url
from tests.storage import snapshot
from tests.storage.snapshot import embedded_only
from trunkline.activations import lifecycle
from trunkline.errors import OperatorError
from trunkline.ledger import journal
from trunkline.storage.database import Database
from trunkline.storage.migrate import PREPARE, migrate, scripts


async def _fresh(server: str, name: str) -> str:
    connection = await asyncpg.connect(server)
    await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    await connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")  # in which nobody can be
    await connection.close()
    return database_url(server, name)


@embedded_only
@pytest.mark.asyncio
async def test_the_migrations_make_what_the_snapshot_says(postgres: str) -> None:
    url = await _fresh(postgres, "schema_migrated")
    assert await migrate(url)
    assert snapshot.dump(url) == snapshot.FILE.read_text(), "run: python -m tests.storage.snapshot"


@pytest.mark.asyncio
async def test_every_table_says_what_it_is(url: str) -> None:
    connection = await asyncpg.connect(url)
    silent = await connection.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
        " AND NOT relispartition AND obj_description(oid) IS NULL ORDER BY 1"
    )
    await connection.close()
    assert [row["relname"] for row in silent] == []


@pytest.mark.asyncio
async def test_processes_that_start_at_once_migrate_once(postgres: str) -> None:
    url = await _fresh(postgres, "schema_at_once")
    ran = await asyncio.gather(*(migrate(url) for _ in range(8)))
    assert len([each for each in ran if each]) == 1


@pytest.mark.asyncio
async def test_a_database_of_a_newer_version_is_refused(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("INSERT INTO schema_version (name, digest) VALUES ('9999_future.sql', 'x')")
    await connection.close()
    with pytest.raises(OperatorError, match="newer than this program"):
        await migrate(url)


@pytest.mark.asyncio
async def test_a_migration_that_was_changed_after_its_release_is_refused(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("UPDATE schema_version SET digest = 'x' WHERE name = '0001_foundation.sql'")
    await connection.close()
    with pytest.raises(OperatorError, match="was changed"):
        await migrate(url)


BEFORE_BUSINESS = """
    INSERT INTO account (email, currency, per_minute) VALUES ('old@example.com', 'USD', 60);
    INSERT INTO balance (account_id, currency, available_micros) SELECT account_id, 'USD', 4900000 FROM account;
    INSERT INTO service (slug, name) VALUES ('whatsapp', 'WhatsApp');
    INSERT INTO activation (account_id, test, number_id, e164, country, service_id, carrier, state, revision,
                            cost_micros, fee_micros, currency, expires_at, cancel_after, ended_at, rest_seconds, labels)
    SELECT account_id, false, 1, '+376300001', 'ad', service_id, 'simulated', 'completed', 1, 100000, 0, 'USD', now(),
           now(), now(), 0, '{"run_id": "7"}' FROM account, service WHERE slug = 'whatsapp';
    INSERT INTO transfer (account_id, kind, debit, credit, amount_micros, currency)
    SELECT account_id, 'credit', 'funding', 'available', 5000000, 'USD' FROM account;
    INSERT INTO transfer (account_id, activation_id, kind, debit, credit, amount_micros, currency)
    SELECT account_id, activation_id, kind::transfer_kind, debit::book, credit::book, 100000, 'USD'
      FROM activation,
           (VALUES ('hold', 'available', 'held'), ('capture', 'held', 'revenue')) AS leg (kind, debit, credit);
    INSERT INTO message (number_id, activation_id, revision, carrier, sender, recipient, body, code, fingerprint)
    SELECT 1, activation_id, 1, 'simulated', 'WhatsApp', e164, 'Your code: 482913', '482913', '\\x00' FROM activation;
    INSERT INTO event (account_id, test, activation_id, type)
    SELECT account_id, false, activation_id, 'activation.created' FROM activation;
"""


@pytest.mark.asyncio
async def test_what_a_database_of_the_first_version_holds_is_kept_and_counted(postgres: str) -> None:
    url = await _fresh(postgres, "schema_upgraded")
    connection = await asyncpg.connect(url)
    await connection.execute(PREPARE)
    for name, text, _ in scripts()[:2]:
        await connection.execute(text)
        digest = hashlib.sha256(text.encode()).hexdigest()
        await connection.execute("INSERT INTO schema_version (name, digest) VALUES ($1, $2)", name, digest)
    await connection.execute(BEFORE_BUSINESS)
    await connection.close()
    assert (await migrate(url))[0] == "0003_business.sql"
    database = await Database.open(url)
    try:
        [account_id] = [row["account_id"] for row in await database.fetch("SELECT account_id FROM account")]
        page = await lifecycle.page(
            database, account_id, test=False, state=None, service=None, country=None, labels={}, limit=9
        )
        [lease] = page.data
        assert lease.sms is not None
        assert (lease.sms.code, lease.sms.full_text) == ("482913", "Your code: 482913")
        counted = await database.fetch("SELECT dimension, leases, received, micros FROM usage ORDER BY dimension")
        assert [tuple(row) for row in counted] == [
            (dimension, 1, 1, 100_000) for dimension in ("country", "key", "label.run_id", "service")
        ]
        assert (await journal.verify(database)).ok
        await database.fetchval("SELECT keep_event_days(30)")
        assert await database.fetchval("SELECT taken FROM fan_out(10)") == 0, "what happened before is no news"
        await database.execute("INSERT INTO event (account_id, test, type) VALUES ($1, false, 'x')", account_id)
        assert await database.fetchval("SELECT taken FROM fan_out(10)") == 1
        kept = await lifecycle.detail(database, account_id, int(lease.activation_id), test=False)
        assert [step.type for step in kept.timeline] == ["activation.created"]
        assert await database.fetchval("SELECT array_agg(event_id ORDER BY event_id) FROM event") == [1, 2]
    finally:
        await database.close()
