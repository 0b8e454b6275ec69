"""Deposits: money comes in once, when Stripe itself says that it was paid, and only as much as was asked for."""

import asyncio
import json
import threading
import time
import types
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import Serve, Server, Trunkline
from tests.house import Buyer, House, data, opened, problem
from tests.ledger.stripe_stub import Stub, event, signed, stub

from trunkline.accounts import accounts
from trunkline.audit.acts import Actor
from trunkline.errors import InvalidRequest
from trunkline.ledger import checkout, deposits
from trunkline.surfaces import callbacks

SECOND = 1_000_000


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process Stripe may take its time, but where a test says how long."""
    for name in ("DEADLINE_SECONDS", "CONNECT_SECONDS", "READ_SECONDS"):
        monkeypatch.setattr(checkout, name, 60)


@pytest.fixture
def stripe() -> Iterator[Stub]:
    with stub() as found:
        yield found


@pytest_asyncio.fixture
async def house(url: str, stripe: Stub) -> AsyncIterator[House]:
    async with opened(url, **stripe.settings()) as house:
        yield house
        await house.books_balance()


async def customer(house: House, currency: str) -> Buyer:
    made = await accounts.create(
        house.platform.database,
        Actor("operator:test"),
        f"{currency}@example.com",
        currency=currency,
        per_minute=1_000_000,
    )
    return Buyer(made, made.live_key, house.api)


async def pay_in(buyer: Buyer, amount: Any, **headers: str) -> httpx.Response:
    return await buyer.post("/account/deposits", {"amount": amount}, **headers)


async def tell(buyer: Buyer, payload: str, **headers: Any) -> httpx.Response:
    return await buyer.ask("POST", "/stripe/events", content=payload, headers=headers or signed(payload))


async def audited(house: House, action: str) -> list[Any]:
    rows = await house.platform.database.fetch(
        "SELECT actor, account_id, target, data FROM audit_entry WHERE action = $1 ORDER BY entry_id", action
    )
    return [dict(row) | {"data": json.loads(row["data"])} for row in rows]


@pytest.mark.asyncio
async def test_a_deposit_that_is_paid_is_on_the_balance(house: House, stripe: Stub) -> None:
    buyer = await house.buyer("0")
    made = data(await pay_in(buyer, 25.00))
    assert made == {
        "deposit_id": "1001", "amount": 25, "currency": "USD", "state": "pending", "paid_at": None,
        "checkout_url": f"{stripe.url}/pay/{stripe.last_session}", "created_at": made["created_at"],
    }  # fmt: skip
    (form,) = stripe.asked
    assert form["path"] == "/v1/checkout/sessions"
    assert (form["mode"], form["client_reference_id"], form["metadata[deposit_id]"]) == ("payment", "1001", "1001")
    assert form["line_items[0][price_data][currency]"] == "usd"
    assert form["line_items[0][price_data][unit_amount]"] == "2500"
    assert (form["success_url"], form["cancel_url"]) == ("https://shop.example/paid", "https://shop.example/not-paid")
    assert form["authorization"] == "Bearer sk_test_of_the_stub"

    assert data(await tell(buyer, event(stripe.last_session, 2500))) == {"outcome": "paid"}
    shown = data(await buyer.get("/account/deposits/1001"))
    assert (shown["state"], shown["checkout_url"]) == ("paid", None)
    assert shown["paid_at"]
    assert await buyer.purse() == (25, 0)
    (moved,) = data(await buyer.get("/account/transactions"))
    assert (moved["kind"], moved["amount"], moved["deposit_id"]) == ("credit", 25, "1001")
    told = await house.platform.database.fetch(
        "SELECT data FROM event WHERE account_id = $1 AND type = 'deposit.paid'", buyer.account_id
    )
    assert len(told) == 1
    assert json.loads(told[0]["data"]) == {"deposit_id": "1001", "amount_micros": 25_000_000, "currency": "USD"}
    (created,), (paid,) = await audited(house, "deposit.created"), await audited(house, "deposit.paid")
    assert (created["account_id"], created["target"]) == (buyer.account_id, "deposit:1001")
    assert (paid["actor"], paid["account_id"], paid["data"]["amount"]) == ("stripe", buyer.account_id, 25)


@pytest.mark.asyncio
async def test_a_message_that_comes_fifty_times_at_once_is_one_credit(house: House, stripe: Stub) -> None:
    buyer = await house.buyer("0")
    await pay_in(buyer, 10)
    payload = event(stripe.last_session, 1000)
    answers = await asyncio.gather(*(tell(buyer, payload) for _ in range(50)))
    outcomes = sorted(data(answer)["outcome"] for answer in answers)
    assert outcomes == ["paid"] + ["repeated"] * 49
    other_words = event(stripe.last_session, 1000, kind="checkout.session.async_payment_succeeded")
    assert data(await tell(buyer, other_words)) == {"outcome": "repeated"}
    assert await buyer.purse() == (10, 0)
    assert len(await audited(house, "deposit.paid")) == 1


@pytest.mark.asyncio
async def test_a_message_that_is_not_stripes_changes_nothing(
    house: House, stripe: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callbacks, "time", types.SimpleNamespace(monotonic=lambda: 90.0))  # a minute that stays
    buyer = await house.buyer("0")
    await pay_in(buyer, 10)
    payload = event(stripe.last_session, 1000)
    now = int(time.time())
    genuine = signed(payload)["stripe-signature"]
    for headers in (
        {"content-type": "application/json"},
        {"stripe-signature": ""},
        {"stripe-signature": "t=,v1="},
        {"stripe-signature": "v1=" + genuine.split("v1=")[1]},
        {"stripe-signature": f"t={now},v1={'0' * 64}"},
        {"stripe-signature": genuine.replace("v1=", "v0=")},
        {"stripe-signature": genuine.encode() + b"\xe9"},
        signed(payload, secret="whsec_another"),
        signed(payload, at=now - 301),
        signed(payload, at=now + 3600),
        signed(payload, at=10**12),
        signed(payload + " "),
    ):
        problem(await tell(buyer, payload, **headers), 400, "invalid_signature")
    assert data(await buyer.get("/account/deposits/1001"))["state"] == "pending"
    assert await buyer.purse() == (0, 0)
    refused = await audited(house, "deposit.refused")
    assert len(refused) == callbacks.MOST_REFUSALS, "whoever forges messages does not fill the audit"
    assert refused[0]["actor"] == "stripe"
    assert data(await tell(buyer, payload, **signed(payload, at=int(time.time()) - 240))) == {"outcome": "paid"}


@pytest.mark.asyncio
async def test_a_message_with_what_no_database_keeps_is_refused_and_not_a_failure(house: House, stripe: Stub) -> None:
    buyer = await house.buyer("0")
    await pay_in(buyer, 10)
    for strange in ("cs_\0", "\ud800", "\udc00cs_1"):
        for payload in (event(strange, 1000), event(stripe.last_session, 1000, currency=strange)):
            problem(await tell(buyer, payload), 400, "malformed_body")
    assert data(await tell(buyer, event(stripe.last_session, 1000, note="caf\u00e9"))) == {"outcome": "paid"}


@pytest.mark.asyncio
async def test_only_what_was_asked_for_is_taken(house: House, stripe: Stub) -> None:
    buyer = await house.buyer("0")
    await pay_in(buyer, 10)
    for minor, currency in ((999, "usd"), (1001, "usd"), (1000, "eur"), (None, "usd")):
        payload = event(stripe.last_session, minor, currency)  # type: ignore[arg-type]
        problem(await tell(buyer, payload), 409, "deposit_mismatch")
    assert data(await buyer.get("/account/deposits/1001"))["state"] == "pending"
    assert await buyer.purse() == (0, 0)
    refused = await audited(house, "deposit.refused")
    assert [each["data"]["told_minor"] for each in refused] == [999, 1001, 1000, None]
    assert {each["account_id"] for each in refused} == {buyer.account_id}


@pytest.mark.asyncio
async def test_what_is_none_of_ours_is_heard_and_ignored(house: House, stripe: Stub) -> None:
    buyer = await house.buyer("0")
    await pay_in(buyer, 10)
    unpaid = event(stripe.last_session, 1000, payment_status="unpaid")  # by a slow method, which will tell later
    refund = json.dumps({"id": "evt_2", "type": "charge.refunded", "data": {"object": {"id": "ch_1"}}})
    for payload, outcome in ((event("cs_of_another_shop", 1000), "unknown"), (unpaid, "ignored"), (refund, "ignored")):
        assert data(await tell(buyer, payload)) == {"outcome": outcome}
    for payload in (
        "[]",
        "{",
        '{"id": 1}',
        json.dumps({"id": "e", "type": "checkout.session.completed", "data": {"object": []}}),
    ):
        problem(await tell(buyer, payload), 400, "malformed_body")
    assert await buyer.purse() == (0, 0)


@pytest.mark.asyncio
async def test_a_deposit_that_is_not_paid_expires_and_counts_if_it_is_paid_after_all(
    house: House, stripe: Stub
) -> None:
    buyer = await house.buyer("0")
    await pay_in(buyer, 10)
    session = stripe.last_session
    ended = event(session, 1000, kind="checkout.session.expired", payment_status="unpaid")
    assert [data(await tell(buyer, ended))["outcome"] for _ in range(2)] == ["expired", "repeated"]
    shown = data(await buyer.get("/account/deposits/1001"))
    assert (shown["state"], shown["checkout_url"]) == ("expired", None)
    assert data(await tell(buyer, event(session, 1000))) == {"outcome": "paid"}
    assert data(await tell(buyer, ended)) == {"outcome": "repeated"}
    assert await buyer.purse() == (10, 0)


@pytest.mark.asyncio
async def test_amounts_that_cannot_be_paid_in_are_refused_before_stripe_hears_of_them(
    house: House, stripe: Stub
) -> None:
    buyer = await house.buyer("0")
    for amount in (0, -5, 4.99, 10_000.01, 10.001, 1e300, "NaN", "1e400", "ten", None, True, 10.0000001):
        assert problem(await pay_in(buyer, amount), 422, "invalid_request")["field"] == "amount", amount
    problem(await buyer.post("/account/deposits", {"amount": 10, "currency": "EUR"}), 422, "invalid_request")
    assert stripe.asked == []
    assert data(await buyer.get("/account/deposits")) == []


@pytest.mark.asyncio
async def test_currencies_without_and_with_three_decimals_are_paid_exactly(house: House, stripe: Stub) -> None:
    for currency, amount, minor, unpayable in (
        ("JPY", 1000, 1000, 1000.5),
        ("KWD", 5.12, 5120, 5.123),  # Stripe takes multiples of ten
        ("EUR", 5.01, 501, 5.001),
        ("UGX", 5000, 500_000, 5000.5),
    ):
        buyer = await customer(house, currency)
        assert problem(await pay_in(buyer, unpayable), 422, "invalid_request")["field"] == "amount"
        assert data(await pay_in(buyer, amount))["currency"] == currency
        assert stripe.asked[-1]["line_items[0][price_data][unit_amount]"] == str(minor)
        assert stripe.asked[-1]["line_items[0][price_data][currency]"] == currency.lower()
        assert data(await tell(buyer, event(stripe.last_session, minor, currency.lower()))) == {"outcome": "paid"}
        assert await buyer.purse() == (amount, 0)


@given(st.sampled_from(["JPY", "USD", "EUR", "KWD", "UGX", "ISK", "BHD", "XAF"]), st.integers(1, 10**15))
def test_an_amount_in_stripes_numbers_is_that_amount_or_refused(currency: str, micros: int) -> None:
    decimals = {"JPY": 0, "XAF": 0, "KWD": 3, "BHD": 3}.get(currency, 2)
    try:
        minor = checkout.to_minor(micros, currency)
    except InvalidRequest:
        assert micros % {"KWD": 10_000, "BHD": 10_000, "USD": 10_000, "EUR": 10_000}.get(currency, SECOND)
    else:
        assert minor * SECOND == micros * 10**decimals


@pytest.mark.asyncio
async def test_the_same_idempotency_key_is_one_deposit(house: House, stripe: Stub) -> None:
    buyer = await house.buyer("0")
    said = {"Idempotency-Key": "once"}
    first = await pay_in(buyer, 10, **said)
    again = await pay_in(buyer, 10, **said)
    assert (again.headers["idempotent-replayed"], data(again)) == ("true", data(first))
    problem(await pay_in(buyer, 11, **said), 422, "idempotency_key_reused")
    at_once = await asyncio.gather(*(pay_in(buyer, 20, **{"Idempotency-Key": "at once"}) for _ in range(10)))
    done = [data(answer) for answer in at_once if answer.status_code == 200]
    assert done
    assert all(each == done[0] for each in done)
    assert all(problem(each, 409, "idempotency_in_flight") for each in at_once if each.status_code != 200)
    assert len(data(await buyer.get("/account/deposits"))) == 2
    assert {form["idempotency_key"] for form in stripe.asked} == {"trunkline-deposit-1001", "trunkline-deposit-1002"}


@pytest.mark.asyncio
async def test_while_stripe_hangs_nothing_is_locked_and_nobody_waits(house: House, stripe: Stub) -> None:
    buyer = await house.buyer("1")
    await house.stock(1)
    stripe.answer = "hang"
    waiting = asyncio.create_task(pay_in(buyer, 10, **{"Idempotency-Key": "hung"}))
    await asyncio.to_thread(stripe.arrived.wait, 60)
    open_transactions = await house.platform.database.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'"
    )
    assert open_transactions == 0
    await buyer.lease()  # takes the lock on the balance
    assert not waiting.done()
    stripe.answer = "cut"
    stripe.released.set()
    refused = problem(await waiting, 503, "unavailable")
    assert "nothing is charged" in refused["detail"]
    assert len(stripe.asked) == 2, "one retry at most"
    (pending,) = data(await buyer.get("/account/deposits"))
    assert (pending["state"], pending["checkout_url"]) == ("pending", None)
    stripe.answer = 200
    made = data(await pay_in(buyer, 10, **{"Idempotency-Key": "hung"}))
    assert (made["deposit_id"], made["state"]) == (pending["deposit_id"], "pending")
    assert made["checkout_url"]
    assert {form["idempotency_key"] for form in stripe.asked} == {"trunkline-deposit-1001"}


@pytest.mark.asyncio
async def test_an_answer_that_does_not_come_is_asked_for_once_more(
    house: House, stripe: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkout, "READ_SECONDS", 0.3)
    buyer = await house.buyer("0")
    stripe.answer = "hang"
    problem(await pay_in(buyer, 10), 503, "unavailable")
    async with asyncio.timeout(60):
        while len(stripe.asked) < 2:  # each was sent, and the stub may come to it later
            await asyncio.sleep(0.01)
    assert len({form["idempotency_key"] for form in stripe.asked}) == 1
    assert len(stripe.asked) == 2


@pytest.mark.asyncio
async def test_an_answer_that_takes_longer_than_the_deadline_is_not_waited_for(
    house: House, stripe: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkout, "DEADLINE_SECONDS", 0.2)
    buyer = await house.buyer("0")
    stripe.answer = "hang"
    started = time.monotonic()
    problem(await pay_in(buyer, 10), 503, "unavailable")
    assert time.monotonic() - started < 30, "nor half as long as for an answer that may take its time"
    stripe.released.set()


@pytest.mark.asyncio
async def test_a_deposit_that_stripe_refuses_is_over_and_can_be_tried_again(house: House, stripe: Stub) -> None:
    buyer = await house.buyer("0")
    said = {"Idempotency-Key": "try"}
    for status, error, refusal in (
        (500, {"type": "api_error", "message": "Down."}, (503, "unavailable")),
        (402, {"type": "card_error", "message": "No."}, (503, "unavailable")),
        ("empty", {}, (503, "unavailable")),
        (401, {"type": "invalid_request_error", "message": "Bad key."}, (503, "unavailable")),
        (
            400,
            {"type": "invalid_request_error", "code": "amount_too_small", "message": "Small."},
            (422, "invalid_request"),
        ),
        (409, {"type": "idempotency_error", "message": "In use."}, (409, "idempotency_in_flight")),
    ):
        stripe.answer, stripe.error = status, error
        problem(await pay_in(buyer, 10, **said), *refusal)
    stripe.answer = 200
    made = data(await pay_in(buyer, 10, **said))
    states = [each["state"] for each in data(await buyer.get("/account/deposits"))]
    assert (
        states == ["pending"] + ["expired"] * 5
    )  # the one that another request had in hand is the one that is open now
    assert data(await tell(buyer, event(stripe.last_session, 1000))) == {"outcome": "paid"}
    assert data(await buyer.get(f"/account/deposits/{made['deposit_id']}"))["state"] == "paid"


@pytest.mark.asyncio
async def test_a_test_key_has_no_money_and_sees_no_deposits(house: House, stripe: Stub) -> None:
    buyer = await house.buyer("0")
    await pay_in(buyer, 10)
    assert "test key" in problem(await pay_in(buyer.testing(), 10), 403, "deposits_off")["detail"]
    assert data(await buyer.testing().get("/account/deposits")) == []
    problem(await buyer.testing().get("/account/deposits/1001"), 404, "not_found")
    stranger = await house.buyer("0")
    problem(await stranger.get("/account/deposits/1001"), 404, "not_found")
    assert data(await stranger.get("/account/deposits")) == []
    assert len(stripe.asked) == 1


@pytest.mark.asyncio
async def test_deposits_are_listed_newest_first_in_pages(house: House) -> None:
    buyer = await house.buyer("0")
    for amount in (5, 6, 7):
        await pay_in(buyer, amount)
    first = (await buyer.get("/account/deposits", limit=2)).json()
    second = (await buyer.get("/account/deposits", limit=2, cursor=first["next_cursor"])).json()
    assert [each["amount"] for each in first["data"] + second["data"]] == [7, 6, 5]
    assert second["next_cursor"] is None


@pytest.mark.asyncio
async def test_without_settings_there_are_no_deposits(url: str) -> None:
    async with opened(url) as house:
        buyer = await house.buyer("0")
        problem(await pay_in(buyer, 10), 403, "deposits_off")
        problem(await tell(buyer, event("cs_1", 1000)), 403, "deposits_off")
        assert data(await buyer.get("/account/deposits")) == []


@pytest.mark.asyncio
async def test_what_was_never_opened_expires(house: House) -> None:
    buyer = await house.buyer("0")
    database = house.platform.database
    await database.execute(
        "INSERT INTO deposit (account_id, amount_micros, currency, provider, provider_ref, created_at) VALUES"
        " ($1, 1, 'USD', 'stripe', NULL, now() - interval '61 minutes'), ($1, 2, 'USD', 'stripe', NULL, now()),"
        " ($1, 3, 'USD', 'stripe', 'a', now() - interval '29 days'),"
        " ($1, 4, 'USD', 'stripe', 'b', now() - interval '31 days')",
        buyer.account_id,
    )
    sweeping = asyncio.create_task(deposits.sweep(database))
    async with asyncio.timeout(60):
        while not await database.fetchval("SELECT count(*) FROM deposit WHERE state = 'expired'"):
            await asyncio.sleep(0.01)
    sweeping.cancel()
    await asyncio.gather(sweeping, return_exceptions=True)
    rows = await database.fetch("SELECT state FROM deposit ORDER BY deposit_id")
    assert [row["state"] for row in rows] == ["expired", "pending", "pending", "expired"]


def test_a_server_that_is_killed_while_it_asks_stripe_leaves_one_deposit(
    trunkline: Trunkline, serve: Serve, stripe: Stub
) -> None:
    customer = trunkline.customer(credit="0")
    headers = {"Authorization": f"Bearer {customer.live_key}", "Idempotency-Key": "killed"}
    stripe.answer = "hang"

    def start(client: httpx.Client) -> Server:
        """A server that has loaded Stripe's package: that alone could take as long as Stripe may."""
        server = serve("--role", "api", **stripe.settings())
        problem(client.post(f"{server.api}/stripe/events", content="unsigned"), 400, "invalid_signature")
        return server

    def kill_when_asked() -> None:
        stripe.arrived.wait(120)
        server.kill()

    with httpx.Client(timeout=120, trust_env=False, headers=headers) as client:
        server = start(client)
        killer = threading.Thread(target=kill_when_asked)
        killer.start()
        with pytest.raises(httpx.HTTPError):
            client.post(f"{server.api}/account/deposits", json={"amount": 10})
        killer.join()
        stripe.answer = 200
        api = start(client).api
        made = data(client.post(f"{api}/account/deposits", json={"amount": 10}))
        assert {form["client_reference_id"] for form in stripe.asked} == {made["deposit_id"]}
        payload = event(stripe.last_session, 1000)
        assert data(client.post(f"{api}/stripe/events", content=payload, headers=signed(payload))) == {
            "outcome": "paid"
        }
        assert [each["state"] for each in data(client.get(f"{api}/account/deposits"))] == ["paid"]
        assert data(client.get(f"{api}/account"))["balance"] == 10
    assert trunkline("ledger", "verify")["ok"]
