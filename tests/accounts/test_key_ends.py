"""How API keys end: rotated, revoked, expired; and what is known of their use."""

import asyncio
import contextlib
import datetime
from typing import Any

import httpx
import pytest
from tests.conftest import Serve, Trunkline
from tests.house import House, data, problem

from trunkline import clock
from trunkline.accounts import keys
from trunkline.accounts.keys import Keyring
from trunkline.storage.database import Database

HOUR = datetime.timedelta(hours=1)
SECOND = datetime.timedelta(seconds=1)
TAKES_EFFECT_SECONDS = 2.0
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


# Rotation


@pytest.mark.asyncio
async def test_a_rotated_key_goes_on_for_the_overlap_beside_its_successor(house: House) -> None:
    buyer = await house.buyer()
    terms = {"cidrs": ["127.0.0.0/8"], "expires_at": "2999-01-01T00:00:00Z", "cap_day": 2, "cap_month": 9}
    old = await buyer.new_key(["numbers", "account:read"], **terms)
    before = clock.now()
    new = data(await buyer.post(f"/keys/{old['key_id']}/rotate", {"overlap_hours": 2}))
    kept = ("name", "mode", "scopes", "cidrs", "expires_at", "cap_day", "cap_month")
    assert {name: new[name] for name in kept} == {name: old[name] for name in kept}
    assert new["rotated_from"] == old["key_id"]
    assert new["key"] != old["key"]
    ends = datetime.datetime.fromisoformat(data(await buyer.get(f"/keys/{old['key_id']}"))["expires_at"])
    assert before - SECOND <= ends - 2 * HOUR <= clock.now(), "cut to the second"
    for secret in (old["key"], new["key"]):
        assert (await buyer.with_key(secret).get("/account")).status_code == 200
    problem(await buyer.post(f"/keys/{old['key_id']}/rotate", {"overlap_hours": 2}), 409, "key_ended")
    assert (await buyer.post(f"/keys/{new['key_id']}/rotate", {})).status_code == 200


@pytest.mark.asyncio
async def test_an_overlap_never_lets_a_key_outlive_its_own_expiry(house: House) -> None:
    buyer = await house.buyer()
    expiry = clock.iso(clock.now() + HOUR)
    old = await buyer.new_key(expires_at=expiry)
    new = data(await buyer.post(f"/keys/{old['key_id']}/rotate", {"overlap_hours": 72}))
    assert new["expires_at"] == data(await buyer.get(f"/keys/{old['key_id']}"))["expires_at"] == expiry


@pytest.mark.asyncio
async def test_without_an_overlap_the_old_key_is_revoked_at_once(house: House) -> None:
    buyer = await house.buyer()
    old = await buyer.new_key()
    data(await buyer.post(f"/keys/{old['key_id']}/rotate", {"overlap_hours": 0}))
    assert data(await buyer.get(f"/keys/{old['key_id']}"))["revoked_at"] is not None
    problem(await buyer.with_key(old["key"]).get("/account"), 401, "invalid_key")


@pytest.mark.asyncio
async def test_an_overlap_is_0_to_72_whole_hours(house: House) -> None:
    buyer = await house.buyer()
    key = await buyer.first_key()
    for hours in (-1, 73, 1.5, "1", None, True):
        refused = await buyer.post(f"/keys/{key['key_id']}/rotate", {"overlap_hours": hours})
        assert problem(refused, 422, "invalid_request")["field"] == "overlap_hours"
    assert len(data(await buyer.get("/keys"))) == 1


@pytest.mark.asyncio
async def test_a_key_that_has_ended_is_not_rotated(house: House) -> None:
    buyer = await house.buyer()
    revoked, expired = await buyer.new_key(), await buyer.new_key()
    await buyer.ask("DELETE", f"/keys/{revoked['key_id']}")
    await house.platform.database.execute(
        "UPDATE api_key SET expires_at = now() - interval '1 s' WHERE key_id = $1", int(expired["key_id"])
    )
    for key in (revoked, expired):
        problem(await buyer.post(f"/keys/{key['key_id']}/rotate", {}), 409, "key_ended")


@pytest.mark.asyncio
@pytest.mark.parametrize("hours", [0, 1])
async def test_of_rotations_at_the_same_time_exactly_one_wins(house: House, database: Database, hours: int) -> None:
    buyer = await house.buyer()
    key = await buyer.new_key()
    path = f"/keys/{key['key_id']}/rotate"
    async with database.transaction() as holder:  # all of them are past their checks before the first may go on
        await holder.execute("SELECT FROM api_key WHERE key_id = $1 FOR UPDATE", int(key["key_id"]))
        # As many as an account has at work at once.
        rotations = [asyncio.create_task(buyer.post(path, {"overlap_hours": hours})) for _ in range(4)]
        async with asyncio.timeout(60):
            while await database.fetchval(WAITING) < len(rotations):
                await asyncio.sleep(0.01)
    answers = await asyncio.gather(*rotations)
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 3
    [made] = [each for each in data(await buyer.get("/keys", ended=True)) if each["rotated_from"] == key["key_id"]]
    [won] = [answer.json()["data"] for answer in answers if answer.status_code == 200]
    assert made["key_id"] == won["key_id"]


# Revocation


@pytest.mark.asyncio
async def test_revoking_twice_is_harmless_and_the_last_admin_key_may_go(house: House) -> None:
    buyer = await house.buyer()
    own = await buyer.first_key()
    other = await buyer.new_key()
    answers = await asyncio.gather(*(buyer.ask("DELETE", f"/keys/{other['key_id']}") for _ in range(4)))
    assert len({answer.content for answer in answers}) == 1
    assert data(answers[0])["revoked_at"] is not None
    gone = data(await buyer.ask("DELETE", f"/keys/{own['key_id']}"))
    assert gone["revoked_at"] is not None


@pytest.mark.asyncio
async def test_each_act_on_a_key_is_in_the_audit_and_the_outbox_once(house: House) -> None:
    buyer = await house.buyer()
    own = await buyer.testing().first_key()
    key = await buyer.testing().new_key(["numbers"], cidrs=["10.0.0.0/8"], cap_day=3)
    new = data(await buyer.testing().post(f"/keys/{key['key_id']}/rotate", {"overlap_hours": 1}))
    for _ in range(2):
        await buyer.testing().ask("DELETE", f"/keys/{new['key_id']}")
    problem(await buyer.testing().post(f"/keys/{new['key_id']}/rotate", {}), 409, "key_ended")
    database = house.platform.database
    acts = await database.fetch(
        "SELECT actor, account_id, test, action, target, data::text, address FROM audit_entry"
        " WHERE action LIKE 'key.%' AND test AND actor LIKE 'key:%' ORDER BY entry_id"
    )
    who = (f"key:{own['key_id']}", buyer.account_id, True)
    assert [(act["actor"], act["account_id"], act["test"]) for act in acts] == [who] * 3
    assert [(act["action"], act["target"]) for act in acts] == [
        ("key.created", f"key:{key['key_id']}"),
        ("key.rotated", f"key:{key['key_id']}"),
        ("key.revoked", f"key:{new['key_id']}"),
    ]
    assert '"cidrs": ["10.0.0.0/8"]' in acts[0]["data"]
    assert new["key_id"] in acts[1]["data"]
    assert all(act["address"] == "127.0.0.1" for act in acts)
    events = await database.fetch(
        "SELECT type, data ->> 'key_id' AS key_id FROM event WHERE account_id = $1 AND test ORDER BY event_id",
        buyer.account_id,
    )
    assert [tuple(event) for event in events] == [
        ("key.created", own["key_id"]),
        ("key.created", key["key_id"]),
        ("key.rotated", new["key_id"]),
        ("key.revoked", new["key_id"]),
    ]


async def _until_refused(client: httpx.AsyncClient, bases: list[str], secret: str, end: datetime.datetime) -> None:
    """Every server refuses a key from ``end`` on, and lets nothing through that was sent too long after it."""
    for base in bases:
        sent = clock.now()
        while (await client.get(f"{base}/account", headers=bearer(secret))).status_code != 401:
            assert (sent - end).total_seconds() < TAKES_EFFECT_SECONDS
            sent = clock.now()
        assert clock.now() >= end, "it is good until then"


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


@pytest.mark.asyncio
async def test_an_end_takes_effect_in_every_process_within_2_seconds_and_the_last_use_is_kept(
    serve: Serve, trunkline: Trunkline, database: Database
) -> None:
    customer = trunkline.customer(per_minute=1_000_000)
    here, there = serve("--role", "api"), serve("--role", "api")
    admin = bearer(customer.live_key)
    began = clock.now()
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:

        async def make(**more: Any) -> Any:
            body = {"name": "ci", "scopes": ["account:read"], **more}
            made = data(await client.post(f"{here.api}/keys", json=body, headers=admin))
            for server in (here, there):  # both know it
                assert (await client.get(f"{server.api}/account", headers=bearer(made["key"]))).status_code == 200
            return made

        async def refused_everywhere(key: Any, end: datetime.datetime) -> None:
            await _until_refused(client, [there.api, here.api], key["key"], end)

        revoked = await make()
        data(await client.delete(f"{here.api}/keys/{revoked['key_id']}", headers=admin))
        await refused_everywhere(revoked, clock.now())

        rotated = await make()
        rotate = f"{here.api}/keys/{rotated['key_id']}/rotate"
        new = data(await client.post(rotate, json={"overlap_hours": 1}, headers=admin))
        await asyncio.sleep(1.2)  # longer than a process trusts what it knows
        for server in (here, there):
            for secret in (rotated["key"], new["key"]):
                assert (await client.get(f"{server.api}/account", headers=bearer(secret))).status_code == 200
        await database.execute(  # the hour is over
            "UPDATE api_key SET expires_at = expires_at - interval '1 h' WHERE key_id = $1", int(rotated["key_id"])
        )
        await refused_everywhere(rotated, clock.now())
        assert (await client.get(f"{there.api}/account", headers=bearer(new["key"]))).status_code == 200

        expiring = await make(expires_at=(clock.now() + HOUR).isoformat())
        at = await database.fetchval(  # the hour is nearly over
            "UPDATE api_key SET expires_at = now() + interval '3 s' WHERE key_id = $1 RETURNING expires_at",
            int(expiring["key_id"]),
        )
        await refused_everywhere(expiring, at)
    assert here.stop() == there.stop() == 0
    listed = {key["key_id"]: key for key in trunkline("key", "list", customer.email, "--ended")["keys"]}
    for key in (revoked, rotated, new, expiring):
        used = datetime.datetime.fromisoformat(listed[key["key_id"]]["last_used_at"])
        assert began - SECOND <= used <= clock.now(), "cut to the second"
    live, test = [listed[key] for key in sorted(listed)[:2]]
    assert live["last_used_at"] is not None
    assert test["last_used_at"] is None


# The last use


@pytest.mark.asyncio
async def test_the_last_use_is_the_latest_that_any_process_saw(house: House) -> None:
    buyer = await house.buyer()
    database = house.platform.database

    async def last_used() -> Any:
        return await database.fetchval("SELECT max(last_used_at) FROM api_key WHERE mode = 'live'")

    earlier, later = Keyring(database), Keyring(database)
    await earlier.find(buyer.account.live_key)
    between = clock.now()
    await later.find(buyer.account.live_key)
    assert await last_used() is None
    await later.write_uses()
    latest = await last_used()
    assert between <= latest <= clock.now()
    await earlier.write_uses()
    assert await last_used() == latest
    assert await database.fetchval("SELECT last_used_at FROM api_key WHERE mode = 'test'") is None


@pytest.mark.asyncio
async def test_uses_that_cannot_be_written_are_written_later(house: House, database: Database) -> None:
    buyer = await house.buyer()
    keyring = Keyring(database)
    await keyring.find(buyer.account.live_key)
    await database.execute("ALTER TABLE api_key RENAME TO away")
    with pytest.raises(Exception, match="does not exist"):
        await keyring.write_uses()
    await database.execute("ALTER TABLE away RENAME TO api_key")
    await keyring.write_uses()
    assert await database.fetchval("SELECT count(*) FROM api_key WHERE last_used_at IS NOT NULL") == 1


@pytest.mark.asyncio
async def test_uses_are_written_as_time_goes_and_at_the_end(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "LAST_WRITE_SECONDS", 60)
    buyer = await house.buyer()
    database = house.platform.database
    keyring = Keyring(database)

    async def used() -> int:
        count: int = await database.fetchval("SELECT count(*) FROM api_key WHERE last_used_at IS NOT NULL")
        return count

    await keyring.find(buyer.account.live_key)
    keeping = asyncio.create_task(keyring.keep_uses(0.05))
    async with asyncio.timeout(60):
        while await used() == 0:
            await asyncio.sleep(0.01)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)

    rarely = asyncio.create_task(keyring.keep_uses(3600))
    await asyncio.sleep(0)
    await keyring.find(buyer.account.test_key)
    rarely.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await rarely
    assert await used() == 2
