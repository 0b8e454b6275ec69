"""The inbox as the operator reads it: the texts that came in, where each went, and why."""

import datetime
import itertools
from collections.abc import Sequence

import msgspec

from trunkline.activations import long_texts
from trunkline.activations.inbox import SQL
from trunkline.clock import iso
from trunkline.storage import vault
from trunkline.storage.database import Querier, Row


class Arrival(msgspec.Struct, frozen=True):
    """A text; ``text`` is None once it is erased."""

    received_at: str
    carrier: str
    sender: str
    recipient: str
    text: str | None
    code: str | None
    erased: bool
    activation_id: str | None
    outcome: str
    reason: str | None
    incomplete: bool
    repeats: int
    repeated_at: str | None


async def newest(connection: Querier, *, recipient: str | None, delivered: bool, limit: int) -> list[Arrival]:
    """Newest first: texts that no lease got, that came again, or whose parts are missing.

    ``delivered``: also those that went to a lease; ``recipient``: only those to this number.
    """
    rows = await connection.fetch(SQL.inbox, delivered, recipient, limit)
    parts = await connection.fetch(SQL.parts_waiting, recipient, limit)
    by_text = itertools.groupby(parts, key=lambda row: row["assembly_id"])
    found = [_unfinished(list(group)) for _, group in by_text] + [_arrival(row) for row in rows]
    return sorted(found, key=lambda each: each.received_at, reverse=True)[:limit]  # stable


def _arrival(row: Row) -> Arrival:
    body, code = vault.opened(row["body"], row["code"], row["key"], row["sealed"])
    return Arrival(
        received_at=iso(row["received_at"]),
        carrier=row["carrier"],
        sender=row["sender"],
        recipient=row["recipient"],
        text=body,
        code=code,
        erased=body is None,
        activation_id=str(row["activation_id"]) if row["activation_id"] else None,
        outcome=row["outcome"],
        reason=row["reason"],
        incomplete=row["incomplete"],
        repeats=row["repeats"],
        repeated_at=_instant(row["repeated_at"]),
    )


def _unfinished(parts: Sequence[Row]) -> Arrival:
    """A long text that waits for its missing parts."""
    first = parts[0]
    numbers = ", ".join(str(part["number"]) for part in parts)
    return Arrival(
        received_at=iso(first["began_at"]),
        carrier=first["carrier"],
        sender=first["sender"],
        recipient=first["recipient"],
        text=long_texts.joined(parts, first["total"]),
        code=None,
        erased=False,
        activation_id=None,
        outcome="incomplete",
        reason=f"part {numbers} of {first['total']} has come, the rest is waited for",
        incomplete=True,
        repeats=0,
        repeated_at=None,
    )


def _instant(moment: datetime.datetime | None) -> str | None:
    return iso(moment) if moment else None
