"""The dispatcher: claims what is due, sends it, and writes down what came of it. Any number of processes may run one.

A claim is a lease that moves the delivery ahead in time; whoever dies with it is made up for when it is over, and
whoever comes back too late writes nothing. So every event is sent at least once, and the same ``webhook-id`` tells a
receiver that it was sent before.
"""

import asyncio
import contextlib
import logging
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence

from trunkline import metrics
from trunkline.egress import Network
from trunkline.egress.names import Names
from trunkline.errors import Unavailable
from trunkline.events.webhooks import attempts
from trunkline.events.webhooks.attempts import Claim, Outcome
from trunkline.events.webhooks.pacing import Lane, Places, again_in
from trunkline.events.webhooks.recording import AWAY_SECONDS, SQL, Recorder, Result
from trunkline.storage.database import Database, Row
from trunkline.storage.queries import bind

log = logging.getLogger("trunkline.webhooks")

LEASE = 2.0  # as long as what an attempt takes at most
SHORTEST_LEASE_SECONDS = 3.0
MOST_CLAIMED = 128  # by one statement
LOOK_SECONDS = 0.5  # between two looks for what nobody told of: repeats, and what other processes left
LOOK_SHARE = 10  # of the time that a look takes: looking never fills more than a tenth of a connection
FORGET_SECONDS = 900.0  # longer than any pause that grows
GRACE_SECONDS = 3.0  # for attempts under way when the process ends
TRIM_SECONDS = 60.0
TRIMMED = 1_000  # rows in one statement


class Dispatcher:
    def __init__(
        self,
        database: Database,
        *,
        allow: Sequence[Network],
        nameservers: Sequence[tuple[str, int]],
        retry_seconds: Sequence[float],
        seconds: float,
        concurrency: int,
        endpoint_concurrency: int,
        disable_after_seconds: float,
        keep_days: int,
        retention_days: int,
    ) -> None:
        """``nameservers``: see ``Names``. ``seconds``: that an attempt takes at most. ``keep_days``: of deliveries and
        their attempts. ``retention_days``: of answers to accounts without a number of their own."""
        self._database = database
        self._allow = allow
        self._retry_seconds = retry_seconds
        self._seconds = seconds
        self._lease_seconds = max(LEASE * seconds, SHORTEST_LEASE_SECONDS)
        self._endpoint_concurrency = endpoint_concurrency
        self._keep_days = keep_days
        self._recorder = Recorder(
            database,
            self._recorded,
            keep_seconds=self._lease_seconds,
            disable_after_seconds=disable_after_seconds,
            retention_days=retention_days,
        )
        self._places = Places(concurrency)
        self._names = Names(nameservers)
        self._lanes: dict[int, Lane] = {}
        self._asked: dict[int, None] = {}  # endpoints that may have something due; the first is looked at first
        self._news = asyncio.Event()
        self._under_way: dict[asyncio.Task[None], Row] = {}
        self._ahead: dict[int, deque[Claim]] = {}  # those that wait for room
        self._not_sent: list[Row] = []  # claims to be given back
        self._is_stopping = False

    def planned(self, endpoints: Iterable[int]) -> None:
        """These have something new to send."""
        self._asked.update(dict.fromkeys(endpoints))
        self._news.set()

    async def run(self) -> None:
        """Until cancelled; then attempts under way get a short grace, and what is not sent is given back."""
        claiming = asyncio.create_task(self._keep_on(self._claim))
        steps = (self._look, self._trim)
        others = [asyncio.create_task(self._keep_on(step)) for step in steps]
        recording = asyncio.create_task(self._recorder.run())
        try:
            await asyncio.wait([claiming, recording, *others])
        finally:
            self._is_stopping = True
            self._news.set()
            for task in others:
                task.cancel()
            await asyncio.wait([claiming], timeout=GRACE_SECONDS)
            claiming.cancel()
            await self._wind_up(recording)
            await asyncio.gather(claiming, *others, return_exceptions=True)

    async def _wind_up(self, recording: "asyncio.Task[None]") -> None:
        """What ends within the grace is written down as it comes, and the rest at its end."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=GRACE_SECONDS)
        recording.cancel()
        await asyncio.gather(recording, return_exceptions=True)
        left = dict(self._under_way)
        for task in left:
            task.cancel()
        with contextlib.suppress(Unavailable, TimeoutError):
            async with asyncio.timeout(GRACE_SECONDS):
                self._not_sent += [claim.row for waiting in self._ahead.values() for claim in waiting]
                await self._give_back([*left.values(), *self._not_sent])
                await self._recorder.finish()

    async def _keep_on(self, step: Callable[[], Awaitable[None]]) -> None:
        while not self._is_stopping:
            try:
                await step()
            except Unavailable as error:
                log.warning("deliveries wait: %s", error.detail)
                await asyncio.sleep(AWAY_SECONDS)
            except Exception:
                log.exception("delivering webhooks failed; it goes on")
                await asyncio.sleep(AWAY_SECONDS)

    async def _claim(self) -> None:
        """Claims and begins what there is room for, once something may be due."""
        await self._news.wait()
        self._news.clear()
        if self._not_sent:
            count = len(self._not_sent)
            await self._give_back(self._not_sent)
            del self._not_sent[:count]  # not those that came meanwhile
        began = time.monotonic()
        rooms = self._rooms(began)
        if not rooms:
            return
        try:
            asked = (list(rooms), list(rooms.values()), self._lease_seconds)
            rows = await self._database.fetch(SQL.claim, *asked)
        except Exception:
            self.planned(rooms)
            raise
        if self._is_stopping:
            await self._give_back(rows)
            return
        for claim in attempts.claimed([row for row in rows if row["event_id"] is not None], began):
            self._take(claim)
        found = Counter(row["endpoint_id"] for row in rows)
        if full := [endpoint for endpoint, room in rooms.items() if found[endpoint] == room]:
            self.planned(full)
        if lost := [row for row in rows if row["event_id"] is None]:
            await self._database.execute(SQL.fail_without_event, *_tokens(lost))

    def _rooms(self, now: float) -> dict[int, int]:
        """How much to claim for whom. Those that get something, and those that have no room, are asked for no more."""
        rooms: dict[int, int] = {}
        promised = {True: 0, False: 0}
        to_accounts: Counter[int | None] = Counter()
        self._places.look(now)
        for endpoint in list(self._asked):
            lane = self._lane(endpoint, now)
            room = lane.room(now)
            if not room:
                lane.has_more = True
                del self._asked[endpoint]
                continue
            left = MOST_CLAIMED - sum(promised.values())
            place = self._places.room(
                proven=lane.is_proven,
                promised=sum(promised.values()),
                promised_unproven=promised[False],
                account_id=lane.account_id,
                promised_account=to_accounts[lane.account_id],
            )
            if room := min(room, place, left):
                del self._asked[endpoint]
                rooms[endpoint] = room
                promised[lane.is_proven] += room
                to_accounts[lane.account_id] += room
            if room == left:
                self._news.set()  # the others have their turn in the next claim, also where this one finds nothing
                break
        return rooms

    def _lane(self, endpoint: int, now: float) -> Lane:
        lane = self._lanes.get(endpoint)
        if lane is None:
            lane = self._lanes[endpoint] = Lane(self._endpoint_concurrency, now)
        return lane

    def _take(self, claim: Claim) -> None:
        endpoint, now = claim.row["endpoint_id"], time.monotonic()
        lane = self._lane(endpoint, now)
        if self._is_late(claim, now):
            self._not_sent.append(claim.row)
        elif lane.may_begin(now):
            self._begin(claim)
        else:
            self._ahead.setdefault(endpoint, deque()).append(claim)
            lane.ahead += 1

    def _go_on(self, endpoint: int, lane: Lane, now: float) -> None:
        """Begins what waits for room. Where the endpoint answers no longer, or a claim is late, the claims are given
        back."""
        waiting = self._ahead.get(endpoint)
        while waiting and lane.may_begin(now) and lane.is_proven:
            claim = waiting.popleft()
            lane.ahead -= 1
            if self._is_late(claim, now):
                self._not_sent.append(claim.row)
            else:
                self._begin(claim)
        if waiting and (lane.is_hanging(now) or not lane.is_proven):
            self._not_sent += [claim.row for claim in waiting]
            waiting.clear()
            lane.ahead = 0
        if not waiting:
            self._ahead.pop(endpoint, None)

    def _is_late(self, claim: Claim, now: float) -> bool:
        """Whether it would be over before the attempt is, so that the same delivery may be under way twice."""
        return now - claim.made_at + self._seconds >= self._lease_seconds

    def _begin(self, claim: Claim) -> None:
        now, row = time.monotonic(), claim.row
        lane = self._lane(row["endpoint_id"], now)
        if row["was_paused"]:
            lane.tried_again()
        lane.account_id = row["account_id"]
        lane.begin(row["delivery_id"], now)
        self._places.begin(row["delivery_id"], row["account_id"], now, proven=lane.is_proven)
        task = asyncio.create_task(self._send(claim, lane))
        self._under_way[task] = row
        task.add_done_callback(self._under_way.pop)

    async def _send(self, claim: Claim, lane: Lane) -> None:
        outcome, row = None, claim.row
        try:
            outcome = await attempts.attempt(
                claim, allow=self._allow, seconds=self._seconds, resolve=self._names.of(row["account_id"])
            )
        finally:
            now = time.monotonic()
            began = lane.end(row["delivery_id"], now)
            self._places.end(row["delivery_id"])
            if outcome is not None:
                self._judge(claim, lane, outcome, began, now)
            if not self._is_stopping:
                self._go_on(row["endpoint_id"], lane, now)
            if lane.has_more:
                lane.has_more = False
                self._asked[row["endpoint_id"]] = None
            if self._asked or self._not_sent:
                self._news.set()

    def _judge(self, claim: Claim, lane: Lane, outcome: Outcome, began: float, now: float) -> None:
        again = pause = None
        if outcome.succeeded:
            if lane.succeeded():
                lane.has_more = True  # nobody looked beyond the one that was tried
        else:
            again = again_in(claim.row["attempts"] + 1 - claim.row["since"], self._retry_seconds)
            slower = outcome.asks_for_less
            pause = lane.slowed(began, now, outcome.retry_after) if slower else lane.failed(began, now)
        failed = "failed" if again is None else "retried"
        metrics.DELIVERY_ATTEMPTS.add(1, "delivered" if outcome.succeeded else failed)
        metrics.ATTEMPT_DURATION.observe(now - began)
        if pause is not None:
            lane.held += 1
        self._recorder.put(Result(claim, outcome, again, pause, began, now))

    def _recorded(self, result: Result) -> None:
        if result.pause is not None:
            self._lane(result.claim.row["endpoint_id"], result.ended).held -= 1

    async def _give_back(self, rows: Collection[Row]) -> None:
        if rows:
            await self._database.execute(SQL.give_back, *_tokens(rows))

    async def _look(self) -> None:
        began = time.monotonic()
        rows = await self._database.fetch(SQL.endpoints_with_something_due)
        self.planned(row["endpoint_id"] for row in rows)
        now = time.monotonic()
        for endpoint in list(self._ahead):
            self._go_on(endpoint, self._lanes[endpoint], now)
        for endpoint in [endpoint for endpoint, lane in self._lanes.items() if lane.is_idle]:
            if now - self._lanes[endpoint].used_at > FORGET_SECONDS:
                del self._lanes[endpoint]
        await asyncio.sleep(max(LOOK_SECONDS, LOOK_SHARE * (now - began)))

    async def _trim(self) -> None:
        for row in await self._database.fetch(SQL.endpoints_left_behind):
            while (
                await self._database.fetchval(*bind(SQL.fail_left_behind, endpoint=row["endpoint_id"], limit=TRIMMED))
                == TRIMMED
            ):
                pass
        for statement in (SQL.trim_deliveries, SQL.trim_attempts):
            while await self._database.fetchval(*bind(statement, days=self._keep_days, limit=TRIMMED)) == TRIMMED:
                pass
        await asyncio.sleep(TRIM_SECONDS)


def _tokens(rows: Iterable[Row]) -> tuple[list[int], list[int]]:
    """Deliveries and their fencing tokens."""
    return [row["delivery_id"] for row in rows], [row["lease"] for row in rows]
