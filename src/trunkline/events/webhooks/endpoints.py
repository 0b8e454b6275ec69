"""Webhook endpoints: made, changed, rotated, deleted, tried out, and told again what was.

``whose`` is an account and whether its test mode is meant: a customer reaches the endpoints of their own in the mode of
their key. Without it the operator asks. ``connection`` is a transaction. Whoever changes an endpoint holds it first: of
two changes at the same time one comes after the other.
"""

import dataclasses
import datetime
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from trunkline import clock
from trunkline.errors import InvalidRequest, NotFound
from trunkline.events import contents, types
from trunkline.events.webhooks import samples, signing
from trunkline.events.webhooks.problems import TooManySecrets, TooManyWebhooks, WebhookDisabled
from trunkline.storage.database import Querier, Row
from trunkline.storage.queries import queries

SQL = queries(__package__)

LONGEST_URL = 2048
LONGEST_TEXT = 500  # of a description, and of a reason
MOST_SECRETS = 5  # of an endpoint, that sign at the same time
MOST_OVERLAP_HOURS = 72
OVERLAP_HOURS = 24  # of a rotation that names none
MOST_REPLAYED = 10_000  # by one call
MOST_LOOKED_AT = 100_000  # events, for those among them that the endpoint wants
MOST_FAILED = 1_000  # deliveries, by the call that deletes their endpoint; a worker fails the rest
MOST_ATTEMPTS = 1_000  # that a delivery may have had to be begun anew
BY_ITS_OWNER = "Disabled by its owner."  # why it is disabled


class Whose(NamedTuple):
    account_id: int
    test: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Replayed:
    count: int
    next_since: datetime.datetime | None  # from where to go on; None: that was all


async def create(
    connection: Querier, whose: Whose, *, url: str, events: Sequence[str], description: str, most: int
) -> tuple[Row, bytes]:
    """The endpoint, and the secret that signs what is sent to it. ``url`` has been checked (``egress.check``).

    Raises InvalidRequest with the field that is wrong, and TooManyWebhooks.
    """
    wanted, words = types.checked(events), _words(description, "description")
    await connection.execute(SQL.lock_account, whose.account_id)
    secret = signing.new_secret()
    row = await connection.fetchrow(SQL.create_endpoint, *whose, url, wanted, words, secret, most)
    if row is None:
        raise _too_many(most)
    return row, secret


async def check_room(connection: Querier, whose: Whose, *, most: int) -> None:
    """Raises TooManyWebhooks where ``create`` would, before anything is looked up for it."""
    if await connection.fetchval(SQL.is_full, *whose, most):
        raise _too_many(most)


def _too_many(most: int) -> TooManyWebhooks:
    return TooManyWebhooks(f"An account has at most {most} webhooks, and as many for its test mode.")


async def find(connection: Querier, endpoint_id: int | None, whose: Whose | None = None) -> Row:
    """Raises NotFound, also for an endpoint of somebody else, of the other mode, and a deleted one."""
    return await _found(connection, SQL.endpoint, endpoint_id, whose)


async def hold(connection: Querier, endpoint_id: int | None, whose: Whose | None = None) -> Row:
    """The endpoint, which nobody else changes until the end of the transaction. Raises NotFound."""
    return await _found(connection, SQL.lock_endpoint, endpoint_id, whose)


async def _found(connection: Querier, statement: str, endpoint_id: int | None, whose: Whose | None) -> Row:
    row = None
    if endpoint_id is not None:
        row = await connection.fetchrow(statement, endpoint_id, *(whose or (None, None)))
    if row is None:
        raise NotFound("There is no such webhook.")
    return row


async def change(
    connection: Querier,
    endpoint: Row,
    *,
    url: str | None = None,
    events: Sequence[str] | None = None,
    description: str | None = None,
) -> Row:
    """What is None stays. ``url`` has been checked. Raises InvalidRequest with the field that is wrong."""
    row = await connection.fetchrow(
        SQL.change_endpoint,
        endpoint["endpoint_id"],
        url if url is not None else endpoint["url"],
        types.checked(events) if events is not None else endpoint["events"],
        _words(description, "description") if description is not None else endpoint["description"],
    )
    assert row is not None
    return row


async def enable(connection: Querier, endpoint: Row) -> Row:
    """As if it had never failed: what is still on its way to it is sent from now on."""
    row = await connection.fetchrow(SQL.enable_endpoint, endpoint["endpoint_id"])
    assert row is not None
    return row


async def disable(connection: Querier, endpoint: Row, reason: str) -> Row:
    """Nothing is sent to it from now on. One that is disabled already keeps its reason. Raises InvalidRequest."""
    why = checked_reason(reason)
    return await connection.fetchrow(SQL.disable_endpoint, endpoint["endpoint_id"], why) or endpoint


async def rotate_secret(connection: Querier, endpoint: Row, overlap_hours: int) -> bytes:
    """A new secret. Those before it go on signing beside it for the overlap, and end at once where that is 0.

    Raises InvalidRequest, and TooManySecrets where five would go on.
    """
    if not 0 <= overlap_hours <= MOST_OVERLAP_HOURS:
        raise InvalidRequest(f"overlap_hours is 0 to {MOST_OVERLAP_HOURS}.", field="overlap_hours")
    endpoint_id = endpoint["endpoint_id"]
    if overlap_hours and await connection.fetchval(SQL.live_secrets, endpoint_id) >= MOST_SECRETS:
        raise TooManySecrets(
            f"{MOST_SECRETS} secrets sign already: wait for the end of one, or rotate with an overlap_hours of 0."
        )
    secret = signing.new_secret()
    await connection.execute(SQL.rotate_secret, endpoint_id, secret, overlap_hours)
    return secret


async def delete(connection: Querier, endpoint_id: int | None, whose: Whose) -> Row:
    """The endpoint as it last stood: nobody finds it again, its secrets are gone, what was on its way to it has failed.

    Raises NotFound.
    """
    endpoint = await hold(connection, endpoint_id, whose)  # so that a secret just made for it is seen too
    await connection.execute(SQL.delete_endpoint, endpoint_id)
    await connection.execute(SQL.fail_waiting, endpoint_id, MOST_FAILED)
    return endpoint


async def tell(connection: Querier, endpoint: Row, type_: str) -> str:
    """An event for this endpoint alone, with a sample of what its type tells; its id. Raises WebhookDisabled."""
    _must_be_enabled(endpoint)
    sample = samples.sample(type_, webhook_id=str(endpoint["endpoint_id"]), at=clock.iso(clock.now()))
    data = msgspec.json.encode(samples.stored(sample)).decode()
    event_id = await connection.fetchval(
        SQL.tell_endpoint, endpoint["account_id"], endpoint["test"], endpoint["endpoint_id"], type_, data
    )
    return contents.shown_id(event_id)


async def replay_event(connection: Querier, endpoint: Row, event_id: str) -> Replayed:
    """Sends an event of the account, whether the endpoint wants its type or not. One that is on its way stays as it is.

    Raises NotFound for an event of somebody else, of the other mode, and one for another endpoint alone.
    """
    _must_be_enabled(endpoint)
    number = contents.from_shown_id(event_id)
    count = None
    if number is not None:
        count = await connection.fetchval(SQL.replay_event, *_target(endpoint), number, MOST_ATTEMPTS)
    if count is None:
        raise NotFound("There is no such event.", field="event_id")
    return Replayed(count, None)


async def replay_since(connection: Querier, endpoint: Row, since: datetime.datetime) -> Replayed:
    """Sends what the endpoint wants of the events since then, oldest first; ``MOST_REPLAYED`` of them at most."""
    _must_be_enabled(endpoint)
    if not 1970 <= since.year <= 9998:  # so that it can be said in UTC
        raise InvalidRequest("since is no time in which anything happened.", field="since")
    row = await connection.fetchrow(
        SQL.replay_since,
        *_target(endpoint),
        since,
        endpoint["events"],
        MOST_REPLAYED,
        MOST_LOOKED_AT,
        MOST_ATTEMPTS,
    )
    assert row is not None
    stopped = row["stopped_at"]  # events that were written at the same time are not in the order of their ids
    return Replayed(row["replayed"], stopped - datetime.timedelta(seconds=1) if stopped is not None else None)


def _target(endpoint: Row) -> tuple[int, int, bool]:
    return endpoint["endpoint_id"], endpoint["account_id"], endpoint["test"]


def _must_be_enabled(endpoint: Row) -> None:
    if endpoint["disabled_at"] is not None:
        raise WebhookDisabled("The webhook is disabled: enable it first.", disabled_reason=endpoint["disabled_reason"])


def checked_reason(text: str) -> str:
    """Raises InvalidRequest for what is none."""
    if not _words(text, "reason").strip():
        raise InvalidRequest("A webhook is disabled, and enabled, for a reason.", field="reason")
    return text


def _words(text: str, field: str) -> str:
    # Cc: control characters; Cs: halves of a surrogate pair, which are no text
    if len(text) > LONGEST_TEXT or any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
        raise InvalidRequest(
            f"{field} has at most {LONGEST_TEXT} characters, none of them a control character.", field=field
        )
    return text
