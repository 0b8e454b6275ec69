"""Replay and test events: what an endpoint is sent by request, of what was and of what was not."""

import datetime

import msgspec

from trunkline import clock
from trunkline.audit.acts import Actor
from trunkline.errors import InvalidRequest, NotFound
from trunkline.events import contents
from trunkline.events.webhooks import endpoints, samples
from trunkline.events.webhooks.endpoints import SQL, Whose
from trunkline.events.webhooks.problems import WebhookDisabled
from trunkline.events.webhooks.views import Replay
from trunkline.storage.database import Querier, Row
from trunkline.storage.queries import bind

MOST_REPLAYED = 10_000  # by one call
MOST_LOOKED_AT = 100_000  # events, for those among them that the endpoint wants
MOST_ATTEMPTS = 1_000  # that a delivery may have had to be begun anew


async def test(connection: Querier, endpoint_id: int | None, whose: Whose, type_: str) -> str:
    """An event for this endpoint alone, with a sample of what its type tells; its id.

    Raises NotFound, WebhookDisabled, InvalidRequest for a type that there is not.
    """
    endpoint = await endpoints.hold(connection, endpoint_id, whose)
    _must_be_enabled(endpoint)
    sample = samples.sample(type_, webhook_id=str(endpoint_id), at=clock.iso(clock.now()))
    data = msgspec.json.encode(samples.stored(sample)).decode()
    event_id = await connection.fetchval(SQL.tell_endpoint, *whose, endpoint_id, type_, data)
    return contents.shown_id(event_id)


async def replay(
    connection: Querier,
    actor: Actor,
    endpoint_id: int | None,
    whose: Whose,
    *,
    since: datetime.datetime | None = None,
    event_id: str | None = None,
) -> Replay:
    """Sends an event of the account, whether the endpoint wants its type or not; or what it wants of the events since
    then, oldest first, ``MOST_REPLAYED`` at most. What is on its way stays as it is.

    Raises NotFound, also for an event of somebody else, of the other mode, and one for another endpoint alone;
    WebhookDisabled; InvalidRequest where not exactly one of the two is given.
    """
    endpoint = await endpoints.hold(connection, endpoint_id, whose)
    if event_id is not None and since is None:
        done = await _replay_event(connection, endpoint, event_id)
        asked = {"event_id": event_id}
    elif since is not None and event_id is None:
        done = await _replay_since(connection, endpoint, since)
        asked = {"since": clock.iso(since)}
    else:
        raise InvalidRequest("Say either since or event_id.", field="since")
    await endpoints.record(connection, actor, "webhook.replayed", endpoint, asked | {"replayed": done.replayed})
    return done


async def _replay_event(connection: Querier, endpoint: Row, event_id: str) -> Replay:
    _must_be_enabled(endpoint)
    number = contents.from_shown_id(event_id)
    count = None
    if number is not None:
        count = await connection.fetchval(
            *bind(SQL.replay_event, **_target(endpoint), event=number, most_attempts=MOST_ATTEMPTS)
        )
    if count is None:
        raise NotFound("There is no such event.", field="event_id")
    return Replay(count, False, None)


async def _replay_since(connection: Querier, endpoint: Row, since: datetime.datetime) -> Replay:
    _must_be_enabled(endpoint)
    if not 1970 <= since.year <= 9998:  # so that it can be said in UTC
        raise InvalidRequest("since is no time in which anything happened.", field="since")
    row = await connection.fetchrow(
        *bind(
            SQL.replay_since,
            **_target(endpoint),
            since=since,
            events=endpoint["events"],
            most_replayed=MOST_REPLAYED,
            most_looked_at=MOST_LOOKED_AT,
            most_attempts=MOST_ATTEMPTS,
        ),
    )
    assert row is not None
    stopped = row["stopped_at"]
    if stopped is None:
        return Replay(row["replayed"], False, None)
    # a second before: events that were written at the same time are not in the order of their ids
    return Replay(row["replayed"], True, clock.iso(stopped - datetime.timedelta(seconds=1)))


def _target(endpoint: Row) -> dict[str, int]:
    return {"endpoint": endpoint["endpoint_id"], "account": endpoint["account_id"], "test": endpoint["test"]}


def _must_be_enabled(endpoint: Row) -> None:
    if endpoint["disabled_at"] is not None:
        raise WebhookDisabled("The webhook is disabled: enable it first.", disabled_reason=endpoint["disabled_reason"])
