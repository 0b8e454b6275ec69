"""The public catalog at its largest: complete, in pages, searched, and made once for all who ask."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio
from tests import house as houses
from tests.catalog import crowd
from tests.house import House, data, problem

from trunkline import money
from trunkline.audit.acts import Actor
from trunkline.catalog import prices, services
from trunkline.catalog.countries import countries
from trunkline.catalog.rules import Rule, Rules
from trunkline.errors import Unavailable
from trunkline.surfaces.http.documents import Documents, document
from trunkline.surfaces.http.route import Document


@pytest_asyncio.fixture
async def home(url: str) -> AsyncIterator[House]:
    async with houses.opened(url) as opened:
        await crowd.fill(opened.platform.database)
        yield opened


async def cpu_seconds(ask: Callable[[], Awaitable[object]]) -> float:
    """What one call takes of this thread; what its database does is not in it."""
    began = time.thread_time()
    await ask()
    return time.thread_time() - began


@pytest.mark.asyncio
async def test_all_services_are_listed_and_pages_are_the_same_list(home: House) -> None:
    caller = await home.buyer()
    whole = data(await caller.get("/services"))
    assert len(whole) > crowd.SERVICES + 700
    assert [row["slug"] for row in whole] == [
        row["slug"]
        for row in await home.platform.database.fetch("SELECT slug FROM service WHERE NOT magic ORDER BY slug")
    ]
    paged: list[dict[str, object]] = []
    cursor: dict[str, str] = {}
    while len(paged) < 300:
        page = (await caller.get("/services", limit=100, **cursor)).json()
        paged += page["data"]
        cursor = {"cursor": page["next_cursor"]}
    assert paged == whole[:300]


@pytest.mark.asyncio
async def test_a_search_finds_what_holds_all_its_words_and_has_five_at_most(home: House) -> None:
    caller = await home.buyer()
    [found] = data(await caller.get("/services", q="4711 МАГАЗИН shop-4711.example"))
    assert found["slug"] == "shop-4711"
    assert data(await caller.get("/services", q="4711 nosuch")) == []
    assert len(data(await caller.get("/services", q="market"))) >= crowd.SERVICES
    first = (await caller.get("/services", q="market", limit=7)).json()
    second = (await caller.get("/services", q="market", limit=7, cursor=first["next_cursor"])).json()
    assert not {row["slug"] for row in first["data"]} & {row["slug"] for row in second["data"]}
    assert data(await caller.get("/services", q=" ".join(["a"] * 50))), "the same word is one"
    assert problem(await caller.get("/services", q="a b c d e f"), 422, "invalid_request")["field"] == "q"


@pytest.mark.asyncio
async def test_prices_come_in_pages_over_all_countries_and_services(home: House) -> None:
    caller = await home.buyer()
    whole = data(await caller.get("/prices", country="de"))
    assert len(whole) > crowd.SERVICES
    first = (await caller.get("/prices", limit=3)).json()
    assert [row["country"] for row in first["data"]] == ["ad"] * 3
    second = (await caller.get("/prices", limit=3, cursor=first["next_cursor"])).json()
    assert [row["service"] for row in first["data"] + second["data"]] == [row["service"] for row in whole[:6]]
    assert {row["country"] for row in data(await caller.get("/prices", service="shop-7"))} == set(countries())
    [one] = data(await caller.get("/prices", service="shop-7", country="DE"))
    assert one == next(row for row in whole if row["service"] == "shop-7")


@pytest.mark.asyncio
async def test_a_change_of_the_catalog_is_shown_and_the_etag_tells(home: House) -> None:
    caller, database = await home.buyer(), home.platform.database
    before = await caller.get("/services")
    assert (await caller.ask("GET", "/services", headers={"If-None-Match": before.headers["etag"]})).status_code == 304
    await services.put(database, [{"slug": "new-one", "name": "New One", "domain": "", "senders": "", "aliases": ""}])
    await prices.set_price(database, Actor("operator:test"), "new-one", "de", "USD", money.parse("0.05"))
    async with asyncio.timeout(60):
        while not data(await caller.get("/services", q="new-one")):
            await asyncio.sleep(0.1)
    after = await caller.ask("GET", "/services", headers={"If-None-Match": before.headers["etag"]})
    assert after.status_code == 200
    assert after.headers["etag"] != before.headers["etag"]
    rows = {row["code"]: row["lowest_price"] for row in data(await caller.get("/countries"))}
    assert (rows["de"], rows["fr"]) == (0.05, 0.1)
    assert await home.texts("+10000000000", "Your New One code is 123456")  # the reader is made anew


@pytest.mark.asyncio
async def test_a_price_alone_does_not_make_the_services_anew(home: House) -> None:
    catalog = home.platform.catalog
    before = await catalog.snapshot()
    await prices.set_price(home.platform.database, Actor("operator:test"), None, "de", "USD", money.parse("0.05"))
    async with asyncio.timeout(60):
        while (after := await catalog.snapshot()).version == before.version:
            await asyncio.sleep(0.1)
    assert after.services is before.services
    assert after.rules.prices("de", "USD").other == 50_000


def test_the_cheapest_service_of_a_country_is_found_by_all_kinds_of_rules() -> None:
    rows = [
        (None, None, "USD", 100),
        (None, "de", "USD", 90),
        (1, None, "USD", 50),
        (1, "fr", "USD", 200),
        (2, "fr", "USD", 95),
        (1, None, "EUR", 1),
        (2, "es", "USD", 40),
        (1, "es", "USD", 60),
    ]
    rules = Rules(Rule(*row) for row in rows)
    assert rules.lowest(["de", "fr", "us", "es"], "USD", 3) == {"de": 50, "fr": 95, "us": 50, "es": 40}
    assert rules.lowest(["es"], "USD", 2) == {"es": 40}, "both have a rule of their own"
    assert rules.lowest(["us"], "GBP", 3) == {"us": None}
    assert rules.lowest(["us"], "EUR", 3) == {"us": 1}
    assert rules.prices("fr", "USD").of(1) == 200
    assert rules.prices("fr", "USD").of(3) == 100
    assert rules.prices("de", "USD").of(1) == 50
    assert rules.prices("de", "USD").of(9) == 90
    assert rules.prices("de", "EUR").of(2) is None


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "path",
    [
        "/prices?limit=1",
        "/prices",
        "/prices?limit=100&cursor=AAAAAAAAA-g",
        "/prices?service=shop-1",
        "/services?limit=100",
        "/countries?limit=100",
        "/countries",
        "/services",
        "/services?q=a+e+o+s+h&limit=1",
        "/prices?country=us",
    ],
)
async def test_no_public_call_costs_much_however_large_the_catalog_is(home: House, path: str) -> None:
    """Against the listing of a page of services, which any machine does at its own speed."""
    caller = await home.buyer()
    await caller.get(path)
    costs = [await cpu_seconds(lambda: caller.get(path)) for _ in range(5)]
    pages = [await cpu_seconds(lambda: caller.get("/services?limit=25")) for _ in range(5)]
    assert min(costs) < 10 * min(pages)


async def _never() -> Document:
    raise AssertionError("it is there")


@pytest.mark.asyncio
async def test_a_document_is_made_once_for_all_who_ask_meanwhile() -> None:
    documents = Documents(good_seconds=60, rest=0, most_rest_seconds=0, most_waiting=2)
    made, go_on = 0, asyncio.Event()

    async def make() -> Document:
        nonlocal made
        made += 1
        await go_on.wait()
        return document(b"x", 1)

    asking = [asyncio.create_task(documents.get(("a",), make)) for _ in range(50)]
    other = asyncio.create_task(documents.get(("b",), make))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await documents.get(("c",), make)
    asking[0].cancel()
    go_on.set()
    assert {each.body for each in await asyncio.gather(*asking[1:], other)} == {b"x"}
    assert made == 2
    await documents.get(("a",), _never)


@pytest.mark.asyncio
async def test_what_fails_is_told_to_all_who_asked_and_made_anew_for_the_next() -> None:
    documents = Documents(good_seconds=60, rest=0, most_rest_seconds=0, most_waiting=2)

    async def fail() -> Document:
        raise Unavailable("not now")

    async def make() -> Document:
        return document(b"x", 1)

    both = await asyncio.gather(*(documents.get(("a",), fail) for _ in range(2)), return_exceptions=True)
    assert [type(each) for each in both] == [Unavailable] * 2
    assert (await documents.get(("a",), make)).body == b"x"


@pytest.mark.asyncio
async def test_documents_take_no_more_memory_than_they_may() -> None:
    documents = Documents(good_seconds=60, rest=0, most_rest_seconds=0, most_waiting=2, most_bytes=1_000)

    async def make() -> Document:
        return document(b"x" * 300, 1)

    for place in range(10):
        await documents.get((place,), make)
    assert documents._bytes == sum(len(each.body) for _, each in documents._made.values()) == 900
    await documents.get((9,), _never)
