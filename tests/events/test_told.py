"""What each type of event tells is said once: documents, samples and the events themselves are of that shape."""

from collections.abc import AsyncIterator
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import msgspec
import pytest
import pytest_asyncio
from tests.house import Buyer, House, data, opened
from tests.surfaces.api.documented import DOCUMENT, check
from tests.verify.codes import check as check_code
from tests.verify.codes import code_of, started, wrong

from trunkline.audit.acts import Actor
from trunkline.events.contents import contents
from trunkline.events.told import DATA
from trunkline.events.types import TYPES
from trunkline.events.webhooks import endpoints, repeats
from trunkline.ledger import deposits
from trunkline.surfaces.http import wire

ACTOR = Actor("operator:test")
READ_BACK = msgspec.json.decode(wire.encode(DOCUMENT))


def schema(type_: str) -> dict[str, Any]:
    content: dict[str, Any] = READ_BACK["webhooks"][type_]["post"]["requestBody"]["content"]["application/json"]
    return content


@pytest_asyncio.fixture
async def house(url: str) -> AsyncIterator[House]:
    async with opened(url) as house:
        yield house
        await house.books_balance()


async def told(house: House) -> dict[str, list[dict[str, Any]]]:
    """The bodies of all events, by type."""
    rows: list[Any] = await house.platform.database.fetch(
        "SELECT account_id, event_id, created_at FROM event ORDER BY event_id"
    )
    bodies = [
        msgspec.json.decode(each.body) for each in (await contents(house.platform.database, map(tuple, rows))).values()
    ]
    return {type_: [body for body in bodies if body["type"] == type_] for type_ in TYPES}


def test_every_type_says_what_it_tells_and_no_other() -> None:
    assert list(DATA) == list(TYPES) == list(READ_BACK["webhooks"])


@pytest.mark.parametrize("type_", TYPES)
def test_the_example_of_a_type_is_such_an_event(type_: str) -> None:
    content = schema(type_)
    assert content["example"]["type"] == type_
    check(content["example"], content["schema"])


@pytest.mark.parametrize("type_", TYPES)
def test_an_event_without_one_of_its_fields_is_none(type_: str) -> None:
    content = schema(type_)
    for name in content["example"]["data"]:
        less = content["example"] | {
            "data": {key: each for key, each in content["example"]["data"].items() if key != name}
        }
        with pytest.raises(jsonschema.ValidationError, match="required"):
            check(content["example"] | {"data": less}, content["schema"])


async def verify(house: House, buyer: Buyer) -> None:
    """Verifications that come to every end there is."""
    approved, failed, cancelled, expired = [
        await started(buyer, number, metadata={"user": "7"})
        for number in ("+12025550142", "+12025550143", "+12025550144", "+443069990001")
    ]
    await house.codes_go_out()
    await check_code(buyer, approved, await code_of(house, approved))
    code = await code_of(house, failed)
    for _ in range(5):
        await check_code(buyer, failed, wrong(code))
    data(await buyer.post(f"/verifications/{cancelled['verification_id']}/cancel", None))
    await buyer.post("/verifications", {"phone_number": "+443069990005"})  # which the guard blocks
    await house.later(301)
    assert data(await buyer.get(f"/verifications/{expired['verification_id']}"))["status"] == "expired"


@pytest.mark.asyncio
async def test_what_happens_is_told_as_documented(house: House) -> None:
    database = house.platform.database
    buyer = await house.buyer()
    await house.stock(4)
    data(await buyer.ask("PATCH", "/account", json={"low_balance": 4.9}))
    cancelled, completed, _ = [await buyer.lease("telegram", labels={"run_id": "1"}) for _ in range(3)]
    await house.text(completed["phone_number"], "Your Telegram code: 847291", sender="Telegram")
    await house.later(180)
    await buyer.cancel(cancelled)
    await buyer.complete(completed)
    await house.later(3600)
    await verify(house, buyer)
    key = await buyer.new_key()
    data(await buyer.post(f"/keys/{key['key_id']}/rotate", {}))
    data(await buyer.ask("DELETE", f"/keys/{key['key_id']}"))
    deposit_id = await database.fetchval(
        "INSERT INTO deposit (account_id, provider, amount_micros, currency) VALUES ($1, 'stripe', 5000000, 'USD')"
        " RETURNING deposit_id",
        buyer.account_id,
    )
    await database.execute(deposits.SQL.deposit_paid, deposit_id)
    async with database.transaction() as connection:
        whose = endpoints.Whose(buyer.account_id, test=False)
        made = await endpoints.create(connection, ACTOR, whose, url="https://example.com/hook", events=["*"], most=20)
        hook = int(made.webhook_id)
        await repeats.test(connection, hook, whose, "webhook.test")
    await database.execute("SELECT disable_failing($1, 'It answered 410 Gone.', NULL)", hook)
    for type_, bodies in (await told(house)).items():
        assert bodies, type_
        for body in bodies:
            check(body, schema(type_)["schema"])
            assert list(body["data"]) == [name for name in DATA[type_].__struct_fields__ if name in body["data"]]


@pytest.mark.asyncio
async def test_a_sample_is_told_as_documented_and_says_that_it_is_one(house: House) -> None:
    buyer = await house.buyer()
    async with house.platform.database.transaction() as connection:
        whose = endpoints.Whose(buyer.account_id, test=False)
        made = await endpoints.create(connection, ACTOR, whose, url="https://example.com/", events=["*"], most=20)
        for type_ in TYPES:
            await repeats.test(connection, int(made.webhook_id), whose, type_)
    for type_, bodies in (await told(house)).items():
        body = bodies[-1]  # an account's first keys are told too
        check(body, schema(type_)["schema"])
        assert body["data"]["sample"] is True
