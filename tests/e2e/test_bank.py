"""The bank test: customers buy, receive, complete, cancel, get credit and rotate keys while the server is killed again
and again. What each of them was told adds up to what the server holds in the end.

TRUNKLINE_BANK_SECONDS says how long at least; 20 without it, 180 for the full proof.
"""

import asyncio
import collections
import itertools
import os
import random
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import httpx
import pytest

from tests.conftest import Serve, Server, Trunkline
from tests.house import Buyer, House, opened, pay_in

SECONDS = float(os.environ.get("TRUNKLINE_BANK_SECONDS", "20"))
CUSTOMERS = 16
PATIENCE_SECONDS = 120.0  # for a server that starts
MOST_SECONDS = SECONDS + 240  # for everything to have happened on a slow machine
PRICE = Decimal("0.1")
BRANDS = {"whatsapp": "WhatsApp", "telegram": "Telegram"}

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(MOST_SECONDS + 360)]

_codes = itertools.count(100_000)


class Bank:
    """The server as customers know it: gone now and then, there again after a moment."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._open = asyncio.Event()
        self._server: Server | None = None
        self.kills = 0
        self.answers = 0

    async def start(self) -> None:
        self._server = await asyncio.to_thread(self._serve)
        self._open.set()

    async def kill(self) -> None:
        assert self._server is not None
        await asyncio.to_thread(self._server.kill)  # while they call
        self._open.clear()
        self.kills += 1

    async def serve(self, answers: int) -> None:
        """Goes on until it has given so many more, however slow the machine is."""
        enough = self.answers + answers
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.answers < enough:
                await asyncio.sleep(0.01)

    async def api(self) -> str:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self._open.wait()
        assert self._server is not None
        return self._server.api


class Customer:
    """Does what customers do, one thing after the other, and writes down what it is told."""

    def __init__(self, name: int, bank: Bank, house: House, buyer: Buyer, credit: Decimal) -> None:
        self._name = name
        self._bank = bank
        self._house = house
        self._account_id = buyer.account_id
        self._secret = buyer.account.live_key
        self._key_id = ""
        self._numbers: dict[str, str] = {}
        self._services: dict[str, str] = {}
        self._orders = itertools.count(1)
        self._http = httpx.AsyncClient(trust_env=False, timeout=30)
        self.states: dict[str, str] = {}  # by id of the lease
        self.credited = credit
        self.done: collections.Counter[str] = collections.Counter()

    @property
    def balance(self) -> Decimal:
        return self.credited - PRICE * sum(state != "cancelled" for state in self.states.values())

    @property
    def held(self) -> Decimal:
        return PRICE * sum(state == "waiting" for state in self.states.values())

    async def say(self, method: str, path: str, body: Any = None, **parameters: Any) -> httpx.Response:
        """Says it, with one Idempotency-Key, until it is answered."""
        headers = {"Authorization": f"Bearer {self._secret}"}
        if method == "POST":
            headers["Idempotency-Key"] = f"{self._name}-{next(self._orders)}"
        while True:
            api = await self._bank.api()
            try:
                answer = await self._http.request(method, api + path, json=body, params=parameters, headers=headers)
            except httpx.ConnectError:  # it is gone, and that is not known yet
                await asyncio.sleep(0.01)
                continue
            except httpx.TransportError:
                self.done["broken calls"] += 1
                continue
            if answer.status_code != 409 or answer.json()["code"] != "idempotency_in_flight":
                assert answer.status_code < 500, answer.text
                self._bank.answers += 1
                return answer

    async def hear(self, method: str, path: str, body: Any = None, **parameters: Any) -> Any:
        answer = await self.say(method, path, body, **parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def _any(self, *states: str) -> str | None:
        found = [lease for lease, state in self.states.items() if state in states]
        return random.choice(found) if found else None

    async def buy(self) -> None:
        service = random.choice(list(BRANDS))
        answer = await self.say("POST", "/numbers/purchase", {"country": "us", "service": service})
        if self.balance < PRICE:
            assert (answer.status_code, answer.json()["code"]) == (402, "insufficient_balance"), answer.text
            return
        assert answer.status_code == 200, answer.text
        lease = answer.json()["data"]
        self.states[lease["activation_id"]] = "waiting"
        self._numbers[lease["activation_id"]] = lease["phone_number"]
        self._services[lease["activation_id"]] = service

    async def get_a_text(self) -> None:
        lease = self._any("waiting", "received")
        if lease is not None:
            assert await self._text(lease) == "delivered"
            self.states[lease] = "received"

    async def _text(self, lease: str) -> str:
        text = f"Your {BRANDS[self._services[lease]]} code: {next(_codes)}"
        return (await self._house.text(self._numbers[lease], text)).what

    async def complete(self) -> None:
        lease = self._any("received")
        if lease is not None:
            told = await self.hear("POST", f"/numbers/finish/{lease}", {"status": "completed"})
            assert (told["status"], told["refund"]) == ("completed", 0)
            self.states[lease] = "completed"

    async def cancel(self) -> None:
        lease = self._any("waiting")
        if lease is not None:
            told = await self.hear("POST", f"/numbers/finish/{lease}", {"status": "cancelled"})
            assert (told["status"], told["refund"]) == ("cancelled", 0.1)
            self.states[lease] = "cancelled"

    async def cancel_while_a_text_comes(self) -> None:
        lease = self._any("waiting")
        if lease is None:
            return
        cancelled, text = await asyncio.gather(
            self.say("POST", f"/numbers/finish/{lease}", {"status": "cancelled"}), self._text(lease)
        )
        if cancelled.status_code == 200:
            assert text in ("late", "unmatched")
            self.states[lease] = "cancelled"
        else:
            assert (cancelled.json()["code"], text) == ("sms_already_received", "delivered"), cancelled.text
            self.states[lease] = "received"

    async def look(self) -> None:
        lease = self._any("waiting", "received", "completed", "cancelled")
        if lease is not None:
            async with asyncio.timeout(2 * PATIENCE_SECONDS):  # a process shows what another has done with a delay
                while (await self.hear("GET", f"/numbers/status/{lease}"))["status"] != self.states[lease]:
                    await asyncio.sleep(0.02)

    async def count(self) -> None:
        account = await self.hear("GET", "/account")
        assert (round(account["balance"], 6), round(account["held"], 6)) == (float(self.balance), float(self.held))

    async def get_credit(self) -> None:
        amount = Decimal(random.randint(1, 20)) / 10
        async with self._house.platform.database.transaction() as connection:
            await pay_in(connection, self._account_id, amount)
        self.credited += amount

    async def rotate_the_key(self) -> None:
        if not self._key_id:
            [key] = await self.hear("GET", "/keys")
            self._key_id = key["key_id"]
        former, made = self._key_id, await self.hear("POST", f"/keys/{self._key_id}/rotate", {"overlap_hours": 1})
        self._key_id, self._secret = made["key_id"], made["key"]
        assert (await self.hear("DELETE", f"/keys/{former}"))["revoked_at"]

    def habits(self) -> dict[Callable[[], Awaitable[None]], int]:
        """What the customer does, and how often."""
        return {
            self.buy: 30, self.get_a_text: 15, self.complete: 10, self.cancel: 10, self.cancel_while_a_text_comes: 10,
            self.look: 10, self.count: 5, self.get_credit: 5, self.rotate_the_key: 2,
        }  # fmt: skip

    async def live(self, is_over: asyncio.Event) -> None:
        habits = self.habits()
        while not is_over.is_set():
            [act] = random.choices(list(habits), list(habits.values()))
            await act()
            self.done[act.__name__] += 1

    async def settle_up(self) -> None:
        """What the customer was told is what the server says now."""
        listed: dict[str, str] = {}
        more: dict[str, Any] = {}
        while True:
            page = (await self.say("GET", "/numbers", limit=100, **more)).json()
            listed |= {lease["activation_id"]: lease["status"] for lease in page["data"]}
            if page["next_cursor"] is None:
                break
            more = {"cursor": page["next_cursor"]}
        assert listed == self.states
        await self.count()
        await self._http.aclose()


async def test_after_all_kills_everybody_has_what_they_were_told(serve: Serve, trunkline: Trunkline, url: str) -> None:
    bank = Bank(serve)
    async with opened(url) as house:
        customers = [
            Customer(name, bank, house, await house.buyer("2.00"), Decimal("2.00")) for name in range(CUSTOMERS)
        ]

        def done() -> collections.Counter[str]:
            return sum((customer.done for customer in customers), collections.Counter[str]())

        def has_all_happened() -> bool:
            habits = {habit.__name__ for habit in customers[0].habits()}
            return bank.kills > SECONDS / 20 and done()["broken calls"] > bank.kills and done().keys() > habits

        await bank.start()
        began, is_over = time.monotonic(), asyncio.Event()
        async with asyncio.TaskGroup() as all_of_them:
            for customer in customers:
                all_of_them.create_task(customer.live(is_over))
            while time.monotonic() < began + SECONDS or not has_all_happened():
                assert time.monotonic() < began + MOST_SECONDS, (bank.kills, done())
                await bank.serve(2 * CUSTOMERS)
                await asyncio.sleep(random.uniform(0, 4))
                await bank.kill()
                await bank.start()
            is_over.set()
        for customer in customers:
            await customer.settle_up()
        print(f"{bank.kills} kills, {dict(done())}")

        database = house.platform.database
        both = await database.fetchval(
            "SELECT count(*) FROM transfer AS captured JOIN transfer AS released USING (activation_id)"
            " WHERE captured.kind = 'capture' AND released.kind = 'release'"
        )
        below = await database.fetchval("SELECT count(*) FROM balance WHERE available_micros < 0 OR held_micros < 0")
        assert (both, below) == (0, 0)
    books = trunkline("ledger", "verify")
    assert books["ok"], books["off"]
    captured = sum(state in ("received", "completed") for customer in customers for state in customer.states.values())
    waiting = sum(state == "waiting" for customer in customers for state in customer.states.values())
    assert (books["revenue_micros"], books["held_micros"]) == (captured * 100_000, waiting * 100_000)
