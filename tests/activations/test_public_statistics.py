"""What everybody may know of how texts arrive: each figure with its sample and its interval, or none."""

import asyncio
import datetime
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import pytest
import pytest_asyncio
from tests import house
from tests.conftest import Server, Trunkline
from tests.house import House, data, problem

from trunkline import clock, ids, intervals
from trunkline.storage.database import Database
from trunkline.surfaces.api import stats

ADD = """
INSERT INTO outcome_{unit} SELECT $1, $2, $3, service_id, $5, $6, bucket, leases
  FROM service, unnest($7::integer[], $8::integer[]) AS one (bucket, leases) WHERE slug = $4
"""


@pytest_asyncio.fixture
async def home(url: str) -> AsyncIterator[House]:
    async with house.opened(url) as opened:
        yield opened


async def add(
    database: Database,
    histogram: Mapping[int, int],
    *,
    country: str = "us",
    service: str = "whatsapp",
    operator: str = "Northern",
    carrier: str = "north",
    test: bool = False,
    days: int = 0,
    hours: int = 0,
) -> None:
    """Leases that ended so long ago: bucket of the text's time, or -1, → how many."""
    at = clock.now() - datetime.timedelta(days=days, hours=hours)
    rest = (test, country, service, operator, carrier, list(histogram), list(histogram.values()))
    hour = at.replace(minute=0, second=0, microsecond=0)
    await database.execute(ADD.format(unit="hour"), hour, *rest)
    await database.execute(ADD.format(unit="day"), at.date(), *rest)


async def ask(home: House, **asked: Any) -> httpx.Response:
    """Nobody in particular asks, without a key."""
    transport = httpx.ASGITransport(home.api)  # type: ignore[arg-type] # ours names the same types more precisely
    async with httpx.AsyncClient(transport=transport, base_url="http://trunkline/api/v1") as client:
        return await client.get("/stats", params=asked)


async def rows(home: House, **asked: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = data(await ask(home, **asked))
    return found


async def sizes(home: House, *by: str, **asked: Any) -> dict[Any, int]:
    """What the groups are called → leases."""
    found = await rows(home, by=",".join(by), **asked)
    return {tuple(row[column] for column in by): row["leases"] for row in found}


@pytest.mark.asyncio
async def test_a_group_shows_its_sample_its_figures_and_how_sure_they_are(home: House) -> None:
    await add(home.platform.database, {50: 40, 51: 45, 60: 10, -1: 5})
    [row] = await rows(home)
    assert {name: row[name] for name in ("country", "service", "operator", "carrier", "leases", "texts")} == {
        "country": "us", "service": "whatsapp", "operator": None, "carrier": None, "leases": 100, "texts": 95,
    }  # fmt: skip
    share = intervals.share(95, 100)
    median, p95 = (intervals.quantile({50: 40, 51: 45, 60: 10}, percent) for percent in (50, 95))
    assert share is not None
    assert median is not None
    assert p95 is not None
    assert (row["delivery_rate"], row["delivery_rate_interval"]) == (0.95, [round(end or 0, 4) for end in share[1:]])
    assert (row["median_seconds"], row["p95_seconds"]) == (round(median.value, 2), round(p95.value, 2))
    assert row["median_interval"] == [round(end or 0, 2) for end in median[1:]]
    assert row["p95_interval"] == [round(end or 0, 2) for end in p95[1:]]


@pytest.mark.asyncio
async def test_fewer_than_30_leases_or_texts_show_no_figure(home: House) -> None:
    database = home.platform.database
    await add(database, {40: 29}, service="signal")
    await add(database, {40: 29, -1: 1}, service="telegram")
    await add(database, {40: 30}, service="whatsapp")
    whatsapp, telegram, signal = await rows(home)
    assert signal["leases"] == 29
    assert {name for name, value in signal.items() if value is None} > {"delivery_rate", "delivery_rate_interval"}
    assert telegram["delivery_rate"] == round(29 / 30, 4)
    assert [telegram[name] for name in ("median_seconds", "median_interval", "p95_seconds", "p95_interval")] == [
        None
    ] * 4
    assert whatsapp["median_interval"][1] is not None
    assert whatsapp["p95_interval"][1] is None, "30 texts are too few to bound it"


@pytest.mark.asyncio
async def test_groups_are_of_what_was_asked_for_the_largest_first(home: House) -> None:
    database = home.platform.database
    await add(database, {40: 3}, country="us", operator="Northern", carrier="north")
    await add(database, {41: 4}, country="us", operator="", carrier="south")
    await add(database, {40: 5}, country="de", service="signal", operator="", carrier="north")
    assert await sizes(home, "country") == {("us",): 7, ("de",): 5}
    assert await sizes(home, "country", "service") == {("us", "whatsapp"): 7, ("de", "signal"): 5}
    assert await sizes(home, "operator") == {("",): 9, ("Northern",): 3}
    assert await sizes(home, "carrier", "country") == {("north", "de"): 5, ("south", "us"): 4, ("north", "us"): 3}
    assert [row["leases"] for row in await rows(home, by="")] == [12]
    assert [row["leases"] for row in await rows(home, by="operator, country ,carrier,service")] == [5, 4, 3]
    assert await sizes(home, "carrier", country="US") == {("south",): 4, ("north",): 3}
    assert await sizes(home, "carrier", service="signal") == {("north",): 5}
    assert await sizes(home, "country", carrier="north") == {("de",): 5, ("us",): 3}
    assert await sizes(home, "country", operator="") == {("de",): 5, ("us",): 4}
    assert await sizes(home, "country", carrier="nobody's") == {}


@pytest.mark.asyncio
async def test_a_window_holds_what_ended_in_it_and_modes_are_never_mixed(home: House) -> None:
    database = home.platform.database
    for hours, count in ((0, 1), (22, 2), (24, 4)):
        await add(database, {40: count}, hours=hours, operator=f"{hours} hours ago")
    for days, count in ((5, 8), (7, 16), (28, 32), (30, 64)):
        await add(database, {40: count}, days=days, operator=f"{days} days ago")
    await add(database, {40: 1000}, test=True)

    async def leases(window: str) -> int:
        return sum((await sizes(home, "country", window=window)).values())

    assert (await leases("24h"), await leases("7d"), await leases("30d")) == (3, 15, 63)
    assert await sizes(home, "country", mode="test") == {("us",): 1000}
    await add(database, {40: 7}, service="test_success", test=True)
    assert await sizes(home, "service", mode="test", service="test_success") == {("test_success",): 7}


@pytest.mark.asyncio
async def test_pages_follow_each_other(home: House) -> None:
    for number, country in enumerate(("us", "de", "fr", "gb", "pl"), 1):
        await add(home.platform.database, {40: number}, country=country)
    seen: list[list[str]] = []
    cursor: dict[str, str] = {}
    while True:
        answer = await ask(home, by="country", limit=2, **cursor)
        seen.append([row["country"] for row in data(answer)])
        if answer.json()["next_cursor"] is None:
            break
        cursor = {"cursor": answer.json()["next_cursor"]}
    assert seen == [["pl", "gb"], ["fr", "de"], ["us"]]


@pytest.mark.asyncio
async def test_what_there_is_not_is_named(home: House) -> None:
    for field, value, status, code in (
        ("by", "weather", 422, "invalid_request"),
        ("by", "country,,service", 422, "invalid_request"),
        ("by", "country,country", 422, "invalid_request"),
        ("window", "1y", 422, "invalid_request"),
        ("mode", "both", 422, "invalid_request"),
        ("limit", "101", 422, "invalid_request"),
        ("cursor", "x", 422, "invalid_request"),
        ("carrier", "x" * 101, 422, "invalid_request"),
        ("account", "1", 422, "invalid_request"),
        ("country", "uk", 404, "unknown_country"),
        ("country", "", 404, "unknown_country"),
        ("service", "watsapp", 404, "unknown_service"),
        ("service", "test_success", 404, "unknown_service"),
    ):
        assert problem(await ask(home, **{field: value}), status, code)["field"] == field
    assert data(await ask(home, cursor=ids.cursor(2**63 - 1))) == []


@pytest.mark.asyncio
async def test_a_document_is_made_once_a_minute_and_may_be_kept_as_long(home: House) -> None:
    await add(home.platform.database, {40: 30})
    first = await ask(home)
    assert first.headers["cache-control"] == "public, max-age=60"
    await add(home.platform.database, {40: 30}, country="de")
    assert (await ask(home, by="service,country")).content == first.content, "the same question"
    other = await ask(home, by="country")
    assert other.headers["etag"] != first.headers["etag"]
    assert len(data(other)) == 2


@pytest.mark.asyncio
async def test_however_many_ask_the_database_counts_for_one_at_a_time(home: House) -> None:
    await add(home.platform.database, {40: 30})
    async with home.platform.database.transaction() as busy:
        await busy.execute("LOCK TABLE outcome_day")
        asking = {
            asyncio.create_task(ask(home, limit=limit, by=by))
            for limit in range(1, 32)
            for by in ("country", "service")
        }
        early: set[asyncio.Task[httpx.Response]] = set()
        while len(early) < len(asking) - stats.MOST_WAITING:
            done, _ = await asyncio.wait(asking - early, return_when=asyncio.FIRST_COMPLETED)
            early |= done
        for each in early:
            problem(each.result(), 503, "unavailable")
    for each in asking - early:
        assert data(await each)[0]["leases"] == 30


@pytest.mark.asyncio
async def test_who_asks_something_else_each_time_keeps_the_database_busy_a_quarter_of_the_time(home: House) -> None:
    database = home.platform.database
    waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'outcome_day'::regclass AND database = ("
    waits += "SELECT oid FROM pg_database WHERE datname = current_database())"  # the locks of others are there too
    async with database.transaction() as busy:
        await busy.execute("LOCK TABLE outcome_day")
        first, second = (asyncio.create_task(ask(home, limit=limit)) for limit in (1, 2))
        async with asyncio.timeout(30):
            while not await database.fetchval(waits):
                await asyncio.sleep(0.01)
        counting_since = time.monotonic()
        await asyncio.sleep(0.2)
        released_at = time.monotonic()
    assert data(await first) == data(await second) == []
    rest = min(stats.REST * (released_at - counting_since), stats.MOST_REST_SECONDS)
    assert time.monotonic() - released_at >= rest


@pytest.mark.asyncio
async def test_prices_show_how_live_leases_of_the_last_7_days_went(home: House) -> None:
    database = home.platform.database
    await add(database, {40: 20, 41: 15, -1: 5}, operator="Northern")
    await add(database, {40: 5, -1: 5}, operator="Southern", days=5)
    await add(database, {60: 500}, days=7)
    await add(database, {60: 500}, test=True)
    await add(database, {40: 29}, service="telegram")
    buyer = await home.buyer()

    async def figures(country: str, service: str) -> tuple[float | None, float | None]:
        [row] = data(await buyer.get("/prices", country=country, service=service))
        return row["delivery_rate"], row["median_seconds"]

    median = intervals.quantile({40: 25, 41: 15}, 50)
    assert median is not None
    assert await figures("us", "whatsapp") == (0.8, round(median.value, 2))
    assert await figures("us", "telegram") == (None, None)
    assert await figures("de", "whatsapp") == (None, None)


def test_a_running_server_counts_a_lease_once_its_text_is_there(server: Server, trunkline: Trunkline) -> None:
    customer = trunkline.customer()
    with httpx.Client(base_url=server.api, timeout=60) as client:
        client.headers["Authorization"] = f"Bearer {customer.live_key}"
        lease = data(client.post("/numbers/purchase", json={"country": "us", "service": "whatsapp"}))
        trunkline.sms(lease["phone_number"], "Your WhatsApp code: 847291")
        for limit in range(1, 101):  # each asks anew
            found = data(client.get("/stats", params={"window": "24h", "limit": limit}))
            if found:
                break
            time.sleep(0.5)
    assert [(row["country"], row["service"], row["leases"], row["texts"]) for row in found] == [
        ("us", "whatsapp", 1, 1)
    ]


def test_the_command_prints_what_the_api_answers(trunkline: Trunkline, url: str) -> None:
    async def fill() -> None:
        database = await Database.open(url)
        await add(database, {50: 40, 51: 45, 60: 10, -1: 5})
        await add(database, {50: 3}, country="de")
        await database.close()

    asyncio.run(fill())
    found = trunkline("stats", "--window", "24h")
    assert (found["window"], found["mode"]) == ("24h", "live")
    assert [(row["country"], row["service"], row["leases"]) for row in found["groups"]] == [
        ("us", "whatsapp", 100),
        ("de", "whatsapp", 3),
    ]
    shown = trunkline.run("stats", "--by", "country").stdout.splitlines()
    assert shown[0].split()[0] == "country"
    assert shown[1].split()[:7] == ["us", "100", "95", "95.0", "(88.8", "to", "97.9)"]
    assert shown[2].split() == ["de", "3", "3", "-", "-", "-"]
    done = trunkline.run("stats", "--service", "watsapp")
    assert (done.returncode, done.stderr) == (1, "trunkline: There is no service 'watsapp'.\n")
