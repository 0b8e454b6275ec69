"""The audit: every act of an operator and a customer, written in the transaction of what it did."""

import dataclasses
import datetime
from collections.abc import Mapping
from typing import Any

import msgspec

from trunkline import clock
from trunkline.egress import urls
from trunkline.errors import RateLimited
from trunkline.storage.database import Querier
from trunkline.storage.queries import queries

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
        SQL.record_act,
        actor.name,
        owner,
        actor.test,
        action,
        target,
        _encoder.encode(data or {}).decode(),
        actor.address,
        actor.request_id,
    )
    return entry_id


def shown(action: str, data: str) -> dict[str, Any]:
    """An act's ``data`` as it is shown.

    The chain keeps acts as they were written, and earlier ones on webhooks have whole URLs in them, which may hold
    secrets: of these path and query are cut, as they are in acts since.
    """
    told: dict[str, Any] = msgspec.json.decode(data)
    return _cut(told) if action.startswith("webhook.") else told


def _cut(data: dict[str, Any]) -> dict[str, Any]:
    cut = dict(data)
    for name, value in data.items():
        if name == "url" and isinstance(value, str):
            cut[name] = urls.discreet(value)
        elif isinstance(value, dict):
            cut[name] = _cut(value)
    return cut
