"""Keys that make keys: none gives more than it has, spending counts upwards, and they end together if asked to."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from tests.days import within_a_day
from tests.house import Buyer, House, data, opened, problem

from trunkline import clock
from trunkline.accounts import issuing
from trunkline.audit.acts import Actor

pytestmark = pytest.mark.asyncio

ADMIN = ["numbers", "account:read", "admin"]
FEW = {"TRUNKLINE_POLICY__MOST_KEYS": "6", "TRUNKLINE_POLICY__KEYS_PER_DAY": "9"}


@pytest_asyncio.fixture
async def few(url: str) -> AsyncIterator[House]:
    async with opened(url, **FEW) as house:
        yield house


@pytest_asyncio.fixture
async def one_day() -> None:
    await within_a_day()


async def made_by(buyer: Buyer, **more: Any) -> tuple[Buyer, Any]:
    """A key that ``buyer`` makes with all scopes of this module, and what it is."""
    key = await buyer.new_key(ADMIN, **more)
    return buyer.with_key(key["key"]), key


# Where and how long


async def test_a_child_lies_within_its_parents_networks(house: House) -> None:
    parent, _ = await made_by(await house.buyer(), cidrs=["127.0.0.0/9", "127.128.0.0/9", "2001:db8::/32"])
    for cidrs in (
        [],
        ["0.0.0.0/0"],
        ["126.0.0.0/7"],
        ["10.0.0.0/8"],
        ["127.0.0.1/32", "10.0.0.1/32"],
        ["2001:db9::/32"],
    ):
        refused = await parent.post("/keys", {"name": "wide", "scopes": ["numbers"], "cidrs": cidrs})
        assert problem(refused, 403, "forbidden")["field"] == "cidrs", cidrs
    for cidrs in (["127.0.0.1/32"], ["127.0.0.0/8"], ["2001:db8:1::/48", "127.0.0.0/16"], ["::ffff:127.0.0.1/128"]):
        assert (await parent.new_key(["numbers"], cidrs=cidrs))["cidrs"]


async def test_a_child_ends_no_later_than_its_parent(house: House) -> None:
    parent, key = await made_by(await house.buyer(), expires_at="2999-01-01T00:00:00Z")
    for end in ({}, {"expires_at": "2999-01-01T00:00:01Z"}):
        refused = await parent.post("/keys", {"name": "long", "scopes": ["numbers"], **end})
        assert problem(refused, 403, "forbidden")["field"] == "expires_at"
    same = await parent.new_key(["numbers"], expires_at="2999-01-01T01:00:00+01:00")
    assert (same["expires_at"], same["created_by"]) == (key["expires_at"], key["key_id"])


async def test_a_key_in_its_overlap_makes_none_that_goes_on_after_it(house: House) -> None:
    buyer = await house.buyer()
    old, key = await made_by(buyer)
    await buyer.post(f"/keys/{key['key_id']}/rotate", {"overlap_hours": 1})
    refused = await old.post("/keys", {"name": "heir", "scopes": ["numbers"]})
    assert problem(refused, 403, "forbidden")["field"] == "expires_at"


async def test_a_limited_key_rotates_itself_and_its_children_and_no_sibling(house: House) -> None:
    buyer = await house.buyer()
    limits = {"cap_day": 1, "cidrs": ["127.0.0.0/8"]}
    limited, own = await made_by(buyer, **limits)
    _, sibling = await made_by(buyer, **limits)
    _, child = await made_by(limited, **limits)
    problem(await limited.post(f"/keys/{sibling['key_id']}/rotate", {}), 403, "forbidden")
    assert (await limited.post(f"/keys/{own['created_by']}/rotate", {})).status_code == 403
    for key in (child, own):
        new = data(await limited.post(f"/keys/{key['key_id']}/rotate", {"overlap_hours": 1}))
        assert (new["cidrs"], new["cap_day"], new["created_by"]) == (["127.0.0.0/8"], 1, key["created_by"])


# Money


@pytest.mark.usefixtures("one_day")
async def test_what_children_and_grandchildren_spend_counts_in_the_cap_above_them(house: House) -> None:
    buyer = await house.buyer()
    await house.stock(9)
    parent, key = await made_by(buyer, cap_day=0.35)
    child, _ = await made_by(parent, cap_day=0.35)
    grandchild, _ = await made_by(child, cap_day=0.2)
    for who in (grandchild, child, parent):
        await who.lease("telegram")
    for who in (parent, child, grandchild):
        refused = problem(await who.order("telegram"), 402, "spend_cap_reached")
        assert (refused["of"], refused["cap"], refused["spent"]) == ("key", 0.35, 0.3)
    rotated = data(await parent.post(f"/keys/{key['key_id']}/rotate", {"overlap_hours": 1}))
    heir = buyer.with_key(rotated["key"])
    youngest, _ = await made_by(heir, cap_day=0.35)
    for who in (heir, youngest):
        problem(await who.order("telegram"), 402, "spend_cap_reached")
    await buyer.lease("telegram")  # the parent's own parent has no cap


@pytest.mark.usefixtures("one_day")
async def test_a_family_at_once_spends_no_more_than_its_eldest_may(house: House) -> None:
    buyer = await house.buyer()
    await house.stock(12)
    parent, _ = await made_by(buyer, cap_month=0.55)
    family = [parent] + [(await made_by(parent, cap_month=0.55))[0] for _ in range(3)]
    answers = await asyncio.gather(*(who.order("telegram") for who in family for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [402] * 7


async def test_a_limited_key_may_lower_the_accounts_caps_and_not_lift_them(house: House) -> None:
    buyer = await house.buyer()
    capped, _ = await made_by(buyer, cap_day=1)
    ending, _ = await made_by(buyer, expires_at="2999-01-01T00:00:00Z")
    data(await buyer.ask("PATCH", "/account", json={"spend_cap_day": 5, "spend_cap_month": 50}))
    for who in (capped, ending):
        for change in ({"spend_cap_day": None}, {"spend_cap_day": 5.01}, {"spend_cap_month": 51, "spend_cap_day": 1}):
            problem(await who.ask("PATCH", "/account", json=change), 403, "forbidden")
    assert data(await capped.ask("PATCH", "/account", json={"spend_cap_day": 4}))["spend_cap_day"] == 4
    assert data(await ending.ask("PATCH", "/account", json={"retention_days": 2}))["spend_cap_month"] == 50
    assert data(await buyer.ask("PATCH", "/account", json={"spend_cap_day": None}))["spend_cap_day"] is None


# Ends


async def test_children_go_on_without_their_parent_unless_they_are_to_end_too(house: House) -> None:
    buyer = await house.buyer()
    parent, key = await made_by(buyer)
    child, child_key = await made_by(parent)
    grandchild, _ = await made_by(child)
    rotated = data(await parent.post(f"/keys/{child_key['key_id']}/rotate", {"overlap_hours": 1}))
    stranger, _ = await made_by(buyer)
    data(await buyer.ask("DELETE", f"/keys/{key['key_id']}"))
    assert (await grandchild.get("/account")).status_code == 200
    assert data(await buyer.ask("DELETE", f"/keys/{key['key_id']}", params={"children": "true"}))["revoked_at"]
    async with asyncio.timeout(60):  # 2 s are promised; what a process has just seen of a key is good for one
        for who in (parent, child, grandchild, buyer.with_key(rotated["key"])):
            while (await who.get("/account")).status_code == 200:
                await asyncio.sleep(0.05)
    assert (await stranger.get("/account")).status_code == 200
    acts = data(await buyer.get("/account/audit", action="key.revoked"))
    assert len(acts) == 4


async def test_what_a_rotated_key_had_made_ends_with_its_successor(house: House) -> None:
    buyer = await house.buyer()
    first, key = await made_by(buyer)
    _, child = await made_by(first)
    second = data(await buyer.post(f"/keys/{key['key_id']}/rotate", {"overlap_hours": 1}))
    data(await buyer.ask("DELETE", f"/keys/{second['key_id']}", params={"children": "true"}))
    assert data(await buyer.get(f"/keys/{child['key_id']}"))["revoked_at"] is not None
    assert data(await buyer.get(f"/keys/{key['key_id']}"))["revoked_at"] is None, "its overlap goes on"


# How many


async def test_an_account_has_so_many_keys_at_a_time_and_no_more(few: House) -> None:
    buyer = await few.buyer()
    answers = await asyncio.gather(*(buyer.post("/keys", {"name": "n", "scopes": ["numbers"]}) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [409] * 3
    [refused, *_] = [answer for answer in answers if answer.status_code == 409]
    assert problem(refused, 409, "too_many_keys")["limit"] == 6
    [made, *_] = [answer for answer in answers if answer.status_code == 200]
    data(await buyer.ask("DELETE", f"/keys/{data(made)['key_id']}"))
    await buyer.new_key()
    assert (await buyer.testing().post("/keys", {"name": "t", "scopes": ["numbers"]})).status_code == 200


async def test_an_account_makes_so_many_keys_a_day_by_whatever_way(few: House) -> None:
    buyer = await few.buyer()
    key = await buyer.new_key()
    for _ in range(7):
        key = data(await buyer.post(f"/keys/{key['key_id']}/rotate", {"overlap_hours": 0}))
    before = clock.now()
    for answer in (
        await buyer.post(f"/keys/{key['key_id']}/rotate", {"overlap_hours": 0}),
        await buyer.post("/keys", {"name": "n", "scopes": ["numbers"]}),
    ):
        refused = problem(answer, 409, "too_many_keys")
        assert refused["limit"] == 9
        assert refused["retry_at"] > clock.iso(before)
    assert (await buyer.ask("DELETE", f"/keys/{key['key_id']}")).status_code == 200
    await few.platform.database.execute("UPDATE api_key SET created_at = created_at - interval '1 day'")
    await buyer.new_key()


async def test_the_operator_may_make_more(few: House) -> None:
    buyer = await few.buyer()
    for _ in range(12):
        await issuing.create(
            few.platform.database, Actor("operator:test"), buyer.account_id, "live", name="op", scopes=["numbers"]
        )
    problem(await buyer.post("/keys", {"name": "n", "scopes": ["numbers"]}), 409, "too_many_keys")
