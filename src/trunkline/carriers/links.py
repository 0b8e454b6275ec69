"""How the carriers' links stand, kept where every process and the operator can see it."""

import asyncio
import dataclasses
import time
from collections.abc import Collection, Sequence
from typing import Any

from trunkline.carriers.carrier import Carrier, Health
from trunkline.carriers.ownership import Ownership
from trunkline.errors import Unavailable
from trunkline.storage.database import Querier
from trunkline.storage.queries import bind, queries

SQL = queries(__package__)

LOOK_SECONDS = 1.0
REPEAT_SECONDS = 10.0  # an unchanged state is written again, so that its age tells whether anybody still looks


@dataclasses.dataclass(frozen=True, slots=True)
class Link:
    carrier: str
    kind: str
    state: str
    detail: str
    owner: str | None = None  # the process that has the link, as host:pid
    standby: str | None = None  # one that would take it over


async def watch(database: Querier, carriers: Collection[Carrier | Ownership]) -> None:
    """Writes how the links stand whenever that changes, until cancelled."""
    written: list[Health] = []
    when = 0.0
    while True:
        now = [carrier.health() for carrier in carriers]
        if now != written or time.monotonic() - when > REPEAT_SECONDS:
            try:
                await database.execute(
                    *bind(
                        SQL.saw,
                        names=[carrier.name for carrier in carriers],
                        kinds=[carrier.kind for carrier in carriers],
                        states=[health.state for health in now],
                        details=[health.detail for health in now],
                    ),
                )
                written, when = now, time.monotonic()
            except Unavailable:
                written = []
        await asyncio.sleep(LOOK_SECONDS)


async def links(database: Querier, carriers: Sequence[Carrier]) -> list[Link]:
    """The links as they were last seen; down where no process has looked for half a minute."""
    seen = {row["carrier"]: row for row in await database.fetch(SQL.links, [carrier.name for carrier in carriers])}
    unseen: dict[str, Any] = {"state": "down", "detail": "no process runs it", "owner": None, "standby": None}
    rows = [(carrier, seen.get(carrier.name, unseen)) for carrier in carriers]
    return [
        Link(carrier.name, carrier.kind, row["state"], row["detail"], row["owner"], row["standby"])
        for carrier, row in rows
    ]
