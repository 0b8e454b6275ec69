"""Prices by rule: a service and a country, one of the two, or neither; the most specific rule counts."""

import asyncio
import dataclasses
import time
from collections.abc import Mapping, Sequence

from trunkline.catalog import services
from trunkline.catalog.services import Service
from trunkline.errors import UnknownService
from trunkline.storage.database import Querier
from trunkline.storage.queries import queries

SQL = queries(__package__)

FRESH_SECONDS = 1.0  # how long a process may show an old catalog
BUSY_FRESH_SECONDS = 10.0


async def set_price(connection: Querier, slug: str | None, country: str | None, currency: str, micros: int) -> None:
    """Sets a rule; leases that run keep the price they were bought at. Raises UnknownService."""
    if slug is not None and not any(service.slug == slug for service in await services.load(connection)):
        raise UnknownService(f"There is no service {slug!r}.")
    await connection.execute(SQL.put_price, slug, country, currency, micros)


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """The catalog at one version, as this process holds it in memory."""

    version: int
    services: Mapping[str, Service]
    by_id: Mapping[int, Service]
    rules: Mapping[tuple[int | None, str | None, str], int]  # service, country, currency → micros
    stock: Mapping[str, int]  # country → numbers that live keys can lease

    def price(self, service_id: int, country: str, currency: str) -> int | None:
        """Micros, by the same order of rules as the database's ``price_of``; None where no rule fits."""
        for key in ((service_id, country), (service_id, None), (None, country), (None, None)):
            micros = self.rules.get((*key, currency))
            if micros is not None:
                return micros
        return None

    def lowest_price(self, country: str, currency: str) -> int | None:
        """The price of the cheapest service in a country."""
        own = {service for service, where, money in self.rules if service is not None and money == currency}
        prices = [self.price(service, country, currency) for service in own]
        if len(own) < len(self.by_id):
            prices.append(self.rules.get((None, country, currency), self.rules.get((None, None, currency))))
        return min((price for price in prices if price is not None), default=None)


class Catalog:
    """The current snapshot, read again when the database counts a change; asked at most once a second."""

    def __init__(self, database: Querier, carriers: Sequence[str]) -> None:
        self._database = database
        self._carriers = list(carriers)
        self._snapshot: Snapshot | None = None
        self._asked = 0.0
        self._busy: dict[int, tuple[float, dict[str, int]]] = {}
        self._loading = asyncio.Lock()

    async def snapshot(self) -> Snapshot:
        if self._snapshot is not None and time.monotonic() - self._asked < FRESH_SECONDS:
            return self._snapshot
        async with self._loading:
            asked = time.monotonic()
            if self._snapshot is None or asked - self._asked >= FRESH_SECONDS:
                version = await self._database.fetchval(SQL.version)
                if self._snapshot is None or self._snapshot.version != version:
                    self._snapshot = await self._load(version)
                self._asked = asked
        return self._snapshot

    async def _load(self, version: int) -> Snapshot:
        every = await services.load(self._database)
        rules = await self._database.fetch(SQL.prices)
        stock = await self._database.fetch(SQL.stock, self._carriers)
        return Snapshot(
            version,
            {service.slug: service for service in every},
            {service.service_id: service for service in every},
            {(row["service_id"], row["country"], row["currency"]): row["price_micros"] for row in rules},
            {row["country"]: row["numbers"] for row in stock},
        )

    async def stock(self, service_id: int) -> dict[str, int]:
        """Country → numbers that could be leased for a service, as of at most ten seconds ago."""
        seen, busy = self._busy.get(service_id, (-BUSY_FRESH_SECONDS, {}))
        if time.monotonic() - seen >= BUSY_FRESH_SECONDS:
            rows = await self._database.fetch(SQL.busy, service_id, self._carriers)
            busy = {row["country"]: row["busy"] for row in rows}
            self._busy[service_id] = time.monotonic(), busy
        numbers = (await self.snapshot()).stock
        return {country: max(0, count - busy.get(country, 0)) for country, count in numbers.items()}
