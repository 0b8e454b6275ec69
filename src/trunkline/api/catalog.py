"""Handlers of the public catalog: countries, services, prices. Made once for each version, then served from memory."""

import hashlib
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from trunkline import ids, money
from trunkline.api import wire
from trunkline.api.routes import Document, Route
from trunkline.catalog.countries import countries
from trunkline.catalog.prices import Catalog, Snapshot
from trunkline.catalog.services import Service
from trunkline.errors import InvalidRequest, UnknownCountry, UnknownService
from trunkline.stats.statistics import Statistics

COUNTRIES_MAX_AGE_SECONDS = 3600
SERVICES_MAX_AGE_SECONDS = 300
PRICES_MAX_AGE_SECONDS = 10

Limit = Annotated[int, Meta(ge=1, le=100, description="Rows in a page. Without it, everything comes at once.")]


class CountryRow(msgspec.Struct, frozen=True):
    code: str
    name: str
    calling_code: str
    stock: int
    lowest_price: Decimal | None


class ServiceRow(msgspec.Struct, frozen=True):
    slug: str
    name: str
    domain: str | None


class PriceRow(msgspec.Struct, frozen=True):
    """`delivery_rate` and `median_seconds` are those of the last 7 days; null below 30 leases, or texts."""

    country: str
    service: str
    price: Decimal
    currency: str
    stock: int
    delivery_rate: float | None
    median_seconds: float | None


class PageQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    limit: Limit | None = None
    cursor: str | None = None


class ServicesQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    q: Annotated[str, Meta(max_length=100, description="Searches slug, name, domain and aliases.")] | None = None
    limit: Limit | None = None
    cursor: str | None = None


class PricesQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    country: str | None = None
    service: str | None = None
    limit: Annotated[int, Meta(ge=1, le=100)] | None = None
    cursor: str | None = None


def routes(*, catalog: Catalog, statistics: Statistics, currency: str) -> list[Route]:
    """The table's public lines. Prices are shown in the operator's ``currency``."""
    made: dict[tuple[Any, ...], Document] = {}

    def remember(snapshot: Snapshot, what: tuple[Any, ...], make: Callable[[], Document]) -> Document:
        key = (snapshot.version, *what)
        if key not in made:
            if len(made) > 500 or any(version != snapshot.version for version, *_ in made):
                made.clear()
            made[key] = make()
        return made[key]

    async def list_countries(query: PageQuery) -> Document:
        snapshot = await catalog.snapshot()

        def make() -> Document:
            rows = []
            for country in countries().values():
                lowest = snapshot.lowest_price(country.code, currency)
                rows.append(
                    CountryRow(
                        country.code,
                        country.name,
                        country.calling_code,
                        snapshot.stock.get(country.code, 0),
                        None if lowest is None else money.show(lowest),
                    )
                )
            return _document(rows, query.limit, query.cursor, COUNTRIES_MAX_AGE_SECONDS)

        return remember(snapshot, ("countries", query.limit, query.cursor), make)

    async def list_services(query: ServicesQuery) -> Document:
        snapshot = await catalog.snapshot()

        def make() -> Document:
            words = (query.q or "").casefold().split()
            rows = [
                ServiceRow(service.slug, service.name, service.domain)
                for service in snapshot.services.values()
                if all(word in _searched(service) for word in words)
            ]
            return _document(rows, query.limit, query.cursor, SERVICES_MAX_AGE_SECONDS)

        if query.q is not None:
            return make()
        return remember(snapshot, ("services", query.limit, query.cursor), make)

    async def list_prices(query: PricesQuery) -> Document:
        snapshot = await catalog.snapshot()
        where = query.country.lower() if query.country is not None else None
        if where is not None and where not in countries():
            raise UnknownCountry(f"There is no country {query.country!r}.", field="country")
        if query.service is not None and query.service not in snapshot.services:
            raise UnknownService(f"There is no service {query.service!r}.", field="service")
        stocked = [where] if where is not None else sorted(snapshot.stock)
        chosen = [snapshot.services[query.service]] if query.service is not None else list(snapshot.services.values())
        pairs = [(country, service) for country in stocked for service in chosen]
        limit = query.limit or (None if where is not None or query.service is not None else 25)
        page, next_cursor = _cut(pairs, limit, query.cursor)
        arrivals = await statistics.arrivals()
        rows = []
        for country, service in page:
            price = snapshot.price(service.service_id, country, currency)
            if price is not None:
                stock = snapshot.stock.get(country, 0)
                if query.service is not None:  # what is leased now is counted where one service is asked for
                    stock = (await catalog.stock(service.service_id)).get(country, 0)
                counted = arrivals.get((country, service.slug))
                rate, median = (counted.delivery_rate, counted.median_seconds) if counted is not None else (None, None)
                rows.append(
                    PriceRow(
                        country,
                        service.slug,
                        money.show(price),
                        currency,
                        stock,
                        rate and round(rate.value, 4),
                        median and round(median.value, 2),
                    )
                )
        return _render(rows, next_cursor, PRICES_MAX_AGE_SECONDS)

    return [
        Route(
            method="GET",
            path="/countries",
            scope=None,
            handler=list_countries,
            tag="Catalog",
            summary="Countries",
            description="Every ISO 3166-1 country with its calling code, stock and lowest price.",
            query=PageQuery,
            answer=list[CountryRow],
            is_list=True,
            errors=(InvalidRequest,),
        ),
        Route(
            method="GET",
            path="/services",
            scope=None,
            handler=list_services,
            tag="Catalog",
            summary="Services",
            query=ServicesQuery,
            answer=list[ServiceRow],
            is_list=True,
            errors=(InvalidRequest,),
        ),
        Route(
            method="GET",
            path="/prices",
            scope=None,
            handler=list_prices,
            tag="Catalog",
            summary="Prices and stock",
            query=PricesQuery,
            answer=list[PriceRow],
            is_list=True,
            errors=(InvalidRequest, UnknownCountry, UnknownService),
        ),
    ]


def _searched(service: Service) -> str:
    return " ".join((service.slug, service.name, service.domain or "", *service.aliases)).casefold()


def _cut(rows: list[Any], limit: int | None, cursor: str | None) -> tuple[list[Any], str | None]:
    """A page of rows whose order does not change: the cursor is the place of the next row."""
    start = ids.from_cursor(cursor) if cursor is not None else 0
    end = len(rows) if limit is None else start + limit
    return rows[start:end], ids.cursor(end) if end < len(rows) else None


def _document(rows: list[Any], limit: int | None, cursor: str | None, max_age_seconds: int) -> Document:
    page, next_cursor = _cut(rows, limit, cursor)
    return _render(page, next_cursor, max_age_seconds)


def _render(rows: list[Any], next_cursor: str | None, max_age_seconds: int) -> Document:
    body = wire.page(rows, next_cursor)
    return Document(body, f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"', max_age_seconds)
