"""Prices by rule: a service and a country, one of the two, or neither; the most specific rule counts."""

import asyncio
import dataclasses
import time
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation

from trunkline import money
from trunkline.audit import acts
from trunkline.audit.acts import Actor
from trunkline.catalog import services
from trunkline.catalog.problems import UnknownService
from trunkline.catalog.rules import Rule, Rules
from trunkline.catalog.services import Service
from trunkline.errors import InvalidRequest
from trunkline.storage.database import Querier
from trunkline.storage.queries import bind, queries

SQL = queries(__package__)

FRESH_SECONDS = 1.0  # how long a process may show an old catalog
BUSY_FRESH_SECONDS = 10.0


async def set_price(
    connection: Querier, actor: Actor, slug: str | None, country: str | None, currency: str, micros: int
) -> None:
    """Sets a rule; leases that run keep the price they were bought at. Raises UnknownService."""
    if slug is not None and not await connection.fetchval(SQL.is_service, slug):
        raise UnknownService(f"There is no service {slug!r}.")
    await connection.execute(*bind(SQL.put_price, service=slug, country=country, currency=currency, micros=micros))
    rule = {"country": country, "currency": currency, "price": money.show(micros)}
    await acts.record(connection, actor, "price.set", f"service:{slug}" if slug else "every service", rule)


@dataclasses.dataclass(frozen=True, slots=True)
class Tier:
    """What the next lease of an account costs less, once so many of its leases of the calendar month got a text."""

    from_completed: int
    percent_off: Decimal


async def set_tier(connection: Querier, actor: Actor, from_completed: int, percent_off: str) -> Tier:
    """Makes or replaces a tier. Raises InvalidRequest for one from 0, and for no percentage of two decimals at most."""
    if not 1 <= from_completed < 2**31:
        raise InvalidRequest("A tier begins from 1 completed lease or more.", field="from_completed")
    try:
        percent = Decimal(percent_off)
    except InvalidOperation:
        raise InvalidRequest(f"{percent_off!r} is no percentage.", field="percent_off") from None
    if not percent.is_finite() or not 0 < percent <= 100 or percent * 100 % 1:
        raise InvalidRequest(
            "A tier takes off more than 0 to 100 percent, with two decimals at most.", field="percent_off"
        )
    await connection.execute(SQL.put_tier, from_completed, percent)
    await acts.record(connection, actor, "price.tier_set", f"tier:{from_completed}", {"percent_off": percent})
    return Tier(from_completed, percent)


async def tiers(connection: Querier) -> list[Tier]:
    """Lowest volume first."""
    return [Tier(row["from_completed"], row["percent_off"]) for row in await connection.fetch(SQL.tiers)]


async def remove_tier(connection: Querier, actor: Actor, from_completed: int) -> None:
    """Raises InvalidRequest where there is none."""
    if await connection.fetchval(SQL.drop_tier, from_completed) is None:
        raise InvalidRequest(f"There is no tier from {from_completed}.", field="from_completed")
    await acts.record(connection, actor, "price.tier_removed", f"tier:{from_completed}")


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """The catalog at one version, as this process holds it in memory."""

    version: int
    services: Mapping[str, Service]  # without the magic ones, which are no part of the public catalog
    by_id: Mapping[int, Service]  # with them
    rules: Rules
    stock: Mapping[str, int]  # country → numbers that live keys can lease


class Catalog:
    """The current snapshot, read again when the database counts a change; asked at most once a second.

    While the services stay as they are, so do the objects ``services`` and ``by_id``: what is made of them is good on.
    """

    def __init__(self, database: Querier, carriers: Sequence[str]) -> None:
        self._database = database
        self._carriers = list(carriers)
        self._snapshot: Snapshot | None = None
        self._services_version = 0
        self._asked = 0.0
        self._counting = asyncio.Lock()
        self._busy: dict[int, tuple[float, dict[str, int]]] = {}
        self._loading = asyncio.Lock()

    async def snapshot(self) -> Snapshot:
        if self._snapshot is not None and time.monotonic() - self._asked < FRESH_SECONDS:
            return self._snapshot
        async with self._loading:
            asked = time.monotonic()
            if self._snapshot is None or asked - self._asked >= FRESH_SECONDS:
                row = await self._database.fetchrow(SQL.version)
                assert row is not None
                if self._snapshot is None or self._snapshot.version != row["version"]:
                    self._snapshot = await self._load(self._snapshot, row["version"], row["services"])
                self._asked = asked
        return self._snapshot

    async def _load(self, before: Snapshot | None, version: int, services_version: int) -> Snapshot:
        if before is not None and self._services_version == services_version:
            public, by_id = before.services, before.by_id
        else:
            every = await services.load(self._database)
            public = {service.slug: service for service in every if not service.magic}
            by_id = {service.service_id: service for service in every}
            self._services_version = services_version
        rules = [Rule(*row) for row in await self._database.fetch(SQL.prices)]
        stock = await self._database.fetch(SQL.stock, self._carriers)
        return Snapshot(version, public, by_id, Rules(rules), {row["country"]: row["numbers"] for row in stock})

    async def stock(self, service_id: int) -> dict[str, int]:
        """Country → numbers that could be leased for a service, as of at most ten seconds ago."""
        busy = self._known_busy(service_id)
        if busy is None:
            async with self._counting:  # one service after another, whoever asks for how many
                busy = self._known_busy(service_id)
                if busy is None:
                    rows = await self._database.fetch(SQL.busy, service_id, self._carriers)
                    busy = {row["country"]: row["busy"] for row in rows}
                    self._busy[service_id] = time.monotonic(), busy
        numbers = (await self.snapshot()).stock
        return {country: max(0, count - busy.get(country, 0)) for country, count in numbers.items()}

    def _known_busy(self, service_id: int) -> dict[str, int] | None:
        seen, busy = self._busy.get(service_id, (-BUSY_FRESH_SECONDS, {}))
        return busy if time.monotonic() - seen < BUSY_FRESH_SECONDS else None
