"""Health checks as the processes make them, and time that passes between them."""

import datetime
import math
from typing import Any

from tests.house import House

from trunkline.audit.acts import Actor
from trunkline.carriers import links
from trunkline.monitoring import health, incidents
from trunkline.monitoring.components import Impact
from trunkline.storage.queries import bind

OPERATOR = Actor("operator:test")


async def look(house: House, **more: Any) -> bool:
    return await health.check(house.platform.database, house.platform.registry, **more)


async def later(house: House, seconds: float) -> None:
    """Lets time pass for what the checks remember."""
    database, moved = house.platform.database, datetime.timedelta(seconds=seconds)
    await database.execute(
        "UPDATE component SET since = since - $1::interval, turned_at = turned_at - $1, checked_at = checked_at - $1",
        moved,
    )
    await database.execute("UPDATE incident SET opened_at = opened_at - $1::interval", moved)


async def watched(house: House, seconds: float) -> None:
    """Lets time pass in which somebody looks again and again, the last time at its end."""
    steps = math.ceil(seconds / 20)
    for _ in range(steps):
        await later(house, seconds / steps)
        assert await look(house)


async def announced(house: House, title: str = "Slow", text: str = "We look.", impact: Impact = "minor") -> int:
    """An incident of the operator's; its id."""
    begun = await incidents.begin(
        house.platform.database, OPERATOR, title, text, components=["api"], known=["api"], impact=impact
    )
    return begun.incident_id


async def link(house: House, state: str, carrier: str = "north") -> None:
    """As links.watch writes it."""
    await house.platform.database.execute(
        *bind(links.SQL.saw, names=[carrier], kinds=["smpp"], states=[state], details=["bound to 10.1.2.3:2775"])
    )
