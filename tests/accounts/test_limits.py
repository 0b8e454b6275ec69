"""Limits: exactly what is documented, by GCRA, for a key and for all keys of its account together."""

import asyncio
import contextlib
import dataclasses
import itertools
import json
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import asyncpg
import httpx
import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import Server, Trunkline
from tests.house import Buyer, House, data, opened, problem

from trunkline.accounts import accounts
from trunkline.accounts.keys import Key
from trunkline.accounts.limits import PERIOD_SECONDS, Limiter
from trunkline.audit.acts import Actor
from trunkline.errors import InvalidRequest

AT_ONCE = 200  # so that some are refused, also where they take two minutes
PLENTY = 10_000_000


@dataclasses.dataclass
class Clock:
    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def key(key_id: int = 1, per_minute: int = 60, burst: int | None = None, of_account: int | None = PLENTY) -> Key:
    return Key(
        key_id=key_id, account_id=7, test=False, scopes=frozenset(), per_minute=per_minute,
        account_per_minute=of_account, burst=burst,
    )  # fmt: skip


def passed(limiter: Limiter, caller: Key, requests: int) -> int:
    return sum(limiter.take(caller).refused_by is None for _ in range(requests))


def test_sixty_requests_at_one_instant_pass_and_the_next_waits_a_second() -> None:
    limiter = Limiter(account_per_minute=600, clock=(clock := Clock()))
    decisions = [limiter.take(key()) for _ in range(60)]
    assert {decision.refused_by for decision in decisions} == {None}
    assert [decision.key.remaining for decision in decisions] == list(range(59, -1, -1))
    refused = limiter.take(key())
    assert (refused.refused_by, refused.retry_seconds) == ("key", 1)
    assert (refused.key.remaining, refused.key.reset_seconds) == (0, 60)
    assert passed(limiter, key(2), 1) == 1  # another key has its own share
    clock.now += 1
    assert [limiter.take(key()).refused_by for _ in range(2)] == [None, "key"]
    clock.now += 59
    assert passed(limiter, key(), 100) == 59
    clock.now += 3600
    assert passed(limiter, key(), 100) == 60


@given(
    per_minute=st.integers(1, 500),
    burst=st.none() | st.integers(1, 500),
    of_account=st.integers(1, 1500),
    keys=st.integers(1, 4),
    now=st.floats(
        0, 1e8
    ),  # seconds since the machine was started; each sum of time stamps is rounded to its last digit
)
def test_what_passes_at_one_instant_is_exactly_the_burst(
    per_minute: int, burst: int | None, of_account: int, keys: int, now: float
) -> None:
    limiter = Limiter(account_per_minute=600, clock=Clock(now))
    callers = [key(number, per_minute, burst, of_account) for number in range(keys)]
    at_once = burst or per_minute
    together = max(per_minute, of_account, at_once)
    assert sum(passed(limiter, caller, at_once + 5) for caller in callers) == min(keys * at_once, together)


def test_all_keys_of_an_account_share_its_limit_and_the_answer_names_it() -> None:
    limiter = Limiter(account_per_minute=600, clock=(clock := Clock()))
    callers = [key(number, of_account=None) for number in range(11)]
    assert [passed(limiter, caller, 60) for caller in callers] == [60] * 10 + [0]
    refused = limiter.take(callers[-1])
    assert (refused.refused_by, refused.retry_seconds) == ("account", 1)
    assert (refused.key.remaining, refused.account.remaining, refused.account.reset_seconds) == (60, 0, 60)
    assert limiter.take(callers[0]).refused_by == "key"  # both refuse; that one keeps it waiting longer
    clock.now += 0.1
    assert [limiter.take(callers[-1]).refused_by for _ in range(2)] == [None, "account"]


def test_an_account_may_always_send_what_one_of_its_keys_may() -> None:
    limiter = Limiter(account_per_minute=600, clock=Clock())
    assert passed(limiter, key(1, per_minute=6000, of_account=None), 7000) == 6000
    assert passed(limiter, key(2, per_minute=6000, of_account=None), 10) == 0
    limiter = Limiter(account_per_minute=600, clock=Clock())
    assert passed(limiter, key(per_minute=60, burst=900, of_account=None), 1000) == 900


def test_a_refused_request_counts_on_neither_limit() -> None:
    limiter = Limiter(account_per_minute=600, clock=(clock := Clock()))
    first, second = key(1, 60, of_account=90), key(2, 60, of_account=90)
    assert passed(limiter, first, 1000) == 60  # 940 refusals that the account does not pay for
    assert passed(limiter, second, 1000) == 30  # 970 that this key does not
    clock.now += 20
    assert passed(limiter, second, 1000) == 30


def test_a_small_burst_flows_back_at_the_same_pace() -> None:
    limiter = Limiter(account_per_minute=600, clock=(clock := Clock()))
    caller = key(burst=5)
    assert passed(limiter, caller, 100) == 5
    clock.now += 3
    assert passed(limiter, caller, 100) == 3
    clock.now += 3600
    assert passed(limiter, caller, 100) == 5
    assert limiter.take(caller).key == (60, 0, 5)


def test_a_burst_made_smaller_forgives_what_is_owed_beyond_it() -> None:
    limiter = Limiter(account_per_minute=600, clock=Clock())
    assert passed(limiter, key(), 60) == 60
    assert limiter.take(key(burst=1)).retry_seconds == 1


moves = st.lists(
    st.tuples(st.floats(0, 90), st.integers(1, 40), st.integers(0, 2)),  # seconds that pass, requests at once, key
    min_size=1,
    max_size=30,
)


def most_within(times: Sequence[float], at_once: int, per_minute: int) -> None:
    """Never more than the burst and what has flown back: from the first to the last of any of them."""
    owed = 0.0
    last = times[0] if times else 0.0
    for each in times:  # a leaky bucket never overflows exactly where no span has more
        owed = max(0.0, owed - (each - last) * per_minute / PERIOD_SECONDS) + 1
        last = each
        assert owed <= at_once + 0.01, "but for rounding"


@given(
    per_minute=st.integers(1, 200), burst=st.none() | st.integers(1, 300), of_account=st.integers(1, 400), moves=moves
)
def test_no_span_has_more_than_the_burst_and_what_flows_back_in_it(
    per_minute: int, burst: int | None, of_account: int, moves: list[tuple[float, int, int]]
) -> None:
    limiter = Limiter(account_per_minute=600, clock=(clock := Clock()))
    times: dict[int, list[float]] = {0: [], 1: [], 2: []}
    at_once, together = burst or per_minute, max(per_minute, of_account)
    for seconds, requests, number in moves:
        clock.now += seconds
        for _ in range(requests):
            decision = limiter.take(key(number, per_minute, burst, of_account))
            if decision.refused_by is None:
                times[number].append(clock.now)
                assert decision.retry_seconds == 0
            else:
                assert 1 <= decision.retry_seconds <= PERIOD_SECONDS
            for standing, most in (decision.key, at_once), (decision.account, max(together, at_once)):
                assert 0 <= standing.remaining <= most
                assert 0 <= standing.reset_seconds <= PERIOD_SECONDS * max(1, most / standing.per_minute) + 1
    for each in times.values():
        most_within(each, at_once, per_minute)
    most_within(sorted(itertools.chain(*times.values())), max(together, at_once), together)


@given(per_minute=st.integers(1, 200), burst=st.none() | st.integers(1, 300), moves=moves)
def test_who_waits_as_told_is_let_through(
    per_minute: int, burst: int | None, moves: list[tuple[float, int, int]]
) -> None:
    limiter = Limiter(account_per_minute=600, clock=(clock := Clock()))
    for seconds, requests, number in moves:
        clock.now += seconds
        for _ in range(requests):
            caller = key(number, per_minute, burst, of_account=per_minute)
            decision = limiter.take(caller)
            if decision.refused_by is not None:
                clock.now += decision.retry_seconds
                assert limiter.take(caller).refused_by is None


@given(parts=st.integers(1, 8), per_minute=st.integers(8, 400), burst=st.none() | st.integers(8, 400))
def test_processes_that_do_not_know_of_each_other_never_give_more_than_the_limit_together(
    parts: int, per_minute: int, burst: int | None
) -> None:
    limiters = [Limiter(parts, account_per_minute=600, clock=Clock()) for _ in range(parts)]
    at_once = burst or per_minute
    together = sum(passed(limiter, key(per_minute=per_minute, burst=burst), at_once + 1) for limiter in limiters)
    assert together == at_once // parts * parts


def test_what_is_forgotten_is_what_owes_nothing() -> None:
    limiter = Limiter(account_per_minute=600, clock=(clock := Clock()))
    for number in range(9_000):
        limiter.take(key(number))
    clock.now += 2
    assert passed(limiter, caller := key(9_001), 60) == 60
    for number in range(20_000, 22_000):
        limiter.take(key(number))
    assert passed(limiter, caller, 1) == 0


# Over the API


@contextlib.asynccontextmanager
async def timeless(url: str, **settings: str) -> AsyncIterator[House]:
    """A house in which nothing flows back, however long requests take."""
    async with opened(url, **settings) as house:
        house.api._callers._limiter = Limiter(account_per_minute=600, clock=Clock())
        yield house


@pytest_asyncio.fixture
async def timeless_house(url: str) -> AsyncIterator[House]:
    async with timeless(url) as house:
        yield house


async def limits(house: House, buyer: Buyer, **given: int) -> None:
    await accounts.set_limits(house.platform.database, Actor("operator:test"), buyer.account_id, **given)


@pytest.mark.asyncio
async def test_every_answer_to_a_key_says_how_both_limits_stand_also_a_refusal(timeless_house: House) -> None:
    buyer = await timeless_house.buyer(per_minute=60)
    await timeless_house.platform.database.execute(
        "UPDATE api_key SET scopes = '{numbers}' WHERE account_id = $1", buyer.account_id
    )
    for number, (answer, status) in enumerate(
        [
            (await buyer.get("/numbers"), 200),
            (await buyer.get("/numbers/1"), 404),
            (await buyer.get("/account"), 403),
            (await buyer.get("/numbers", nonsense="1"), 422),
            (await buyer.post("/numbers/purchase", {}), 422),
        ],
        1,
    ):
        assert answer.status_code == status
        assert answer.headers["ratelimit-policy"] == '"default";q=60;w=60, "account";q=600;w=60'
        reset = -(-number // 10)
        assert (
            answer.headers["ratelimit"] == f'"default";r={60 - number};t={number}, "account";r={600 - number};t={reset}'
        )
        assert "retry-after" not in answer.headers
    for answer in (await buyer.with_key("tl_live_nonsense").get("/numbers"), await buyer.get("/countries")):
        assert not {"ratelimit", "ratelimit-policy"} & set(answer.headers)


@pytest.mark.asyncio
async def test_a_refusal_says_which_limit_it_is_and_the_tighter_one_comes_first(timeless_house: House) -> None:
    buyer = await timeless_house.buyer(per_minute=3)
    await limits(timeless_house, buyer, account_per_minute=4)
    assert [(await buyer.get("/account")).status_code for _ in range(3)] == [200] * 3
    refused = await buyer.get("/account")
    document = problem(refused, 429, "rate_limited")
    assert (document["limit"], document["retry_at"][-1]) == ("key", "Z")
    assert refused.headers["retry-after"] == "20"
    testing = buyer.testing()
    answers = [await testing.get("/account") for _ in range(2)]
    assert answers[0].headers["ratelimit"].startswith('"account";r=0;t=')
    assert problem(answers[1], 429, "rate_limited")["limit"] == "account"
    assert answers[1].headers["ratelimit-policy"] == '"default";q=3;w=60, "account";q=4;w=60'


@pytest.mark.asyncio
async def test_the_account_shows_what_it_may_send(house: House) -> None:
    buyer = await house.buyer(per_minute=60)
    shown = data(await buyer.get("/account"))["limits"]
    assert shown == {"requests_per_minute": 60, "account_requests_per_minute": 600, "burst": 60}
    await limits(house, buyer, per_minute=900, burst=20)
    shown = data(await buyer.get("/account"))["limits"]
    assert shown == {"requests_per_minute": 900, "account_requests_per_minute": 900, "burst": 20}
    await limits(house, buyer, account_per_minute=2000)
    await limits(house, buyer, burst=0)
    shown = data(await buyer.testing().get("/account"))["limits"]
    assert shown == {"requests_per_minute": 900, "account_requests_per_minute": 2000, "burst": 900}
    for wrong in ({"per_minute": 0}, {"burst": -1}, {"account_per_minute": 10_000_001}):
        with pytest.raises(InvalidRequest, match=next(iter(wrong))):
            await limits(house, buyer, **wrong)


@pytest.mark.asyncio
async def test_calls_from_elsewhere_are_refused_and_counted_but_not_on_the_owner(timeless_house: House) -> None:
    buyer = await timeless_house.buyer(per_minute=5)
    await timeless_house.platform.database.execute(
        "UPDATE api_key SET cidrs = '{203.0.113.0/24}' WHERE account_id = $1 AND mode = 'live'", buyer.account_id
    )
    answers = [await buyer.get("/account") for _ in range(7)]
    assert "127.0.0.1" in problem(answers[0], 403, "ip_not_allowed")["detail"]
    assert [answer.status_code for answer in answers] == [403] * 5 + [429] * 2
    assert all("ratelimit" in answer.headers for answer in answers)
    shown = (await buyer.testing().get("/account")).headers["ratelimit"]
    assert shown == '"default";r=4;t=12, "account";r=599;t=1'


@pytest.mark.asyncio
async def test_a_frozen_account_hears_why_and_how_to_appeal_on_every_route(url: str) -> None:
    async with timeless(url, TRUNKLINE_POLICY__APPEAL="Write to abuse@example.com.") as house:
        buyer = await house.buyer(per_minute=4)
        await house.platform.database.execute(
            "UPDATE account SET frozen_at = now(), frozen_reason = $2 WHERE account_id = $1",
            buyer.account_id,
            "leases for accounts of others",
        )
        for answer in await buyer.get("/account"), await buyer.order(), await buyer.testing().get("/numbers"):
            assert problem(answer, 403, "account_frozen")["detail"] == (
                "The account is frozen: leases for accounts of others. Write to abuse@example.com."
            )
        statuses = [(await buyer.get("/numbers")).status_code for _ in range(4)]
        assert statuses == [403, 403, 429, 429]


# With the real server


def test_an_operator_sets_limits_and_the_audit_says_so(trunkline: Trunkline, url: str) -> None:
    customer = trunkline.customer()
    email = customer.email
    assert trunkline("account", "limit", email, "--per-minute", "600", "--burst", "10") == {
        "email": email, "per_minute": 600, "account_per_minute": 600, "burst": 10,
    }  # fmt: skip
    assert trunkline("account", "limit", email, "--account-per-minute", "5000", "--burst", "0") == {
        "email": email, "per_minute": 600, "account_per_minute": 5000, "burst": 600,
    }  # fmt: skip
    done = trunkline.run("account", "limit", email)
    assert (done.returncode, "--burst" in done.stderr) == (2, True)
    done = trunkline.run("account", "limit", email, "--burst", "-3")
    assert (done.returncode, "burst" in done.stderr, "Traceback" in done.stderr) == (1, True, False)

    async def acts() -> list[Any]:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetch(
                "SELECT * FROM audit_entry WHERE action = 'account.limits_set' ORDER BY entry_id"
            )
        finally:
            await connection.close()

    first, second = asyncio.run(acts())
    assert first["actor"].startswith("operator:")
    assert (first["target"], str(first["account_id"])) == (f"account:{customer.account_id}", customer.account_id)
    assert json.loads(first["data"]) == {"per_minute": {"from": 60, "to": 600}, "burst": {"from": None, "to": 10}}
    assert json.loads(second["data"]) == {
        "account_per_minute": {"from": None, "to": 5000}, "burst": {"from": 10, "to": None},
    }  # fmt: skip


@pytest.mark.asyncio
async def test_a_key_over_its_limit_gets_429_and_is_told_when_to_come_again(
    server: Server, trunkline: Trunkline
) -> None:
    customer = trunkline.customer()
    headers = {"Authorization": f"Bearer {customer.live_key}"}
    async with httpx.AsyncClient(base_url=server.api, headers=headers, trust_env=False, timeout=120) as client:
        started = time.monotonic()
        answers = await asyncio.gather(*(client.get("/account") for _ in range(AT_ONCE)))
        seconds = time.monotonic() - started
        refused = [answer for answer in answers if answer.status_code == 429]
        let_through = [answer for answer in answers if answer.status_code == 200]
        assert 60 <= len(let_through) <= 60 + seconds + 1
        assert len(let_through) + len(refused) == AT_ONCE
        assert refused
        for answer in refused:
            assert problem(answer, 429, "rate_limited")["retry_at"].endswith("Z")
            assert int(answer.headers["retry-after"]) >= 1
        test_key = {"Authorization": f"Bearer {customer.test_key}"}
        assert (await client.get("/account", headers=test_key)).status_code == 200
        assert (await client.get("/countries")).status_code == 200  # public routes are not counted

        trunkline("account", "limit", customer.email, "--per-minute", "6000")
        set_at = sent = time.monotonic()
        while not (await client.get("/account")).headers["ratelimit-policy"].startswith('"default";q=6000;'):
            assert sent < set_at + 2
            sent = time.monotonic()
        shown = data(await client.get("/account", headers=test_key))  # this one owes nothing
        assert shown["limits"]["requests_per_minute"] == 6000
