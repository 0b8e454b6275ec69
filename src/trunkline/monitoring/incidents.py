"""What the public is told about outages: incidents, opened by the operator or by health checks, with their updates."""

import dataclasses
import datetime
import unicodedata
from collections.abc import Sequence
from typing import Literal

from trunkline.audit import acts
from trunkline.audit.acts import Actor
from trunkline.errors import InvalidRequest, OperatorError
from trunkline.monitoring.components import Impact
from trunkline.storage.database import Querier, Row
from trunkline.storage.queries import bind, queries

SQL = queries(__package__)

LONGEST_TITLE = 200
LONGEST_TEXT = 4000
MOST_UPDATES = 100  # of an incident that are shown
EVER = datetime.datetime(1, 1, 1, tzinfo=datetime.UTC)

Stage = Literal["investigating", "identified", "monitoring", "resolved"]
Author = Literal["operator", "health"]


@dataclasses.dataclass(frozen=True, slots=True)
class Update:
    update_id: int
    state: Stage
    body: str
    at: datetime.datetime


@dataclasses.dataclass(frozen=True, slots=True)
class Incident:
    incident_id: int
    title: str
    impact: Impact
    components: Sequence[str]
    opened_by: Author
    opened_at: datetime.datetime
    closed_at: datetime.datetime | None
    updates: Sequence[Update]  # newest first, at least one

    @property
    def state(self) -> Stage:
        return self.updates[0].state


async def find(
    connection: Querier,
    *,
    closed_since: datetime.datetime | None = None,
    incident_id: int | None = None,
    most: int,
) -> list[Incident]:
    """Open incidents first, then those closed since a time (None: only open ones), newest first."""
    rows = await connection.fetch(
        *bind(SQL.incidents, closed_since=closed_since, incident=incident_id, limit=most, updates=MOST_UPDATES)
    )
    return [_incident(row) for row in rows]


async def find_one(connection: Querier, incident_id: int) -> Incident:
    """Raises OperatorError where there is none."""
    found = await find(connection, closed_since=EVER, incident_id=incident_id, most=1)
    if not found:
        raise OperatorError(f"There is no incident {incident_id}.")
    return found[0]


async def begin(
    connection: Querier,
    actor: Actor,
    title: str,
    text: str,
    *,
    components: Sequence[str],
    known: Sequence[str],
    impact: Impact,
) -> Incident:
    """The operator tells of one. Raises InvalidRequest, also for a component that is not ``known``."""
    _check(title, "title", LONGEST_TITLE)
    _check(text, "text", LONGEST_TEXT, lines=True)
    for name in components:
        if name not in known:
            raise InvalidRequest(f"There is no component {name!r}; there are: {', '.join(known)}.", field="component")
    chosen = list(dict.fromkeys(components))
    number: int = await connection.fetchval(
        *bind(
            SQL.open_incident,
            title=title,
            impact=impact,
            components=chosen,
            opened_by="operator",
            opened_at=None,
            text=text,
        )
    )
    begun = await find_one(connection, number)
    what = {"title": title, "impact": impact, "components": chosen}
    await acts.record(connection, actor, "incident.opened", f"incident:{number}", what)
    return begun


async def tell(connection: Querier, actor: Actor, incident_id: int, text: str, state: Stage | None) -> Incident:
    """An update; without a state, the last one stays. Raises InvalidRequest, and OperatorError once it is closed."""
    _check(text, "text", LONGEST_TEXT, lines=True)
    if await connection.fetchval(*bind(SQL.update_incident, incident=incident_id, state=state, text=text)) is None:
        await _not_open(connection, incident_id)
    told = await find_one(connection, incident_id)
    what = {"state": told.state, "text": text}
    await acts.record(connection, actor, "incident.updated", f"incident:{incident_id}", what)
    return told


async def close(connection: Querier, actor: Actor, incident_id: int, text: str) -> Incident:
    """Resolves it. Raises InvalidRequest, and OperatorError where it is closed already."""
    _check(text, "text", LONGEST_TEXT, lines=True)
    if await connection.fetchval(SQL.close_incident, incident_id, text) is None:
        await _not_open(connection, incident_id)
    await acts.record(connection, actor, "incident.closed", f"incident:{incident_id}", {"text": text})
    return await find_one(connection, incident_id)


async def _not_open(connection: Querier, incident_id: int) -> None:
    await find_one(connection, incident_id)
    raise OperatorError(f"The incident {incident_id} is closed already.")


def _check(text: str, field: str, longest: int, *, lines: bool = False) -> None:
    """Cc and Cs: control characters, and halves of a surrogate pair, which are no text."""
    bad = any(
        unicodedata.category(character) in ("Cc", "Cs") and not (lines and character == "\n") for character in text
    )
    if bad or not text.strip() or len(text) > longest:
        raise InvalidRequest(
            f"The {field} is 1 to {longest} characters, none of them a control character.", field=field
        )


def _incident(row: Row) -> Incident:
    said = zip(row["ids"], row["states"], row["bodies"], row["times"], strict=True)
    return Incident(
        incident_id=row["incident_id"],
        title=row["title"],
        impact=row["impact"],
        components=row["components"],
        opened_by=row["opened_by"],
        opened_at=row["opened_at"],
        closed_at=row["closed_at"],
        updates=[Update(*each) for each in said],
    )
