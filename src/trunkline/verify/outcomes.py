"""Conversion: what became of verifications, in groups, each rate with its sample and its interval."""

import datetime
from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from trunkline import fields, intervals, money
from trunkline.intervals import Estimate
from trunkline.storage.database import Querier, Row
from trunkline.storage.queries import bind
from trunkline.verify.profiles import SQL

By = Literal["day", "country", "prefix", "route", "sender", "template", "profile"]
MOST_GROUPS = 1000


class Figure(msgspec.Struct, frozen=True):
    """A figure with the interval that holds the true one in 95 of 100 cases, and the sample that it is from."""

    value: Annotated[float, Meta(description="The figure.", examples=[0.93])]
    low: Annotated[float, Meta(description="The lower end of its interval.", examples=[0.9])]
    high: Annotated[float | None, Meta(description="The upper end; null where there is none.", examples=[0.95])]
    sample: Annotated[int, Meta(description="How many it is from.", examples=[420])]


_Count = Annotated[int, Meta(description="How many, by the event of that name.", examples=[420])]


class Conversion(msgspec.Struct, frozen=True):
    """What became of the verifications of a group. A figure from fewer than 30 is null."""

    group: Annotated[str, Meta(description="The value that they have in common.", examples=["us"])]
    started: _Count
    sent: _Count
    delivered: _Count
    undelivered: _Count
    approved: _Count
    failed: _Count
    expired: _Count
    cancelled: _Count
    blocked: _Count
    delivery_rate: Annotated[Figure | None, Meta(description="Delivered texts, of those with a receipt.")]
    conversion_rate: Annotated[Figure | None, Meta(description="Approved verifications, of those that came to an end.")]
    receipt_p50: Annotated[Figure | None, Meta(description="Seconds from submit to receipt: half were quicker.")]
    receipt_p95: Annotated[Figure | None, Meta(description="The same for 95 of 100.")]
    approval_p50: Annotated[Figure | None, Meta(description="Seconds from submit to approval: half were quicker.")]
    approval_p95: Annotated[Figure | None, Meta(description="The same for 95 of 100.")]
    cost: Annotated[Decimal, Meta(description="What they cost in all.", examples=[12.5])]
    cost_per_approved: Annotated[
        Decimal | None, Meta(description="The same by each that was approved; null where none was.", examples=[0.05])
    ]
    currency: fields.Currency


async def conversion(
    connection: Querier, account_id: int, *, test: bool, first: datetime.date, last: datetime.date, by: By
) -> list[Conversion]:
    """In groups by one column: days in their order, everything else the largest first, at most 1,000."""
    rows = await connection.fetch(
        *bind(SQL.outcomes, account=account_id, test=test, first=first, last=last, by=by, limit=MOST_GROUPS)
    )
    return [_view(row) for row in rows]


def _view(row: Row) -> Conversion:
    names = ("started", "sent", "delivered", "undelivered", "approved", "failed", "expired", "cancelled", "blocked")
    counts = {name: row[name] for name in names}
    receipts, approvals = _histogram(row["receipts"]), _histogram(row["approvals"])
    arrived = counts["delivered"] + counts["undelivered"]
    decided = counts["approved"] + counts["failed"] + counts["expired"]
    return Conversion(
        group=row["group"],
        **counts,
        delivery_rate=_figure(intervals.share(counts["delivered"], arrived), arrived),
        conversion_rate=_figure(intervals.share(counts["approved"], decided), decided),
        receipt_p50=_figure(intervals.quantile(receipts, 50), sum(receipts.values())),
        receipt_p95=_figure(intervals.quantile(receipts, 95), sum(receipts.values())),
        approval_p50=_figure(intervals.quantile(approvals, 50), sum(approvals.values())),
        approval_p95=_figure(intervals.quantile(approvals, 95), sum(approvals.values())),
        cost=money.show(row["micros"]),
        cost_per_approved=money.show(row["micros"] // counts["approved"]) if counts["approved"] else None,
        currency=row["currency"],
    )


def _histogram(text: str | None) -> dict[int, int]:
    found = msgspec.json.decode(text, type=dict[int, int], strict=False) if text else {}
    return {bucket: count for bucket, count in found.items() if bucket >= 0}


def _figure(estimate: Estimate | None, sample: int) -> Figure | None:
    if estimate is None:
        return None
    high = round(estimate.high, 4) if estimate.high is not None else None
    return Figure(round(estimate.value, 4), round(estimate.low, 4), high, sample)
