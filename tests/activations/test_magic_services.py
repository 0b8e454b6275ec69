"""The test mode's magic services: what each one does, for test keys alone, and that its texts come whatever happens."""

import asyncio
import datetime
import pathlib
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import asyncpg
import httpx
import pytest
import pytest_asyncio
from tests.conftest import Serve, Trunkline
from tests.house import Buyer, House, data, problem

from trunkline.carriers.carrier import InboundText, StoreAway
from trunkline.carriers.simulated import carrier as simulator
from trunkline.storage.database import Row
from trunkline.storage.migrate import migrate

pytestmark = pytest.mark.asyncio

MAGIC = (
    *("test_success", "test_delayed", "test_no_code", "test_two_codes", "test_timeout"),
    *("test_no_numbers", "test_insufficient_balance", "test_rate_limited"),
)
LEASED = MAGIC[:5]
DELAY_SECONDS = 5


@pytest_asyncio.fixture
async def tester(house: House) -> Buyer:
    return (await house.buyer()).testing()


async def lease(tester: Buyer, service: str, **more: Any) -> Any:
    return await tester.lease(service, "us", **more)


async def planned(house: House) -> Sequence[Row]:
    """The texts that are to be sent, and how long after its lease each is."""
    return await house.platform.database.fetch(
        "SELECT activation_id, body, due_at - created_at AS after"
        " FROM simulated_text JOIN activation USING (activation_id) ORDER BY due_at"
    )


# What each one does


async def test_success_gets_a_text_with_a_fresh_code(house: House, tester: Buyer) -> None:
    leases = [await lease(tester, "test_success") for _ in range(3)]
    assert await house.network() == 3
    codes = set()
    for each in leases:
        status = await tester.status(each)
        assert (status["status"], status["revision"]) == ("received", 1)
        sms = status["sms"]
        assert sms["sender"] == "TRUNKLINE"
        assert sms["full_text"] == f"Your Trunkline test code is {sms['code']}."
        assert len(sms["code"]) == 6
        codes.add(sms["code"])
        assert (await tester.complete(each))["status"] == "completed"
    assert len(codes) > 1
    assert await tester.purse() == (0, 0)


async def test_delayed_waits_five_seconds_for_its_text(house: House, tester: Buyer) -> None:
    bought = await lease(tester, "test_delayed")
    assert [each["after"] for each in await planned(house)] == [datetime.timedelta(seconds=DELAY_SECONDS)]
    await house.platform.database.execute(  # so that no slow machine makes it due
        "UPDATE simulated_text SET due_at = due_at + interval '1 minute'"
    )
    assert await house.network() == 0
    assert (await tester.status(bought))["status"] == "waiting"
    await house.later(60 + DELAY_SECONDS)
    assert await house.network() == 1
    assert len((await tester.status(bought))["sms"]["code"]) == 6


async def test_no_code_is_received_without_a_code(house: House, tester: Buyer) -> None:
    bought = await lease(tester, "test_no_code")
    await house.network()
    status = await tester.status(bought)
    assert (status["status"], status["sms"]["code"]) == ("received", None)
    assert status["sms"]["full_text"]


async def test_two_codes_come_a_second_apart(house: House, tester: Buyer) -> None:
    bought = await lease(tester, "test_two_codes")
    assert [each["after"] for each in await planned(house)] == [datetime.timedelta(0), datetime.timedelta(seconds=1)]
    await house.platform.database.execute(  # so that no slow machine makes them one
        "UPDATE simulated_text SET due_at = due_at + interval '1 minute'"
        " WHERE due_at > (SELECT min(due_at) FROM simulated_text)"
    )
    assert await house.network() == 1
    first = await tester.status(bought)
    assert first["revision"] == 1
    await house.later(61)
    assert await house.network() == 1
    second = await tester.status(bought)
    assert second["revision"] == 2
    assert [sms["revision"] for sms in second["messages"]] == [1, 2]
    assert second["messages"][0] == first["sms"]
    assert second["sms"]["code"] != first["sms"]["code"]


async def test_two_codes_that_are_sent_late_keep_their_order(house: House, tester: Buyer) -> None:
    leases = [await lease(tester, "test_two_codes") for _ in range(20)]
    texts = await planned(house)
    await house.later(10)
    await asyncio.gather(*(house.network() for _ in range(4)))
    for each in leases:
        wanted = [row["body"] for row in texts if str(row["activation_id"]) == each["activation_id"]]
        assert [sms["full_text"] for sms in (await tester.status(each))["messages"]] == wanted


async def test_timeout_never_gets_a_text(house: House, tester: Buyer) -> None:
    bought = await lease(tester, "test_timeout", ttl=120)
    assert await house.network() == 0
    await house.later(90)
    assert await house.network() == 0
    assert (await tester.status(bought))["status"] == "waiting"
    await house.later(30)
    assert (await tester.status(bought))["status"] == "expired"


@pytest.mark.parametrize("dry_run", [False, True])
async def test_the_refusals_are_those_of_the_real_thing(tester: Buyer, dry_run: bool) -> None:
    none = problem(await tester.order("test_no_numbers", "us", dry_run=dry_run), 404, "no_numbers_available")
    assert none["countries"]
    poor = problem(await tester.order("test_insufficient_balance", "us", dry_run=dry_run), 402, "insufficient_balance")
    assert (poor["balance"], poor["cost"]) == (0, 0.1)
    answer = await tester.order("test_rate_limited", "us", dry_run=dry_run)
    assert problem(answer, 429, "rate_limited")["retry_at"].endswith("Z")
    assert 1 <= int(answer.headers["retry-after"]) <= 3
    assert data(await tester.get("/numbers")) == []


async def test_a_dry_run_of_a_magic_service_plans_no_text(house: House, tester: Buyer) -> None:
    for service in LEASED:
        assert (await lease(tester, service, dry_run=True))["activation_id"] is None
    assert await house.platform.database.fetchval("SELECT count(*) FROM simulated_text") == 0


async def test_in_a_batch_each_item_does_its_own(house: House, tester: Buyer) -> None:
    items = [{"country": "us", "service": service} for service in MAGIC]
    answers = data(await tester.post("/numbers/purchase/batch", {"items": items}))
    assert [answer.get("code") for answer in answers] == [
        *[None] * len(LEASED),
        *("no_numbers_available", "insufficient_balance", "rate_limited"),
    ]
    await house.later(DELAY_SECONDS)
    await house.network()
    texts = {answer["data"]["service"]: await tester.status(answer["data"]) for answer in answers[: len(LEASED)]}
    assert {service: status["revision"] for service, status in texts.items()} == {
        "test_success": 1, "test_delayed": 1, "test_no_code": 1, "test_two_codes": 2, "test_timeout": 0,
    }  # fmt: skip


# For test keys alone


async def test_for_a_live_key_there_are_no_magic_services(house: House) -> None:
    buyer = await house.buyer()
    for service in MAGIC:
        problem(await buyer.order(service, "us"), 404, "unknown_service")
        problem(await buyer.order(service, "us", dry_run=True), 404, "unknown_service")
    assert await buyer.purse() == (5, 0)
    assert await house.platform.database.fetchval("SELECT count(*) FROM simulated_text") == 0


async def test_the_public_catalog_does_not_list_them(house: House, tester: Buyer) -> None:
    slugs = {service["slug"] for service in data(await tester.get("/services"))}
    assert "whatsapp" in slugs
    assert not any(slug.startswith("test_") for slug in slugs)
    assert data(await tester.get("/services", q="test_")) == []
    priced = {price["service"] for price in data(await tester.get("/prices", country="us"))}
    assert priced == slugs
    for service in MAGIC:
        problem(await tester.get("/prices", service=service), 404, "unknown_service")


async def test_an_operator_can_neither_price_nor_switch_nor_import_them(
    trunkline: Trunkline, tmp_path: pathlib.Path
) -> None:
    file = tmp_path / "services.csv"
    file.write_text("slug,name\ntest_success,Mine\n")
    for words in (
        ("price", "set", "1.00", "--service", "test_success"),
        ("service", "enable", "test_success"),
        ("catalog", "import", str(file)),
    ):
        done = trunkline.run(*words)
        assert done.returncode == 1, done
        assert "test_success" in done.stderr


# Their texts


async def test_their_texts_reach_their_lease_beside_others_on_the_same_number(house: House) -> None:
    [number] = await house.stock(1, test=True)
    buyers = [(await house.buyer()).testing() for _ in range(4)]
    whatsapp, success, two, no_code = [
        await buyer.lease(service)
        for buyer, service in zip(buyers, ("whatsapp", "test_success", "test_two_codes", "test_no_code"), strict=True)
    ]
    assert {each["phone_number"] for each in (whatsapp, success, two, no_code)} == {number}
    await house.later(1)
    await house.network()
    revisions = [
        (await buyer.status(each))["revision"]
        for buyer, each in zip(buyers, (whatsapp, success, two, no_code), strict=True)
    ]
    assert revisions == [0, 1, 2, 1]


async def test_the_filters_of_a_lease_count_for_them(house: House, tester: Buyer) -> None:
    wanted = await lease(tester, "test_success", sender="TRUNK*", contains="code is")
    other = await lease(tester, "test_success", sender="WhatsApp")
    await house.network()
    assert (await tester.status(wanted))["revision"] == 1
    assert (await tester.status(other))["revision"] == 0


async def test_a_lease_that_has_ended_gets_none(house: House, tester: Buyer) -> None:
    bought = await lease(tester, "test_success")
    await tester.cancel(bought)
    assert await house.network() == 1
    database = house.platform.database
    assert await database.fetchval("SELECT count(*) FROM message") == 0
    assert await database.fetchval("SELECT count(*) FROM simulated_text") == 0
    assert (await tester.status(bought))["status"] == "cancelled"


async def test_a_text_that_was_stored_but_not_forgotten_is_stored_once(house: House, tester: Buyer) -> None:
    bought = await lease(tester, "test_success")

    def store_and_fail(text: InboundText) -> "asyncio.Future[None]":
        async def both() -> None:
            await house.platform.inbox.put(text)
            raise StoreAway("killed here")

        return asyncio.ensure_future(both())

    with pytest.raises(StoreAway):
        await simulator.send_due(house.platform.database, store_and_fail)
    first = await tester.status(bought)
    assert first["revision"] == 1
    assert await house.network() == 1
    assert await tester.status(bought) == first
    assert await house.network() == 0


async def test_a_refused_purchase_leaves_no_text_behind(house: House, tester: Buyer) -> None:
    answers = await asyncio.gather(
        *(
            tester.post("/numbers/purchase", {"country": "us", "service": "test_success"}, **{"Idempotency-Key": "one"})
            for _ in range(20)
        )
    )
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert await house.platform.database.fetchval("SELECT count(*) FROM simulated_text") == 1


async def test_a_text_that_was_planned_before_a_kill_comes_after_it(serve: Serve, trunkline: Trunkline) -> None:
    headers = {"Authorization": f"Bearer {trunkline.customer().test_key}"}
    async with httpx.AsyncClient(headers=headers, trust_env=False, timeout=60) as client:
        former = serve("--role", "api")  # which sends nothing
        body = {"country": "us", "service": "test_success"}
        bought = data(await client.post(former.api + "/numbers/purchase", json=body))
        former.kill()
        status = await client.get(f"{serve().api}/numbers/status/{bought['activation_id']}", params={"wait": 30})
        assert data(status)["status"] == "received"


async def test_a_running_server_sends_them_within_a_second_and_two_servers_send_each_once(
    serve: Serve, trunkline: Trunkline, url: str
) -> None:
    customer = trunkline.customer(per_minute=10_000)
    first, second = serve(), serve()
    headers = {"Authorization": f"Bearer {customer.test_key}"}
    seconds, revisions = [], Counter[int]()

    async def once(api: str) -> None:
        async with httpx.AsyncClient(base_url=api, headers=headers, trust_env=False, timeout=60) as client:
            for _ in range(5):
                body = {"country": "us", "service": "test_success"}
                bought = data(await client.post("/numbers/purchase", json=body))
                started = time.monotonic()
                path = f"/numbers/status/{bought['activation_id']}"
                assert data(await client.get(path, params={"wait": 30}))["status"] == "received"
                seconds.append(time.monotonic() - started)
                revisions[data(await client.get(path))["revision"]] += 1

    await asyncio.gather(*(once(server.api) for server in (first, second) for _ in range(4)))
    assert revisions == {1: 40}
    assert simulator.LOOK_SECONDS < 1
    assert min(seconds) < 2, "a second, and one more on a busy machine, which may take longer now and then"
    connection = await asyncpg.connect(url)
    async with asyncio.timeout(60):
        while await connection.fetchval("SELECT count(*) FROM simulated_text"):
            await asyncio.sleep(0.05)  # a text is shown by its commit, and forgotten after it
    assert await connection.fetchval("SELECT count(*) FROM message") == 40
    await connection.close()


async def test_a_database_from_before_they_were_made_gets_them(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("DELETE FROM service WHERE magic")
    await connection.execute("UPDATE schema_version SET digest = 'older' WHERE name = 'catalog/changes_routines.sql'")
    assert await migrate(url) == ["catalog/changes_routines.sql"]
    assert await connection.fetchval("SELECT count(*) FROM service WHERE magic") == len(MAGIC)
    await connection.close()
