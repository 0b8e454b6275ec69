"""Callers without a key: limited by their address, late answers instead of work, and nobody else the worse for it."""

import asyncio
import time
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from tests import house as houses
from tests.conftest import Serve
from tests.house import House, data, problem

from trunkline import ids
from trunkline.errors import RateLimited
from trunkline.surfaces.http import strangers as waits
from trunkline.surfaces.http.strangers import Strangers

PER_MINUTE = 20


@pytest_asyncio.fixture
async def home(url: str) -> AsyncIterator[House]:
    async with houses.opened(url, TRUNKLINE_SERVER__PUBLIC_REQUESTS_PER_MINUTE=str(PER_MINUTE)) as opened:
        yield opened


@pytest.mark.asyncio
async def test_an_address_may_send_so_many_requests_without_a_key_and_is_told_when_to_come_again(home: House) -> None:
    caller = (await home.buyer()).from_address("203.0.113.9")
    paths = ["/countries", "/services?q=what", "/prices?limit=1", "/status", "/nothing", "/stats?limit=1"]
    answers = [await caller.get(paths[place % len(paths)]) for place in range(PER_MINUTE)]
    assert {answer.status_code for answer in answers} == {200, 404}
    assert answers[0].headers["ratelimit-policy"] == f'"address";q={PER_MINUTE};w=60'
    assert answers[0].headers["ratelimit"] == f'"address";r={PER_MINUTE - 1};t=3'
    refused = [answer for path in paths if (answer := await caller.get(path)).status_code == 429]
    assert refused
    assert problem(refused[0], 429, "rate_limited")["limit"] == "address"
    assert int(refused[0].headers["retry-after"]) >= 1
    neighbour = (await home.buyer()).from_address("203.0.113.10")
    data(await neighbour.get("/countries"))


@pytest.mark.asyncio
async def test_customers_behind_an_address_that_is_beyond_its_limit_call_on(home: House) -> None:
    buyer = (await home.buyer()).from_address("203.0.113.9")
    lease = await buyer.lease(country="us")
    for _ in range(PER_MINUTE):
        await buyer.get("/countries")
    problem(await buyer.get("/countries"), 429, "rate_limited")
    assert (await buyer.status(lease))["status"] == "waiting"
    data(await buyer.get("/account"))


@pytest.mark.asyncio
async def test_who_guesses_keys_is_stopped_and_shuts_no_customer_out(home: House) -> None:
    buyer = (await home.buyer()).from_address("203.0.113.9")
    data(await buyer.get("/account"))
    for _ in range(PER_MINUTE):
        guess = buyer.with_key(ids.new_key("live")).from_address("203.0.113.9")
        problem(await guess.get("/account"), 401, "invalid_key")
    refused = problem(await guess.get("/account"), 429, "rate_limited")
    assert refused["limit"] == "address"
    stranger = buyer.with_key("no key at all").from_address("203.0.113.9")
    problem(await stranger.get("/account"), 429, "rate_limited")
    await asyncio.sleep(1.1)  # until the process looks again whether the key is still good
    data(await buyer.get("/account"))
    elsewhere = guess.from_address("198.51.100.7")
    problem(await elsewhere.get("/account"), 401, "invalid_key")


@pytest.mark.asyncio
async def test_guesses_push_no_key_out_of_memory(home: House) -> None:
    keyring = home.api._callers._keyring
    buyer = await home.buyer()
    data(await buyer.get("/account"))
    for place in range(6_000):
        keyring._nobodys[place.to_bytes(32)] = time.monotonic()
    problem(await buyer.with_key(ids.new_key("live")).get("/account"), 401, "invalid_key")
    assert len(keyring._nobodys) == 1
    assert keyring.knows(buyer.account.live_key)


@pytest.mark.asyncio
async def test_a_household_is_one_address_and_proxies_in_between_are_not() -> None:
    strangers = Strangers(2)
    for host in ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9"):
        await strangers.admit(host, [])
    with pytest.raises(RateLimited):
        await strangers.admit("2001:db8:1:2::3", [])
    await strangers.admit("2001:db8:1:3::1", [])


@pytest.mark.asyncio
async def test_a_share_flows_back_evenly_and_processes_give_a_part_each() -> None:
    now = 0.0
    strangers = Strangers(60, parts=2, now=lambda: now)
    for _ in range(30):
        await strangers.admit("192.0.2.1", [])
    with pytest.raises(RateLimited) as refused:
        await strangers.admit("192.0.2.1", [])
    assert refused.value.limit == "address"
    now = 2.0
    await strangers.admit("192.0.2.1", [])
    with pytest.raises(RateLimited):
        await strangers.admit("192.0.2.1", [])


@pytest.mark.asyncio
async def test_who_is_beyond_the_limit_waits_for_the_refusal() -> None:
    strangers = Strangers(1)
    await strangers.admit("192.0.2.1", [])
    began = time.monotonic()
    with pytest.raises(RateLimited):
        await strangers.admit("192.0.2.1", [])
    assert time.monotonic() - began >= waits.PAUSE_SECONDS * 0.9


@pytest.mark.asyncio
async def test_however_many_addresses_there_are_few_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waits, "MOST_REMEMBERED", 100)
    strangers = Strangers(60)
    for place in range(1_000):
        await strangers.admit(f"10.0.{place // 250}.{place % 250}", [])
    assert len(strangers._requests) == 100


@pytest.mark.asyncio
async def test_probes_are_never_refused() -> None:
    strangers = Strangers(1)
    for _ in range(3):
        await strangers.slow_probes("10.0.0.1")
    await strangers.admit("10.0.0.1", [])


@pytest.mark.asyncio
async def test_a_limit_of_none_counts_nobody() -> None:
    strangers = Strangers(0)
    headers: list[tuple[bytes, bytes]] = []
    for _ in range(1_000):
        await strangers.admit("192.0.2.1", headers)
    assert headers == []


def test_a_server_limits_who_calls_for_the_documentation_and_answers_its_probes(serve: Serve) -> None:
    settings = {"PUBLIC_REQUESTS_PER_MINUTE": "4", "TRUSTED_PROXIES": "127.0.0.0/8"}
    server = serve("--role", "api", **{f"TRUNKLINE_SERVER__{name}": value for name, value in settings.items()})
    root = server.api.removesuffix("/api/v1")
    with httpx.Client(timeout=60) as client:
        first = client.get(root + "/docs")
        assert first.status_code == 200
        kept = client.get(root + "/docs", headers={"If-None-Match": first.headers["etag"]})
        assert (kept.status_code, kept.content) == (304, b"")
        paths = ("/docs", "/api/v1/openapi.json", "/api/v1/countries", "/favicon.ico")
        refused = [answer for path in paths if (answer := client.get(root + path)).status_code == 429]
        assert refused
        assert problem(refused[0], 429, "rate_limited")["limit"] == "address"
        assert {client.get(root + "/healthz").status_code for _ in range(8)} == {200}
        elsewhere = client.get(root + "/api/v1/countries", headers={"X-Forwarded-For": "2001:db8::1"})
        assert elsewhere.status_code == 200
