"""The whole product in this process over a real database: its API is called as ASGI, texts go into its inbox."""

import asyncio
import contextlib
import dataclasses
import datetime
import itertools
import pathlib
import tempfile
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from typing import Any

import httpx

from trunkline import app, asgi, config, money
from trunkline.accounts import accounts
from trunkline.accounts.keys import ALL_SCOPES, Keyring
from trunkline.accounts.limits import Limiter
from trunkline.activations import erasure, inbox, sweeper
from trunkline.activations.inbox import Outcome
from trunkline.app import Platform
from trunkline.asgi import Push
from trunkline.audit.acts import Actor
from trunkline.carriers.carrier import Alphabet, InboundText
from trunkline.carriers.simulated import carrier as simulator
from trunkline.catalog import numbers
from trunkline.ledger import journal
from trunkline.storage import vault
from trunkline.storage.database import Querier, Row
from trunkline.surfaces.http.addresses import Addresses
from trunkline.surfaces.http.application import Application
from trunkline.surfaces.http.route import Route
from trunkline.surfaces.http.strangers import Strangers
from trunkline.surfaces.http.surface import Surface
from trunkline.verify import checking
from trunkline.verify.sender import Sender

UNLIMITED = 10_000_000
NORTH = {
    "TRUNKLINE_CARRIERS__NORTH__KIND": "smpp",
    "TRUNKLINE_CARRIERS__NORTH__URL": "smpp://user:secret@127.0.0.1:1",
    "TRUNKLINE_POOL__SIMULATED": "always",
}  # a carrier that charges, beside the simulated network; nobody runs its link here

_emails = itertools.count(1)
_subscribers = itertools.count(300_001)


class Buyer:
    """A customer and what they send to the API with one of their keys."""

    def __init__(self, account: accounts.NewAccount, secret: str, api: Application) -> None:
        self.account = account
        self.account_id = account.account_id
        self._api = api
        self._http = httpx.AsyncClient(
            transport=httpx.ASGITransport(api),  # type: ignore[arg-type] # ours names the same types more precisely
            base_url="http://trunkline/api/v1",
            headers={"Authorization": f"Bearer {secret}"},
        )

    def testing(self) -> "Buyer":
        """The same customer, with the test key."""
        return Buyer(self.account, self.account.test_key, self._api)

    def with_key(self, secret: str) -> "Buyer":
        """The same customer, with another of their keys."""
        return Buyer(self.account, secret, self._api)

    async def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        return await self._http.request(method, path, **more)

    async def get(self, path: str, **parameters: Any) -> httpx.Response:
        return await self._http.get(path, params=parameters)

    async def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        return await self._http.post(path, json=body, headers=headers)

    async def order(self, service: str = "whatsapp", country: str = "ad", **more: Any) -> httpx.Response:
        return await self.post("/numbers/purchase", {"country": country, "service": service, **more})

    async def lease(self, service: str = "whatsapp", country: str = "ad", **more: Any) -> Any:
        """A purchase that must succeed."""
        return data(await self.order(service, country, **more))

    async def status(self, lease: dict[str, Any]) -> Any:
        return data(await self.get(f"/numbers/status/{lease['activation_id']}"))

    async def finish(self, lease: dict[str, Any], word: str) -> httpx.Response:
        return await self.post(f"/numbers/finish/{lease['activation_id']}", {"status": word})

    async def cancel(self, lease: dict[str, Any]) -> Any:
        return data(await self.finish(lease, "cancelled"))

    async def complete(self, lease: dict[str, Any]) -> Any:
        return data(await self.finish(lease, "completed"))

    async def new_key(self, scopes: list[str] = ALL_SCOPES, **more: Any) -> Any:
        """A key that must be made."""
        return data(await self.post("/keys", {"name": "ci", "scopes": scopes, **more}))

    async def first_key(self) -> Any:
        """The key of the mode in which they call that came with the account."""
        return data(await self.get("/keys", ended=True))[-1]

    def from_address(self, address: str) -> "Buyer":
        """The same customer, calling from elsewhere."""
        other = Buyer(self.account, "", self._api)
        transport = httpx.ASGITransport(self._api, client=(address, 40_000))  # type: ignore[arg-type]
        other._http = httpx.AsyncClient(transport=transport, base_url=self._http.base_url, headers=self._http.headers)
        return other

    async def purse(self) -> tuple[float, float]:
        """What can be spent, and what is held."""
        account = data(await self.get("/account"))
        return account["balance"], account["held"]


def data(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem document of an answer that must refuse with this status and code."""
    document: dict[str, Any] = answer.json()
    assert (answer.status_code, document.get("code")) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return document


async def pay_in(connection: Querier, account_id: int, amount: str | Decimal) -> None:
    """Money from the operator, as ``trunkline account credit`` puts it onto a balance."""
    if micros := money.parse(amount):
        await journal.credit(connection, Actor("operator:test"), account_id, micros)


@dataclasses.dataclass(frozen=True, slots=True)
class Kept:
    """A stored text; None where it is erased."""

    body: str | None
    code: str | None
    row: Row


@dataclasses.dataclass(frozen=True, slots=True)
class House:
    platform: Platform
    api: Application
    surfaces: Sequence[Surface]
    pushed: Push
    sender: Sender

    @property
    def routes(self) -> list[Route]:
        return [route for surface in self.surfaces for route in surface.routes]

    async def buyer(self, credit: str = "5.00", *, per_minute: int = UNLIMITED) -> Buyer:
        async with self.platform.database.transaction() as connection:
            email = f"buyer-{next(_emails)}@example.com"
            account = await accounts.create(
                connection,
                Actor("operator:test"),
                email,
                currency="USD",
                per_minute=per_minute,
                credit_micros=money.parse(credit),
            )
        return Buyer(account, account.live_key, self.api)

    async def stock(
        self, count: int, *, country: str = "ad", carrier: str = "simulated", operator: str = "", test: bool = False
    ) -> list[str]:
        """New numbers of the operator's own, in a country where the simulated network has none."""
        e164 = [f"+376{next(_subscribers)}" for _ in range(count)]
        rows = [numbers.Row(line, number, country, operator) for line, number in enumerate(e164, 1)]
        assert await numbers.stock(self.platform.database, rows, carrier=carrier, test=test) == []
        return e164

    async def text(self, to: str, text: str, sender: str = "INFO", carrier: str = "simulated") -> Outcome:
        return (await self.texts(to, text, sender=sender, carrier=carrier))[0]

    async def texts(self, to: str, *texts: str, sender: str = "INFO", carrier: str = "simulated") -> list[Outcome]:
        return await self.platform.inbox.receive(
            [InboundText(carrier, sender, to, text.encode(), Alphabet.UTF8) for text in texts]
        )

    async def network(self) -> int:
        """Lets the simulated network send what is due to leases of magic services; how many texts that was."""
        return await simulator.send_due(self.platform.database, self.platform.inbox.put)

    async def codes_go_out(self) -> int:
        """Lets the codes that wait be sent, and their receipts come; how many texts were submitted."""
        sent = 0
        while claimed := await self.sender.claim():
            sent += claimed
            await self.sender.settle()
        await self.receipts_come()
        return sent

    async def receipts_come(self) -> None:
        """Lets the simulated network tell its receipts, whenever they are due."""
        database = self.platform.database
        await database.execute("UPDATE simulated_receipt SET due_at = least(due_at, now())")
        told = asyncio.ensure_future(simulator.report_due(database, self.sender.report))
        while not told.done():
            await self.sender.write()
            await asyncio.sleep(0)
        await told

    async def later(self, seconds: float) -> None:
        """Lets time pass for leases, planned texts and resting numbers; what is due by then expires."""
        database = self.platform.database
        await database.execute(
            "UPDATE activation SET created_at = created_at - $1::interval, expires_at = expires_at - $1,"
            " cancel_after = cancel_after - $1, erase_after = erase_after - $1",
            datetime.timedelta(seconds=seconds),
        )
        await database.execute(
            "UPDATE slot SET rested_at = rested_at - $1::interval, open_at = open_at - $1",
            datetime.timedelta(seconds=seconds),
        )
        await database.execute(
            "UPDATE simulated_text SET due_at = due_at - $1::interval", datetime.timedelta(seconds=seconds)
        )
        await database.execute(
            "UPDATE message SET erase_after = erase_after - $1::interval", datetime.timedelta(seconds=seconds)
        )
        await database.execute(
            "UPDATE assembly SET began_at = began_at - $1::interval, touched_at = touched_at - $1",
            datetime.timedelta(seconds=seconds),
        )
        await database.execute(
            "UPDATE finished_part SET finished_at = finished_at - $1::interval", datetime.timedelta(seconds=seconds)
        )
        await database.execute(
            "UPDATE verification SET created_at = created_at - $1::interval, expires_at = expires_at - $1,"
            " resend_at = resend_at - $1, failed_at = failed_at - $1",
            datetime.timedelta(seconds=seconds),
        )
        await database.execute(
            "UPDATE verification_send SET created_at = created_at - $1::interval, next_at = next_at - $1,"
            " deadline = deadline - $1, submitted_at = submitted_at - $1",
            datetime.timedelta(seconds=seconds),
        )
        if seconds >= 3600:
            await database.execute("DELETE FROM verify_traffic")  # of hours that are over
        await database.execute("UPDATE text_key SET day = day - $1::integer", int(seconds // 86_400))
        await self.platform.inbox.give_incomplete()
        await sweeper.expire_due(database)
        await checking.expire_due(database)
        await erasure.erase_due(database, self.platform.inbox.secret)
        self.pushed.live.told(None)  # no event tells of time that is set back

    async def kept(self) -> list[Kept]:
        """Every text that came in, oldest first, as the operator may read it."""
        rows = await self.platform.database.fetch(inbox.SQL.inbox, True, None, 10_000)
        opened = [vault.unseal(row["key"], row["sealed"]) or (row["body"], row["code"]) for row in rows]
        return [Kept(body, code, row) for (body, code), row in zip(reversed(opened), reversed(rows), strict=True)]

    async def books_balance(self) -> None:
        verdict = await journal.verify(self.platform.database)
        assert verdict.ok, verdict.off


@contextlib.asynccontextmanager
async def opened(url: str, **settings: str) -> AsyncIterator[House]:
    """The house over a migrated database; ``settings`` are TRUNKLINE_* variables."""
    loaded = config.load({"TRUNKLINE_DATABASE_URL": url} | settings)
    of_strangers = int(settings.get("TRUNKLINE_SERVER__PUBLIC_REQUESTS_PER_MINUTE", 0))  # else all tests are one
    with tempfile.TemporaryDirectory() as data_dir:
        async with _house(loaded, pathlib.Path(data_dir), Strangers(of_strangers)) as house:
            yield house


@contextlib.asynccontextmanager
async def _house(loaded: config.Config, data_dir: pathlib.Path, strangers: Strangers) -> AsyncIterator[House]:
    async with app.platform(loaded, data_dir) as platform:
        pushed = asgi.push(loaded, platform)
        surfaces = asgi.surfaces(loaded, platform, pushed)
        api = Application(
            surfaces,
            database=platform.database,
            keyring=Keyring(platform.database),
            limiter=Limiter(account_per_minute=loaded.server.account_requests_per_minute),
            addresses=Addresses(loaded.server.trusted_proxies),
            appeal=loaded.policy.appeal,
            files={},
            bulkheads=asgi.bulkheads(loaded),
            strangers=strangers,
        )
        tail = asyncio.create_task(pushed.tail.run())
        try:
            carriers = platform.registry.carriers
            sender = Sender(
                platform.database,
                carriers,
                lambda name: carriers[name].health(),
                platform.verify.seals,
                route_seconds=platform.verify.options.route_seconds,
            )
            yield House(platform, api, surfaces, pushed, sender)
        finally:
            tail.cancel()
            await asyncio.gather(tail, return_exceptions=True)
