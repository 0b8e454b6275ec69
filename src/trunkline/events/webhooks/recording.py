"""What came of attempts, written down in groups: while one is being written the next gathers."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from trunkline.errors import Unavailable
from trunkline.events.webhooks.attempts import Claim, Outcome, sealed
from trunkline.storage.database import Database
from trunkline.storage.queries import bind, queries
from trunkline.storage.vault import Vault

SQL = queries(__package__)
log = logging.getLogger("trunkline.webhooks")

MOST_RECORDED = 256  # by one statement
GATHER_SECONDS = 0.02  # nobody waits for a result to be written
AWAY_SECONDS = 0.5  # until the next try where the database is away


class Result(NamedTuple):
    """An attempt that is over. A claim is fenced, so writing one down twice writes it once."""

    claim: Claim
    outcome: Outcome
    again_in: float | None  # seconds until the next attempt; None: there is none
    pause: float | None  # seconds for which the endpoint is left alone
    began: float  # as time.monotonic() tells it, as is the next
    ended: float


class Recorder:
    def __init__(
        self,
        database: Database,
        recorded: Callable[[Result], None],
        *,
        keep_seconds: float,
        disable_after_seconds: float,
        retention_days: int,
    ) -> None:
        """``recorded`` is told of each result once it is written, or given up because the database was away for
        ``keep_seconds``: by then its claim is somebody else's. ``retention_days``: of answers to accounts without a
        number of their own."""
        self._database = database
        self._recorded = recorded
        self._keep_seconds = keep_seconds
        self._disable_after_seconds = disable_after_seconds
        self._retention_days = retention_days
        self._vault = Vault()
        self._results: list[Result] = []
        self._news = asyncio.Event()
        self._disabling: dict[int, asyncio.Task[None]] = {}

    def put(self, result: Result) -> None:
        self._results.append(result)
        self._news.set()

    async def run(self) -> None:
        """Until cancelled; ``finish`` writes what is left then."""
        while True:
            await self._news.wait()
            await asyncio.sleep(GATHER_SECONDS)
            self._news.clear()
            try:
                await self.flush()
            except Unavailable as error:
                log.warning("the results of %d deliveries wait: %s", len(self._results), error.detail)
                self._give_up_the_old()
                await asyncio.sleep(AWAY_SECONDS)
                self._news.set()
            except Exception:
                log.exception("writing down deliveries failed; it goes on")
                await asyncio.sleep(AWAY_SECONDS)
                self._news.set()

    async def finish(self) -> None:
        """Raises Unavailable."""
        await self.flush()
        await asyncio.gather(*self._disabling.values())

    async def flush(self) -> None:
        """Writes what there is. Raises Unavailable; what is not written stays."""
        while self._results:
            group = self._results[:MOST_RECORDED]
            try:
                await self._record(group)
            except Unavailable:
                raise
            except Exception:
                log.exception("%d results of deliveries cannot be written together", len(group))
                await self._record_one_by_one(group)
            self._take(len(group))

    def _take(self, count: int) -> None:
        for result in self._results[:count]:
            self._recorded(result)
        del self._results[:count]

    async def _record_one_by_one(self, group: Sequence[Result]) -> None:
        """One that cannot be written does not hold up its neighbours; its claim ends by time."""
        for result in group:
            try:
                await self._record([result])
            except Unavailable:
                raise
            except Exception:
                log.exception("the result of delivery %d cannot be written", result.claim.row["delivery_id"])

    def _give_up_the_old(self) -> None:
        oldest = time.monotonic() - self._keep_seconds
        self._take(sum(1 for result in self._results if result.ended < oldest))

    async def _record(self, group: Sequence[Result]) -> None:
        days = [self._days(result) for result in group]
        keys = {each: await self._vault.key(self._database, None, each) for each in set(days)}
        now = time.monotonic()
        outcomes = [result.outcome for result in group]
        rows = await self._database.fetch(
            *bind(
                SQL.record,
                deliveries=[result.claim.row["delivery_id"] for result in group],
                leases=[result.claim.row["lease"] for result in group],
                succeeded=[outcome.succeeded for outcome in outcomes],
                again_in=[result.again_in for result in group],
                pauses=[result.pause for result in group],
                urls=[result.claim.row["url"] for result in group],
                ages_ms=[int((now - result.began) * 1000) for result in group],
                durations_ms=[int((result.ended - result.began) * 1000) for result in group],
                statuses=[outcome.status for outcome in outcomes],
                reasons=[outcome.reason for outcome in outcomes],
                addresses=[outcome.address for outcome in outcomes],
                sealed=[sealed(outcome, keys[each]) for outcome, each in zip(outcomes, days, strict=True)],
                keys=[keys[each].key_id for each in days],
                disable_after_seconds=self._disable_after_seconds,
            ),
        )
        for row in rows:
            self._disable(row["endpoint_id"], gone=row["gone"])

    def _days(self, result: Result) -> int:
        days: int | None = result.claim.row["retention_days"]
        return self._retention_days if days is None else days

    def _disable(self, endpoint_id: int, *, gone: bool) -> None:
        if endpoint_id not in self._disabling:
            task = asyncio.create_task(self._disabled(endpoint_id, gone=gone))
            self._disabling[endpoint_id] = task
            task.add_done_callback(lambda _: self._disabling.pop(endpoint_id))

    async def _disabled(self, endpoint_id: int, *, gone: bool) -> None:
        """If it fails, the next failed attempt asks for it again."""
        if gone:
            reason = "It answered 410 Gone."
        else:
            reason = f"Every attempt has failed for {_shown(self._disable_after_seconds)}."
        after = None if gone else self._disable_after_seconds
        try:
            done = await self._database.fetchval(SQL.disable_failing, endpoint_id, reason, after)
        except Unavailable as error:
            log.warning("webhook %d is not disabled yet: %s", endpoint_id, error.detail)
        except Exception:
            log.exception("webhook %d cannot be disabled", endpoint_id)
        else:
            if done:
                log.info("webhook %d is disabled: %s", endpoint_id, reason)


def _shown(seconds: float) -> str:
    for length, name in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * length:
            return f"{seconds / length:.3g} {name}"
    return f"{seconds:.3g} seconds"
