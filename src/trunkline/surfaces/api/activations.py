"""Handlers of /numbers: lease, poll, finish, list."""

import asyncio
import functools
from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from trunkline import clock, fields, ids, metrics, money
from trunkline.accounts.keys import Key
from trunkline.accounts.problems import AccountFrozen, SpendCapReached
from trunkline.activations import lifecycle, views
from trunkline.activations.caseless import as_read
from trunkline.activations.lifecycle import Order, Policy
from trunkline.activations.live import Live
from trunkline.activations.problems import (
    ActivationFinished,
    CancelTooEarly,
    NoNumbersAvailable,
    NoSmsReceived,
    PriceAboveMax,
    ServiceNotEnabled,
    SmsAlreadyReceived,
    SuccessRateTooLow,
    TooManyActive,
    TooManyCancels,
    TooManyPurchases,
)
from trunkline.activations.views import Activation, Detail, Lease, Status
from trunkline.carriers.registry import Registry
from trunkline.catalog.countries import countries
from trunkline.catalog.problems import UnknownCountry, UnknownService
from trunkline.errors import (
    IdempotencyInFlight,
    IdempotencyKeyReused,
    InvalidRequest,
    NotFound,
    PaymentRequired,
    TrunklineError,
)
from trunkline.paging import Page
from trunkline.storage.database import Row
from trunkline.surfaces.http import wire
from trunkline.surfaces.http.route import Call, PageQuery, Route

MOST_ITEMS = 20
MOST_IDS = 100

Ttl = Annotated[int, Meta(ge=60, le=3600, description="Seconds until the lease ends by itself.")]


class PurchaseItem(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A purchase within a batch. Only `country` and `service` are needed."""

    country: Annotated[str, Meta(description="ISO 3166-1 alpha-2, in either case.", examples=["us"], max_length=8)]
    service: Annotated[
        str, Meta(description="Slug from /services, or `any` for every text.", examples=["whatsapp"], max_length=64)
    ]
    max_price: Annotated[Decimal, Meta(description="Refuse to pay more than this.", examples=[1.5])] | None = None
    operator: (
        Annotated[str, Meta(min_length=1, max_length=64, description="Only numbers of this mobile operator.")] | None
    ) = None
    ttl: Annotated[Ttl, Meta(examples=[1200])] | None = None
    sender: (
        Annotated[
            str,
            Meta(
                min_length=1, max_length=200, description="Only texts from this sender count; `*` may stand at an end."
            ),
        ]
        | None
    ) = None
    contains: (
        Annotated[str, Meta(min_length=1, max_length=200, description="Only texts that contain this count.")] | None
    ) = None
    labels: fields.Labels = {}


class Purchase(PurchaseItem, frozen=True, kw_only=True):
    """What to lease. Only `country` and `service` are needed."""

    dry_run: fields.DryRun = False


class Batch(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    items: Annotated[
        list[PurchaseItem],
        Meta(min_length=1, max_length=MOST_ITEMS, description="The purchases, in the order of the answer."),
    ]


class Bought(msgspec.Struct, frozen=True):
    """An item of a batch that was leased."""

    data: Lease
    success: Literal[True] = True


class Refused(msgspec.Struct, frozen=True):
    """An item of a batch that was not, as a problem."""

    type: Annotated[
        str,
        Meta(description="`urn:trunkline:error:` and the code.", examples=["urn:trunkline:error:no_numbers_available"]),
    ]
    title: Annotated[str, Meta(description="The error in a few words.", examples=["No numbers available"])]
    status: Annotated[int, Meta(description="The HTTP status that a single purchase would have had.", examples=[404])]
    detail: Annotated[
        str,
        Meta(
            description="One sentence for the caller.",
            examples=["No number is free for 'whatsapp' in 'us' at the moment."],
        ),
    ]
    code: Annotated[str, Meta(description="The stable name of the error.", examples=["no_numbers_available"])]
    success: Literal[False] = False


class StatusQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    wait: Annotated[
        float, Meta(ge=0, le=30, description="Hold the answer up to this many seconds for a text.", examples=[30])
    ] = 0
    after_revision: (
        Annotated[
            int, Meta(ge=0, description="The text must be newer than this revision. Default: the last one shown.")
        ]
        | None
    ) = None


class Ids(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    activation_ids: Annotated[
        list[Annotated[str, Meta(max_length=32)]],
        Meta(min_length=1, max_length=MOST_IDS, description="Ids of leases.", examples=[["10000001", "10000002"]]),
    ]


class Finish(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    status: Annotated[
        Literal["completed", "cancelled"],
        Meta(
            description="`completed` once the code has served; `cancelled` gives the number back.",
            examples=["completed"],
        ),
    ]


class ListQuery(PageQuery, frozen=True):
    status: Annotated[views.State, Meta(description="Only leases in this state.")] | None = None
    service: Annotated[str, Meta(description="Only leases for this service.", examples=["whatsapp"])] | None = None
    country: (
        Annotated[str, Meta(description="Only leases in this country, in either case.", examples=["us"])] | None
    ) = None
    labels: fields.Labels = {}


def routes(*, live: Live, registry: Registry, policy: Policy, ttl_seconds: int) -> list[Route]:
    """The table's lines for leases."""

    async def buy(call: Call, orders: list[Order], *, dry_run: bool = False) -> list[Lease | TrunklineError]:
        answers = await lifecycle.purchase(
            call.connection,
            call.key.account_id,
            orders,
            key_id=call.key.key_id,
            test=call.key.test,
            terms=registry.visible(test=call.key.test),
            policy=policy,
            countries=countries(),
            dry_run=dry_run,
        )
        if not dry_run:
            call.after_commit = functools.partial(_count, call.key, answers)
        return answers

    async def purchase(call: Call) -> Lease:
        [lease] = await buy(call, [_order(call.body, ttl_seconds)], dry_run=call.body.dry_run)
        if isinstance(lease, TrunklineError):
            if not call.body.dry_run:
                _count(call.key, [lease])  # it changes nothing, so there is no commit to wait for
            raise lease
        return lease

    async def purchase_batch(call: Call) -> list[Any]:
        answers = await buy(call, [_order(item, ttl_seconds) for item in call.body.items])
        return [
            wire.problem_members(answer) if isinstance(answer, TrunklineError) else Bought(answer) for answer in answers
        ]

    async def owned(call: Call, text: str) -> Row:
        activation_id = ids.from_path(text)
        row = await live.read(activation_id) if activation_id is not None else None
        if row is None or row["account_id"] != call.key.account_id or row["test"] != call.key.test:
            raise NotFound("There is no such activation.")
        return row

    async def status(call: Call) -> Status:
        row = await owned(call, call.path["activation_id"])
        if call.query.wait:
            after = call.query.after_revision
            if after is None:
                after = live.shown(row["activation_id"])
            if row["state"] in views.LIVE and row["revision"] <= after:
                row = await live.wait(row["activation_id"], after, call.query.wait) or row
        live.show(row["activation_id"], row["revision"])
        return views.status(row, clock.now())

    def remembered(key: Key, text: str) -> bytes | None:
        activation_id = ids.from_path(text)
        if activation_id is None:
            return None
        known = live.remembered(activation_id)
        if known is None or known.account_id != key.account_id or known.test != key.test:
            return None
        live.show(activation_id, known.revision)
        return known.body

    async def status_of_many(call: Call) -> dict[str, Any]:
        answers: dict[str, Any] = dict.fromkeys(call.body.activation_ids)
        futures = {}
        for text in answers:
            known = remembered(call.key, text)
            if known is not None:
                answers[text] = msgspec.Raw(memoryview(known)[len(wire.SUCCESS) : -1])
            elif (number := ids.from_path(text)) is not None:
                futures[text] = live.read(number)
        now = clock.now()
        for text, row in zip(futures, await asyncio.gather(*futures.values()), strict=True):
            if row is not None and row["account_id"] == call.key.account_id and row["test"] == call.key.test:
                live.show(row["activation_id"], row["revision"])
                answers[text] = views.status(row, now)
        return answers

    async def finish(call: Call) -> Activation:
        activation_id = ids.from_path(call.path["activation_id"])
        if activation_id is None:
            raise NotFound("There is no such activation.")
        try:
            return await lifecycle.finish(
                call.connection, call.key.account_id, activation_id, call.body.status, test=call.key.test, policy=policy
            )
        finally:
            live.changing(activation_id)  # also where it is refused: the refusal shows what the lease has come to

    async def detail(call: Call) -> Detail:
        activation_id = ids.from_path(call.path["activation_id"])
        if activation_id is None:
            raise NotFound("There is no such activation.")
        return await lifecycle.detail(call.connection, call.key.account_id, activation_id, test=call.key.test)

    async def listing(call: Call) -> Page[Any]:
        query = call.query
        lifecycle.check_labels(query.labels)
        rows = await lifecycle.listing(
            call.connection,
            call.key.account_id,
            test=call.key.test,
            before=query.before,
            state=query.status,
            service=query.service,
            country=query.country.lower() if query.country is not None else None,
            labels=query.labels,
            limit=query.limit + 1,
        )
        more = len(rows) > query.limit
        rows = rows[: query.limit]
        return Page(rows, int(rows[-1].activation_id) if more else None)

    spending = (
        InvalidRequest,
        PaymentRequired,
        SpendCapReached,
        AccountFrozen,
        ServiceNotEnabled,
        SuccessRateTooLow,
        TooManyActive,
        TooManyPurchases,
        UnknownCountry,
        UnknownService,
        NoNumbersAvailable,
        PriceAboveMax,
        IdempotencyKeyReused,
        IdempotencyInFlight,
    )
    return [
        Route(
            method="POST",
            path="/numbers/purchase",
            scope="numbers",
            handler=purchase,
            tag="Numbers",
            summary="Lease a number",
            description="Holds the cost and leases a number for a service and a country. The first text captures it.",
            body=Purchase,
            answer=Lease,
            idempotent=True,
            errors=spending,
        ),
        Route(
            method="POST",
            path="/numbers/purchase/batch",
            scope="numbers",
            handler=purchase_batch,
            tag="Numbers",
            summary="Lease up to 20 numbers",
            description="Counts once against the limit. Answers in the order asked, each item a lease or a problem.",
            body=Batch,
            answer=list[Bought | Refused],
            idempotent=True,
            weight=lambda batch: len(batch.items),
            errors=(InvalidRequest, IdempotencyKeyReused, IdempotencyInFlight),
        ),
        Route(
            method="GET",
            path="/numbers/status/{activation_id}",
            scope="numbers",
            handler=status,
            cached=remembered,
            share=None,
            tag="Numbers",
            summary="Poll for the code",
            description="With `wait`, the answer is held until a new text is there; a timeout answers as things stand.",
            query=StatusQuery,
            answer=Status,
            errors=(InvalidRequest, NotFound),
        ),
        Route(
            method="POST",
            path="/numbers/status",
            scope="numbers",
            handler=status_of_many,
            share=None,
            tag="Numbers",
            summary="Poll up to 100 leases",
            description="Counts once against the limit. An id that is not yours, or does not exist, is null.",
            body=Ids,
            answer=dict[str, Status | None],
            errors=(InvalidRequest,),
        ),
        Route(
            method="POST",
            path="/numbers/finish/{activation_id}",
            scope="numbers",
            handler=finish,
            tag="Numbers",
            summary="Complete or cancel a lease",
            description="A cancelled lease is refunded. Saying the same word again is harmless.",
            body=Finish,
            answer=Activation,
            idempotent=True,
            repeatable=True,
            errors=(
                InvalidRequest,
                NotFound,
                ActivationFinished,
                SmsAlreadyReceived,
                NoSmsReceived,
                CancelTooEarly,
                TooManyCancels,
                IdempotencyKeyReused,
                IdempotencyInFlight,
            ),
        ),
        Route(
            method="GET",
            path="/numbers",
            scope="numbers",
            handler=listing,
            tag="Numbers",
            summary="List your leases",
            description="Newest first. `label.NAME=value` filters by a label.",
            query=ListQuery,
            answer=list[Activation],
            is_list=True,
            errors=(InvalidRequest,),
        ),
        Route(
            method="GET",
            path="/numbers/{activation_id}",
            scope="numbers",
            handler=detail,
            tag="Numbers",
            summary="Everything about a lease",
            description="With a timeline that says why nothing has come.",
            answer=Detail,
            errors=(NotFound,),
        ),
    ]


def render(row: Row) -> bytes:
    """The body of the answer to a poll."""
    return wire.success(views.status(row, clock.now()))


def _order(asked: PurchaseItem, ttl_seconds: int) -> Order:
    lifecycle.check_labels(asked.labels)
    return Order(
        country=asked.country.lower(),
        service=asked.service,
        max_micros=money.parse(asked.max_price, field="max_price") if asked.max_price is not None else None,
        operator=asked.operator,
        ttl=asked.ttl or ttl_seconds,
        sender=wire.clean(_filter(asked.sender, "sender"), "sender", longest=lifecycle.LONGEST_FILTER),
        contains=_filter(asked.contains, "contains"),
        labels=asked.labels,
    )


def _filter(text: str | None, field: str) -> str | None:
    """Raises InvalidRequest for one that holds nothing to see, since every text would pass it."""
    if text is not None and not as_read(text):
        raise InvalidRequest(f"{field} holds nothing that a person could see.", field=field)
    return text


def _count(key: Key, answers: Iterable[Lease | TrunklineError]) -> None:
    for answer in answers:
        metrics.PURCHASES.add(1, key.mode, answer.code if isinstance(answer, TrunklineError) else "leased")
