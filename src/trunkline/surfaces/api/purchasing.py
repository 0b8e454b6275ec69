"""Handlers of /numbers/purchase: numbers leased, one or many."""

import dataclasses
import functools
from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from trunkline import fields, metrics, money
from trunkline.accounts.keys import Key
from trunkline.accounts.problems import AccountFrozen, SpendCapReached
from trunkline.activations import lifecycle
from trunkline.activations.caseless import as_read
from trunkline.activations.lifecycle import Order, Policy
from trunkline.activations.problems import (
    NoNumbersAvailable,
    PriceAboveMax,
    ServiceNotEnabled,
    SuccessRateTooLow,
    TooManyActive,
    TooManyPurchases,
)
from trunkline.activations.views import Lease
from trunkline.carriers.registry import Registry
from trunkline.catalog.countries import countries
from trunkline.catalog.problems import UnknownCountry, UnknownService
from trunkline.errors import (
    IdempotencyInFlight,
    IdempotencyKeyReused,
    InvalidRequest,
    PaymentRequired,
    TrunklineError,
)
from trunkline.surfaces.http import wire
from trunkline.surfaces.http.route import Call, Route

MOST_ITEMS = 20

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


_SPENDING = (
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


@dataclasses.dataclass(frozen=True, slots=True)
class Purchasing:
    registry: Registry
    policy: Policy
    ttl_seconds: int  # of a lease that names none

    async def purchase(self, call: Call) -> Lease:
        [lease] = await self._buy(call, [_order(call.body, self.ttl_seconds)], dry_run=call.body.dry_run)
        if isinstance(lease, TrunklineError):
            if not call.body.dry_run:
                _count(call.key, [lease])  # it changes nothing, so there is no commit to wait for
            raise lease
        return lease

    async def purchase_batch(self, call: Call) -> list[Any]:
        answers = await self._buy(call, [_order(item, self.ttl_seconds) for item in call.body.items])
        return [
            wire.problem_members(answer) if isinstance(answer, TrunklineError) else Bought(answer) for answer in answers
        ]

    async def _buy(self, call: Call, orders: list[Order], *, dry_run: bool = False) -> list[Lease | TrunklineError]:
        answers = await lifecycle.purchase(
            call.connection,
            call.key.account_id,
            orders,
            key_id=call.key.key_id,
            test=call.key.test,
            terms=self.registry.visible(test=call.key.test),
            policy=self.policy,
            countries=countries(),
            dry_run=dry_run,
        )
        if not dry_run:
            call.after_commit = functools.partial(_count, call.key, answers)
        return answers

    def routes(self) -> list[Route]:
        """The table's lines for purchases."""
        return [
            Route(
                method="POST",
                path="/numbers/purchase",
                scope="numbers",
                handler=self.purchase,
                tag="Numbers",
                summary="Lease a number",
                description="Holds the cost and leases a number for a service and a country. The first text captures "
                "it.",
                body=Purchase,
                answer=Lease,
                idempotent=True,
                errors=_SPENDING,
            ),
            Route(
                method="POST",
                path="/numbers/purchase/batch",
                scope="numbers",
                handler=self.purchase_batch,
                tag="Numbers",
                summary="Lease up to 20 numbers",
                description="Counts once against the limit. Answers in the order asked, each item a lease or a "
                "problem.",
                body=Batch,
                answer=list[Bought | Refused],
                idempotent=True,
                weight=lambda batch: len(batch.items),
                errors=(InvalidRequest, IdempotencyKeyReused, IdempotencyInFlight),
            ),
        ]


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
