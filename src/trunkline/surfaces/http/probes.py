"""Liveness and readiness probes, and the scrape of metrics: what supervisors and Prometheus ask a process.

The answers stand beside all surfaces and need no key. Nobody can make the database work by asking often: one question
is under way at a time, and its answer serves for a while.
"""

import asyncio
import contextvars
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_address, ip_network
from typing import Generic, Protocol, TypeVar

from trunkline import metrics
from trunkline.errors import NotFound, Unavailable
from trunkline.metrics import Snapshot
from trunkline.surfaces.http import wire
from trunkline.surfaces.http.problems import MethodNotAllowed

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
        except Unavailable:
            return None
        except Exception:
            log.exception("asking the database how things stand failed")
            return None


class Exposed(Protocol):
    """The text that Prometheus reads; ``run`` keeps this process's part of it, until cancelled."""

    async def text(self, accept: str, beside: Snapshot) -> tuple[str, bytes]: ...

    async def run(self) -> None: ...


class Probes:
    """Of one process. ``ping`` says whether the database takes writes, ``lying`` what lies in it.

    ``behind``: how many seconds of what happens are not known here; None: this process need not know it.
    ``metrics_from`` are CIDRs; ``stop`` is set once the process is told to end.
    """

    def __init__(
        self,
        *,
        ping: Callable[[], Awaitable[bool]],
        lying: Callable[[], Awaitable[Snapshot]],
        exposition: Exposed,
        behind: Callable[[], float] | None = None,
        metrics_from: Sequence[str] = (),
        stop: asyncio.Event | None = None,
    ) -> None:
        self._pinged = _Asked(ping, good_seconds=READY_SECONDS)
        self._lying = _Asked(lying, good_seconds=SHOWN_SECONDS)
        self._behind = behind
        self._metrics_from = [ip_network(each) for each in metrics_from]
        self._stop = stop
        self.exposition = exposition

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
        if self._behind is not None and self._behind() > LATE_SECONDS:
            found["tail"] = f"What has happened in the last {LATE_SECONDS:.0f} s or longer is not known here."
        return found


_AWAY: Snapshot = {metrics.DATABASE_UP.name: {(): [0.0]}}
