"""API keys: refused when mistyped, kept as hashes, limited in what they may do and from where."""

import asyncio
import ipaddress
import pathlib
import re
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.house import House, data, problem

from trunkline import ids
from trunkline.accounts.keys import Key, Keyring
from trunkline.errors import NotAuthenticated
from trunkline.storage.database import Database, DatabaseAway

PAGE = (pathlib.Path(__file__).parents[2] / "docs/keys.md").read_text("utf-8")


# What a key looks like


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


def test_a_scanner_made_from_the_documentation_finds_keys_and_knows_typing_errors() -> None:
    [code] = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    documented: dict[str, Any] = {}
    exec(code, documented)
    [plain] = re.findall(r"^```\n(tl_.*)\n```$", PAGE, re.MULTILINE)
    [gitleaks] = re.findall(r"^regex = '''(.*)'''$", PAGE, re.MULTILINE)
    github = [cell.replace("\\|", "|") for cell in re.findall(r"^\| \w+ \w+ \| `(.*)` \|$", PAGE, re.MULTILINE)]
    assert github[0] == plain
    around = rf"(?:{github[1]})({github[0]})(?:{github[2]})".replace(r"\z", r"\Z")
    for mode in ("live", "test"):
        for _ in range(50):
            key = ids.new_key(mode)
            text = f'TRUNKLINE_KEY="{key}"'
            for pattern in (plain, gitleaks):
                found = re.search(pattern, text)
                assert found is not None
                assert found[0] == key
            assert re.search(around, text)[1] == key  # type: ignore[index]
            assert documented["is_key"](key)
            typed = key[:20] + ("a" if key[20] != "a" else "b") + key[21:]
            assert re.fullmatch(plain, typed)
            assert not documented["is_key"](typed)


# Who is refused


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
    answer = await buyer.with_key(ids.new_key("test")).get("/account")
    problem(answer, 401, "invalid_key")
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert "ratelimit" not in answer.headers


@pytest.mark.asyncio
async def test_no_secret_stands_in_any_table(house: House) -> None:
    buyer = await house.buyer()
    await buyer.post("/numbers/purchase", {"country": "us", "service": "whatsapp"}, **{"Idempotency-Key": "an order"})
    made = await buyer.post("/keys", {"name": "ci", "scopes": ["numbers"]}, **{"Idempotency-Key": "a key"})
    key_id = data(made)["key_id"]
    rotated = await buyer.post(f"/keys/{key_id}/rotate", {}, **{"Idempotency-Key": "a rotation"})
    secrets = [buyer.account.live_key, buyer.account.test_key, data(made)["key"], data(rotated)["key"]]
    for secret in secrets:
        await buyer.with_key(secret).get("/numbers")
    database = house.platform.database
    tables = await database.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
    dump = ""
    for [table] in map(tuple, tables):
        for row in await database.fetch(f'SELECT "{table}"::text AS row FROM "{table}"'):
            dump += row["row"] + "\n"
    assert buyer.account.email in dump
    for secret in secrets:
        body = secret[len("tl_live_") :]
        assert body not in dump
        assert body.encode().hex() not in dump  # as bytea columns show it


# Creating


@pytest.mark.asyncio
async def test_the_secret_stands_in_the_answer_that_makes_the_key_and_never_again(house: House) -> None:
    buyer = await house.buyer()
    terms = {
        "cidrs": ["127.0.0.0/8", "2001:db8::1", "::ffff:10.1.0.0/112", "127.0.0.0/8"],
        "expires_at": "2999-01-01T02:00:00+02:00",
        "cap_day": 1.5,
        "cap_month": 20,
    }
    made = await buyer.new_key(["numbers", "account:read"], **terms)
    key = made.pop("key")
    assert ids.looks_like_key(key)
    assert key.startswith("tl_live_")
    assert made == {
        "key_id": made["key_id"],
        "name": "ci",
        "mode": "live",
        "scopes": ["numbers", "account:read"],
        "cidrs": ["127.0.0.0/8", "2001:db8::1/128", "10.1.0.0/16"],
        "expires_at": "2999-01-01T00:00:00Z",
        "last_used_at": None,
        "created_at": made["created_at"],
        "revoked_at": None,
        "rotated_from": None,
        "created_by": (await buyer.first_key())["key_id"],
        "cap_day": 1.5,
        "cap_month": 20,
    }
    assert data(await buyer.get(f"/keys/{made['key_id']}")) == made
    assert data(await buyer.get("/keys"))[0] == made
    new = buyer.with_key(key)
    assert (await new.get("/account")).status_code == 200
    assert problem(await new.get("/keys"), 403, "insufficient_scope")["scope"] == "admin"


MISTAKES: list[tuple[dict[str, Any], str, str]] = [
    ({"scopes": ["numbers", "nubmers"]}, "scopes", "there are: numbers, verify"),
    ({"scopes": ["numbers", "numbers"]}, "scopes", "twice"),
    ({"scopes": []}, "scopes", "at least one"),
    ({"cidrs": ["203.0.113.7/24"]}, "cidrs", "203.0.113.0/24 is probably meant"),
    ({"cidrs": ["2001:db8::1/32"]}, "cidrs", "2001:db8::/32 is probably meant"),
    ({"cidrs": ["203.0.113.0/33"]}, "cidrs", "not a network"),
    ({"cidrs": ["10.0.0.0/255.0.0.0"]}, "cidrs", "not a network"),
    ({"cidrs": ["fe80::%eth0/64"]}, "cidrs", "not a network"),
    ({"cidrs": ["office"]}, "cidrs", "not a network"),
    ({"cidrs": [""]}, "cidrs", "not a network"),
    ({"cidrs": [f"10.0.0.{last}" for last in range(101)]}, "cidrs", "at most 100"),
    ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at", "in the past"),
    ({"expires_at": "2999-01-01T00:00:00"}, "expires_at", "timezone"),
    ({"expires_at": "9999-12-31T23:00:00-12:00"}, "expires_at", "9999"),
    ({"expires_at": "tomorrow"}, "expires_at", "datetime"),
    ({"name": ""}, "name", "1 to 100"),
    ({"name": "   "}, "name", "1 to 100"),
    ({"name": "x" * 101}, "name", "1 to 100"),
    ({"name": "a\nb"}, "name", "control"),
    ({"name": "a\x85b"}, "name", "control"),
    ({"cap_day": -1}, "cap_day", "0 or more"),
    ({"cap_month": 0.0000001}, "cap_month", "6 decimals"),
    ({"mode": "test"}, "mode", "no field"),
]


@pytest.mark.asyncio
async def test_a_key_with_a_mistake_in_it_is_not_made(house: House) -> None:
    buyer = await house.buyer()
    for wrong, field, saying in MISTAKES:
        body = {"name": "ci", "scopes": ["numbers"], **wrong}
        refused = problem(await buyer.post("/keys", body), 422, "invalid_request")
        assert refused["field"] == field, wrong
        assert saying in refused["detail"], wrong
    assert len(data(await buyer.get("/keys", ended=True))) == 1


@pytest.mark.asyncio
async def test_a_key_gives_no_more_than_it_has_itself(house: House) -> None:
    buyer = await house.buyer()
    strong = await buyer.new_key(["numbers", "admin"])
    weak = buyer.with_key((await buyer.new_key(["admin"], cap_day=5))["key"])
    asked = {"name": "more", "scopes": ["admin", "numbers"], "cap_day": 5}
    assert problem(await weak.post("/keys", asked), 403, "insufficient_scope")["scope"] == "numbers"
    problem(await weak.post(f"/keys/{strong['key_id']}/rotate", {}), 403, "insufficient_scope")
    for cap in ({}, {"cap_day": 5.000001}):
        refused = await weak.post("/keys", {"name": "more", "scopes": ["admin"], **cap})
        assert problem(refused, 403, "forbidden")["field"] == "cap_day"
    uncapped = await buyer.new_key(["admin"])
    problem(await weak.post(f"/keys/{uncapped['key_id']}/rotate", {}), 403, "forbidden")
    assert (await weak.new_key(["admin"], cap_day=5, cap_month=1))["cap_month"] == 1


@pytest.mark.asyncio
async def test_a_test_key_manages_test_keys_and_a_live_one_live_keys(house: House) -> None:
    buyer = await house.buyer()
    stranger = await house.buyer()
    live, test = await buyer.new_key(), await buyer.testing().new_key()
    assert (live["mode"], test["mode"]) == ("live", "test")
    assert test["key"].startswith("tl_test_")
    for caller, key in (
        (buyer, test),
        (buyer.testing(), live),
        (stranger, live),
        (stranger.testing(), test),
        (buyer, {"key_id": "999999999"}),
        (buyer, {"key_id": "x"}),
        (buyer, {"key_id": "9" * 19}),
    ):
        path = f"/keys/{key['key_id']}"
        problem(await caller.get(path), 404, "not_found")
        problem(await caller.post(f"{path}/rotate", {}), 404, "not_found")
        problem(await caller.ask("DELETE", path), 404, "not_found")
        assert key["key_id"] not in [each["key_id"] for each in data(await caller.get("/keys", ended=True))]
    for key in (live, test):
        assert (await buyer.with_key(key["key"]).get("/account")).status_code == 200


@pytest.mark.asyncio
async def test_a_lost_answer_is_given_again_to_the_key_that_asked_and_to_no_other(house: House) -> None:
    buyer = await house.buyer()
    body, header = {"name": "ci", "scopes": ["numbers"]}, {"Idempotency-Key": "once"}
    answers = await asyncio.gather(*(buyer.post("/keys", body, **header) for _ in range(6)))
    first = next(answer for answer in answers if answer.status_code == 200)
    for answer in answers:
        if answer.status_code != 200:
            problem(answer, 409, "idempotency_in_flight")
    again = await buyer.post("/keys", body, **header)
    assert again.headers["idempotent-replayed"] == "true"
    assert again.content == first.content
    other = buyer.with_key((await buyer.new_key())["key"])
    problem(await other.post("/keys", body, **header), 422, "idempotency_key_reused")
    problem(await buyer.post("/keys", body | {"name": "x"}, **header), 422, "idempotency_key_reused")
    assert [key["name"] for key in data(await buyer.get("/keys"))] == ["ci", "ci", "first live key"]


@pytest.mark.asyncio
async def test_the_list_is_paged_and_shows_ended_keys_when_asked(house: House) -> None:
    buyer = await house.buyer()
    made = [(await buyer.new_key())["key_id"] for _ in range(4)]
    await buyer.ask("DELETE", f"/keys/{made[1]}")
    await house.platform.database.execute(
        "UPDATE api_key SET expires_at = now() - interval '1 s' WHERE key_id = $1", int(made[2])
    )
    seen, cursor = [], None
    while True:
        page = (await buyer.get("/keys", limit=2, **({"cursor": cursor} if cursor else {}))).json()
        seen += [key["key_id"] for key in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    first = (await buyer.first_key())["key_id"]
    assert seen == [made[3], made[0], first]
    assert [key["key_id"] for key in data(await buyer.get("/keys", ended=True))] == [*made[::-1], first]


# Where it may be used from


@pytest.mark.asyncio
async def test_a_key_with_a_list_of_addresses_is_refused_from_elsewhere_and_told_from_where(house: House) -> None:
    buyer = await house.buyer()
    here = await buyer.new_key(cidrs=["192.0.2.0/24", "127.0.0.0/8"])
    elsewhere = await buyer.new_key(cidrs=["192.0.2.0/24", "2001:db8::/32"])
    assert (await buyer.with_key(here["key"]).get("/account")).status_code == 200
    refused = problem(await buyer.with_key(elsewhere["key"]).get("/account"), 403, "ip_not_allowed")
    assert "127.0.0.1" in refused["detail"]


def allowing(*networks: str) -> Key:
    found = tuple(ipaddress.ip_network(network) for network in networks)
    return Key(key_id=1, account_id=1, test=False, scopes=frozenset(), per_minute=1, networks=found)


@given(st.ip_addresses(), st.integers(0, 128), st.ip_addresses())
def test_an_address_is_allowed_exactly_in_the_networks_of_the_key(
    base: ipaddress.IPv4Address | ipaddress.IPv6Address,
    length: int,
    caller: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    network = ipaddress.ip_network(f"{base}/{min(length, base.max_prefixlen)}", strict=False)
    key = allowing(str(network))
    mapped = getattr(caller, "ipv4_mapped", None)
    assert key.allows(str(caller)) == ((mapped or caller) in network)
    assert key.allows(str(network.network_address)) == (getattr(network.network_address, "ipv4_mapped", None) is None)
    assert allowing().allows(str(caller))


def test_an_ipv4_address_counts_as_itself_also_where_it_comes_as_ipv6() -> None:
    key = allowing("203.0.113.0/24")
    assert key.allows("::ffff:203.0.113.7")
    assert not key.allows("::ffff:203.0.114.7")
    assert not key.allows("::203.0.113.7")
    assert not key.allows("")  # a connection without an address
    assert allowing("fe80::/10").allows("fe80::1%eth0")
