"""Each lease is counted once, when its first text comes or it ends without one, whatever happens to who counts."""

import asyncio
import datetime
import random
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from tests import house
from tests.house import Buyer, House

from trunkline import clock, intervals
from trunkline.activations import outcomes
from trunkline.catalog import numbers
from trunkline.events.fan_out import FanOut

pytestmark = pytest.mark.asyncio

CODE = "Your Telegram code: 48291"


@pytest_asyncio.fixture
async def home(url: str) -> AsyncIterator[House]:
    async with house.opened(url) as opened:
        yield opened


async def count(home: House) -> None:
    """Lets the reader of the outbox take everything."""
    await home.platform.database.execute("SELECT FROM tail_position FOR UPDATE")  # after whoever is at it
    reader = FanOut(home.platform.database, lambda _: None, keep_days=10)
    while await reader.take() or await reader.take():  # the first may only have ended a step that somebody began
        pass


async def counted(home: House) -> dict[tuple[Any, ...], int]:
    """Test, country, service, operator, carrier, whether a text came → leases; hours and days agree."""
    found = [
        {
            tuple(row)[:-1]: row["leases"]
            for row in await home.platform.database.fetch(
                "SELECT test, country, slug, operator, carrier, bucket >= 0 AS came, sum(leases) AS leases"
                f"  FROM {table} JOIN service USING (service_id) GROUP BY 1, 2, 3, 4, 5, 6"
            )
        }
        for table in ("outcome_hour", "outcome_day")
    ]
    assert found[0] == found[1]
    return found[0]


async def truth(home: House) -> dict[tuple[Any, ...], int]:
    """The same, of the leases themselves."""
    return {
        tuple(row)[:-1]: row["leases"]
        for row in await home.platform.database.fetch(
            "SELECT lease.test, lease.country, slug, operator, lease.carrier, revision > 0, count(*) AS leases"
            "  FROM activation AS lease JOIN service USING (service_id)"
            "  JOIN number USING (number_id) JOIN shelf USING (shelf_id)"
            " WHERE revision > 0 OR ended_at IS NOT NULL GROUP BY 1, 2, 3, 4, 5, 6"
        )
    }


def live(came: bool, *, service: str = "telegram", operator: str = "") -> tuple[Any, ...]:
    return (False, "ad", service, operator, "simulated", came)


async def text(home: House, lease: dict[str, Any], *texts: str) -> None:
    for outcome in await home.texts(lease["phone_number"], *(texts or (CODE,)), sender="Telegram"):
        assert outcome.activation_id == int(lease["activation_id"])


async def test_a_lease_counts_when_its_first_text_comes_and_never_again(home: House) -> None:
    buyer = await home.buyer()
    await home.stock(1, operator="Mobiland")
    lease = await buyer.lease("telegram")
    await count(home)
    assert await counted(home) == {}
    await text(home, lease)
    await count(home)
    assert await counted(home) == {live(True, operator="Mobiland"): 1}
    await text(home, lease, CODE + "3", CODE + "4")
    await count(home)
    await buyer.complete(lease)
    await count(home)
    assert await counted(home) == {live(True, operator="Mobiland"): 1}


async def test_texts_in_one_batch_and_leases_that_end_in_one_step_count_once_each(home: House) -> None:
    buyer = await home.buyer()
    await home.stock(8)
    texted, both, cancelled, expired = [await buyer.lease("telegram", ttl=60) for _ in range(4)]
    await text(home, texted, CODE + "1", CODE + "2", CODE + "3")
    await text(home, both)
    await buyer.cancel(cancelled)
    await home.later(120)  # the one without a text expires, those with one are completed
    assert (await buyer.status(expired))["status"] == "expired"
    assert (await buyer.status(both))["status"] == "completed"
    await count(home)
    assert await counted(home) == {live(True): 2, live(False): 2} == await truth(home)


async def test_a_lease_that_the_operator_ends_counts_as_one_without_a_text(home: House) -> None:
    buyer = await home.buyer()
    await home.stock(2)
    with_text, without = [await buyer.lease("telegram") for _ in range(2)]
    await text(home, with_text)
    await home.platform.database.execute("SELECT end_all_of($1)", buyer.account_id)
    await count(home)
    assert (await buyer.status(without))["status"] == "cancelled"
    assert await counted(home) == {live(True): 1, live(False): 1}


async def test_leases_of_test_keys_are_counted_apart(home: House) -> None:
    buyer = await home.buyer()
    await home.stock(1)
    await home.stock(1, test=True)
    await text(home, await buyer.lease("telegram"))
    await buyer.testing().cancel(await buyer.testing().lease("telegram"))
    await count(home)
    assert await counted(home) == {live(True): 1, (True, "ad", "telegram", "", "simulated", False): 1}


async def test_a_lease_counts_also_where_its_number_has_gone_over_to_another_carrier(home: House) -> None:
    buyer = await home.buyer()
    [e164] = await home.stock(1, operator="Mobiland")
    await buyer.cancel(await buyer.lease("telegram"))
    taken_over = await numbers.stock(
        home.platform.database, [numbers.Row(1, e164, "ad", "Elsewhere")], carrier="north", test=False
    )
    assert taken_over == []
    await count(home)
    assert await counted(home) == {live(False): 1}


async def test_samples_for_an_endpoint_are_no_outcomes(home: House) -> None:
    buyer = await home.buyer()
    await home.stock(1)
    lease = await buyer.lease("telegram")
    await home.platform.database.execute(
        "INSERT INTO event (account_id, test, activation_id, endpoint_id, type, data)"
        " VALUES ($1, false, $2, 1001, 'sms.received', '{\"revision\": 1}')",
        buyer.account_id,
        int(lease["activation_id"]),
    )
    await count(home)
    assert await counted(home) == {}


async def test_how_long_a_text_took_falls_into_the_bucket_that_holds_it(home: House) -> None:
    buyer = await home.buyer()
    await home.stock(1)
    began = clock.now()
    lease = await buyer.lease("telegram")
    await home.later(90)
    await text(home, lease)
    took = 90 + (clock.now() - began).total_seconds()
    await count(home)
    bucket = await home.platform.database.fetchval("SELECT bucket FROM outcome_hour")
    assert intervals.edge(bucket) <= took
    assert intervals.edge(bucket + 1) >= 90


async def test_the_database_counts_into_the_buckets_that_the_figures_are_read_from(home: House) -> None:
    buckets = list(range(251))
    inside = [(intervals.edge(each) + intervals.edge(each + 1)) / 2 for each in buckets]
    rows = await home.platform.database.fetch(
        "SELECT text_seconds_bucket(s) AS b FROM unnest($1::float8[]) AS s", inside
    )
    assert [row["b"] for row in rows] == buckets
    assert await home.platform.database.fetchval("SELECT text_seconds_bucket(-0.001)") == 0
    assert await home.platform.database.fetchval("SELECT text_seconds_bucket(1e9)") == 250


async def test_whoever_dies_while_counting_the_counts_are_those_of_the_leases(home: House, url: str) -> None:
    dice = random.Random(1042)
    buyers = [await home.buyer("100") for _ in range(4)]
    await home.stock(60, operator="Mobiland")
    await home.stock(60)
    await home.stock(200, test=True)  # of which one account may have a fifth
    over = asyncio.Event()
    ends: list[str] = []

    async def restless(seed: int) -> None:
        """Counts a few events at a time, and gives up or is cut off after as many of its steps as it finishes."""
        dice = random.Random(seed)
        connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(url)
        while not over.is_set():
            transaction = connection.transaction()
            await transaction.start()
            taken = await connection.fetchval("SELECT taken FROM fan_out($1)", dice.randint(1, 9))
            end = dice.choice(["commit", "commit", "rollback", "die"])
            if end == "commit":
                await transaction.commit()
            elif end == "rollback":
                await transaction.rollback()
            else:
                connection.terminate()
                connection = await asyncpg.connect(url)
            ends.extend([end] * bool(taken))
            await asyncio.sleep(0 if taken else 0.01)
        connection.terminate()

    async def customer(buyer: Buyer, seed: int) -> None:
        dice = random.Random(seed)
        for _ in range(25):
            lease = await buyer.lease("telegram", ttl=60)
            what = dice.choice(["text", "texts", "complete", "cancel", "leave"])
            if what in ("text", "complete"):
                await text(home, lease)
            elif what == "texts":
                await text(home, lease, CODE + "1", CODE + "2")
            if what == "complete":
                await buyer.complete(lease)
            elif what == "cancel":
                await buyer.cancel(lease)

    async with asyncio.TaskGroup() as everybody:
        counting = [everybody.create_task(restless(dice.getrandbits(32))) for _ in range(3)]
        customers = [*buyers[:3], buyers[3].testing()]
        async with asyncio.TaskGroup() as shoppers:
            for each in customers:
                shoppers.create_task(customer(each, dice.getrandbits(32)))
        await home.later(120)
        over.set()
    assert all(task.done() for task in counting)
    assert {"commit", "rollback", "die"} <= set(ends)
    await count(home)
    expected = await truth(home)
    assert await counted(home) == expected
    assert sum(expected.values()) == 100


async def test_hours_are_forgotten_after_8_days_and_days_after_400(home: House) -> None:
    database = home.platform.database
    now = clock.now()
    for table, column, unit, oldest in (
        ("outcome_hour", "hour", datetime.timedelta(hours=1), outcomes.KEEP_HOURS_DAYS * 24),
        ("outcome_day", "day", datetime.timedelta(days=1), outcomes.KEEP_DAYS),
    ):
        for age in (0, oldest - 1, oldest + 1, oldest + 500):
            at = now - age * unit
            await database.execute(
                f"INSERT INTO {table}"
                " SELECT $1, false, 'ad', 0, n::text, 'simulated', 0, 1 FROM generate_series(1, 4) AS n",
                at if column == "hour" else at.date(),
            )
    assert await outcomes.forget(database) == 16
    assert await outcomes.forget(database) == 0
    for table in ("outcome_hour", "outcome_day"):
        assert await database.fetchval(f"SELECT count(*) FROM {table}") == 8
