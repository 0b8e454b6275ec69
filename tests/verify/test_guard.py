"""The guard against SMS pumping, over real numbers and a carrier that charges."""

import datetime
import pathlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st
from tests.house import Buyer, House, data, opened, problem

from trunkline import config
from trunkline.verify import guard
from trunkline.verify.guard import GuardOptions, LineType, Traffic

SETTINGS = """
[carriers.north]
kind = "smpp"
url = "smpp://user:secret@127.0.0.1:1"

[pool]
simulated = "always"

[verify]
countries = ["us", "de", "fr"]
routes = [{ prefix = "+", carrier = "north", sender = "ACME" }]
"""
NOW = datetime.datetime(2026, 4, 19, 14, 30, tzinfo=datetime.UTC)


@pytest_asyncio.fixture
async def routed(url: str, tmp_path: pathlib.Path) -> AsyncIterator[House]:
    """A house whose codes go over a carrier, which nobody runs here."""
    (tmp_path / "settings.toml").write_text(SETTINGS)
    async with opened(url, TRUNKLINE_CONFIG=str(tmp_path / "settings.toml")) as house:
        yield house


def options(**more: Any) -> GuardOptions:
    usual = msgspec.structs.asdict(config.load({}).verify.guard)
    return GuardOptions(**(usual | more))


async def start(buyer: Buyer, number: str, **more: Any) -> Any:
    return await buyer.post("/verifications", {"phone_number": number, **more})


def judged(options: GuardOptions, **traffic: Traffic) -> dict[str, str]:
    return judged_at(50_000, options, traffic)


def judged_at(micros: int, options: GuardOptions, traffic: dict[str, Traffic]) -> dict[str, str]:
    nothing = {name: Traffic() for name in ("account", "profile", "country", "prefix")}
    return {each.rule: each.verdict for each in guard.judge(nothing | traffic, micros, NOW, options)}


@pytest.mark.asyncio
async def test_pumping_of_a_prefix_stops_before_its_spend_and_its_neighbours_go_on(routed: House) -> None:
    buyer = await routed.buyer("500")
    answers = [
        await start(buyer, f"+4915123{line:06d}", client_ip=f"203.0.{line % 2}.{line % 250}") for line in range(60)
    ]
    went = [each for each in answers if each.status_code == 200]
    assert len(went) == 30
    blocked = problem(answers[-1], 403, "blocked_by_guard")
    assert blocked["reasons"] == [{"rule": "prefix_volume", "value": 31, "threshold": 30}]
    assert blocked["retry_at"]
    assert (await buyer.purse())[1] == 30 * 0.05
    assert (await start(buyer, "+491709990001")).status_code == 200, "another prefix of the same country"
    shown = data(await buyer.get(f"/verifications/{blocked['verification_id']}"))
    assert (shown["status"], shown["sends"], shown["charged"]) == ("blocked", [], 0)
    assert {each["rule"]: each["verdict"] for each in shown["decisions"]}["prefix_volume"] == "blocked"
    assert len(data(await buyer.get("/verifications", status="blocked", limit=100))) == 30


@pytest.mark.asyncio
async def test_shadow_stops_nothing_and_says_the_same(url: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "settings.toml").write_text(
        SETTINGS + '[verify.guard]\nshadow = ["prefix_volume"]\nprefix_starts = 3\n'
    )
    async with opened(url, TRUNKLINE_CONFIG=str(tmp_path / "settings.toml")) as house:
        buyer = await house.buyer("500")
        answers = [data(await start(buyer, f"+4915123{line:06d}")) for line in range(6)]
        verdicts = []
        for answer in answers:
            shown = data(await buyer.get(f"/verifications/{answer['verification_id']}"))
            verdicts.append({each["rule"]: each["verdict"] for each in shown["decisions"]}["prefix_volume"])
        assert verdicts == ["allowed"] * 3 + ["shadow"] * 3


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("number", "kind"),
    [("+493012345678", "fixed_line"), ("+498001234567", "toll_free"), ("+19002345678", "premium_rate")],
)
async def test_lines_that_get_no_texts_or_earn_by_them_get_no_code(routed: House, number: str, kind: str) -> None:
    buyer = await routed.buyer()
    assert problem(await start(buyer, number), 403, "line_type_not_allowed")["line_type"] == kind


@pytest.mark.asyncio
async def test_a_country_that_nobody_named_gets_no_code(routed: House) -> None:
    buyer = await routed.buyer()
    assert problem(await start(buyer, "+447400123456"), 403, "country_not_allowed")["country"] == "gb"
    data(await buyer.ask("PATCH", "/verify/profiles/default", json={"countries": ["gb"]}))
    assert (await start(buyer, "+447400123456")).status_code == 200
    problem(await start(buyer, "+4915123456789"), 403, "country_not_allowed")


@pytest.mark.asyncio
async def test_a_number_of_the_simulated_network_never_goes_to_a_carrier(routed: House) -> None:
    buyer = await routed.buyer()
    started = data(await start(buyer, "+12025550142"))
    [send] = data(await buyer.get(f"/verifications/{started['verification_id']}"))["sends"]
    assert send["route"] == "simulated"
    reserved = data(await start(buyer, "+447700900999"))
    [send] = data(await buyer.get(f"/verifications/{reserved['verification_id']}"))["sends"]
    assert send["route"] == "simulated"


@pytest.mark.asyncio
async def test_a_test_key_reaches_no_carrier(routed: House) -> None:
    buyer = (await routed.buyer()).testing()
    started = data(await start(buyer, "+4915123456789"))
    [send] = data(await buyer.get(f"/verifications/{started['verification_id']}"))["sends"]
    assert send["route"] == "simulated"


@pytest.mark.asyncio
async def test_the_magic_number_is_blocked(house: House) -> None:
    buyer = (await house.buyer()).testing()
    refused = problem(await start(buyer, "+443069990005"), 403, "blocked_by_guard")
    assert refused["reasons"][0]["rule"] == "magic_number"


def test_an_apps_first_busy_hour_is_not_stopped_by_velocity() -> None:
    assert judged(options(), account=Traffic(starts_this_hour=250))["velocity"] == "allowed"
    assert judged(options(), account=Traffic(starts_this_hour=300))["velocity"] == "blocked"
    assert judged(options(), account=Traffic(starts_this_hour=300, busiest_28d=200))["velocity"] == "allowed"


def test_few_observations_block_nothing_and_many_do() -> None:
    few, many = Traffic(decided_24h=19, approved_24h=0), Traffic(decided_24h=60, approved_24h=0)
    honest = Traffic(decided_24h=60, approved_24h=40)
    assert judged(options(), prefix=few)["prefix_conversion"] == "allowed"
    assert judged(options(), prefix=many)["prefix_conversion"] == "blocked"
    assert judged(options(), prefix=honest)["prefix_conversion"] == "allowed"


@pytest.mark.parametrize("dimension", ["prefix", "country", "profile", "account"])
def test_money_stops_before_it_is_spent(dimension: str) -> None:
    limit = options(**{f"spend_{dimension}": "1"})
    assert judged(limit, **{dimension: Traffic(micros_this_hour=950_000)})[f"spend_{dimension}"] == "allowed"
    assert judged(limit, **{dimension: Traffic(micros_this_hour=950_001)})[f"spend_{dimension}"] == "blocked"
    free = judged_at(0, limit, {dimension: Traffic(micros_this_hour=9_000_000)})
    assert free[f"spend_{dimension}"] == "allowed"


@given(st.integers(0, 500), st.integers(0, 500), st.integers(1, 400), st.integers(0, 200))
def test_a_higher_threshold_never_blocks_more(this_hour: int, before: int, limit: int, more: int) -> None:
    traffic = Traffic(starts_this_hour=this_hour, starts_hour_before=before)
    strict = judged(options(prefix_starts=limit), prefix=traffic)["prefix_volume"]
    loose = judged(options(prefix_starts=limit + more), prefix=traffic)["prefix_volume"]
    assert (strict, loose) != ("allowed", "blocked")


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        ("+4915123456789", LineType.MOBILE),
        ("+14155552671", LineType.MOBILE),
        ("+4930123456", LineType.FIXED_LINE),
        ("+39848123456", LineType.SHARED_COST),
        ("+448001111111", LineType.TOLL_FREE),
    ],
)
def test_the_kind_of_a_line_is_what_its_numbering_plan_says(number: str, kind: LineType) -> None:
    assert guard.line_type(number) is kind


@pytest.mark.parametrize("number", ["+12025550142", "+447700900123", "+881612345678"])
def test_a_line_that_no_plan_knows_is_not_refused(number: str) -> None:
    assert guard.line_type(number) not in guard.REFUSED
