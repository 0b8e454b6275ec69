"""Profiles: an app's settings, by slug."""

from typing import Any

import pytest
from tests.house import House, data, problem
from tests.verify.codes import NUMBER, check, code_of, started

from trunkline.audit.acts import Actor
from trunkline.verify import profiles
from trunkline.verify.profiles import Whose

pytestmark = pytest.mark.asyncio


async def test_the_default_one_is_there_without_having_been_made(house: House) -> None:
    buyer = await house.buyer()
    shown = data(await buyer.get("/verify/profiles/default"))
    assert (shown["slug"], shown["code_length"], shown["ttl"], shown["created_at"]) == ("default", 6, 300, None)
    assert data(await buyer.get("/verify/profiles")) == []
    problem(await buyer.get("/verify/profiles/shop"), 404, "unknown_profile")
    problem(await buyer.post("/verifications", {"phone_number": NUMBER, "profile": "shop"}), 404, "unknown_profile")


async def test_a_verification_is_as_its_profile_says_and_its_start_may_say_otherwise(house: House) -> None:
    buyer = await house.buyer()
    body = {
        "slug": "shop",
        "brand": "ACME",
        "code_length": 8,
        "ttl": 120,
        "checks": 2,
        "template": "short",
        "locale": "de",
    }
    data(await buyer.post("/verify/profiles", body))
    verification = await started(buyer, profile="shop")
    assert len(await code_of(house, verification)) == 8
    assert (verification["checks_left"], verification["template"], verification["locale"]) == (2, "short", "de")
    other = await started(buyer, profile="shop", code_length=4, locale="fr", template="warning")
    assert (len(await code_of(house, other)), other["locale"], other["template"]) == (4, "fr", "warning")


async def test_what_is_not_named_stays_and_deleting_the_default_one_resets_it(house: House) -> None:
    buyer = await house.buyer()
    data(
        await buyer.ask("PATCH", "/verify/profiles/default", json={"brand": "ACME", "senders": {"us": "+12025550100"}})
    )
    changed = data(await buyer.ask("PATCH", "/verify/profiles/default", json={"ttl": 90}))
    assert (changed["brand"], changed["ttl"], changed["senders"]) == ("ACME", 90, {"us": "+12025550100"})
    assert data(await buyer.ask("DELETE", "/verify/profiles/default"))["brand"] == "ACME"
    assert data(await buyer.get("/verify/profiles/default"))["brand"] == ""
    data(await buyer.post("/verify/profiles", {"slug": "shop"}))
    data(await buyer.ask("DELETE", "/verify/profiles/shop"))
    problem(await buyer.ask("DELETE", "/verify/profiles/shop"), 404, "unknown_profile")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"slug": "Shop"}, "slug"),
        ({"slug": ""}, "slug"),
        ({"slug": "shop", "code_length": 3}, "code_length"),
        ({"slug": "shop", "ttl": 601}, "ttl"),
        ({"slug": "shop", "brand": "acme.com"}, "brand"),
        ({"slug": "shop", "text": "no code"}, "text"),
        ({"slug": "shop", "countries": ["uk"]}, "countries"),
        ({"slug": "shop", "senders": {"us": "a sender that is long"}}, "senders"),
        ({"slug": "shop", "test_numbers": {"0171": "123456"}}, "test_numbers"),
        ({"slug": "shop", "test_numbers": {NUMBER: "12"}}, "test_numbers"),
        ({"slug": "shop", "template": "sort"}, "template"),
        ({"slug": "shop", "brnd": "ACME"}, "brnd"),
    ],
)
async def test_a_setting_that_cannot_be_is_refused_by_name(house: House, body: dict[str, Any], field: str) -> None:
    buyer = await house.buyer()
    answer = await buyer.post("/verify/profiles", body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["field"] == field
    assert data(await buyer.get("/verify/profiles")) == []


async def test_a_slug_is_taken_once_in_each_mode(house: House) -> None:
    buyer = await house.buyer()
    for who in (buyer, buyer.testing()):
        data(await who.post("/verify/profiles", {"slug": "shop"}))
        problem(await who.post("/verify/profiles", {"slug": "shop"}), 409, "profile_exists")


async def test_own_words_with_a_link_are_used_once_the_operator_has_approved_them(house: House) -> None:
    buyer = await house.buyer()
    text = "{brand}: {code}. Not you? acme.example/stop"
    made = data(await buyer.post("/verify/profiles", {"slug": "shop", "brand": "ACME", "text": text}))
    assert made["text_approved"] is False

    async def sent() -> str:
        lease = await buyer.lease("any", "us")
        await started(buyer, lease["phone_number"], profile="shop")
        await house.codes_go_out()
        found: str = (await buyer.status(lease))["sms"]["full_text"]
        return found

    assert "acme.example" not in await sent()
    async with house.platform.database.transaction() as connection:
        await profiles.approve_text(connection, Actor("operator:test"), Whose(buyer.account_id, False), "shop")
    assert "acme.example/stop" in await sent()
    changed = data(await buyer.ask("PATCH", "/verify/profiles/shop", json={"text": text.replace("stop", "go")}))
    assert changed["text_approved"] is False, "the words are others now"


async def test_codes_of_letters_may_be_typed_small(house: House) -> None:
    buyer = await house.buyer()
    data(await buyer.post("/verify/profiles", {"slug": "shop", "alphabet": "letters", "text": "Code is {code}"}))
    verification = await started(buyer, profile="shop")
    sealed = await house.platform.database.fetchval("SELECT sealed FROM verification")
    number = int(verification["verification_id"].removeprefix("ver_"))
    text = house.platform.verify.seals.unseal(number, sealed)
    assert text is not None
    assert data(await check(buyer, verification, text.split()[-1].lower()))["status"] == "approved"


async def test_lint_is_for_whoever_has_a_key(house: House) -> None:
    buyer = await house.buyer()
    report = data(await buyer.post("/verify/lint", {"text": "{brand}: {code} – ok"}))
    assert (report["encoding"], report["findings"][0]["instead"]) == ("UCS-2", "-")
    assert data(await buyer.post("/verify/lint", {"text": "{code} {nam}"}))["ok"] is False
    problem(await buyer.post("/verify/lint", {"text": "x" * 2001}), 422, "invalid_request")
