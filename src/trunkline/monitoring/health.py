"""Looks at the platform's components every few seconds, and writes down how they are and for how long they were so.

Every worker process looks, one at a time: what one saw a moment ago, the others leave. Each look counts the seconds
since the one before, whoever made that, in the transaction that moves ``checked_at``: none is counted twice.
"""

import asyncio
import dataclasses
import datetime
import logging
import time

from trunkline import clock
from trunkline.carriers import links
from trunkline.carriers.carrier import LinkState
from trunkline.carriers.registry import Registry
from trunkline.errors import Unavailable
from trunkline.monitoring import components, uptime
from trunkline.monitoring.components import State
from trunkline.monitoring.uptime import Watch
from trunkline.storage.database import Database, Querier, Row
from trunkline.storage.queries import bind, queries

SQL = queries(__package__)
log = logging.getLogger("trunkline.status")

LOCK = 0x6C6F6F6B
EVERY_SECONDS = 5.0
FIRST_SECONDS = 1.0  # until the first look: by then those who run the carriers have said how their links are
LATE_SECONDS = 60.0  # from when on webhooks are late,
OUT_SECONDS = 600.0  # and from when on they count as out


@dataclasses.dataclass(frozen=True, slots=True)
class Seen:
    """How a component is; ``detail`` is for the operator."""

    state: State
    detail: str


async def watch(database: Database, registry: Registry) -> None:
    """Looks until cancelled. How long the database was away is remembered, and written once it is back."""
    away_since: float | None = None
    await asyncio.sleep(FIRST_SECONDS)
    while True:
        began = time.monotonic()
        try:
            await check(database, registry, away_seconds=None if away_since is None else began - away_since)
            away_since = None
        except Unavailable:
            away_since = began if away_since is None else away_since
        except Exception:
            log.exception("looking at the components failed")
        await asyncio.sleep(EVERY_SECONDS)


async def check(database: Database, registry: Registry, *, away_seconds: float | None = None) -> bool:
    """Looks once; False where somebody else did a moment ago or does now.

    ``away_seconds``: for how long the database could not be written until now. Raises Unavailable.
    """
    async with database.transaction() as connection:
        if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", LOCK):
            return False
        names = components.names(registry)
        rows = await connection.fetch(SQL.before, names)
        now, last = rows[0]["now"], rows[0]["checked_at"]
        if last is not None and abs((now - last).total_seconds()) < EVERY_SECONDS:
            return False
        away_from = None if away_seconds is None else now - datetime.timedelta(seconds=away_seconds)
        seen = await _seen(connection, registry)
        await _write(connection, [_look(row, seen[row["name"]], away_from) for row in rows])
        for row in await connection.fetch(SQL.no_longer_watched, names):
            text = f"{components.title(row['name'])} is no longer in use."
            await connection.fetchval(SQL.close_incident, row["incident_id"], text)
    return True


async def _seen(connection: Querier, registry: Registry) -> dict[str, Seen]:
    behind = await connection.fetchrow(SQL.webhooks_behind, datetime.timedelta(seconds=LATE_SECONDS))
    assert behind is not None
    seen = {
        components.API: Seen("operational", ""),
        components.DATABASE: Seen("operational", ""),
        components.WEBHOOKS: _webhooks(behind["due"], behind["fan_out"]),
    }
    for link in await links.links(connection, components.watched_carriers(registry)):
        state: State = "operational" if link.state == LinkState.UP else "major_outage"
        seen[components.CARRIER + link.carrier] = Seen(state, link.detail)
    return seen


def _webhooks(due: float, fan_out: float) -> Seen:
    behind = max(due, fan_out)
    detail = f"the oldest delivery is {due:.0f} s late, the oldest event {fan_out:.0f} s"
    if behind < LATE_SECONDS:
        return Seen("operational", detail)
    return Seen("degraded_performance" if behind < OUT_SECONDS else "partial_outage", detail)


@dataclasses.dataclass(frozen=True, slots=True)
class _Looked:
    """What a look makes of a component: its row, the seconds to be counted, and what its incident comes to."""

    name: str
    seen: Seen
    since: datetime.datetime
    watch: Watch
    seconds: dict[datetime.date, tuple[float, float]]
    opened: datetime.datetime | None  # the beginning of an outage that is to be told
    open_id: int | None
    closes: bool


def _look(row: Row, seen: Seen, away_from: datetime.datetime | None) -> _Looked:
    name, now, last = row["name"], row["now"], row["checked_at"]
    is_down = components.is_down(seen.state)
    if last is None:
        return _Looked(name, seen, now, Watch(is_down, now, False, None), {}, None, None, False)
    was_down = components.is_down(row["state"])
    away = away_from if name in (components.API, components.DATABASE) else None
    spans = uptime.spans(last, now, was_down=was_down, away_from=away, unwatched_is_down=name == components.API)
    watch = Watch(was_down, row["turned_at"], row["open_id"] is not None, row["told_at"])
    looks = [(now, is_down)]
    if name == components.DATABASE and away is not None:
        looks = [(max(last, away), True), (now, True), (now, False)]
    elif now - last > uptime.UNWATCHED_AFTER:
        watch = dataclasses.replace(watch, turned_at=now)  # nobody knows what was in between
    opened, closes = None, False
    for at, was in looks:
        watch, act = uptime.look(watch, at, was)
        opened = watch.turned_at if act == "open" else opened
        closes = closes or act == "close"
    went_on = seen.state == row["state"] and all(span.is_down == is_down for span in spans)
    return _Looked(
        name, seen, row["since"] if went_on else now, watch, uptime.by_day(spans), opened, row["open_id"], closes
    )


async def _write(connection: Querier, looked: list[_Looked]) -> None:
    days = [(each.name, day, *seconds) for each in looked for day, seconds in each.seconds.items()]
    await connection.execute(SQL.count_seconds, *([day[column] for day in days] for column in range(4)))
    await connection.execute(
        *bind(
            SQL.saw,
            names=[each.name for each in looked],
            states=[each.seen.state for each in looked],
            details=[each.seen.detail for each in looked],
            since=[each.since for each in looked],
            turned_at=[each.watch.turned_at for each in looked],
        ),
    )
    for each in looked:
        title, open_id = components.title(each.name), each.open_id
        if each.opened is not None:
            text = f"{title} has not been working since {clock.iso(each.opened)}."
            open_id = await connection.fetchval(
                *bind(
                    SQL.open_incident,
                    title=f"{title}: {'deliveries are late' if each.name == components.WEBHOOKS else 'outage'}",
                    impact=components.impact(each.name, components.outage(each.name)),
                    components=components.affected(each.name),
                    opened_by="health",
                    opened_at=each.opened,
                    text=text,
                ),
            )
            log.warning("%s %s", text, each.seen.detail)
        if each.closes:
            text = f"{title} has been working again since {clock.iso(each.watch.turned_at)}."
            await connection.fetchval(SQL.close_incident, open_id, text)
            log.warning("%s", text)
