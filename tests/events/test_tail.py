"""The outbox is read whole: whatever commits is told once, in whatever order, and nobody waits for who has not."""

import asyncio
import contextlib
import datetime
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio
from tests.database_line import Line
from tests.events.subscriber import subscribed

from trunkline.errors import Unavailable
from trunkline.events.fan_out import FanOut
from trunkline.events.tail import SQL, Event, Gap, Tail
from trunkline.storage.database import Database, Querier

pytestmark = pytest.mark.asyncio

MANY = "INSERT INTO event (account_id, test, type) SELECT 2, false, 'key.revoked' FROM generate_series(1, 500)"
TELL = "INSERT INTO event (account_id, test, type) VALUES (1, false, $1) RETURNING event_id"


class Heard:
    """What a follower was told."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.gaps = 0

    def told(self, news: "list[Event] | Gap") -> None:
        if isinstance(news, Gap):
            self.gaps += 1
        else:
            self.events += news

    @property
    def ids(self) -> list[int]:
        return [event.event_id for event in self.events]


@pytest_asyncio.fixture
async def tail(database: Database) -> AsyncIterator[tuple[Tail, Heard]]:
    reader, heard = Tail(database), Heard()
    reader.follow(heard.told)  # type: ignore[arg-type] # a list is the sequence that it is told
    await reader.look()
    yield reader, heard


async def test_a_transaction_that_runs_for_long_holds_nobody_up_and_is_told_when_it_commits(
    database: Database, tail: tuple[Tail, Heard]
) -> None:
    reader, heard = tail
    async with database.transaction() as slow:
        late = await slow.fetchval(TELL, "key.created")
        soon = await database.fetchval(TELL, "key.revoked")
        assert late < soon
        await reader.look()
        assert heard.ids == [soon]
        await reader.look()
        assert heard.ids == [soon]
    await reader.look()
    assert heard.ids == [soon, late]


async def events_read(database: Database, statement: str, *arguments: Any) -> int:
    """How many rows of the outbox a statement fetches."""
    counted = "SELECT sum(idx_tup_fetch + seq_tup_read) FROM pg_stat_xact_user_tables WHERE relname ~ '^event_[0-9r]'"
    async with database.transaction() as connection:
        before = await connection.fetchval(counted)
        await connection.fetch(statement, *arguments)
        return int(await connection.fetchval(counted) - before)


async def test_who_reads_on_reads_nothing_again_also_while_a_transaction_stays_open(
    database: Database, tail: tuple[Tail, Heard]
) -> None:
    await subscribed(database)
    reader, heard = tail
    async with database.transaction() as slow:
        late = await slow.fetchval(TELL, "key.created")
        for _ in range(3):
            await database.execute(MANY)
        await database.execute("ANALYZE event")
        await reader.look()
        assert len(heard.events) == 1500

        async def news_read() -> int:
            await reader.look()
            return await events_read(database, SQL.news, reader.seen, reader._clock, 5000)

        async def fanned_out() -> int:
            await FanOut(database, lambda _: None, keep_days=30).take()
            return await events_read(database, SQL.fan_out, 10)

        await comes_to_nothing(news_read)
        await comes_to_nothing(fanned_out)
        assert await planned(database) == []
    await reader.look()
    assert [event.event_id for event in heard.events if event.account_id == 1] == [late]
    assert await step(database) == 1
    assert await planned(database) == [late]
    async with database.transaction() as silent:
        await silent.execute("SELECT pg_current_xact_id()")
        await database.execute(MANY)
        await step(database)
    await comes_to_nothing(fanned_out)


async def comes_to_nothing(read: Callable[[], Awaitable[int]]) -> None:
    """Other transactions of the server may end between two looks, and are looked behind once each."""
    async with asyncio.timeout(40):
        while await read():
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("days", [-3, 3])
async def test_what_is_written_while_the_databases_clock_jumps_by_days_is_told(
    database: Database, tail: tuple[Tail, Heard], days: int
) -> None:
    reader, heard = tail
    away = datetime.timedelta(days)
    assert reader._clock is not None
    reader._clock += away  # what the clock showed at the last look, and when this was written
    written = await database.fetchval(
        "INSERT INTO event (account_id, test, type, created_at) VALUES (1, false, 'key.created', now() + $1)"
        " RETURNING event_id", away,
    )  # fmt: skip
    await reader.look()
    assert heard.ids == [written]
    await reader.look()
    assert heard.ids == [written]


async def test_what_is_rolled_back_is_never_told(database: Database, tail: tuple[Tail, Heard]) -> None:
    reader, heard = tail
    with contextlib.suppress(RuntimeError):
        async with database.transaction() as connection:
            await connection.execute(TELL, "key.created")
            raise RuntimeError
    told = await database.fetchval(TELL, "key.created")
    await reader.look()
    assert heard.ids == [told]


async def write_at_random(database: Database, writers: int, each: int, seed: int) -> set[int]:
    """The ids that were committed by transactions that began, wrote, waited and ended in any order."""
    committed: set[int] = set()

    async def write(chance: random.Random) -> None:
        for _ in range(each):
            written = []
            try:
                async with database.transaction() as connection:
                    for _ in range(chance.randint(1, 3)):
                        written.append(await connection.fetchval(TELL, "key.created"))
                        await asyncio.sleep(chance.uniform(0, 0.01))
                    if chance.random() < 0.2:
                        raise RuntimeError
            except RuntimeError:
                continue
            committed.update(written)

    await asyncio.gather(*(write(random.Random(seed * 1000 + writer)) for writer in range(writers)))
    return committed


@pytest.mark.parametrize("seed", range(3))
async def test_every_event_of_concurrent_transactions_is_told_once(
    database: Database, tail: tuple[Tail, Heard], seed: int
) -> None:
    reader, heard = tail
    running = asyncio.create_task(reader.run())
    committed = await write_at_random(database, writers=10, each=20, seed=seed)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await reader.look()
    assert Counter(heard.ids) == Counter(committed)


async def step(connection: Querier) -> int:
    """Takes ten events at most; how many it were."""
    row = await connection.fetchrow(SQL.fan_out, 10)
    assert row is not None
    taken: int = row["taken"]
    return taken


async def planned(database: Database) -> list[int]:
    return [row["event_id"] for row in await database.fetch("SELECT event_id FROM webhook_delivery ORDER BY 1")]


@pytest.mark.parametrize("seed", range(2))
async def test_several_processes_that_plan_at_once_plan_every_event_once(database: Database, seed: int) -> None:
    await subscribed(database)
    told: list[int] = []
    readers = [FanOut(database, told.extend, keep_days=30) for _ in range(3)]
    over = asyncio.Event()

    async def take(reader: FanOut) -> None:
        while not over.is_set():
            await reader.take()
            await asyncio.sleep(0)

    taking = [asyncio.create_task(take(reader)) for reader in readers]
    committed = await write_at_random(database, writers=8, each=15, seed=100 + seed)
    over.set()
    await asyncio.gather(*taking)
    await readers[0].take()
    assert await planned(database) == sorted(committed)
    assert set(told) == {1001}


async def test_a_long_way_is_made_up_for_in_steps_while_new_events_come(database: Database) -> None:
    await subscribed(database)
    behind = [await database.fetchval(TELL, "key.created") for _ in range(25)]
    assert await step(database) == 10
    new = await database.fetchval(TELL, "key.revoked")
    taken = [await step(database) for _ in range(4)]
    assert taken == [10, 5, 1, 0], "the way that was there at first, then what came meanwhile"
    assert await planned(database) == [*behind, new]


async def test_steps_that_end_exactly_with_the_way_lose_nothing_that_comes_after(database: Database) -> None:
    await subscribed(database)
    for _ in range(10):
        await database.fetchval(TELL, "key.created")
    assert await step(database) == 10
    await database.fetchval(TELL, "key.created")
    taken = [await step(database) for _ in range(3)]
    assert sum(taken) == 1
    assert len(await planned(database)) == 11


async def test_a_step_that_is_rolled_back_is_taken_again_whole(database: Database) -> None:
    await subscribed(database)
    event = await database.fetchval(TELL, "key.created")
    with contextlib.suppress(RuntimeError):
        async with database.transaction() as connection:
            assert await step(connection) == 1
            raise RuntimeError
    assert await planned(database) == []
    assert await step(database) == 1
    assert await planned(database) == [event]


async def test_a_database_brought_back_into_a_younger_server_loses_and_repeats_nothing(database: Database) -> None:
    """A younger server counts transactions from a smaller number than those that the events name."""
    await subscribed(database)
    before = [await database.fetchval(TELL, "key.created") for _ in range(5)]
    await database.fetchrow(SQL.fan_out, 100)
    await database.execute("DELETE FROM webhook_delivery")  # so that a repeat would be seen
    waiting = await database.fetchval(TELL, "key.rotated")
    await database.execute(
        "UPDATE event SET xact = (9000000000 + event_id)::text::xid8, horizon = '9000000000:9000000000:'"
    )
    seen = f"{9_000_000_000 + waiting}:{9_000_000_000 + waiting}:"
    await database.execute("UPDATE tail_position SET seen = $1::text::pg_snapshot", seen)
    after = await database.fetchval(TELL, "key.revoked")
    fan_out = FanOut(database, lambda _: None, keep_days=30)
    await fan_out.take()
    await fan_out.take()
    assert await planned(database) == [waiting, after]
    later = await database.fetchval(TELL, "key.created")
    await fan_out.take()
    assert await planned(database) == [waiting, after, later]
    assert before


async def test_while_the_database_is_away_the_tail_is_late_and_tells_of_a_gap_afterwards(url: str) -> None:
    async with Line.laid(url) as line:
        database = await Database.open(line.url)
        try:
            reader, heard = Tail(database), Heard()
            reader.follow(heard.told)  # type: ignore[arg-type]
            assert reader.is_late
            running = asyncio.create_task(reader.run())
            while reader.is_late:
                await asyncio.sleep(0.005)
            assert heard.gaps == 1
            line.cut()
            while not reader.is_late:
                await asyncio.sleep(0.005)
            with pytest.raises(Unavailable):
                await reader.look()
            line.mend()
            while reader.is_late:
                await asyncio.sleep(0.005)
            told = await database.fetchval(TELL, "key.created")
            while told not in heard.ids:
                await asyncio.sleep(0.005)
            assert heard.gaps >= 3  # once lost, once found again
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        finally:
            await database.close()


async def test_more_events_than_are_told_at_once_are_told_as_a_gap(
    database: Database, tail: tuple[Tail, Heard]
) -> None:
    reader, heard = tail
    await database.execute(
        "INSERT INTO event (account_id, test, type) SELECT 1, false, 'key.created' FROM generate_series(1, 5001)"
    )
    await reader.look()
    assert (heard.events, heard.gaps) == ([], 2)
    told = await database.fetchval(TELL, "key.created")
    await reader.look()
    assert heard.ids == [told]


async def test_a_follower_that_fails_keeps_nothing_from_the_others(database: Database) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("on purpose")

    reader, heard = Tail(database), Heard()
    reader.follow(fail)
    reader.follow(heard.told)  # type: ignore[arg-type]
    await reader.look()
    told = await database.fetchval(TELL, "key.created")
    await reader.look()
    assert heard.ids == [told]


# The days


async def days(database: Database) -> set[str]:
    rows = await database.fetch(
        "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = 'event'::regclass"
    )
    return {row["relname"] for row in rows}


async def test_days_are_made_ahead_and_dropped_when_they_are_old(database: Database) -> None:
    today = datetime.datetime.now(datetime.UTC).date()
    first = datetime.datetime.strptime(min(await days(database)), "event_%Y%m%d").date()
    assert first in (today, today - datetime.timedelta(1)), "the database may have been made before midnight"
    assert await days(database) == {"event_rest"} | {
        f"event_{first + datetime.timedelta(day):%Y%m%d}" for day in range(4)
    }
    await database.fetchval(SQL.keep_days, 30)
    ahead = await days(database)
    assert f"event_{today + datetime.timedelta(3):%Y%m%d}" in ahead
    old = today - datetime.timedelta(40)
    await database.execute(
        f"CREATE TABLE event_{old:%Y%m%d} PARTITION OF event FOR VALUES FROM ('{old} 00:00+00')"
        f" TO ('{old + datetime.timedelta(1)} 00:00+00')"
    )
    await database.execute(
        "INSERT INTO event (account_id, test, type, created_at) VALUES (1, false, 'x', now() - interval '41 days'),"
        " (1, false, 'x', now() - interval '20 days')"
    )
    await database.fetchval(SQL.keep_days, 30)
    assert await days(database) == ahead
    assert await database.fetchval("SELECT count(*) FROM event") == 1, "also what lay in no day's table"


async def test_a_day_that_is_made_late_takes_its_events_along_and_processes_that_make_it_at_once_agree(
    database: Database,
) -> None:
    today = datetime.datetime.now(datetime.UTC).date()
    await database.execute(f"DROP TABLE event_{today:%Y%m%d}")
    event = await database.fetchval(TELL, "key.created")
    assert await database.fetchval("SELECT count(*) FROM event_rest") == 1
    await asyncio.gather(*(database.fetchval(SQL.keep_days, 30) for _ in range(4)))
    assert await database.fetchval("SELECT count(*) FROM event_rest") == 0
    assert await database.fetchval(f"SELECT event_id FROM event_{today:%Y%m%d}") == event


async def test_days_that_somebody_reads_for_long_are_left_for_later_and_hold_nobody_up(database: Database) -> None:
    today = datetime.datetime.now(datetime.UTC).date()
    old = today - datetime.timedelta(40)
    await database.execute(
        f"CREATE TABLE event_{old:%Y%m%d} PARTITION OF event FOR VALUES FROM ('{old} 00:00+00')"
        f" TO ('{old + datetime.timedelta(1)} 00:00+00')"
    )
    async with asyncio.timeout(12):  # a statement that waits is given up after 15 s
        async with database.transaction() as reader:
            await reader.fetchval("SELECT count(*) FROM event")
            await database.fetchval(SQL.keep_days, 30)
            await database.fetchval(TELL, "key.created")
        assert f"event_{old:%Y%m%d}" in await days(database)
        await database.fetchval(SQL.keep_days, 30)
    assert f"event_{old:%Y%m%d}" not in await days(database)
