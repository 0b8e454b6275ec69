"""What supervisors and Prometheus ask a process: whether it lives, whether to send it requests, what it has counted.

The answers stand outside BASE and need no key. Nobody can make the database work by asking often: one question is under
way at a time, and its answer serves for a while.
"""

import asyncio
import contextvars
import logging
import pathlib
import time
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_address, ip_network
from typing import Generic, TypeVar

from trunkline import metrics
from trunkline.activations.inbox import Inbox
from trunkline.activations.live import Live
from trunkline.carriers import links
from trunkline.carriers.carrier import Carrier, LinkState
from trunkline.errors import NotFound, Unavailable
from trunkline.events.tail import Tail
from trunkline.metrics import Snapshot
from trunkline.monitoring.exposition import Exposition
from trunkline.storage.database import Database
from trunkline.storage.queries import queries
from trunkline.surfaces.http import wire
from trunkline.surfaces.http.problems import MethodNotAllowed

SQL = queries(__package__)
log = logging.getLogger("trunkline.api")

HEALTH, READY, METRICS = "/healthz", "/readyz", "/metrics"
PATHS = frozenset({HEALTH, READY, METRICS})
DEADLINE_SECONDS = 2.0
READY_SECONDS = 1.0  # that an answer of the database about itself is good for
SHOWN_SECONDS = 5.0  # and one about what lies in it
LATE_SECONDS = 10.0  # from when on what a process remembers is so old that others should be asked
TEXT = b"text/plain; charset=utf-8"

Result = TypeVar("Result")


class _Asked(Generic[Result]):
    """One question, however many ask it: what the answer is, or None where there is none within the deadline."""

    def __init__(self, ask: Callable[[], Awaitable[Result]], *, good_seconds: float) -> None:
        self._ask = ask
        self._good_seconds = good_seconds
        self._asking: asyncio.Task[Result | None] | None = None
        self._asked_at = 0.0

    async def answer(self) -> Result | None:
        now = time.monotonic()
        if self._asking is None or (self._asking.done() and now - self._asked_at >= self._good_seconds):
            self._asked_at = now
            # in nobody's request: many wait for it
            self._asking = asyncio.get_running_loop().create_task(self._whole(), context=contextvars.Context())
        done, _ = await asyncio.wait({self._asking}, timeout=DEADLINE_SECONDS)
        return self._asking.result() if done else None

    async def _whole(self) -> Result | None:
        try:
            return await self._ask()
        except Exception:
            log.exception("asking the database how things stand failed")
            return None


class Probes:
    """Of one process. ``tail`` None: it reads none; ``metrics_from`` are CIDRs; ``folder``: see Exposition.

    ``stop`` is set once the process is told to end.
    """

    def __init__(
        self,
        *,
        database: Database,
        inbox: Inbox,
        live: Live,
        tail: Tail | None,
        carriers: Sequence[Carrier],
        metrics_from: Sequence[str],
        version: str,
        folder: pathlib.Path | None = None,
        stop: asyncio.Event | None = None,
    ) -> None:
        self._database = database
        self._inbox = inbox
        self._live = live
        self._tail = tail
        self._carriers = carriers
        self._metrics_from = [ip_network(each) for each in metrics_from]
        self._stop = stop
        self._pinged = _Asked(database.ping, good_seconds=READY_SECONDS)
        self._lying = _Asked(self._ask_what_lies, good_seconds=SHOWN_SECONDS)
        self.exposition = Exposition(self._look, version=version, folder=folder)

    async def answer(self, path: str, method: str, address: str, accept: str) -> tuple[int, bytes, bytes]:
        """Status, content type and body for one of PATHS. Raises MethodNotAllowed; NotFound where it is hidden."""
        if path == METRICS and not self._may_read(address):
            raise NotFound("There is nothing at this path.")
        if method != "GET":
            raise MethodNotAllowed("This path takes GET.", allow="GET")
        if path == HEALTH:
            return 200, TEXT, b"ok"
        if path == READY:
            amiss = await self.amiss()
            return 503 if amiss else 200, wire.JSON, wire.encode({"ready": not amiss, "amiss": amiss})
        content_type, text = await self.exposition.text(accept, await self._lying.answer() or _AWAY)
        return 200, content_type.encode(), text

    def _may_read(self, address: str) -> bool:
        return bool(address) and any(ip_address(address) in network for network in self._metrics_from)

    async def amiss(self) -> dict[str, str]:
        """Why this process should not be sent requests, by what it is about; empty: it should."""
        if self._stop is not None and self._stop.is_set():
            return {"process": "It is being stopped."}
        found = {}
        if not await self._pinged.answer():
            found["database"] = "It cannot be reached, or may not be written."
        if self._tail is not None and self._tail.behind_seconds > LATE_SECONDS:
            found["tail"] = f"What has happened in the last {LATE_SECONDS:.0f} s or longer is not known here."
        return found

    def _look(self) -> None:
        """How this process stands."""
        connections, in_use, most = self._database.connections()
        metrics.CONNECTIONS.set(in_use, "in_use")
        metrics.CONNECTIONS.set(connections - in_use, "idle")
        metrics.CONNECTIONS_MOST.set(most)
        metrics.LEASES_REMEMBERED.set(self._live.leases_remembered)
        metrics.TEXTS_WAITING.set(self._inbox.waiting)
        if self._tail is not None:
            metrics.TAIL_LAG.set(self._tail.behind_seconds)

    async def _ask_what_lies(self) -> Snapshot:
        """What waits in the database, and how the carriers' links stand there."""
        try:
            row = await self._database.fetchrow(SQL.queues)
            seen = await links.links(self._database, self._carriers)
        except Unavailable:
            return _AWAY
        assert row is not None
        return {
            metrics.DATABASE_UP.name: {(): [row["writable"]]},
            metrics.DATABASE_BYTES.name: {(): [row["bytes"]]},
            metrics.FAN_OUT_LAG.name: {(): [row["untaken_seconds"]]},
            metrics.DELIVERIES_DUE.name: {(): [row["due"]]},
            metrics.DELIVERIES_LAG.name: {(): [row["due_seconds"]]},
            metrics.CARRIER_UP.name: {(link.carrier,): [link.state == LinkState.UP] for link in seen},
        }


_AWAY: Snapshot = {metrics.DATABASE_UP.name: {(): [0.0]}}
