"""The simulated network: always there, for demos, tests and test keys; it reaches nobody.

Its numbers come from ranges that regulators keep free for fiction and tests, in an order that the seed decides. A text
is put into it by ``trunkline simulate sms`` or by a test, and takes the same way through the inbox as any other. To
leases of the test mode's magic services the network sends texts of itself.
"""

import asyncio
import itertools
import logging
import uuid
import zlib
from collections.abc import Mapping

from trunkline.carriers.carrier import (
    SIMULATED,
    Alphabet,
    Deliver,
    DeliveryReceipt,
    Health,
    Identity,
    InboundText,
    LinkDown,
    LinkState,
    OutboundText,
    Report,
    SubmitRefused,
)
from trunkline.carriers.ranges import SimulatedNumber, simulated_numbers
from trunkline.errors import Unavailable
from trunkline.storage.database import Database
from trunkline.storage.queries import bind, queries

SQL = queries(__package__)
log = logging.getLogger("trunkline.simulator")

PER_COUNTRY = 6_000
LOOK_SECONDS = 0.25
GROUP = 100
SENDING_LOCK = 0x73656E64


# Numbers of the network that nobody leases, and what becomes of a text to each: its receipt, and seconds until that.
MAGIC: Mapping[str, tuple[str | None, float]] = {
    "+443069990001": ("undeliverable", 0.2),
    "+443069990002": ("delivered", 5.0),
    "+443069990003": ("refused", 0.0),  # by the carrier, at once
    "+443069990004": (None, 0.0),  # no receipt ever
}
RECEIPT_SECONDS = (0.05, 0.35)  # between them, as the text's reference decides


class SimulatedCarrier:
    """A carrier without a peer. A text that is sent into it comes in again, for whoever leases the number."""

    name = kind = SIMULATED

    def __init__(self) -> None:
        self._database: Database | None = None
        self._deliver: Deliver

    def connect(self, database: Database, deliver: Deliver) -> None:
        """What a text needs to arrive, and its receipt to be kept."""
        self._database, self._deliver = database, deliver

    async def run(self, deliver: Deliver, report: Report) -> None:  # noqa: ARG002 - nobody calls from outside
        await asyncio.Event().wait()

    async def send(self, text: OutboundText) -> list[str]:
        """Lets the text arrive, and plans its receipt; the same again under the same reference changes nothing.

        Raises SubmitRefused for the magic number that is refused, and Unavailable.
        """
        if self._database is None:
            raise LinkDown(f"{self.name} is not open")
        state, after = MAGIC.get(text.recipient, ("delivered", None))
        if state == "refused":
            raise SubmitRefused(f"{self.name}: {text.recipient} is the number to which every text is refused")
        reference = text.reference or uuid.uuid4().hex
        if text.recipient not in MAGIC:
            await self._deliver(inbound(text.sender, text.recipient, text.text, name=f"sent {reference}"))
        if after is None:
            least, most = RECEIPT_SECONDS
            after = least + (most - least) * (zlib.crc32(reference.encode()) / 0xFFFFFFFF)
        await self._database.execute(*bind(SQL.plan_receipt, reference=reference, after_seconds=after, state=state))
        return [reference]

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


async def report_due(database: Database, report: Report) -> int:
    """Tells the receipts that are due of texts that were sent into the network; how many. Raises Unavailable."""
    rows = await database.fetch(SQL.due_receipts, GROUP)
    receipts = (DeliveryReceipt(SIMULATED, row["reference"], row["state"], None) for row in rows if row["state"])
    await asyncio.gather(*(report(receipt) for receipt in receipts))
    if rows:
        await database.execute(SQL.told_receipts, [row["reference"] for row in rows])
    return len(rows)


async def send(database: Database, deliver: Deliver, report: Report) -> None:
    """Sends and reports what becomes due, until cancelled; a database that is away is tried again."""
    while True:
        try:
            await send_due(database, deliver)
            while await report_due(database, report) == GROUP:
                pass
        except Unavailable as error:
            log.warning("the simulated network's texts are put off: %s", error.detail)
        except Exception:
            log.exception("the simulated network's texts cannot be sent")
        await asyncio.sleep(LOOK_SECONDS)
