"""Handlers of /stats: how leases ended, for everybody. Documents are made once a minute, then served from memory."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from trunkline import ids
from trunkline.activations import outcomes
from trunkline.activations.outcomes import Column, Mode, Outcomes, Window
from trunkline.catalog.countries import countries
from trunkline.catalog.prices import Catalog
from trunkline.catalog.problems import UnknownCountry, UnknownService
from trunkline.errors import InvalidRequest, Unavailable
from trunkline.intervals import Estimate
from trunkline.storage.database import Querier
from trunkline.surfaces.http import wire
from trunkline.surfaces.http.documents import Documents, Slices, document
from trunkline.surfaces.http.route import Document, Route

MAX_AGE_SECONDS = 60
MOST_WAITING = 10  # for a document that is not there; each costs the database some tenths of a second
REST = 3  # times as long as a document took, until the next is made: so at most a quarter of the time is counted
MOST_REST_SECONDS = 5.0  # also after a database that took long because it was away

Limit = Annotated[int, Meta(ge=1, le=100)]
Filter = Annotated[str, Meta(max_length=100)]


class StatsRow(msgspec.Struct, frozen=True):
    """How the leases of a group ended. What fewer than 30 samples stand behind is null."""

    country: Annotated[
        str | None, Meta(description="ISO 3166-1 alpha-2; null where not grouped by it.", examples=["us"])
    ]
    service: Annotated[
        str | None, Meta(description="The service's slug; null where not grouped by it.", examples=["whatsapp"])
    ]
    operator: Annotated[
        str | None,
        Meta(description="The numbers' mobile operator, empty where none is known; null where not grouped by it."),
    ]
    carrier: Annotated[
        str | None, Meta(description="The numbers' carrier; null where not grouped by it.", examples=["simulated"])
    ]
    leases: Annotated[int, Meta(description="The sample: leases that got a text or ended without one.", examples=[412])]
    texts: Annotated[int, Meta(description="Of these, leases that got a text.", examples=[400])]
    delivery_rate: Annotated[float | None, Meta(description="`texts` / `leases`, 0 to 1.", examples=[0.9709])]
    delivery_rate_interval: Annotated[
        Annotated[list[float], Meta(min_length=2, max_length=2)] | None,
        Meta(description="The 95 % confidence interval, low and high (Wilson score).", examples=[[0.9498, 0.9833]]),
    ]
    median_seconds: Annotated[
        float | None, Meta(description="Half of the first texts came within this time.", examples=[11.52])
    ]
    median_interval: Annotated[
        Annotated[list[float], Meta(min_length=2, max_length=2)] | None,
        Meta(description="Its 95 % confidence interval (order statistics).", examples=[[10.47, 12.27]]),
    ]
    p95_seconds: Annotated[
        float | None, Meta(description="95 % of the first texts came within this time.", examples=[38.6])
    ]
    p95_interval: Annotated[
        Annotated[list[float | None], Meta(min_length=2, max_length=2)] | None,
        Meta(
            description="Its 95 % confidence interval (order statistics); the high end is null below 72 texts, which "
            "are too few to bound it.",
            examples=[[34.22, 46.2]],
        ),
    ]


class StatsQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    by: Annotated[
        str,
        Meta(max_length=100, description="What to group by, with commas: country, service, operator, carrier."),
    ] = "country,service"
    country: (
        Annotated[Filter, Meta(description="Only leases in this country, in either case.", examples=["us"])] | None
    ) = None
    service: (
        Annotated[Filter, Meta(description="Only leases for this service, a slug.", examples=["whatsapp"])] | None
    ) = None
    operator: Annotated[Filter, Meta(description="Only numbers of this mobile operator.")] | None = None
    carrier: Annotated[Filter, Meta(description="Only numbers of this carrier.", examples=["simulated"])] | None = None
    window: Annotated[
        Window, Meta(description="24h: this hour and the 23 before. 7d, 30d: so many days of UTC, today included.")
    ] = "7d"
    mode: Annotated[
        Mode, Meta(description="Leases of live or of test keys; the two are never mixed.", examples=["live"])
    ] = "live"
    limit: Annotated[Limit, Meta(description="Rows in a page.")] = 25
    cursor: Annotated[str, Meta(description="Where to go on: `next_cursor` of the page before.")] | None = None


def row(counted: Outcomes) -> StatsRow:
    """As the API and the command line show it: shares to four decimals, times to hundredths of a second."""
    rate, median, p95 = counted.delivery_rate, counted.median_seconds, counted.p95_seconds
    return StatsRow(
        counted.country,
        counted.service,
        counted.operator,
        counted.carrier,
        counted.leases,
        counted.texts,
        rate and round(rate.value, 4),
        _interval(rate, 4),
        median and round(median.value, 2),
        _interval(median, 2),
        p95 and round(p95.value, 2),
        _interval(p95, 2),
    )


def _interval(estimate: Estimate | None, digits: int) -> Any:
    return estimate and [end if end is None else round(end, digits) for end in (estimate.low, estimate.high)]


def routes(*, database: Querier, catalog: Catalog) -> list[Route]:
    """The table's line of statistics."""
    documents = Documents(
        good_seconds=MAX_AGE_SECONDS, rest=REST, most_rest_seconds=MOST_REST_SECONDS, most_waiting=MOST_WAITING
    )

    async def list_statistics(query: StatsQuery) -> Document:
        by = outcomes.columns(query.by)
        only = await filters(
            catalog, query.country, query.service, query.operator, query.carrier, test=query.mode == "test"
        )
        offset = ids.from_cursor(query.cursor) if query.cursor is not None else 0
        key = (by, query.window, query.mode, tuple(sorted(only.items())), query.limit, offset)
        return await documents.get(key, lambda: _document(database, query, by, only, offset))

    return [
        Route(
            method="GET",
            path="/stats",
            scope=None,
            handler=list_statistics,
            tag="Statistics",
            summary="How many texts come, and how fast",
            description="Leases that got a text or ended without one, the largest groups first.",
            query=StatsQuery,
            answer=list[StatsRow],
            is_list=True,
            errors=(InvalidRequest, UnknownCountry, UnknownService, Unavailable),
        )
    ]


async def filters(
    catalog: Catalog, country: str | None, service: str | None, operator: str | None, carrier: str | None, *, test: bool
) -> dict[Column, str]:
    """What alone is to be counted. Raises UnknownCountry and UnknownService; only test keys lease magic services."""
    if country is not None and country.lower() not in countries():
        raise UnknownCountry(f"There is no country {country!r}.", field="country")
    if service is not None:
        snapshot = await catalog.snapshot()
        if service not in snapshot.services and not (
            test and any(service == each.slug for each in snapshot.by_id.values())
        ):
            raise UnknownService(f"There is no service {service!r}.", field="service")
    asked = (country and country.lower(), service, operator, carrier)
    return {column: value for column, value in zip(outcomes.COLUMNS, asked, strict=True) if value is not None}


async def _document(
    database: Querier, query: StatsQuery, by: tuple[Column, ...], only: dict[Column, str], offset: int
) -> Document:
    found = await outcomes.outcomes(
        database, by, query.window, test=query.mode == "test", only=only, limit=query.limit + 1, offset=offset
    )
    next_cursor = ids.cursor(offset + query.limit) if len(found) > query.limit else None
    rows, slices = [], Slices()
    for each in found[: query.limit]:
        rows.append(row(each))
        await slices.rest()  # intervals of large samples are long sums
    return document(wire.page(rows, next_cursor), MAX_AGE_SECONDS)
