"""What a database in trouble comes out as."""

import pytest

from trunkline.errors import Unavailable
from trunkline.storage.database import Database

pytestmark = pytest.mark.asyncio


async def test_a_statement_that_takes_too_long_is_given_up_and_the_next_one_runs(database: Database) -> None:
    async def slow() -> None:
        async with database.transaction() as connection:
            await connection.execute("SET LOCAL statement_timeout = 50")
            await connection.execute("SELECT pg_sleep(60)")

    with pytest.raises(Unavailable, match="too long"):
        await slow()
    assert await database.fetchval("SELECT 1") == 1
