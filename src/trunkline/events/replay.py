"""What a stream missed, from the database.

Ids are not in the order of commits. What may have been told after an event has a greater id, or belongs to another
transaction that was not over when the event was written: one that its ``horizon``, a snapshot, does not show.
"""

from collections.abc import AsyncGenerator, Collection
from typing import NamedTuple

from trunkline.errors import NotFound
from trunkline.events.contents import Content, contents, shown_id
from trunkline.events.tail import SQL
from trunkline.storage.database import Querier, Row
from trunkline.storage.queries import bind

PAGE = 200  # events read at a time
CHUNK = 64 * 1024  # bytes handed to the socket at a time, and an event
ENDS = frozenset({"activation.completed", "activation.cancelled", "activation.expired"})  # nothing follows in a lease


class Place(NamedTuple):
    """Who is told of an event: a lease's streams, or with None those of a whole account's mode."""

    account_id: int
    test: bool
    activation_id: int | None


async def goes_on(database: Querier, place: Place, after: int) -> bool:
    """Whether a lease has, or will have, more to tell than the event ``after``.

    Raises NotFound, also for what belongs to somebody else.
    """
    more: bool | None = await database.fetchval(
        *bind(
            SQL.lease_to_follow,
            activation=place.activation_id,
            account=place.account_id,
            test=place.test,
            after=after,
        )
    )
    if more is None:
        raise NotFound("There is no such activation.")
    return more


async def past(
    database: Querier, place: Place, types: Collection[str], after: int | None, seen: str
) -> AsyncGenerator[tuple[bytes, bool], None]:
    """The events after one, as far as the snapshot ``seen`` shows them: chunks, and whether the stream ends with one.

    ``after`` None: no events, only the id to come back with, in a comment: some clients take an id without data for a
    message. Raises Unavailable.
    """
    if after is None:  # a client that is cut before its first event must be able to say from where on it listened
        latest: int | None = await database.fetchval(SQL.latest_event, place.account_id, seen)
        yield b": from %s\n" % shown_id(latest or 0).encode(), False
        return
    start, horizon, xact = after, None, None
    if place.activation_id is None:
        row: Row | None = await database.fetchrow(SQL.place_of_event, place.account_id, after)
        if row is not None:
            start, horizon, xact = row["start"], row["horizon"], row["xact"]
    while True:
        if place.activation_id is None:
            rows = await database.fetch(
                *bind(
                    SQL.events_of_account,
                    account=place.account_id,
                    test=place.test,
                    start=start,
                    after=after,
                    horizon=horizon,
                    xact=xact,
                    types=list(types),
                    seen=seen,
                    limit=PAGE,
                )
            )
        else:
            rows = await database.fetch(
                *bind(SQL.events_of_lease, activation=place.activation_id, start=start, seen=seen, limit=PAGE)
            )
        if rows:
            start = rows[-1]["event_id"]
            said = await contents(database, (tuple(row)[:3] for row in rows))
            chunk = b""
            for row in rows:
                content = said.pop(row["event_id"], None)  # what is sent is held no longer
                chunk += rendered(content) if content is not None else b""
                if len(chunk) > CHUNK:
                    yield chunk, False
                    chunk = b""
            yield chunk, place.activation_id is not None and rows[-1]["type"] in ENDS
        if len(rows) < PAGE:
            return


def rendered(content: Content) -> bytes:
    """An event as WHATWG HTML §9.2 writes it; JSON has no line ends."""
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (content.event_id.encode(), content.type.encode(), content.body)
