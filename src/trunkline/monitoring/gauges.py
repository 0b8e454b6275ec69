"""Gauges read at the scrape: how a process stands, and what waits in the database with the carriers' links there."""

from collections.abc import Callable, Sequence

from trunkline import metrics
from trunkline.activations.inbox import Inbox
from trunkline.activations.live import Live
from trunkline.carriers import links
from trunkline.carriers.carrier import Carrier, LinkState
from trunkline.metrics import Snapshot
from trunkline.storage.database import Database
from trunkline.storage.queries import queries

SQL = queries(__package__)


class Gauges:
    """Of one process. ``behind``: how many seconds its tail lags; None: it reads none."""

    def __init__(
        self,
        database: Database,
        inbox: Inbox,
        live: Live,
        carriers: Sequence[Carrier],
        behind: Callable[[], float] | None,
    ) -> None:
        self._database = database
        self._inbox = inbox
        self._live = live
        self._carriers = carriers
        self._behind = behind

    def look(self) -> None:
        """How this process stands."""
        connections, in_use, most = self._database.connections()
        metrics.CONNECTIONS.set(in_use, "in_use")
        metrics.CONNECTIONS.set(connections - in_use, "idle")
        metrics.CONNECTIONS_MOST.set(most)
        metrics.LEASES_REMEMBERED.set(self._live.leases_remembered)
        metrics.TEXTS_WAITING.set(self._inbox.waiting)
        if self._behind is not None:
            metrics.TAIL_LAG.set(self._behind())

    async def lying(self) -> Snapshot:
        """What waits in the database, and how the carriers' links stand there. Raises Unavailable."""
        row = await self._database.fetchrow(SQL.queues)
        seen = await links.links(self._database, self._carriers)
        assert row is not None
        return {
            metrics.DATABASE_UP.name: {(): [row["writable"]]},
            metrics.DATABASE_BYTES.name: {(): [row["bytes"]]},
            metrics.FAN_OUT_LAG.name: {(): [row["untaken_seconds"]]},
            metrics.DELIVERIES_DUE.name: {(): [row["due"]]},
            metrics.DELIVERIES_LAG.name: {(): [row["due_seconds"]]},
            metrics.CARRIER_UP.name: {(link.carrier,): [link.state == LinkState.UP] for link in seen},
        }
