"""The simulated network: always there, for demos, tests and test keys; it reaches nobody.

Its numbers come from ranges that regulators keep free for fiction and tests, in an order that the seed decides. A text
is put into it by ``trunkline simulate sms`` or by a test, and takes the same way through the inbox as any other.
"""

import asyncio
import itertools

from trunkline.carriers.carrier import Alphabet, Deliver, Health, InboundText, LinkState, OutboundText, Report
from trunkline.carriers.ranges import SimulatedNumber, simulated_numbers

NAME = "simulated"
PER_COUNTRY = 6_000


class SimulatedCarrier:
    """A carrier without a peer."""

    name = NAME
    kind = "simulated"

    async def run(self, deliver: Deliver, report: Report) -> None:  # noqa: ARG002 - nobody calls from outside
        await asyncio.Event().wait()

    async def send(self, text: OutboundText) -> list[str]:  # noqa: ARG002
        """Accepts everything: what is sent into the network can be answered with ``simulate sms``."""
        return ["simulated"]

    def health(self) -> Health:
        return Health(LinkState.UP, "in this process")


def inbound(sender: str, recipient: str, text: str) -> InboundText:
    """A text as the simulated network hands it over."""
    return InboundText(NAME, sender, recipient, text.encode("utf-8", "replace"), Alphabet.UTF8)


def numbers(seed: int) -> tuple[list[SimulatedNumber], list[SimulatedNumber]]:
    """The network's numbers, for live keys and, apart from them, for test keys."""
    live, test = itertools.tee(enumerate(simulated_numbers(seed, PER_COUNTRY)))
    return [number for index, number in live if index % 2 == 0], [number for index, number in test if index % 2]
