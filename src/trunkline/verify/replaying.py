"""Backtesting of the guard: changed rules run over past starts, with the windows that they would have seen then."""

import dataclasses
import datetime
import heapq
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from trunkline import clock
from trunkline.errors import InvalidRequest
from trunkline.storage.database import Database, Querier, Row
from trunkline.storage.queries import bind
from trunkline.verify import guard, views
from trunkline.verify.guard import GuardOptions, Traffic
from trunkline.verify.profiles import SQL
from trunkline.verify.views import Decision

GROUP = 10_000
HOUR, DAY = 3600, 86_400  # seconds


class Told(msgspec.Struct):
    """Of one rule."""

    stopped: int = 0
    approved: int = 0  # in truth


class Replayed(msgspec.Struct):
    """What changed rules would have done."""

    starts: int = 0
    stopped: int = 0
    stopped_approved: int = 0
    saved_micros: int = 0
    rules: dict[str, Told] = msgspec.field(default_factory=lambda: {rule: Told() for rule in guard.RULES})


@dataclasses.dataclass(slots=True)
class _Counted:
    """What went to one prefix, country, profile or account so far, by hour and by day; old ones are dropped."""

    hours: deque[list[int]]  # [hour, starts, decided, approved, micros], at most 25
    days: deque[list[int]]  # [day, starts, busiest hour], at most 29

    def hour(self, hour: int) -> list[int]:
        if not self.hours or self.hours[-1][0] != hour:
            self.hours.append([hour, 0, 0, 0, 0])
            while self.hours[0][0] <= hour - 24:
                self.hours.popleft()
        return self.hours[-1]

    def day(self, day: int) -> list[int]:
        if not self.days or self.days[-1][0] != day:
            self.days.append([day, 0, 0])
            while self.days[0][0] < day - guard.DAYS:
                self.days.popleft()
        return self.days[-1]

    def traffic(self, hour: int) -> Traffic:
        this = self.hour(hour)
        today = self.day(hour // 24)[0]
        before = next((each for each in self.hours if each[0] == hour - 1), None)
        past = [each for each in self.days if each[0] < today]
        return Traffic(
            starts_this_hour=this[1],
            starts_hour_before=before[1] if before is not None else 0,
            micros_this_hour=this[4],
            decided_24h=sum(each[2] for each in self.hours),
            approved_24h=sum(each[3] for each in self.hours),
            days=len(past),
            starts_28d=sum(each[1] for each in past),
            busiest_28d=max((each[2] for each in past), default=0),
        )


class Windows:
    """The guard's windows over traffic that is told in the order of time; what it holds is bounded by the prefixes of a
    month."""

    def __init__(self, options: GuardOptions) -> None:
        self._options = options
        self._counted: dict[tuple[Any, ...], _Counted] = {}
        self._pending: list[tuple[float, int, bool, tuple[tuple[Any, ...], ...]]] = []
        self._told = 0

    def start(self, row: Row, result: Replayed) -> None:
        """Judges a start, and counts it where it is let through."""
        at = row["at"]
        self._end_until(at)
        own = (row["account_id"], row["test"])
        keys = (
            (*own, "account"), (*own, "profile", row["profile"]), (*own, "country", row["country"]),
            (*own, "prefix", row["prefix"]),
        )  # fmt: skip
        hour = int(at // HOUR)
        counted = [self._of(key) for key in keys]
        traffic = {key[2]: each.traffic(hour) for key, each in zip(keys, counted, strict=True)}
        now = datetime.datetime.fromtimestamp(at, datetime.UTC)
        stopping = [
            each.rule
            for each in guard.judge(traffic, row["cost_micros"], now, self._options)
            if each.verdict != "allowed"
        ]
        result.starts += 1
        approved = row["state"] == "approved"
        if stopping:
            result.stopped += 1
            result.stopped_approved += approved
            result.saved_micros += row["captured_micros"]
            for rule in stopping:
                result.rules[rule].stopped += 1
                result.rules[rule].approved += approved
            return
        for each in counted:
            this, day = each.hour(hour), each.day(hour // 24)
            this[1] += 1
            this[4] += row["cost_micros"]
            day[1] += 1
            day[2] = max(day[2], this[1])
        if row["ended"] is not None and row["state"] in ("approved", "failed", "expired"):
            self._told += 1
            heapq.heappush(self._pending, (row["ended"], self._told, approved, keys))

    def _end_until(self, at: float) -> None:
        while self._pending and self._pending[0][0] <= at:
            ended, _, approved, keys = heapq.heappop(self._pending)
            for key in keys:
                this = self._of(key).hour(int(ended // HOUR))
                this[2] += 1
                this[3] += approved

    def _of(self, key: tuple[Any, ...]) -> _Counted:
        found = self._counted.get(key)
        if found is None:
            found = self._counted[key] = _Counted(deque(), deque())
        return found


def changed(options: GuardOptions, rules: Iterable[str]) -> GuardOptions:
    """The operator's options with thresholds that are tried: ``prefix_starts=10``. Raises InvalidRequest."""
    tried: dict[str, Any] = {}
    for rule in rules:
        name, equals, value = rule.partition("=")
        if not equals or name not in options.__struct_fields__ or name == "shadow":
            known = ", ".join(each for each in options.__struct_fields__ if each != "shadow")
            raise InvalidRequest(f"{rule!r} is no threshold; there are {known}.", field="rule")
        tried[name] = value
    try:
        return msgspec.convert(msgspec.structs.asdict(options) | tried | {"shadow": []}, GuardOptions, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"The rule cannot be tried: {error}.", field="rule") from None


async def replay(
    database: Database,
    options: GuardOptions,
    *,
    days: int,
    account_id: int | None = None,
    progress: Callable[[int, int], object] = lambda _done, _of: None,
) -> Replayed:
    """Runs rules over the starts of so many days, also those that were blocked; what is stopped counts no further.

    Before the first of them nothing is known, as on an account's first day.
    """
    result, windows = Replayed(), Windows(options)
    of = await database.fetchval(*bind(SQL.count_starts, account=account_id, days=days))
    last = 0
    while True:
        rows = await database.fetch(*bind(SQL.past_starts, account=account_id, days=days, after=last, limit=GROUP))
        for row in rows:
            windows.start(row, result)
        progress(result.starts, of)
        if len(rows) < GROUP:
            return result
        last = rows[-1]["verification_id"]


async def log(connection: Querier, account_id: int | None, limit: int) -> list[dict[str, Any]]:
    """The latest starts of which a rule said more than that it lets them through, newest first."""
    rows = await connection.fetch(*bind(SQL.guarded, account=account_id, limit=limit))
    return [
        {
            "verification_id": views.shown_id(row["verification_id"]),
            "account_id": row["account_id"],
            "phone_number": row["e164"],
            "status": row["state"],
            "at": clock.iso(row["created_at"]),
            "decisions": [
                msgspec.to_builtins(each)
                for each in msgspec.json.decode(row["decisions"], type=list[Decision])
                if each.verdict != "allowed"
            ],
        }
        for row in rows
    ]
