"""What became of events on their way to an endpoint: each delivery with its attempts, request and answer.

A request's body is not kept: it is made again from its event, so a text that retention has erased meanwhile is erased
here too.
"""

import itertools
from collections import defaultdict

from trunkline import paging
from trunkline.events import contents
from trunkline.events.webhooks import endpoints, views
from trunkline.events.webhooks.endpoints import SQL, Whose
from trunkline.events.webhooks.views import MOST_ATTEMPTS_SHOWN, Delivery, State
from trunkline.storage.database import Querier, Row
from trunkline.storage.queries import bind

MOST_ATTEMPTS = 250  # on a page, which holds fewer deliveries where they have more: each attempt may be 30 KB as JSON


async def page(
    connection: Querier,
    endpoint_id: int | None,
    whose: Whose,
    *,
    state: State | None,
    before: int = paging.NEWEST,
    limit: int,
) -> paging.Page[Delivery]:
    """Newest event first. Four statements, however many there are. Raises NotFound."""
    await endpoints.find(connection, endpoint_id, whose)
    if state == "failed":
        rows = await connection.fetch(SQL.failed_deliveries, endpoint_id, before, limit + 1)
    else:
        rows = await connection.fetch(
            *bind(SQL.deliveries, endpoint=endpoint_id, before=before, limit=limit + 1, state=state)
        )
    if not rows:
        return paging.Page([], None)
    attempts = itertools.accumulate(min(row["attempts"], MOST_ATTEMPTS_SHOWN) for row in rows)
    fitting = sum(so_far <= MOST_ATTEMPTS for so_far in itertools.islice(attempts, limit))
    shown = rows[:fitting]
    tried: dict[int, list[Row]] = defaultdict(list)
    for attempt in await connection.fetch(SQL.attempts, [row["delivery_id"] for row in shown], MOST_ATTEMPTS_SHOWN):
        tried[attempt["delivery_id"]].append(attempt)
    told = await contents.contents(connection, [(row["account_id"], row["event_id"], row["event_at"]) for row in shown])
    return paging.cut(
        rows,
        fitting,
        lambda row: views.delivery(row, told.get(row["event_id"]), tried[row["delivery_id"]]),
        lambda row: row["event_id"],
    )
