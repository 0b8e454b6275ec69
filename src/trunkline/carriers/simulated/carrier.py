"""The simulated network: always there, for demos, tests and test keys; it reaches nobody.

Its numbers come from ranges that regulators keep free for fiction and tests, in an order that the seed decides. A text
is put into it by ``trunkline simulate sms`` or by a test, and takes the same way through the inbox as any other. To
leases of the test mode's magic services the network sends texts of itself.
"""

import asyncio
import itertools
import logging
import uuid

from trunkline.carriers.carrier import (
    SIMULATED,
    Alphabet,
    Deliver,
    Health,
    Identity,
    InboundText,
    LinkState,
    OutboundText,
    Report,
)
from trunkline.carriers.ranges import SimulatedNumber, simulated_numbers
from trunkline.errors import Unavailable
from trunkline.storage.database import Database
from trunkline.storage.queries import queries

SQL = queries(__package__)
log = logging.getLogger("trunkline.simulator")

PER_COUNTRY = 6_000
LOOK_SECONDS = 0.25
GROUP = 100
SENDING_LOCK = 0x73656E64


class SimulatedCarrier:
    """A carrier without a peer."""

    name = kind = SIMULATED

    async def run(self, deliver: Deliver, report: Report) -> None:  # noqa: ARG002 - nobody calls from outside
        await asyncio.Event().wait()

    async def send(self, text: OutboundText) -> list[str]:  # noqa: ARG002
        """Accepts everything: what is sent into the network can be answered with ``simulate sms``."""
        return ["simulated"]

    def health(self) -> Health:
        return Health(LinkState.UP, "in this process")


def inbound(sender: str, recipient: str, text: str, activation_id: int | None = None, *, name: str = "") -> InboundText:
    """A text as the simulated network hands it over; with ``activation_id`` for no other lease on its number.

    Each is a text of its own, whatever its words; one of the same ``name`` is the same sent again.
    """
    payload = text.encode("utf-8", "replace")
    identity = Identity(name or uuid.uuid4().hex)
    return InboundText(
        SIMULATED, sender, recipient, payload, Alphabet.UTF8, activation_id=activation_id, identity=identity
    )


def numbers(seed: int) -> tuple[list[SimulatedNumber], list[SimulatedNumber]]:
    """The network's numbers, for live keys and, apart from them, for test keys."""
    live, test = itertools.tee(enumerate(simulated_numbers(seed, PER_COUNTRY)))
    return [number for index, number in live if index % 2 == 0], [number for index, number in test if index % 2]


async def send_due(database: Database, deliver: Deliver) -> int:
    """Sends the texts that are due to leases of magic services; how many were due.

    One process sends at a time, so that the texts of a lease keep their order. A text is forgotten after it is
    committed: whoever is killed in between sends it again, and the same text has one effect on its lease. Raises
    Unavailable.
    """
    sent = 0
    while await database.fetchval(SQL.text_is_due):
        async with database.transaction() as connection:
            if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", SENDING_LOCK):
                break
            rows = await connection.fetch(SQL.due_texts, GROUP)
            texts = [
                inbound(
                    row["sender"],
                    row["recipient"],
                    row["body"],
                    row["activation_id"],
                    name=f"planned {row['simulated_text_id']}",
                )
                for row in rows
                if row["live"]
            ]
            await asyncio.gather(*(deliver(text) for text in texts))
            await connection.execute(SQL.forget_texts, [row["simulated_text_id"] for row in rows])
            sent += len(rows)
    return sent


async def send(database: Database, deliver: Deliver) -> None:
    """Sends what becomes due, until cancelled; a database that is away is tried again."""
    while True:
        try:
            await send_due(database, deliver)
        except Unavailable as error:
            log.warning("the simulated network's texts are put off: %s", error.detail)
        except Exception:
            log.exception("the simulated network's texts cannot be sent")
        await asyncio.sleep(LOOK_SECONDS)
