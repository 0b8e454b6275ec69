"""Keys: refused when mistyped, kept as hashes. Limits: exactly what is documented, by GCRA."""

import asyncio
import dataclasses
import string
import time
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import Server, Trunkline
from tests.house import House, data, opened, problem

from trunkline import ids
from trunkline.accounts.keys import Keyring
from trunkline.accounts.limits import PERIOD_SECONDS, Limiter
from trunkline.errors import NotAuthenticated
from trunkline.storage.database import Database, DatabaseAway

AT_ONCE = 75


@pytest_asyncio.fixture
async def house(url: str) -> AsyncIterator[House]:
    async with opened(url) as house:
        yield house


# Keys


@given(mode=st.sampled_from(["live", "test"]), data=st.data())
def test_every_single_typing_error_breaks_the_checksum(mode: str, data: st.DataObject) -> None:
    key = ids.new_key(mode)
    assert ids.looks_like_key(key)
    place = data.draw(st.integers(0, len(key) - 1))
    letter = data.draw(st.sampled_from(string.printable + "é").filter(lambda letter: letter != key[place]))
    wrong = [
        key[:place] + letter + key[place + 1 :],
        key[:place] + key[place + 1 :],
        key[:place] + letter + key[place:],
    ]
    if key[place : place + 2] != key[place : place + 2][::-1]:
        wrong.append(key[:place] + key[place : place + 2][::-1] + key[place + 2 :])
    assert not any(ids.looks_like_key(typed) for typed in wrong)


@pytest.mark.asyncio
async def test_a_mistyped_key_is_refused_without_asking_the_database(url: str) -> None:
    database = await Database.open(url)
    await database.close()
    keyring = Keyring(database)
    key = ids.new_key("live")
    with pytest.raises(NotAuthenticated, match="mistyped"):
        await keyring.find(key[:-1] + ("a" if key[-1] != "a" else "b"))
    with pytest.raises(DatabaseAway):
        await keyring.find(key)


@pytest.mark.asyncio
async def test_a_well_formed_key_that_nobody_has_is_refused(house: House) -> None:
    buyer = await house.buyer()
    stranger = dataclasses.replace(buyer.account, test_key=ids.new_key("test"))
    buyer.account = stranger
    answer = await buyer.testing().get("/account")
    problem(answer, 401, "invalid_key")
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert "ratelimit" not in answer.headers


@pytest.mark.asyncio
async def test_no_secret_stands_in_any_table(house: House) -> None:
    buyers = [await house.buyer() for _ in range(3)]
    for buyer in buyers:
        await buyer.post(
            "/numbers/purchase", {"country": "us", "service": "whatsapp"}, **{"Idempotency-Key": "an order"}
        )
        assert (await buyer.testing().get("/numbers")).status_code == 200
    database = house.platform.database
    tables = await database.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
    dump = ""
    for [table] in map(tuple, tables):
        for row in await database.fetch(f'SELECT "{table}"::text AS row FROM "{table}"'):
            dump += row["row"] + "\n"
    assert buyers[0].account.email in dump
    for buyer in buyers:
        for secret in (buyer.account.live_key, buyer.account.test_key):
            body = secret[len("tl_live_") :]
            assert body not in dump
            assert body.encode().hex() not in dump  # as bytea columns show it


# Limits


@dataclasses.dataclass
class Clock:
    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def test_sixty_requests_at_one_instant_pass_and_the_next_waits_a_second() -> None:
    limiter = Limiter(clock=(clock := Clock()))
    decisions = [limiter.take(1, 60) for _ in range(60)]
    assert all(decision.allowed for decision in decisions)
    assert [decision.remaining for decision in decisions] == list(range(59, -1, -1))
    refused = limiter.take(1, 60)
    assert (refused.allowed, refused.remaining, refused.retry_seconds, refused.reset_seconds) == (False, 0, 1, 60)
    assert limiter.take(2, 60).allowed  # another key has its own share
    clock.now += 1
    assert [limiter.take(1, 60).allowed for _ in range(2)] == [True, False]
    clock.now += 59
    assert [limiter.take(1, 60).allowed for _ in range(60)] == [True] * 59 + [False]
    clock.now += 3600
    assert [limiter.take(1, 60).allowed for _ in range(61)] == [True] * 60 + [False]


moves = st.lists(
    st.tuples(st.floats(0, 90), st.integers(1, 40)),  # seconds that pass, then requests at once
    min_size=1,
    max_size=30,
)


@given(per_minute=st.integers(1, 200), moves=moves)
def test_never_more_than_the_limit_and_what_flows_back_since_pass(
    per_minute: int, moves: list[tuple[float, int]]
) -> None:
    clock = Clock()
    limiter = Limiter(clock=clock)
    passed: list[float] = []
    for seconds, requests in moves:
        clock.now += seconds
        for _ in range(requests):
            decision = limiter.take(7, per_minute)
            if decision.allowed:
                passed.append(clock.now)
                assert decision.retry_seconds == 0
            else:
                assert 1 <= decision.retry_seconds <= PERIOD_SECONDS
            assert 0 <= decision.remaining < per_minute
            assert 0 <= decision.reset_seconds <= PERIOD_SECONDS + 1
    rate = per_minute / PERIOD_SECONDS
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            flown_back = (passed[last] - passed[first]) * rate
            assert last - first + 1 <= per_minute + flown_back + 0.01, "but for rounding"


@given(per_minute=st.integers(1, 200), moves=moves)
def test_who_waits_as_told_is_let_through(per_minute: int, moves: list[tuple[float, int]]) -> None:
    clock = Clock()
    limiter = Limiter(clock=clock)
    for seconds, requests in moves:
        clock.now += seconds
        for _ in range(requests):
            decision = limiter.take(7, per_minute)
            if not decision.allowed:
                clock.now += decision.retry_seconds
                assert limiter.take(7, per_minute).allowed


@given(share=st.integers(1, 8), per_minute=st.integers(8, 400))
def test_processes_that_share_a_port_never_give_more_than_the_limit_together(share: int, per_minute: int) -> None:
    limiters = [Limiter(share, clock=Clock()) for _ in range(share)]
    passed = sum(limiter.take(1, per_minute).allowed for limiter in limiters for _ in range(per_minute + 1))
    assert per_minute - share < passed <= per_minute


@pytest.mark.asyncio
async def test_a_key_over_its_limit_gets_429_and_is_told_when_to_come_again(
    server: Server, trunkline: Trunkline
) -> None:
    customer = trunkline.customer()
    headers = {"Authorization": f"Bearer {customer.live_key}"}
    async with httpx.AsyncClient(base_url=server.api, headers=headers, trust_env=False) as client:
        started = time.monotonic()
        answers = await asyncio.gather(*(client.get("/account") for _ in range(AT_ONCE)))
        seconds = time.monotonic() - started
        refused = [answer for answer in answers if answer.status_code == 429]
        passed = [answer for answer in answers if answer.status_code == 200]
        assert 60 <= len(passed) <= 60 + seconds + 1
        assert len(passed) + len(refused) == AT_ONCE
        for answer in answers:
            assert answer.headers["ratelimit-policy"] == '"default";q=60;w=60'
            assert answer.headers["ratelimit"].startswith('"default";r=')
        assert refused
        for answer in refused:
            assert problem(answer, 429, "rate_limited")["retry_at"].endswith("Z")
            assert int(answer.headers["retry-after"]) >= 1
        test_key = {"Authorization": f"Bearer {customer.test_key}"}
        assert (await client.get("/account", headers=test_key)).status_code == 200
        assert (await client.get("/countries")).status_code == 200  # public routes are not counted

        trunkline("account", "limit", customer.email, "--per-minute", "6000")
        deadline = time.monotonic() + 2
        while (answer := await client.get("/account")).headers["ratelimit-policy"] != '"default";q=6000;w=60':
            assert time.monotonic() < deadline
        assert data(answer)["limits"] == {"requests_per_minute": 6000}
