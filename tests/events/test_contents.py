"""What events say is looked up by keys, by whoever asks, however many there are."""

from typing import Any

import pytest
from tests.events.subscriber import subscribed

from trunkline import clock
from trunkline.events.contents import contents
from trunkline.events.tail import SQL
from trunkline.events.webhooks.recording import SQL as DELIVERY
from trunkline.storage.database import Database, Querier

pytestmark = pytest.mark.asyncio

MANY = 3000


async def fetched(connection: Querier) -> int:
    rows: int = await connection.fetchval(
        "SELECT sum(coalesce(idx_tup_fetch, 0) + seq_tup_read) FROM pg_stat_xact_user_tables WHERE relname ~ $1",
        "^(event_|webhook_delivery|activation|message)",
    )
    return rows


async def test_a_claim_and_a_stream_read_the_rows_that_they_are_about_and_no_other(database: Database) -> None:
    await subscribed(database)
    await database.execute(
        "INSERT INTO event (account_id, test, type) SELECT 1, false, 'key.created' FROM generate_series(1, $1)", MANY
    )
    while (await database.fetchval(f"SELECT more FROM ({SQL.fan_out}) AS step", 1000)) is True:
        pass
    await database.execute("ANALYZE")
    rows: list[Any] = await database.fetch("SELECT account_id, event_id, created_at FROM event LIMIT 5")
    async with database.transaction() as connection:
        before = await fetched(connection)
        assert len(await contents(connection, map(tuple, rows))) == 5
        read = await fetched(connection)
        assert read - before <= 10
        claimed = await connection.fetch(DELIVERY.claim, [1001], [5], 4.0)
        assert len(claimed) == 5
        assert all(row["type"] == "key.created" for row in claimed)
        assert await fetched(connection) - read < 100


async def test_an_event_that_is_kept_no_longer_says_nothing_and_its_delivery_is_claimed_all_the_same(
    database: Database,
) -> None:
    await subscribed(database)
    await database.execute(
        "INSERT INTO webhook_delivery (endpoint_id, account_id, event_id, event_at) VALUES (1001, 1, 77, now())"
    )
    [row] = await database.fetch(DELIVERY.claim, [1001], [5], 4.0)
    assert row["event_id"] is None
    assert await contents(database, [(1, 77, clock.now())]) == {}
