"""The arithmetic of up time and of incidents: pure, so that midnight, outages and flapping can be tried in a moment.

Times are aware datetimes; days are of UTC.
"""

import dataclasses
import datetime
import math
from collections.abc import Iterable, Sequence
from typing import Literal

UNWATCHED_AFTER = datetime.timedelta(seconds=30)  # three of the longest intervals between two looks
HOLDS = datetime.timedelta(seconds=60)  # for how long a component is down, or up again, before an incident says so

Moment = datetime.datetime
Act = Literal["open", "close"]


@dataclasses.dataclass(frozen=True, slots=True)
class Span:
    """A time through which a component was up, or down; ``start`` is before ``end``."""

    start: Moment
    end: Moment
    is_down: bool


def spans(
    last: Moment, now: Moment, *, was_down: bool, away_from: Moment | None = None, unwatched_is_down: bool = False
) -> list[Span]:
    """What is known of the time since the last look: it went on as it was seen then, until nobody looked any more.

    From ``away_from`` on it was down, as somebody knows who could not write it. Time that nobody watched is down where
    ``unwatched_is_down``, and else neither up nor down.
    """
    watched_until = min(now, last + UNWATCHED_AFTER)
    out_from = now if away_from is None else max(last, away_from)
    if unwatched_is_down:
        out_from = min(out_from, watched_until)
    found = [Span(last, min(watched_until, out_from), was_down), Span(out_from, now, True)]
    return [span for span in found if span.start < span.end]


def by_day(known: Iterable[Span]) -> dict[datetime.date, tuple[float, float]]:
    """Seconds up and seconds down of each day that spans touch, split at midnight UTC."""
    days: dict[datetime.date, tuple[float, float]] = {}
    for span in known:
        start = span.start.astimezone(datetime.UTC)
        end = span.end.astimezone(datetime.UTC)
        while start < end:
            midnight = datetime.datetime.combine(
                start.date() + datetime.timedelta(days=1), datetime.time(), datetime.UTC
            )
            until = min(end, midnight)
            up, down = days.get(start.date(), (0.0, 0.0))
            seconds = (until - start).total_seconds()
            days[start.date()] = (up, down + seconds) if span.is_down else (up + seconds, down)
            start = until
    return days


def share(seconds: Sequence[tuple[float, float]]) -> float | None:
    """Up time as a share, 0 to 1, cut after six decimals so that no outage rounds to 1; None: nothing is known."""
    up = math.fsum(each for each, _ in seconds)
    down = math.fsum(each for _, each in seconds)
    if up + down == 0:
        return None
    return math.floor(up / (up + down) * 1_000_000) / 1_000_000


@dataclasses.dataclass(frozen=True, slots=True)
class Watch:
    """What is remembered of a component, so that incidents do not flap."""

    is_down: bool
    turned_at: Moment  # since when it is down, or up
    is_open: bool  # an incident tells of it
    told_at: Moment | None  # the beginning of the last outage that an incident told of


def look(watch: Watch, at: Moment, is_down: bool) -> tuple[Watch, Act | None]:
    """The watch after a look, and what is to be done.

    An incident opens when a component has been down for a minute without a break, once for each outage, and closes when
    it has been up for a minute.
    """
    if is_down != watch.is_down:
        watch = dataclasses.replace(watch, is_down=is_down, turned_at=at)
    if at - watch.turned_at < HOLDS:
        return watch, None
    if is_down and not watch.is_open and (watch.told_at is None or watch.told_at < watch.turned_at):
        return dataclasses.replace(watch, is_open=True, told_at=watch.turned_at), "open"
    if not is_down and watch.is_open:
        return dataclasses.replace(watch, is_open=False), "close"
    return watch, None
