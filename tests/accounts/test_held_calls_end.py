"""A call that is held ends with its key, whatever ended it, and so does a stream; nobody's text goes to who lost it."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
from tests.house import Buyer, House, data, problem

from trunkline import metrics
from trunkline.storage.database import Database
from trunkline.surfaces.http.application import Application

pytestmark = pytest.mark.asyncio

WAIT = 30
SOON = 15  # seconds; 2 are promised, and a slow machine has its time


Act = Callable[[House, Buyer, Any], Awaitable[Any]]


async def revoke(_: House, buyer: Buyer, key: Any) -> None:
    data(await buyer.ask("DELETE", f"/keys/{key['key_id']}"))


async def rotate(_: House, buyer: Buyer, key: Any) -> None:
    data(await buyer.post(f"/keys/{key['key_id']}/rotate", {"overlap_hours": 0}))


async def freeze(house: House, buyer: Buyer, _: Any) -> None:
    await house.platform.database.execute(  # and nothing else: the command would end the lease that is waited for
        "UPDATE account SET frozen_at = now(), frozen_reason = 'resale' WHERE account_id = $1", buyer.account_id
    )


def change(column: str, value: str) -> Act:
    async def act(house: House, _: Buyer, key: Any) -> None:
        await house.platform.database.execute(
            f"UPDATE api_key SET {column} = {value} WHERE key_id = $1", int(key["key_id"])
        )

    return act


ENDS = {
    "revoked": (revoke, 401, "invalid_key"),
    "rotated without an overlap": (rotate, 401, "invalid_key"),
    "at the end of its time": (change("expires_at", "now()"), 401, "invalid_key"),
    "its account frozen": (freeze, 403, "account_frozen"),
    "used from where it may not be any more": (change("cidrs", "'{10.0.0.0/8}'"), 403, "ip_not_allowed"),
    "without the scope": (change("scopes", "'{webhooks}'"), 403, "insufficient_scope"),
}


async def held(count: int) -> None:
    async with asyncio.timeout(60):
        while metrics.HELD_CALLS.value() < count:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("how", ENDS)
async def test_a_held_call_ends_with_its_key(house: House, how: str) -> None:
    act, status, code = ENDS[how]
    buyer = await house.buyer()
    await house.stock(2)
    lease, other = await buyer.lease(), await buyer.lease()
    key = await buyer.new_key(["numbers"])
    before = metrics.HELD_CALLS.value()
    paths = [f"/numbers/status/{each['activation_id']}" for each in (lease, other)]
    calls = [asyncio.create_task(buyer.with_key(key["key"]).get(path, wait=WAIT)) for path in paths]
    await held(int(before) + 2)
    began = time.monotonic()
    await act(house, buyer, key)
    for call in calls:
        problem(await call, status, code)
    assert time.monotonic() - began < SOON
    assert metrics.HELD_CALLS.value() == before
    assert house.pushed.live._waiting == {}


async def test_who_still_has_a_good_key_goes_on_waiting_beside_one_whose_key_ends(house: House) -> None:
    buyer = await house.buyer()
    await house.stock(1)
    lease = await buyer.lease()
    key = await buyer.new_key(["numbers"])
    path = f"/numbers/status/{lease['activation_id']}"
    before = int(metrics.HELD_CALLS.value())
    owner = asyncio.create_task(buyer.get(path, wait=WAIT))
    thief = asyncio.create_task(buyer.with_key(key["key"]).get(path, wait=WAIT))
    await held(before + 2)
    await revoke(house, buyer, key)
    problem(await thief, 401, "invalid_key")
    assert not owner.done()
    await house.text(lease["phone_number"], "Your WhatsApp code: 847291", sender="WhatsApp")
    assert data(await owner)["sms"]["code"] == "847291"


async def test_many_held_calls_are_looked_after_by_one_statement_and_none_by_none(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    buyer = await house.buyer()
    await house.stock(12)
    leases = [await buyer.lease() for _ in range(12)]
    asked: list[str] = []
    honest = Database.fetch

    async def fetch(self: Database, query: str, *args: Any) -> Any:
        if "key_id = ANY" in query and "api_key" in query:
            asked.append(query)
        return await honest(self, query, *args)

    monkeypatch.setattr(Database, "fetch", fetch)
    paths = [f"/numbers/status/{each['activation_id']}" for each in leases]
    answers = await asyncio.gather(*(buyer.get(path, wait=1.6) for path in paths))
    assert {data(answer)["status"] for answer in answers} == {"waiting"}
    assert 0 < len(asked) < len(leases), "one for all of them at a time"
    async with asyncio.timeout(60):
        while house.api._holds._looking is not None:
            await asyncio.sleep(0.01)


async def test_a_body_that_takes_its_time_does_nothing_with_a_key_that_ended_meanwhile(house: House) -> None:
    buyer = await house.buyer()
    await house.stock(1)
    key = await buyer.new_key(["numbers"])

    async def slowly() -> AsyncIterator[bytes]:
        yield b'{"country": "ad",'
        await revoke(house, buyer, key)
        await asyncio.sleep(1.2)  # what a process has just seen of a key is good for a second
        yield b'"service": "telegram"}'

    answer = await raw(house.api, key["key"], slowly())
    problem(answer, 401, "invalid_key")
    assert await house.platform.database.fetchval("SELECT count(*) FROM activation") == 0


async def raw(api: Application, secret: str, body: AsyncIterator[bytes]) -> httpx.Response:
    """A purchase whose body comes in pieces, which the client of these tests would gather first."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        piece = await anext(body, None)
        return {"type": "http.request", "body": piece or b"", "more_body": piece is not None}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/api/v1/numbers/purchase",
        "raw_path": b"/api/v1/numbers/purchase",
        "query_string": b"",
        "headers": [(b"authorization", f"Bearer {secret}".encode()), (b"content-type", b"application/json")],
        "client": ("127.0.0.1", 5),
    }
    await api(scope, receive, send)
    content = b"".join(message.get("body", b"") for message in sent[1:])
    return httpx.Response(sent[0]["status"], headers=sent[0]["headers"], content=content)
