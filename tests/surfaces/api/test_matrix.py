"""Nothing crosses over: rules that hold for every line of the route table, tried on all of them.

A new line is tried as soon as it is in the table. What it takes to call it stands in OBJECTS and BODIES; a test says
which entry is missing.
"""

import asyncio
import dataclasses
import itertools
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, get_args

import httpx
import pytest
import pytest_asyncio
from tests.house import Buyer, House, data, opened, problem
from tests.outside import nameserver

from trunkline.accounts import issuing
from trunkline.accounts.keys import ALL_SCOPES, Mode
from trunkline.audit.acts import Actor
from trunkline.catalog import services
from trunkline.ledger import deposits
from trunkline.surfaces.http.route import Route

pytestmark = pytest.mark.asyncio

PARAMETER = re.compile(r"{(\w+)}")

# Different services with a domain, each for one proof of control.
_services = (row["slug"] for row in services.starter_set() if row["domain"] and row["slug"] != "whatsapp")


_lines = itertools.count(100)


@dataclasses.dataclass(frozen=True, slots=True)
class Object:
    """A thing of a customer's own that paths name: how it is made, and a name of its kind that nobody's thing has."""

    make: Callable[[House, Buyer], Awaitable[str]]
    nobodys: str
    live_only: bool = False


async def make_lease(house: House, buyer: Buyer) -> str:
    lease: dict[str, str] = await buyer.lease("whatsapp", "us", labels={"run_id": "a run"})
    return lease["activation_id"]


async def make_key(house: House, buyer: Buyer) -> str:
    made: dict[str, str] = data(await buyer.post("/keys", {"name": "another key", "scopes": ["numbers"]}))
    return made["key_id"]


async def make_control(house: House, buyer: Buyer) -> str:
    slug = next(_services)
    assert data(await buyer.post(f"/services/{slug}/control", {"method": "dns"}))["service"] == slug
    return slug


async def make_deposit(house: House, buyer: Buyer) -> str:
    async with house.platform.database.transaction() as connection:
        row = await deposits.begin(connection, Actor("operator:test"), buyer.account_id, 5_000_000, None)
    return str(row["deposit_id"])


async def make_webhook(house: House, buyer: Buyer) -> str:
    hook = {"url": "https://93.184.216.34/hooks", "events": ["*"]}
    made: dict[str, str] = data(await buyer.post("/webhooks", hook))
    return made["webhook_id"]


async def make_verification(house: House, buyer: Buyer) -> str:
    made: dict[str, str] = data(await buyer.post("/verifications", {"phone_number": f"+1202555{next(_lines):04d}"}))
    await house.platform.database.execute("UPDATE verification SET resend_at = now()")
    return made["verification_id"]


async def make_profile(house: House, buyer: Buyer) -> str:
    made: dict[str, str] = data(await buyer.post("/verify/profiles", {"slug": f"app-{next(_lines)}"}))
    return made["slug"]


# For each {name} in a path: the customer's own thing that it names.
OBJECTS = {
    "activation_id": Object(make_lease, "99999999"),
    "key_id": Object(make_key, "99999999"),
    "slug": Object(make_control, "whatsapp", live_only=True),
    "deposit_id": Object(make_deposit, "99999999", live_only=True),
    "webhook_id": Object(make_webhook, "99999999"),
    "verification_id": Object(make_verification, "ver_99999999"),
    "profile": Object(make_profile, "nobodys"),
}

# For each route that takes a body: two bodies that differ and are both good.
BODIES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "POST /numbers/purchase": ({"country": "us", "service": "whatsapp"}, {"country": "us", "service": "telegram"}),
    "POST /numbers/purchase/batch": (
        {"items": [{"country": "us", "service": "whatsapp"}]},
        {"items": [{"country": "us", "service": "telegram"}]},
    ),
    "POST /numbers/status": ({"activation_ids": ["1"]}, {"activation_ids": ["2"]}),
    "POST /numbers/finish/{activation_id}": ({"status": "cancelled"}, {"status": "completed"}),
    "POST /services/{slug}/control": ({"method": "dns"}, {"method": "file"}),
    "POST /keys": ({"name": "ci", "scopes": ["numbers"]}, {"name": "ci", "scopes": ["account:read"]}),
    "POST /keys/{key_id}/rotate": ({"overlap_hours": 0}, {"overlap_hours": 1}),
    "POST /webhooks": (
        {"url": "https://93.184.216.34/", "events": ["*"]},
        {"url": "https://93.184.216.34/", "events": ["key.*"]},
    ),
    "POST /verifications": ({"phone_number": "+12025550142"}, {"phone_number": "+12025550143"}),
    "POST /verifications/check": (
        {"phone_number": "+12025550142", "code": "482913"},
        {"phone_number": "+12025550142", "code": "482914"},
    ),
    "POST /verifications/{verification_id}/check": ({"code": "482913"}, {"code": "482914"}),
    "POST /verify/profiles": ({"slug": "shop"}, {"slug": "bank"}),
    "PATCH /verify/profiles/{profile}": ({"brand": "ACME"}, {"brand": "Emca"}),
    "POST /verify/lint": ({"text": "{code} is your code."}, {"text": "Your code is {code}."}),
    "PATCH /webhooks/{webhook_id}": ({"description": "one"}, {"description": "another"}),
    "POST /webhooks/{webhook_id}/rotate-secret": ({"overlap_hours": 0}, {"overlap_hours": 1}),
    "POST /webhooks/{webhook_id}/test": ({"type": "webhook.test"}, {"type": "sms.received"}),
    "POST /webhooks/{webhook_id}/replay": ({"since": "2026-01-01T00:00:00Z"}, {"since": "2026-02-01T00:00:00Z"}),
}

# Routes whose path names what is everybody's; they make the customer's own.
MAKERS = {"POST /services/{slug}/control"}


@pytest_asyncio.fixture
async def house(url: str) -> AsyncIterator[House]:
    async with nameserver({}) as names, opened(url, TRUNKLINE_CONTROL__NAMESERVERS=names) as house:
        yield house
        await house.books_balance()


def name(route: Route) -> str:
    return f"{route.method} {route.path}"


def parameter(route: Route) -> str | None:
    found = PARAMETER.findall(route.path)
    assert len(found) <= 1, f"{name(route)}: a path names one thing"
    assert not found or found[0] in OBJECTS, f"{name(route)}: OBJECTS does not say how to make {{{found[0]}}}"
    return found[0] if found else None


def live_only(route: Route) -> bool:
    named = parameter(route)
    return named is not None and OBJECTS[named].live_only


def filled(route: Route, value: str) -> str:
    return PARAMETER.sub(value, route.path)


async def thing_for(route: Route, house: House, buyer: Buyer) -> str:
    """A new thing of the customer's that the route's path can name."""
    named = parameter(route)
    return await OBJECTS[named].make(house, buyer) if named else "1"


def body(route: Route, which: int = 0) -> dict[str, Any] | None:
    if route.body is None:
        return None
    assert name(route) in BODIES, f"{name(route)}: BODIES does not say what to send"
    return BODIES[name(route)][which]


async def send(
    buyer: Buyer, route: Route, value: str = "1", which: int = 0, *, idempotency_key: str | None = None
) -> httpx.Response:
    sent = body(route, which)
    headers = {"Idempotency-Key": idempotency_key} if idempotency_key is not None else {}
    more: dict[str, Any] = {} if sent is None else {"json": sent}
    return await buyer.ask(route.method, filled(route, value), headers=headers, **more)


async def key(house: House, buyer: Buyer, *, mode: Mode = "live", scopes: list[str] = ALL_SCOPES) -> str:
    """A key of a customer's with some scopes alone."""
    made = await issuing.create(
        house.platform.database, Actor("operator:test"), buyer.account_id, mode, name="a key", scopes=scopes
    )
    return made.key


async def contents(house: House) -> dict[str, str]:
    """What every table with something of a customer's holds; but for when a key was last used."""
    database = house.platform.database
    tables = await database.fetch(
        "SELECT DISTINCT table_name FROM information_schema.columns"
        " WHERE table_schema = 'public' AND column_name IN ('account_id', 'activation_id') ORDER BY 1"
    )
    return {
        row["table_name"]: await database.fetchval(
            f"SELECT coalesce(jsonb_agg(to_jsonb(each) - 'last_used_at'), '[]')::text FROM {row['table_name']} AS each"
        )
        for row in tables
    }


# Somebody else's things, and those of the other mode


async def test_what_is_not_yours_answers_exactly_as_what_does_not_exist(house: House) -> None:
    owner, stranger = await house.buyer("100"), await house.buyer("100")
    routes = [(route, named) for route in house.routes if name(route) not in MAKERS and (named := parameter(route))]
    assert len(routes) >= 9
    for route, named in routes:
        thing = OBJECTS[named]
        live = await thing.make(house, owner)
        test = None if thing.live_only else await thing.make(house, owner.testing())
        before = await contents(house)
        for who, theirs in (
            (stranger, live), (stranger.testing(), live), (owner.testing(), live),
            (stranger, test), (stranger.testing(), test), (owner, test),
        ):  # fmt: skip
            if theirs is None:
                continue
            answer, nothing = await send(who, route, theirs), await send(who, route, thing.nobodys)
            if not (thing.live_only and answer.json().get("code") in ("forbidden", "deposits_off")):  # for any test key
                assert answer.status_code == 404, f"{name(route)}: {answer.text}"
            shown, expected = (
                each.text.replace(each.json()["request_id"], "").replace(value, "ID")
                for each, value in ((answer, theirs), (nothing, thing.nobodys))
            )
            assert shown == expected, name(route)
            assert set(answer.headers) == set(nothing.headers), name(route)
        assert await contents(house) == before, f"{name(route)}: a call that found nothing has changed something"
        for who, own in ((owner, live), (owner.testing(), test)):
            if own is not None and not route.streams_events:
                assert (await send(who, route, own)).status_code != 404, name(route)
            elif own is not None:  # it would not end
                assert (await who.ask("HEAD", filled(route, own))).status_code == 200, name(route)


async def test_no_list_shows_what_is_anybody_elses_or_of_the_other_mode(house: House) -> None:
    owner, stranger = await house.buyer("100"), await house.buyer("100")
    for thing in OBJECTS.values():
        for buyer in (owner, stranger):
            await thing.make(house, buyer)
            if not thing.live_only:
                await thing.make(house, buyer.testing())
    lists = [route for route in house.routes if route.is_list and route.scope and parameter(route) is None]
    assert len(lists) >= 2
    for route in lists:
        seen = []
        for buyer in (owner, owner.testing(), stranger, stranger.testing()):
            answer = await send(buyer, route)
            seen.append({json.dumps(row, sort_keys=True) for row in data(answer)})
        assert seen[0], f"{name(route)}: there is nothing to see; OBJECTS should make something"
        assert sum(map(len, seen)) == len(set().union(*seen)), f"{name(route)}: a row is seen by two"


# Who may call


async def test_a_key_without_the_scope_is_refused_whatever_the_path_and_body(house: House) -> None:
    buyer = await house.buyer()
    for mode in get_args(Mode):
        for scope in {route.scope for route in house.routes if route.scope}:
            assert scope in ALL_SCOPES
            lacking = [other for other in ALL_SCOPES if other != scope]
            caller = buyer.with_key(await key(house, buyer, mode=mode, scopes=lacking))
            for route in house.routes:
                if route.scope == scope:
                    answer = await caller.ask(route.method, filled(route, "1"))
                    assert answer.status_code == 403, f"{name(route)}: {answer.text}"
                    assert problem(answer, 403, "insufficient_scope")["scope"] == scope


async def test_nobody_gets_in_without_a_key_or_with_one_that_has_ended(house: House) -> None:
    buyer = await house.buyer()
    nobody = buyer.with_key("")
    revoked = buyer.with_key(await key(house, buyer))
    assert (await revoked.get("/account")).status_code == 200
    await house.platform.database.execute(
        "UPDATE api_key SET revoked_at = now() WHERE account_id = $1 AND name = 'a key'", buyer.account_id
    )
    async with asyncio.timeout(30):
        while (await revoked.get("/account")).status_code == 200:
            await asyncio.sleep(0.05)
    for route in house.routes:
        for caller in (nobody, revoked):
            answer = await caller.ask(route.method, filled(route, "1"))
            if route.scope is None:
                assert answer.status_code != 401, name(route)
            else:
                problem(answer, 401, "invalid_key")
                assert answer.headers["www-authenticate"].startswith("Bearer"), name(route)
                assert "ratelimit" not in answer.headers, name(route)


# Idempotency-Key


def idempotent(house: House) -> list[Route]:
    """The routes that take it, but for those that ask somebody outside: their own tests have a peer to ask."""
    found = [route for route in house.routes if route.idempotent and not route.asks_outside]
    assert len(found) >= 5
    return found


async def test_said_again_with_its_idempotency_key_a_call_gets_its_first_answer(house: House) -> None:
    for route in idempotent(house):
        buyer = await house.buyer("100")
        own = await thing_for(route, house, buyer)
        first = await send(buyer, route, own, idempotency_key="said once")
        assert first.status_code == 200, f"{name(route)}: {first.text}"
        assert "idempotent-replayed" not in first.headers, name(route)
        before = await contents(house)
        again = await send(buyer, route, own, idempotency_key="said once")
        assert (again.headers.get("idempotent-replayed"), again.json()) == ("true", first.json()), name(route)
        if route.body is not None:
            other = await send(buyer, route, own, which=1, idempotency_key="said once")
            problem(other, 422, "idempotency_key_reused")
        assert await contents(house) == before, name(route)


async def test_ten_calls_at_once_with_one_idempotency_key_have_one_effect(house: House) -> None:
    for route in idempotent(house):
        buyer = await house.buyer("100")
        own = await thing_for(route, house, buyer)
        answers = await asyncio.gather(*(send(buyer, route, own, idempotency_key="said at once") for _ in range(10)))
        done = [answer for answer in answers if answer.status_code == 200]
        for answer in answers:
            if answer not in done:
                problem(answer, 409, "idempotency_in_flight")
        firsts = [answer for answer in done if "idempotent-replayed" not in answer.headers]
        assert len(firsts) == 1, name(route)
        assert all(answer.json() == firsts[0].json() for answer in done), name(route)


async def test_an_idempotency_key_of_256_characters_is_refused_by_name(house: House) -> None:
    buyer = await house.buyer()
    for route in idempotent(house):
        before = await contents(house)
        answer = await send(buyer, route, idempotency_key="k" * 256)
        assert answer.status_code == 422, f"{name(route)}: {answer.text}"
        assert problem(answer, 422, "invalid_request")["field"] == "Idempotency-Key"
        assert await contents(house) == before, name(route)


async def test_a_refusal_is_not_kept_for_an_idempotency_key(house: House) -> None:
    for route in (route for route in idempotent(house) if route.body is not None):
        buyer = await house.buyer("100")
        own = await thing_for(route, house, buyer)
        said = "mistyped at first"
        wrong = await buyer.ask(
            route.method, filled(route, own), json={"no such field": 1}, headers={"Idempotency-Key": said}
        )
        assert problem(wrong, 422, "invalid_request")["field"], name(route)
        right = await send(buyer, route, own, idempotency_key=said)
        assert (right.status_code, right.headers.get("idempotent-replayed")) == (200, None), (
            f"{name(route)}: {right.text}"
        )


async def test_another_account_and_the_other_mode_have_idempotency_keys_of_their_own(house: House) -> None:
    for route in idempotent(house):
        owner, stranger = await house.buyer("100"), await house.buyer("100")
        answers = []
        for buyer in (owner, stranger, owner.testing(), stranger.testing()):
            if live_only(route) and buyer not in (owner, stranger):
                continue
            own = await thing_for(route, house, buyer)
            answers.append(await send(buyer, route, own, idempotency_key="the same for all"))
        assert not any("idempotent-replayed" in answer.headers for answer in answers), name(route)
