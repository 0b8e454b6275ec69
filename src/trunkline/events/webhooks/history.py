"""What became of events on their way to an endpoint: each delivery with its attempts, request and answer.

A request's body is not kept: it is made again from its event, so a text that retention has erased meanwhile is erased
here too.
"""

import dataclasses
import itertools
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from trunkline.events import contents
from trunkline.events.webhooks.endpoints import SQL
from trunkline.storage.database import Querier, Row

MOST_ATTEMPTS_SHOWN = 20  # of each delivery, the last ones
MOST_ATTEMPTS = 250  # on a page, which holds fewer deliveries where they have more: each attempt may be 30 KB as JSON

State = Literal["pending", "delivered", "failed"]


@dataclasses.dataclass(frozen=True, slots=True)
class Delivery:
    row: Row
    type: str | None  # None: the event is too old to be kept
    body: dict[str, Any] | None
    attempts: Sequence[Row]


async def deliveries(
    connection: Querier, endpoint_id: int, *, state: State | None, before: int, limit: int
) -> tuple[list[Delivery], bool]:
    """Those with events before an id, newest event first, and whether there are more. Three statements, however many
    there are."""
    if state == "failed":
        rows = await connection.fetch(SQL.failed_deliveries, endpoint_id, before, limit + 1)
    else:
        rows = await connection.fetch(SQL.deliveries, endpoint_id, before, limit + 1, state)
    if not rows:
        return [], False
    attempts = itertools.accumulate(min(row["attempts"], MOST_ATTEMPTS_SHOWN) for row in rows)
    page = [row for row, so_far in zip(rows[:limit], attempts, strict=False) if so_far <= MOST_ATTEMPTS]
    more = len(rows) > len(page)
    tried: dict[int, list[Row]] = defaultdict(list)
    delivery_ids = [row["delivery_id"] for row in page]
    for attempt in await connection.fetch(SQL.attempts, delivery_ids, MOST_ATTEMPTS_SHOWN):
        tried[attempt["delivery_id"]].append(attempt)
    events = [(row["account_id"], row["event_id"], row["event_at"]) for row in page]
    told = await contents.contents(connection, events)
    return [_delivery(row, told.get(row["event_id"]), tried[row["delivery_id"]]) for row in page], more


def _delivery(row: Row, told: contents.Content | None, attempts: Sequence[Row]) -> Delivery:
    if told is None:
        return Delivery(row, None, None, attempts)
    return Delivery(row, told.type, msgspec.json.decode(told.body), attempts)
