"""The sender: a durable queue's consumer that submits MT texts over the links that this process has.

A claim is committed before anything is submitted, and what came of it after, in groups. Whoever dies in between leaves
a text of which nobody knows whether it went out: it is never blindly sent again. Receipts are committed before the
carrier hears yes, also those that come before the answer to their submit.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import NamedTuple

import msgspec

from trunkline import metrics
from trunkline.carriers.carrier import (
    Carrier,
    DeliveryReceipt,
    Health,
    LinkDown,
    LinkState,
    OutboundText,
    StoreAway,
    SubmitRefused,
    SubmitUnknown,
    receipt_names,
)
from trunkline.errors import Unavailable
from trunkline.storage.database import Database, Row
from trunkline.storage.queries import bind
from trunkline.verify.passcodes import Seals
from trunkline.verify.profiles import SQL

log = logging.getLogger("trunkline.verify")

CLAIMED_AT_ONCE = 200
MOST_UNDER_WAY = 1_000
GROUP = 256
MOST_RECEIPTS = 10_000  # that wait for a commit before a carrier is told to send them again
LOOK_SECONDS = 0.5  # between two looks for what nobody told of
AFTER_SECONDS = 1.0
AWAY_SECONDS = 1.0
CLAIM_SECONDS = 60.0  # longer than a submit takes; after that its process is gone
MOST_PAUSE_SECONDS = 8.0
TRIM_SECONDS = 300.0
GRACE_SECONDS = 5.0

# What a carrier's receipt means for whoever waits for the text; the others say that it is still on its way.
FINAL = {
    "delivered": "delivered",
    "expired": "undelivered",
    "deleted": "undelivered",
    "undeliverable": "undelivered",
    "rejected": "undelivered",
    "unknown": "unknown",
}


class Outcome(NamedTuple):
    """What came of a claim."""

    send_id: int
    lease: int
    state: str
    error: str | None
    names: list[str]


class _Told(NamedTuple):
    receipt: DeliveryReceipt
    done: "asyncio.Future[None]"


class Sender:
    """For the carriers whose links this process may have; ``health`` says which of them are up here."""

    def __init__(
        self,
        database: Database,
        carriers: Mapping[str, Carrier],
        health: Callable[[str], Health],
        seals: Seals,
        *,
        route_seconds: float,
    ) -> None:
        """``route_seconds``: until a text of which no receipt came goes onto its next route."""
        self._database = database
        self._carriers = carriers
        self._health = health
        self._seals = seals
        self._route_seconds = route_seconds
        self._news = asyncio.Event()
        self._under_way: set[asyncio.Task[None]] = set()
        self._outcomes: list[Outcome] = []
        self._put_back: list[tuple[int, int, float]] = []
        self._told: list[_Told] = []
        self._is_over = False
        self._to_write = asyncio.Event()

    def news(self) -> None:
        """Something may be due."""
        self._news.set()

    def report(self, receipt: DeliveryReceipt) -> "asyncio.Future[None]":
        """A receipt from a carrier; done when it is committed, StoreAway where it cannot be now."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if receipt.state not in FINAL:
            done.set_result(None)
        elif self._is_over:
            done.set_exception(StoreAway("The process ends; the receipt is to come again."))
        elif len(self._told) >= MOST_RECEIPTS:
            done.set_exception(StoreAway("Too many receipts wait for the database."))
        else:
            self._told.append(_Told(receipt, done))
            self._to_write.set()
        return done

    async def run(self) -> None:
        """Until cancelled; then what is under way has a short grace, and its outcomes are written."""
        steps = (self._claim, self._write, self._look_after, self._trim)
        tasks = [asyncio.create_task(self._keep_on(step)) for step in steps]
        tasks.append(asyncio.create_task(self._look()))
        try:
            await asyncio.wait(tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if self._under_way:
                await asyncio.wait(self._under_way, timeout=GRACE_SECONDS)
            left = list(self._under_way)
            for each in left:
                each.cancel()
            await asyncio.gather(*left, return_exceptions=True)  # each says that nobody knows
            self._is_over = True
            try:
                async with asyncio.timeout(GRACE_SECONDS):
                    await self.write()
            except (Unavailable, TimeoutError):
                log.warning("the outcomes of %d texts could not be written", len(self._outcomes))

    async def _keep_on(self, step: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await step()
            except Unavailable as error:
                log.warning("sending codes waits: %s", error.detail)
                await asyncio.sleep(AWAY_SECONDS)
            except Exception:
                log.exception("sending codes failed; it goes on")
                await asyncio.sleep(AWAY_SECONDS)

    async def _look(self) -> None:
        while True:
            self._news.set()
            await asyncio.sleep(LOOK_SECONDS)

    async def _claim(self) -> None:
        await self._news.wait()
        self._news.clear()
        while len(self._under_way) < MOST_UNDER_WAY:
            if await self.claim() < CLAIMED_AT_ONCE:
                return
        self._news.set()
        await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)

    async def claim(self) -> int:
        """Claims what is due and begins to submit it; how many. Raises Unavailable."""
        up = [name for name in self._carriers if self._health(name).state is LinkState.UP]
        if not up:
            return 0
        rows = await self._database.fetch(*bind(SQL.claim, carriers=up, limit=CLAIMED_AT_ONCE))
        for row in rows:
            task = asyncio.create_task(self._submit(row))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
        return len(rows)

    async def settle(self) -> None:
        """Waits for all that is under way, and writes down what came of it."""
        while self._under_way:
            await asyncio.wait(self._under_way)
        await self.write()

    async def _submit(self, row: Row) -> None:
        text = self._seals.unseal(row["verification_id"], row["sealed"])
        if text is None:
            return self._came(row, "refused", "sealed under another secret")
        # Where another route is left this one must be over when that begins, or the text would arrive twice.
        validity = min(row["seconds_left"], self._route_seconds) if row["has_others"] else row["seconds_left"]
        outbound = OutboundText(
            row["sender"], row["e164"], text, validity_seconds=max(1, int(validity)), reference=str(row["send_id"])
        )
        try:
            names = await self._carriers[row["carrier"]].send(outbound)
        except LinkDown:
            self._back(row, AWAY_SECONDS)
        except SubmitRefused as error:
            if error.throttled:
                self._back(row, min(0.5 * 2 ** min(row["lease"], 10), MOST_PAUSE_SECONDS))
            else:
                self._came(row, "refused", error.detail)
        except SubmitUnknown as error:
            self._came(row, "unknown", error.detail, error.message_ids)
        except asyncio.CancelledError:
            self._came(row, "unknown", "the process ended before the carrier answered")
            raise
        except Exception:
            log.exception("a text could not be submitted over %s", row["carrier"])
            self._came(row, "unknown", "an error on our side")
        else:
            self._came(row, "sent", None, names)

    def _came(self, row: Row, state: str, error: str | None, names: Collection[str] = ()) -> None:
        metrics.CODES_SENT.add(1, row["carrier"], state)
        self._outcomes.append(Outcome(row["send_id"], row["lease"], state, error, [_name(each) for each in names]))
        self._to_write.set()

    def _back(self, row: Row, seconds: float) -> None:
        self._put_back.append((row["send_id"], row["lease"], seconds))
        self._to_write.set()

    async def _write(self) -> None:
        await self._to_write.wait()
        self._to_write.clear()
        await self.write()

    async def write(self) -> None:
        """Writes down outcomes and receipts, in groups. Raises Unavailable; what is not written is kept."""
        while self._outcomes or self._put_back or self._told:
            outcomes, back, told = self._outcomes[:GROUP], self._put_back[:GROUP], self._told[:GROUP]
            try:
                if outcomes:
                    await self._record(outcomes)
                    del self._outcomes[: len(outcomes)]
                if back:
                    sends, leases, seconds = (list(each) for each in zip(*back, strict=True))
                    await self._database.execute(*bind(SQL.put_back, sends=sends, leases=leases, seconds=seconds))
                    del self._put_back[: len(back)]
                if told:
                    await self._take(told)
                    del self._told[: len(told)]
            except Exception:
                for each in self._told:
                    if not each.done.done():
                        each.done.set_exception(StoreAway("Receipts cannot be kept at the moment."))
                self._told.clear()
                self._to_write.set()  # outcomes are kept, and tried again
                raise

    async def _record(self, outcomes: list[Outcome]) -> None:
        await self._database.execute(
            *bind(
                SQL.record,
                sends=[each.send_id for each in outcomes],
                leases=[each.lease for each in outcomes],
                states=[each.state for each in outcomes],
                errors=[each.error for each in outcomes],
                names=[msgspec.json.encode(each.names).decode() for each in outcomes],
            )
        )

    async def _take(self, told: list[_Told]) -> None:
        await self._database.execute(
            *bind(
                SQL.receipts,
                carriers=[each.receipt.carrier for each in told],
                names=[msgspec.json.encode(receipt_names(each.receipt.message_id)).decode() for each in told],
                states=[FINAL[each.receipt.state] for each in told],
                errors=[each.receipt.error for each in told],
            )
        )
        for each in told:
            if not each.done.done():
                each.done.set_result(None)

    async def _look_after(self) -> None:
        if await self.look_after():
            self._news.set()
        await asyncio.sleep(AFTER_SECONDS)

    async def look_after(self) -> int:
        """What was left without an answer, and what goes onto its next route; how many. Raises Unavailable."""
        changed: int = await self._database.fetchval(
            *bind(SQL.look_after, claim_seconds=CLAIM_SECONDS, route_seconds=self._route_seconds, limit=CLAIMED_AT_ONCE)
        )
        return changed

    async def _trim(self) -> None:
        for statement in (SQL.trim_parts, SQL.trim_receipts, SQL.trim_traffic, SQL.trim_outcomes):
            await self._database.execute(statement)
        await asyncio.sleep(TRIM_SECONDS)


def _name(message_id: str) -> str:
    """As a message id is kept: the first of its forms."""
    return receipt_names(message_id)[0]
