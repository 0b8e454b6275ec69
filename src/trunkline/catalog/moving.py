"""Numbers change their carrier, are retired, or leave the pool; and what hangs on carriers that are gone."""

from collections.abc import Sequence
from typing import Any

from trunkline.audit import acts
from trunkline.audit.acts import Actor
from trunkline.catalog.numbers import SIMULATED, SQL, Row
from trunkline.errors import OperatorError
from trunkline.storage.database import Querier
from trunkline.storage.database import Row as Record
from trunkline.storage.queries import bind

SHOWN = 50  # numbers that an act names
CHUNK = 200  # in one transaction: each holds a lock for every number, and purchases pass those by


async def known(connection: Querier, e164: list[str]) -> dict[str, str]:
    """The carrier of each number. Raises OperatorError, naming the first, where one is not the operator's own."""
    rows = await connection.fetch(SQL.carriers_of, e164)
    carriers: dict[str, str] = {row["e164"]: row["carrier"] for row in rows}
    missing = [each for each in e164 if carriers.get(each, SIMULATED) == SIMULATED]
    if missing:
        more = f", nor {len(missing) - 1} others" if len(missing) > 1 else ""
        raise OperatorError(f"The pool has no number {missing[0]} of yours{more}.")
    return carriers


async def of_carrier(connection: Querier, carrier: str) -> list[str]:
    """All numbers of a carrier. Raises OperatorError where it has none."""
    if carrier == SIMULATED:
        raise OperatorError("The simulated network's numbers stay with it.")
    found: list[str] = []
    last = 0
    while rows := await connection.fetch(SQL.numbers_page, carrier, last, 10_000):
        found += [row["e164"] for row in rows]
        last = rows[-1]["number_id"]
    if not found:
        raise OperatorError(f"The carrier {carrier!r} has no numbers in the pool.")
    return found


async def move(connection: Querier, actor: Actor, rows: list[Row], carrier: str) -> list[str]:
    """Brings numbers to a carrier, with the leases that run on them; those that went. An empty country leaves country
    and operator as they are. In one transaction, of at most ``CHUNK``."""
    answer = await connection.fetch(
        *bind(
            SQL.move,
            carrier=carrier,
            numbers=[row.e164 for row in rows],
            countries=[row.country or None for row in rows],
            operators=[row.operator if row.country else None for row in rows],
        ),
    )
    went = [row[0] for row in answer]
    if went:
        await acts.record(connection, actor, "numbers.moved", f"carrier:{carrier}", _facts(went))
    return went


async def retire(connection: Querier, actor: Actor, e164: list[str], reason: str) -> int:
    """Nobody leases them from now on; leases that run get their texts to the end. How many were not away before."""
    retired = len(await connection.fetch(*bind(SQL.retire, number=e164, reason=reason)))
    if retired:
        facts = {**_facts(e164), "numbers": retired, "reason": reason}
        await acts.record(connection, actor, "numbers.retired", "numbers", facts)
    return retired


async def remove(connection: Querier, actor: Actor, e164: list[str]) -> dict[str, str | None]:
    """Takes numbers out of the pool; for each why it has to stay, or None where it is gone."""
    found: dict[str, str | None] = {row["the_number"]: row["stays"] for row in await connection.fetch(SQL.remove, e164)}
    gone = [number for number, why in found.items() if why is None]
    if gone:
        await acts.record(connection, actor, "numbers.removed", "numbers", _facts(gone))
    return found


def _facts(e164: Sequence[str]) -> dict[str, Any]:
    """How many, and for the audit which, where they are few."""
    return {"numbers": len(e164)} | ({"e164": list(e164)} if len(e164) <= SHOWN else {})


async def stranded(connection: Querier, carriers: list[str]) -> list[Record]:
    """The carriers that have numbers and are none of these: ``carrier``, ``numbers``, ``live`` leases."""
    return [row for row in await connection.fetch(SQL.by_carrier, carriers) if row["numbers"] or row["live"]]
