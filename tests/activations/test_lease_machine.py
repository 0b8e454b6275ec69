"""Leases and money as one machine: whatever is bought, sent, ended and paid in, the database agrees with a small model.

The model says of each lease its state, texts and money, and which numbers a buyer may get, must get and must not get.
"""

import asyncio
import contextlib
import dataclasses
import re
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from hypothesis.strategies import SearchStrategy
from tests.house import Buyer, House, opened, pay_in

from trunkline import money
from trunkline.activations import lifecycle, sweeper, views
from trunkline.activations.inbox import Outcome
from trunkline.activations.lifecycle import Order, Policy
from trunkline.activations.problems import NoNumbersAvailable, PriceAboveMax
from trunkline.audit.acts import Actor
from trunkline.carriers.carrier import SIMULATED
from trunkline.carriers.registry import Terms
from trunkline.carriers.simulated import carrier as simulator
from trunkline.catalog import prices
from trunkline.catalog.countries import countries
from trunkline.errors import PaymentRequired, TrunklineError

COSTS = {"whatsapp": 100_000, "telegram": 250_001, "signal": 0, "any": 400_000}
BRANDS = {"whatsapp": "WhatsApp", "telegram": "Telegram", "uber": "Uber"}  # nobody here leases for Uber
TERMS = {SIMULATED: Terms(cancel_wait_seconds=0, rest_seconds=0)}
ACCOUNTS = NUMBERS = 3

accounts: SearchStrategy[int] = st.integers(0, ACCOUNTS - 1)
numbers: SearchStrategy[int] = st.integers(0, NUMBERS - 1)
indices: SearchStrategy[int] = st.integers(0, 99)
services: SearchStrategy[str] = st.sampled_from(["whatsapp", "telegram", "signal", "any"])
maxima: SearchStrategy[int | None] = st.sampled_from([None, None, None, 200_000])
about: SearchStrategy[str | None] = st.sampled_from([*BRANDS, None])


@dataclasses.dataclass
class Lease:
    activation_id: int
    account: int
    number: int
    service: str
    cost: int
    fee: int
    state: str = "waiting"
    refund: int = 0
    texts: list[str] = dataclasses.field(default_factory=list)

    @property
    def live(self) -> bool:
        return self.state in ("waiting", "received")


@dataclasses.dataclass
class Past:
    """What a number has been through for a service."""

    last_account: int | None = None
    awaits_text: bool = False  # cancelled early: a text for its last account could still come
    passed_over: bool = False  # looked at while another lease kept it; it may be away until that one's deadline


class LeaseMachine(RuleBasedStateMachine):
    house: ClassVar[House]
    runner: ClassVar[asyncio.Runner]

    def __init__(self) -> None:
        super().__init__()
        self.all: list[Lease] = []
        self.available = [0] * ACCOUNTS
        self.held = [0] * ACCOUNTS
        self.past: dict[tuple[int, str], Past] = {}
        self.sent: list[tuple[int, str, str | None]] = []

    @initialize(credits=st.tuples(*[st.sampled_from([5_000_000, 1_200_000, 300_000, 0])] * ACCOUNTS))
    def open(self, credits: tuple[int, ...]) -> None:
        async def prepared() -> tuple[list[Buyer], str, list[str]]:
            await self.house.platform.database.execute("SELECT setseed(0)")  # picks are the same when an example is
            buyers = [await self.house.buyer("0") for _ in range(ACCOUNTS)]
            operator = f"Tower {buyers[0].account_id}"  # a shelf of the example's own, which its orders name
            return buyers, operator, await self.house.stock(NUMBERS, operator=operator)

        self.buyers, self.operator, self.e164 = self.runner.run(prepared())
        for account, micros in enumerate(credits):
            self.credit(account, micros)

    def credit(self, account: int, micros: int) -> None:
        self.runner.run(pay_in(self.house.platform.database, self.buyers[account].account_id, money.show(micros)))
        self.available[account] += micros

    @rule(account=accounts, micros=st.integers(1, 500_000))
    def pay_in(self, account: int, micros: int) -> None:
        self.credit(account, micros)

    @rule(
        account=accounts,
        wanted=st.lists(st.tuples(services, maxima), min_size=1, max_size=3),
        fee=st.sampled_from([0, 30_000, 1_000_000]),
    )
    def purchase(self, account: int, wanted: list[tuple[str, int | None]], fee: int) -> None:
        """One order or several in one call."""
        orders = [
            Order(
                country="ad", service=service, max_micros=most, operator=self.operator, ttl=3600, sender=None,
                contains=None, labels={},
            )
            for service, most in wanted
        ]  # fmt: skip
        answers = self.runner.run(
            lifecycle.purchase(
                self.house.platform.database, self.buyers[account].account_id, orders, test=False, terms=TERMS,
                key_id=0, policy=Policy(fee_micros=fee), countries=countries(),
            )
        )  # fmt: skip
        for order, answer in zip(orders, answers, strict=True):
            self.answered(account, order, fee, answer)

    def answered(self, account: int, order: Order, fee: int, answer: views.Lease | TrunklineError) -> None:
        service, cost = order.service, COSTS[order.service]
        if order.max_micros is not None and cost > order.max_micros:
            assert isinstance(answer, PriceAboveMax)
            return
        if self.available[account] < cost:
            assert isinstance(answer, PaymentRequired)
            return
        allowed = {number for number in range(NUMBERS) if self.may_get(account, number, service)}
        sure = {number for number in allowed if not self.seen(number, service).passed_over}
        for number in range(NUMBERS):
            if self.kept_off(number, service) or self.rests_from_another(account, number, service):
                self.seen(number, service).passed_over = True
        if isinstance(answer, NoNumbersAvailable):
            assert not sure
            return
        assert isinstance(answer, views.Lease)
        assert answer.phone_number is not None
        assert answer.activation_id is not None
        number = self.e164.index(answer.phone_number)
        assert number in allowed
        self.past[number, service] = Past(account)
        self.available[account] -= cost
        self.held[account] += cost
        self.all.append(Lease(int(answer.activation_id), account, number, service, cost, min(fee, cost)))

    def seen(self, number: int, service: str) -> Past:
        return self.past.setdefault((number, service), Past())

    def live_on(self, number: int) -> list[Lease]:
        return [lease for lease in self.all if lease.live and lease.number == number]

    def kept_off(self, number: int, service: str) -> bool:
        """Whether another service's lease has the number for itself, or would not have it so any more."""
        others = [lease.service for lease in self.live_on(number)]
        return bool(others) if service == "any" else "any" in others

    def rests_from_another(self, account: int, number: int, service: str) -> bool:
        """Whether ``any`` would read a text meant for another account's former lease, or the other way round."""
        return any(
            past.awaits_text and past.last_account != account
            for (where, other), past in self.past.items()
            if where == number and (other == "any") != (service == "any")
        )

    def may_get(self, account: int, number: int, service: str) -> bool:
        past = self.seen(number, service)
        if self.rests_from_another(account, number, service):
            return False
        if self.kept_off(number, service) or any(lease.service == service for lease in self.live_on(number)):
            return False
        return not past.awaits_text or past.last_account == account

    @rule(texts=st.lists(st.tuples(numbers, about, st.booleans()), min_size=1, max_size=4))
    def deliver(self, texts: list[tuple[int, str | None, bool]]) -> None:
        """New texts, one commit for all: some name a service, some nobody, some hold no code."""
        written: list[tuple[int, str, str | None]] = []
        for number, brand, with_code in texts:
            serial = len(self.sent) + len(written) + 1
            name = f"{BRANDS[brand]} " if brand else ""
            code = f"Your {name}code is {500_000 + serial}" if with_code else f"Welcome to {name}room {serial} of ours"
            written.append((number, code, brand))
        self.receive(written)

    @precondition(lambda self: self.sent)
    @rule(again=st.lists(indices, min_size=1, max_size=3))
    def deliver_again(self, again: list[int]) -> None:
        """The words of texts that were sent before, anew."""
        self.receive([self.sent[index % len(self.sent)] for index in again])

    def receive(self, texts: list[tuple[int, str, str | None]]) -> None:
        arriving = [simulator.inbound("INFO", self.e164[number], text) for number, text, _ in texts]
        outcomes = self.runner.run(self.house.platform.inbox.receive(arriving))
        for (number, text, brand), outcome in zip(texts, outcomes, strict=True):
            assert outcome == self.expected(number, text, brand), (number, text)
        self.sent += texts

    def expected(self, number: int, text: str, brand: str | None) -> Outcome:
        """What must become of a text; it then counts in the model."""
        owner = self.meant_for(number, brand)
        if owner is None:
            return Outcome("unmatched", None)
        if not owner.texts:
            self.held[owner.account] -= owner.cost
        owner.texts.append(text)
        owner.state = "received"
        return Outcome("delivered", owner.activation_id)

    def meant_for(self, number: int, brand: str | None) -> Lease | None:
        live = self.live_on(number)
        if live and live[0].service == "any":
            return live[0]
        if brand is not None:
            return next((lease for lease in live if lease.service == brand), None)
        return live[0] if len(live) == 1 else None

    @precondition(lambda self: self.all)
    @rule(index=indices, word=st.sampled_from(["completed", "cancelled"]))
    def finish(self, index: int, word: str) -> None:
        lease = self.all[index % len(self.all)]
        account_id = self.buyers[lease.account].account_id
        problem = None
        try:
            database = self.house.platform.database
            done = self.runner.run(
                lifecycle.finish(database, account_id, lease.activation_id, word, test=False, policy=Policy())
            )
        except TrunklineError as error:
            problem = error.code
        expected = None
        if not lease.live:
            expected = None if lease.state == word else "activation_finished"
        elif word == "completed" and not lease.texts:
            expected = "no_sms_received"
        elif word == "cancelled" and lease.texts:
            expected = "sms_already_received"
        else:
            self.end(lease, word)
            self.past[lease.number, lease.service].awaits_text = word == "cancelled"
        assert problem == expected
        if problem is None:
            assert done.status == word
            assert done.refund * 1_000_000 == lease.refund

    @precondition(lambda self: self.all)
    @rule(index=indices)
    def expire(self, index: int) -> None:
        lease = self.all[index % len(self.all)]

        async def expired() -> int:
            database = self.house.platform.database
            await database.execute(
                "UPDATE activation SET expires_at = now() WHERE activation_id = $1 AND ended_at IS NULL",
                lease.activation_id,
            )
            return await sweeper.expire_due(database)

        assert self.runner.run(expired()) == lease.live
        if lease.live:
            self.end(lease, "completed" if lease.texts else "expired")

    def end(self, lease: Lease, state: str) -> None:
        lease.state = state
        if not lease.texts:
            lease.refund = lease.cost - lease.fee
            self.held[lease.account] -= lease.cost
            self.available[lease.account] += lease.refund

    @invariant()
    def the_database_agrees(self) -> None:
        if hasattr(self, "buyers"):
            self.runner.run(self.compare())

    async def compare(self) -> None:
        database = self.house.platform.database
        mine = [buyer.account_id for buyer in self.buyers]
        rows = await database.fetch(
            "SELECT account_id, available_micros, held_micros FROM balance WHERE account_id = ANY ($1) ORDER BY 1", mine
        )
        assert [tuple(row) for row in rows] == list(zip(mine, self.available, self.held, strict=True))
        rows = await database.fetch(
            "SELECT activation_id, state::text, refund_micros, revision, texts_of(activation_id) AS texts"
            " FROM activation AS a WHERE account_id = ANY ($1) ORDER BY 1",
            mine,
        )
        assert [
            (*list(row)[:4], [(sms.revision, sms.full_text, sms.code) for sms in views.texts(row)]) for row in rows
        ] == [
            (
                *(lease.activation_id, lease.state, lease.refund, len(lease.texts)),
                [(place, text, code_of(text)) for place, text in enumerate(lease.texts, 1)],
            )
            for lease in self.all
        ]
        shared = await database.fetchval(
            "SELECT count(*) FROM activation AS a JOIN activation AS b USING (number_id) WHERE a.ended_at IS NULL"
            " AND b.ended_at IS NULL AND a.activation_id < b.activation_id"
            " AND (a.service_id = b.service_id OR 0 IN (a.service_id, b.service_id))"
        )
        assert shared == 0
        await self.house.books_balance()

    def teardown(self) -> None:
        """Ends what lives, so that the next example's sweep finds only its own."""
        for index in range(len(self.all)):
            self.expire(index)


def code_of(text: str) -> str | None:
    found = re.search(r"code is (\d+)", text)
    return found and found[1]


@pytest.mark.timeout(1800)  # half a minute's work; a slow machine is to finish it too
def test_leases_texts_and_money_agree_with_the_model_whatever_happens(url: str) -> None:
    with asyncio.Runner() as runner:
        stack = contextlib.AsyncExitStack()
        house = runner.run(stack.enter_async_context(opened(url)))
        for service, micros in COSTS.items():
            runner.run(prices.set_price(house.platform.database, Actor("operator:test"), service, "ad", "USD", micros))
        LeaseMachine.house, LeaseMachine.runner = house, runner
        try:
            run_state_machine_as_test(
                LeaseMachine,
                settings=settings(
                    max_examples=40,
                    stateful_step_count=40,
                    deadline=None,
                    database=None,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            runner.run(stack.aclose())
