"""Health checks over a real database: what is counted, what is told, and that several who look count once."""

import asyncio
import contextlib
import datetime

import pytest
from tests.carriers.smpp_peer import Inbox, Smsc, needs_node, running
from tests.database_line import Line
from tests.house import NORTH, House, opened
from tests.monitoring.watching import OPERATOR, announced, later, link, look, watched

from trunkline.carriers import links
from trunkline.carriers.carrier import Carrier
from trunkline.carriers.smpp.carrier import SmppCarrier
from trunkline.monitoring import health, incidents
from trunkline.monitoring.incidents import Incident
from trunkline.storage.database import Database

pytestmark = pytest.mark.asyncio


async def states(house: House) -> dict[str, str]:
    rows = await house.platform.database.fetch("SELECT name, state FROM component")
    return {row["name"]: row["state"] for row in rows}


async def counted(house: House, name: str) -> tuple[float, float]:
    row = await house.platform.database.fetchrow(
        "SELECT coalesce(sum(up_seconds), 0) AS up, coalesce(sum(down_seconds), 0) AS down"
        "  FROM component_day WHERE name = $1",
        name,
    )
    assert row is not None
    return row["up"], row["down"]


async def looked_at(house: House) -> datetime.datetime:
    """When somebody looked last."""
    at = await house.platform.database.fetchval("SELECT checked_at FROM component WHERE name = 'api'")
    assert isinstance(at, datetime.datetime)
    return at


async def told(house: House) -> list[Incident]:
    return await incidents.find(house.platform.database, closed_since=incidents.EVER, most=100)


# What is seen


async def test_the_first_look_makes_the_components(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "EVERY_SECONDS", 60.0)
    assert await look(house)
    assert await states(house) == {
        "api": "operational",
        "database": "operational",
        "webhooks": "operational",
        "carrier:simulated": "major_outage",  # no process runs it here
    }
    assert not await look(house), "somebody looked a moment ago"


async def test_the_simulated_network_is_no_component_where_only_test_keys_see_it_beside_another(url: str) -> None:
    async with opened(url, **NORTH | {"TRUNKLINE_POOL__SIMULATED": "auto"}) as house:
        await look(house)
        assert set(await states(house)) == {"api", "database", "webhooks", "carrier:north"}
    async with opened(url, TRUNKLINE_POOL__SIMULATED="test") as house:
        await later(house, 10)
        await look(house)
        assert "carrier:simulated" in await states(house)


async def test_webhooks_that_nobody_sends_are_late_and_then_out(house: House) -> None:
    database = house.platform.database
    buyer = await house.buyer()
    endpoint = await database.fetchval(
        "INSERT INTO webhook_endpoint (account_id, test, url, events, created_at)"
        " VALUES ($1, false, 'https://example.com', '{*}', now() - interval '1 day') RETURNING endpoint_id",
        buyer.account_id,
    )
    delivery = await database.fetchval(
        "INSERT INTO webhook_delivery (endpoint_id, account_id, event_id, event_at, next_at)"
        " VALUES ($1, $2, 1, now(), now() + interval '1 hour') RETURNING delivery_id",
        endpoint,
        buyer.account_id,
    )

    async def seen(due: str, change: str = "SELECT 1") -> str:
        await database.execute(f"UPDATE webhook_delivery SET next_at = now() - interval '{due}'")
        await database.execute(change)
        await later(house, 10)
        assert await look(house)
        return (await states(house))["webhooks"]

    assert await seen("-1 hour") == "operational"
    assert await seen("20 seconds") == "operational"
    assert await seen("100 seconds") == "degraded_performance"
    assert await seen("20 minutes") == "partial_outage"
    assert (
        await seen("20 minutes", "UPDATE webhook_endpoint SET paused_until = now() + interval '1 minute'")
        == "operational"
    )
    assert (
        await seen("20 minutes", "UPDATE webhook_endpoint SET paused_until = now() - interval '10 s'") == "operational"
    )
    assert await seen("20 minutes", "UPDATE webhook_endpoint SET paused_until = NULL") == "partial_outage"
    await database.execute(
        "INSERT INTO webhook_attempt (delivery_id, number, url, duration_ms) VALUES ($1, 1, '', 1)", delivery
    )
    assert await seen("20 minutes") == "operational", "the endpoint is served; that it is slow is its own doing"


async def test_events_that_nobody_takes_are_late_and_then_out(house: House) -> None:
    database = house.platform.database
    for age, state in (("30 s", "operational"), ("2 min", "degraded_performance"), ("20 min", "partial_outage")):
        await database.execute(
            f"INSERT INTO event (account_id, test, type, created_at) VALUES (1, false, 'x', now() - interval '{age}')"
        )
        await database.execute(
            "DELETE FROM event WHERE created_at > now() - $1::interval", datetime.timedelta(seconds=1)
        )
        await later(house, 10)
        await look(house)
        assert (await states(house))["webhooks"] == state
        await database.execute("DELETE FROM event")
    await database.execute(
        "INSERT INTO event (account_id, test, type, created_at) VALUES (1, false, 'x', now() - interval '1 h')"
    )
    assert await database.fetchval("SELECT taken FROM fan_out(100)") == 1
    await later(house, 10)
    await look(house)
    assert (await states(house))["webhooks"] == "operational"


# What is counted


async def test_workers_that_look_at_once_count_each_second_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "EVERY_SECONDS", 18.0)  # the 20 that pass are more, what the looks take is less
    assert sum(await asyncio.gather(*(look(house) for _ in range(6)))) == 1
    first = await looked_at(house)
    for _ in range(10):
        await later(house, 20)
        first -= datetime.timedelta(seconds=20)
        assert sum(await asyncio.gather(*(look(house) for _ in range(6)))) == 1
    last = await looked_at(house)
    for name in ("api", "database"):
        up, down = await counted(house, name)
        assert up == pytest.approx((last - first).total_seconds(), abs=1e-3)
        assert down == 0


async def test_time_in_which_nobody_looked_is_down_for_the_api_and_unknown_for_the_others(house: House) -> None:
    await look(house)
    await later(house, 2 * 86_400)
    assert await look(house)
    up, down = await counted(house, "api")
    assert up == 30
    assert 2 * 86_400 - 30 <= down < 2 * 86_400 + 60
    assert await counted(house, "database") == (30, 0)
    days = await house.platform.database.fetch(
        "SELECT day, up_seconds + down_seconds AS seconds FROM component_day WHERE name = 'api' ORDER BY day"
    )
    assert [days[1]["seconds"], len(days)] == [pytest.approx(86_400), 3]
    assert await told(house) == [], "what was not on is no outage that has to be told"


async def test_a_database_that_was_away_is_counted_and_told_once_it_is_back(house: House) -> None:
    await look(house)
    await later(house, 100)
    assert await look(house, away_seconds=90)
    for name in ("api", "database"):
        up, down = await counted(house, name)
        assert down == pytest.approx(90, abs=0.01)
        assert 10 <= up < 40
    assert await counted(house, "webhooks") == (30, 0)
    [incident] = await told(house)
    assert (incident.title, incident.impact, incident.state) == ("Database: outage", "critical", "investigating")
    assert incident.components == ["database", "api"]
    await watched(house, 30)
    assert all(each.closed_at is None for each in await told(house))
    await watched(house, 35)
    [incident] = [each for each in await told(house) if "database" in each.components]
    assert incident.closed_at is not None
    assert [update.state for update in incident.updates] == ["resolved", "investigating"]


async def test_two_workers_that_both_remember_the_outage_count_it_once(house: House) -> None:
    await look(house)
    first = await looked_at(house)
    await later(house, 50)
    assert await look(house, away_seconds=40)
    second = await looked_at(house)
    await later(house, 10)
    assert await look(house, away_seconds=50)  # its own line was cut for longer
    third = await looked_at(house)
    assert (await counted(house, "database"))[1] == pytest.approx(50 + (third - second).total_seconds(), abs=0.01)
    assert sum(await counted(house, "api")) == pytest.approx(60 + (third - first).total_seconds(), abs=0.01)


async def test_a_cut_line_to_the_database_is_counted_by_who_was_cut_off(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "EVERY_SECONDS", 0.1)
    monkeypatch.setattr(health, "FIRST_SECONDS", 0.0)
    async with Line.laid(url) as line, opened(url) as house:
        database = await Database.open(line.url, connections=2)
        watching = asyncio.create_task(health.watch(database, house.platform.registry))
        try:
            async with asyncio.timeout(60):
                while await counted(house, "database") == (0, 0):
                    await asyncio.sleep(0.05)
                line.cut()
                while line.refused < 4:
                    await asyncio.sleep(0.05)
                line.mend()
                while (await counted(house, "database"))[1] == 0:
                    await asyncio.sleep(0.05)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            await database.close()
        down = (await counted(house, "database"))[1]
        assert down > 0.1
        assert (await counted(house, "api"))[1] == down
        assert (await counted(house, "webhooks"))[1] == 0


# What is told


async def test_a_carrier_that_is_down_for_a_minute_has_an_incident_until_it_is_up_for_one(url: str) -> None:
    async with opened(url, **NORTH) as house:
        await link(house, "up")
        await look(house)
        for state, seconds, count in (
            ("down", 10, 0), ("down", 40, 0), ("up", 10, 0), ("down", 10, 0), ("down", 40, 0),  # short, so not told
            ("down", 25, 1), ("down", 200, 1), ("up", 10, 1), ("down", 30, 1), ("up", 10, 1), ("up", 40, 1),
            ("up", 25, 0),
        ):  # fmt: skip
            await link(house, state)
            await watched(house, seconds)
            found = [each for each in await told(house) if each.closed_at is None]
            assert len([each for each in found if each.components == ["carrier:north"]]) == count, (state, seconds)
        [incident] = [each for each in await told(house) if "carrier:north" in each.components]
        assert (incident.title, incident.impact, incident.state) == ("Carrier north: outage", "major", "resolved")
        assert (await counted(house, "carrier:north"))[1] > 0
        assert "10.1.2.3" not in " ".join(update.body for update in incident.updates)


@needs_node
async def test_a_carrier_whose_smsc_stops_has_an_incident(url: str) -> None:
    async with contextlib.AsyncExitStack() as stack:
        smsc_stack = await stack.enter_async_context(contextlib.AsyncExitStack())
        smsc = await smsc_stack.enter_async_context(Smsc.started())
        settings = NORTH | {"TRUNKLINE_CARRIERS__NORTH__URL": f"smpp://us%40er:s%3Acret@localhost:{smsc.port}"}
        house = await stack.enter_async_context(opened(url, **settings))
        north = house.platform.registry.carriers["north"]
        assert isinstance(north, SmppCarrier)
        await stack.enter_async_context(running(north, Inbox()))
        await smsc.event("bind")
        await smsc.round_trip()
        await _links_seen(house, north)
        await look(house)
        assert (await states(house))["carrier:north"] == "operational"
        await smsc_stack.aclose()
        async with asyncio.timeout(60):
            while north.health().state == "up":
                await asyncio.sleep(0.02)
        await _links_seen(house, north)
        await later(house, 10)
        await look(house)
        assert (await states(house))["carrier:north"] == "major_outage"
        await watched(house, 61)
        assert "carrier:north" in [name for each in await told(house) for name in each.components]


async def _links_seen(house: House, carrier: Carrier) -> None:
    """Lets the task that watches the links look once."""
    before = await house.platform.database.fetchval("SELECT max(seen_at) FROM carrier_link")
    watching = asyncio.create_task(links.watch(house.platform.database, [carrier]))
    async with asyncio.timeout(60):
        while before == await house.platform.database.fetchval("SELECT max(seen_at) FROM carrier_link"):
            await asyncio.sleep(0.02)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


async def test_the_incident_of_a_carrier_that_is_taken_out_of_the_settings_is_closed(url: str) -> None:
    async with opened(url, **NORTH) as house:
        await look(house)
        await watched(house, 70)
        assert ["carrier:north"] in [each.components for each in await told(house) if each.closed_at is None]
    async with opened(url) as house:
        await later(house, 10)
        await look(house)
        assert ["carrier:north"] not in [each.components for each in await told(house) if each.closed_at is None]


async def test_what_the_operator_closed_stays_closed_while_the_same_outage_lasts(url: str) -> None:
    async with opened(url, **NORTH | {"TRUNKLINE_POOL__SIMULATED": "auto"}) as house:
        await look(house)
        await watched(house, 70)
        [incident] = await told(house)
        await incidents.close(house.platform.database, OPERATOR, incident.incident_id, "Known: north is being moved.")
        await watched(house, 100)
        assert len(await told(house)) == 1


async def test_the_operators_incident_is_not_closed_when_all_is_well(house: House) -> None:
    number = await announced(house)
    await look(house)
    await watched(house, 100)
    assert (await incidents.find_one(house.platform.database, number)).closed_at is None
