"""Webhook endpoints: made, listed, changed, rotated, deleted. Each act tells itself to the audit in its transaction.

``whose`` is an account and whether its test mode is meant: a customer reaches the endpoints of their own in the mode of
their key. Without it the operator asks. ``connection`` is a transaction. Whoever changes an endpoint holds it first: of
two changes at the same time one comes after the other.
"""

import dataclasses
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from trunkline import paging
from trunkline.audit import acts
from trunkline.audit.acts import Actor
from trunkline.egress import urls
from trunkline.errors import InvalidRequest, NotFound
from trunkline.events import types
from trunkline.events.webhooks import signing, views
from trunkline.events.webhooks.problems import TooManySecrets, TooManyWebhooks
from trunkline.events.webhooks.views import NewWebhook, OwnedWebhook, Webhook
from trunkline.storage.database import Querier, Row
from trunkline.storage.queries import bind, queries

SQL = queries(__package__)

LONGEST_TEXT = 500  # of a description, and of a reason
MOST_SECRETS = 5  # of an endpoint, that sign at the same time
MOST_OVERLAP_HOURS = 72
OVERLAP_HOURS = 24  # of a rotation that names none
MOST_FAILED = 1_000  # deliveries, by the call that deletes their endpoint; a worker fails the rest
BY_ITS_OWNER = "Disabled by its owner."  # why it is disabled


class Whose(NamedTuple):
    account_id: int
    test: bool


async def create(
    connection: Querier,
    actor: Actor,
    whose: Whose,
    *,
    url: str,
    events: Sequence[str],
    description: str = "",
    most: int,
) -> NewWebhook:
    """With the secret that signs what is sent to it. ``url`` has been checked (``egress.check``).

    Raises InvalidRequest with the field that is wrong, and TooManyWebhooks.
    """
    wanted, words = types.checked(events), _words(description, "description")
    await connection.execute(SQL.lock_account, whose.account_id)
    secret = signing.new_secret()
    row = await connection.fetchrow(
        *bind(
            SQL.create_endpoint,
            account=whose.account_id,
            test=whose.test,
            url=url,
            events=wanted,
            description=words,
            secret=secret,
            most=most,
        )
    )
    if row is None:
        raise _too_many(most)
    await record(connection, actor, "webhook.created", row, _noted(views.terms(row)))
    return views.new_webhook(row, secret)


async def page(connection: Querier, whose: Whose, *, before: int = paging.NEWEST, limit: int) -> paging.Page[Webhook]:
    """Those of an account and mode, newest first."""
    rows = await connection.fetch(SQL.endpoints, *whose, before, limit + 1)
    return paging.cut(rows, limit, views.webhook, lambda row: row["endpoint_id"])


async def every(
    connection: Querier, account_id: int | None, *, before: int = paging.NEWEST, limit: int
) -> paging.Page[OwnedWebhook]:
    """Everybody's, or those of one account, newest first."""
    rows = await connection.fetch(SQL.all_endpoints, account_id, before, limit + 1)
    return paging.cut(rows, limit, views.owned_webhook, lambda row: row["endpoint_id"])


async def show(connection: Querier, endpoint_id: int | None, whose: Whose) -> Webhook:
    """Raises NotFound."""
    return views.webhook(await find(connection, endpoint_id, whose))


async def check_room(connection: Querier, whose: Whose, *, most: int) -> None:
    """Raises TooManyWebhooks where ``create`` would, before anything is looked up for it."""
    if await connection.fetchval(*bind(SQL.is_full, account=whose.account_id, test=whose.test, most=most)):
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
    actor: Actor,
    endpoint_id: int | None,
    whose: Whose,
    *,
    url: str | None = None,
    events: Sequence[str] | None = None,
    description: str | None = None,
    enabled: bool | None = None,
) -> Webhook:
    """By its owner; what is None stays. ``url`` has been checked. Raises NotFound, InvalidRequest with the field."""
    before = after = await hold(connection, endpoint_id, whose)
    if any(given is not None for given in (url, events, description)):
        after = await _set(connection, before, url, events, description)
        changed = [name for name in views.terms(before) if before[name] != after[name]]
        if changed:
            old, new = (_noted({name: row[name] for name in changed}) for row in (before, after))
            await record(connection, actor, "webhook.updated", after, {"old": old, "new": new})
    if enabled is True:
        after = await _enable(connection, actor, after)
    elif enabled is False:
        after = await _disable(connection, actor, after, BY_ITS_OWNER)
    return views.webhook(after)


async def _set(
    connection: Querier, endpoint: Row, url: str | None, events: Sequence[str] | None, description: str | None
) -> Row:
    row = await connection.fetchrow(
        *bind(
            SQL.change_endpoint,
            endpoint=endpoint["endpoint_id"],
            url=url if url is not None else endpoint["url"],
            events=types.checked(events) if events is not None else endpoint["events"],
            description=_words(description, "description") if description is not None else endpoint["description"],
        ),
    )
    assert row is not None
    return row


async def enable(connection: Querier, actor: Actor, endpoint_id: int | None, reason: str) -> Webhook:
    """By the operator: as if it had never failed, what is still on its way to it is sent from now on.

    Raises InvalidRequest for a reason that is none, NotFound.
    """
    why = _reason(reason)
    return views.webhook(await _enable(connection, actor, await hold(connection, endpoint_id), {"reason": why}))


async def _enable(connection: Querier, actor: Actor, endpoint: Row, what: Mapping[str, Any] | None = None) -> Row:
    row = await connection.fetchrow(SQL.enable_endpoint, endpoint["endpoint_id"])
    assert row is not None
    if endpoint["disabled_at"] is not None:
        await record(connection, actor, "webhook.enabled", row, what)
    return row


async def disable(connection: Querier, actor: Actor, endpoint_id: int | None, reason: str) -> Webhook:
    """By the operator: nothing is sent to it from now on. One that is disabled already keeps its reason.

    Raises NotFound, InvalidRequest for a reason that is none.
    """
    endpoint = await hold(connection, endpoint_id)
    return views.webhook(await _disable(connection, actor, endpoint, _reason(reason)))


async def _disable(connection: Querier, actor: Actor, endpoint: Row, reason: str) -> Row:
    row = await connection.fetchrow(*bind(SQL.disable_endpoint, endpoint=endpoint["endpoint_id"], reason=reason))
    if row is None:
        return endpoint
    await record(connection, actor, "webhook.disabled", row, {"reason": reason})
    return row


async def rotate_secret(
    connection: Querier, actor: Actor, endpoint_id: int | None, whose: Whose, overlap_hours: int
) -> NewWebhook:
    """With a new secret. Those before it go on signing beside it for the overlap, and end at once where that is 0.

    Raises NotFound, InvalidRequest, and TooManySecrets where five would go on.
    """
    endpoint = await hold(connection, endpoint_id, whose)
    if not 0 <= overlap_hours <= MOST_OVERLAP_HOURS:
        raise InvalidRequest(f"overlap_hours is 0 to {MOST_OVERLAP_HOURS}.", field="overlap_hours")
    if overlap_hours and await connection.fetchval(SQL.live_secrets, endpoint_id) >= MOST_SECRETS:
        raise TooManySecrets(
            f"{MOST_SECRETS} secrets sign already: wait for the end of one, or rotate with an overlap_hours of 0."
        )
    secret = signing.new_secret()
    await connection.execute(*bind(SQL.rotate_secret, endpoint=endpoint_id, secret=secret, overlap_hours=overlap_hours))
    await record(connection, actor, "webhook.secret_rotated", endpoint, {"overlap_hours": overlap_hours})
    return views.new_webhook(endpoint, secret)


async def delete(connection: Querier, actor: Actor, endpoint_id: int | None, whose: Whose) -> Webhook:
    """As it last stood: nobody finds it again, its secrets are gone, what was on its way to it has failed.

    Raises NotFound.
    """
    endpoint = await hold(connection, endpoint_id, whose)  # so that a secret just made for it is seen too
    await connection.execute(SQL.delete_endpoint, endpoint_id)
    await connection.execute(SQL.fail_waiting, endpoint_id, MOST_FAILED)
    await record(connection, actor, "webhook.deleted", endpoint, _noted({"url": endpoint["url"]}))
    return views.webhook(endpoint)


async def record(
    connection: Querier, actor: Actor, action: str, endpoint: Row, what: Mapping[str, Any] | None = None
) -> None:
    whose = dataclasses.replace(actor, test=endpoint["test"])  # an operator's act on a test key's is shown to those
    target = f"webhook:{endpoint['endpoint_id']}"
    await acts.record(connection, whose, action, target, what, account_id=endpoint["account_id"])


def _noted(terms: dict[str, Any]) -> dict[str, Any]:
    """Of these, what the audit keeps for ever: not the path and query of a URL, which may hold a secret."""
    return terms | ({"url": urls.discreet(terms["url"])} if "url" in terms else {})


def _reason(text: str) -> str:
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
