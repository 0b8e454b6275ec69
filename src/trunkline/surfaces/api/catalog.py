"""Handlers of the public catalog: countries, services, prices."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from trunkline import fields, ids, money
from trunkline.activations.outcomes import Outcomes, Statistics
from trunkline.catalog.countries import countries
from trunkline.catalog.prices import Catalog, Snapshot
from trunkline.catalog.problems import UnknownCountry, UnknownService
from trunkline.catalog.rules import Prices
from trunkline.catalog.services import Service
from trunkline.errors import InvalidRequest
from trunkline.surfaces.http import wire
from trunkline.surfaces.http.documents import Documents, Slices, document
from trunkline.surfaces.http.route import Document, Route

COUNTRIES_MAX_AGE_SECONDS = 3600
SERVICES_MAX_AGE_SECONDS = 300
PRICES_MAX_AGE_SECONDS = 10
MOST_WORDS = 5  # of a search
MOST_AT_ONCE = 250  # prices that are made for each who asks: those of a service in every country
MOST_WAITING = 100  # for documents that are not there
REST = 3  # times as long as a document took, until the next is made: so at most a quarter of the time goes there
MOST_REST_SECONDS = 0.1

Limit = Annotated[int, Meta(ge=1, le=100, description="Rows in a page. Without it, everything comes at once.")]


class CountryRow(msgspec.Struct, frozen=True):
    code: fields.Country
    name: Annotated[str, Meta(description="The country's English name.", examples=["United States"])]
    calling_code: Annotated[str, Meta(description="The country's calling code.", examples=["+1"])]
    stock: Annotated[int, Meta(description="Numbers that could be leased.", examples=[4200])]
    lowest_price: (
        Annotated[
            Decimal,
            Meta(description="The lowest price of any service there; null where there is none.", examples=[0.1]),
        ]
        | None
    )


class ServiceRow(msgspec.Struct, frozen=True):
    slug: fields.Slug
    name: Annotated[str, Meta(description="The service's name.", examples=["WhatsApp"])]
    domain: Annotated[str, Meta(description="The service's own site.", examples=["whatsapp.com"])] | None


class PriceRow(msgspec.Struct, frozen=True):
    """`delivery_rate` and `median_seconds` are those of the last 7 days; null below 30 leases, or texts."""

    country: fields.Country
    service: fields.Service
    price: Annotated[Decimal, Meta(description="What a lease costs now.", examples=[0.8])]
    currency: fields.Currency
    stock: Annotated[int, Meta(description="Numbers that could be leased now.", examples=[420])]
    delivery_rate: (
        Annotated[float, Meta(description="The share of leases that got a text, 0 to 1.", examples=[0.97])] | None
    )
    median_seconds: (
        Annotated[float, Meta(description="Half of all texts came within this time.", examples=[11.5])] | None
    )


class PageQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    limit: Limit | None = None
    cursor: Annotated[str, Meta(description="Where to go on: `next_cursor` of the page before.")] | None = None


class ServicesQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    q: (
        Annotated[str, Meta(max_length=100, description="Searches slug, name, domain and aliases; 5 words at most.")]
        | None
    ) = None
    limit: Limit | None = None
    cursor: Annotated[str, Meta(description="Where to go on: `next_cursor` of the page before.")] | None = None


class PricesQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    country: Annotated[str, Meta(description="ISO 3166-1 alpha-2, in either case.", examples=["us"])] | None = None
    service: Annotated[str, Meta(description="A slug from `/services`.", examples=["whatsapp"])] | None = None
    limit: Annotated[int, Meta(ge=1, le=100, description="Rows in a page.")] | None = None
    cursor: Annotated[str, Meta(description="Where to go on: `next_cursor` of the page before.")] | None = None


class _Listing:
    """What is shown of services: a row for each, by slug, and beside it what is searched."""

    def __init__(self, services: Mapping[str, Service]) -> None:
        self.of = services
        self.services = list(services.values())
        self.rows = [ServiceRow(each.slug, each.name, each.domain) for each in self.services]
        self._searched = [
            " ".join((each.slug, each.name, each.domain or "", *each.aliases)).casefold() for each in self.services
        ]

    def search(self, words: Sequence[str]) -> list[ServiceRow]:
        found: Iterable[int] = range(len(self.rows))
        for word in words:  # each looks only at what the one before has left
            found = [place for place in found if word in self._searched[place]]
        return [self.rows[place] for place in found]


class _Public:
    """The catalog as everybody may ask for it. Prices are shown in the operator's ``currency``.

    Pages are cut before there are rows; what is long or searched for is made once for all who ask.
    """

    def __init__(self, catalog: Catalog, statistics: Statistics, currency: str) -> None:
        self._catalog = catalog
        self._statistics = statistics
        self._currency = currency
        self._listed = _Listing({})
        self._countries: tuple[int, list[CountryRow]] = (0, [])
        self._documents = Documents(
            good_seconds=PRICES_MAX_AGE_SECONDS,
            rest=REST,
            most_rest_seconds=MOST_REST_SECONDS,
            most_waiting=MOST_WAITING,
        )

    def _listing(self, snapshot: Snapshot) -> _Listing:
        if self._listed.of is not snapshot.services:
            self._listed = _Listing(snapshot.services)
        return self._listed

    async def countries(self, query: PageQuery) -> Document:
        snapshot = await self._catalog.snapshot()
        version, rows = self._countries
        if version != snapshot.version:
            lowest = snapshot.rules.lowest(list(countries()), self._currency, len(snapshot.services))
            rows = [
                CountryRow(
                    country.code,
                    country.name,
                    country.calling_code,
                    snapshot.stock.get(country.code, 0),
                    None if (micros := lowest[country.code]) is None else money.show(micros),
                )
                for country in countries().values()
            ]
            self._countries = snapshot.version, rows

        async def make() -> Document:
            return _page(rows, query.limit, query.cursor, COUNTRIES_MAX_AGE_SECONDS)

        if query.limit is not None or query.cursor is not None:
            return await make()
        return await self._documents.get(("countries", snapshot.version), make)

    async def services(self, query: ServicesQuery) -> Document:
        snapshot = await self._catalog.snapshot()
        words = tuple(dict.fromkeys((query.q or "").casefold().split()))
        if len(words) > MOST_WORDS:
            raise InvalidRequest(f"A search has {MOST_WORDS} words at most.", field="q")
        listing = self._listing(snapshot)
        if query.limit is not None and not words:
            return _page(listing.rows, query.limit, query.cursor, SERVICES_MAX_AGE_SECONDS)

        async def make() -> Document:
            return _page(listing.search(words), query.limit, query.cursor, SERVICES_MAX_AGE_SECONDS)

        return await self._documents.get(("services", snapshot.version, words, query.limit, query.cursor), make)

    async def prices(self, query: PricesQuery) -> Document:
        snapshot = await self._catalog.snapshot()
        where = query.country.lower() if query.country is not None else None
        if where is not None and where not in countries():
            raise UnknownCountry(f"There is no country {query.country!r}.", field="country")
        if query.service is not None and query.service not in snapshot.services:
            raise UnknownService(f"There is no service {query.service!r}.", field="service")
        stocked = [where] if where is not None else sorted(snapshot.stock)
        if query.service is not None:
            chosen = [snapshot.services[query.service]]
            # What is leased now is counted where one service is asked for.
            stock: Mapping[str, int] = await self._catalog.stock(chosen[0].service_id)
        else:
            chosen, stock = self._listing(snapshot).services, snapshot.stock
        count = len(stocked) * len(chosen)
        limit = query.limit or (count if where is not None or query.service is not None else 25)
        start, end, next_cursor = _cut(count, limit, query.cursor)
        arrivals = await self._statistics.arrivals()

        async def make() -> Document:
            pairs = ((stocked[place // len(chosen)], chosen[place % len(chosen)]) for place in range(start, end))
            rows = await self._price_rows(snapshot, arrivals, stock, pairs)
            return document(wire.page(rows, next_cursor), PRICES_MAX_AGE_SECONDS)

        if end - start <= MOST_AT_ONCE:
            return await make()
        return await self._documents.get(("prices", snapshot.version, where, query.service, start, end), make)

    async def _price_rows(
        self,
        snapshot: Snapshot,
        arrivals: Mapping[tuple[str, str], Outcomes],
        stock: Mapping[str, int],
        pairs: Iterable[tuple[str, Service]],
    ) -> list[PriceRow]:
        rows: list[PriceRow] = []
        slices = Slices()
        prices: dict[str, Prices] = {}
        shown: dict[int, Decimal] = {}
        for country, service in pairs:
            if country not in prices:
                prices[country] = snapshot.rules.prices(country, self._currency)
            micros = prices[country].of(service.service_id)
            if micros is None:
                continue
            if micros not in shown:
                shown[micros] = money.show(micros)
            counted = arrivals.get((country, service.slug))
            rate, median = (counted.delivery_rate, counted.median_seconds) if counted is not None else (None, None)
            rows.append(
                PriceRow(
                    country,
                    service.slug,
                    shown[micros],
                    self._currency,
                    stock.get(country, 0),
                    rate and round(rate.value, 4),
                    median and round(median.value, 2),
                )
            )
            await slices.rest()
        return rows


def routes(*, catalog: Catalog, statistics: Statistics, currency: str) -> list[Route]:
    """The table's public lines. Prices are shown in the operator's ``currency``."""
    public = _Public(catalog, statistics, currency)

    async def list_countries(query: PageQuery) -> Document:
        return await public.countries(query)

    async def list_services(query: ServicesQuery) -> Document:
        return await public.services(query)

    async def list_prices(query: PricesQuery) -> Document:
        return await public.prices(query)

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


def _cut(count: int, limit: int, cursor: str | None) -> tuple[int, int, str | None]:
    """Where a page of rows whose order does not change begins and ends: the cursor is the place of the next row."""
    start = min(ids.from_cursor(cursor), count) if cursor is not None else 0
    end = min(start + limit, count)
    return start, end, ids.cursor(end) if end < count else None


def _page(rows: Sequence[Any], limit: int | None, cursor: str | None, max_age_seconds: int) -> Document:
    start, end, next_cursor = _cut(len(rows), limit or len(rows), cursor)
    return document(wire.page(list(rows[start:end]), next_cursor), max_age_seconds)
