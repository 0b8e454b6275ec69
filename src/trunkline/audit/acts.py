"""The audit: every act of an operator and a customer, written in the transaction of what it did."""

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Any

import msgspec

from trunkline import clock, paging
from trunkline.audit import views
from trunkline.audit.views import Act, FullAct
from trunkline.errors import RateLimited
from trunkline.storage.database import Querier
from trunkline.storage.queries import bind, queries

SQL = queries(__package__)

MOST_A_DAY = 1000  # acts of an account's keys, of each mode: what is written here stays for good
ALWAYS = frozenset({"key.revoked", "webhook.deleted", "control.given_up"})  # each ends what another act began

_encoder = msgspec.json.Encoder(decimal_format="number")  # jsonb keeps every digit


@dataclasses.dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: ``operator:NAME``, ``key:ID``, ``stripe`` or ``system``."""

    name: str
    account_id: int | None = None  # whose part of the audit it is; an act on an account is its account's too
    test: bool = False
    address: str | None = None
    request_id: str | None = None


async def record(
    connection: Querier,
    actor: Actor,
    action: str,
    target: str,
    data: Mapping[str, Any] | None = None,
    *,
    account_id: int | None = None,
) -> int:
    """Writes an act down and gives its id; ``connection`` is the transaction that it happens in.

    ``action`` is a noun and what happened to it ("key.created"); ``data`` has no secret in it. Raises RateLimited where
    the account's keys have acted as often as they may in 24 hours.
    """
    owner = account_id if account_id is not None else actor.account_id
    if actor.name.startswith("key:") and action not in ALWAYS:
        since = await connection.fetchval(SQL.act_of_day, owner, actor.test, MOST_A_DAY)
        if since is not None:
            again = since + datetime.timedelta(days=1, microseconds=999_999)
            raise RateLimited(
                f"The account's {'test' if actor.test else 'live'} keys have made {MOST_A_DAY} changes in 24 hours, and"
                " may make no more; what is to end can still be ended.",
                limit="changes", retry_at=clock.iso(again),
            )  # fmt: skip
    entry_id: int = await connection.fetchval(
        *bind(
            SQL.record_act,
            actor=actor.name,
            account=owner,
            test=actor.test,
            action=action,
            target=target,
            data=_encoder.encode(data or {}).decode(),
            address=actor.address,
            request=actor.request_id,
        ),
    )
    return entry_id


async def page(
    connection: Querier,
    account_id: int,
    *,
    test: bool,
    webhooks: bool,
    action: str | None,
    before: int = paging.NEWEST,
    limit: int,
) -> paging.Page[Act]:
    """What was done to an account, newest first, as its live keys or its ``test`` keys see it.

    ``webhooks``: acts on these too; ``action``: of this kind alone.
    """
    rows = await connection.fetch(
        *bind(
            SQL.acts_of, account=account_id, test=test, before=before, action=action, limit=limit + 1, webhooks=webhooks
        )
    )
    return paging.cut(rows, limit, views.act, lambda row: row["entry_id"])


async def every(
    connection: Querier, account_id: int | None, *, action: str | None, before: int = paging.NEWEST, limit: int
) -> paging.Page[FullAct]:
    """What was done to anybody, or to one account, newest first, as the operator sees it."""
    rows = await connection.fetch(*bind(SQL.acts, account=account_id, action=action, before=before, limit=limit + 1))
    return paging.cut(rows, limit, views.full_act, lambda row: row["entry_id"])
