"""One round: customers at work, a fault among them, and the verdict."""

import dataclasses
import pathlib
import tempfile
import time

from tests.faults.faults import Fault
from tests.faults.judge import judge
from tests.faults.load import Crowd
from tests.faults.world import world

SHOPPERS = 6
PATIENCE_SECONDS = 180.0


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a round saw, in seconds and counts; that it was judged at all says that nothing acknowledged was lost."""

    orders: int
    texts: int
    ends: int
    longest_answer: float
    longest_without: float
    healed_after: float


def play(fault: Fault, *, purchases: int) -> Outcome:
    """Lets customers make so many purchases, injects the fault, and goes on until they make as many more.

    Raises AssertionError for an invariant that does not hold, and where the system does not heal.
    """
    with tempfile.TemporaryDirectory(prefix="trunkline-faults-") as folder:
        pathlib.Path(folder).chmod(0o755)  # the database's own user passes through
        with world(pathlib.Path(folder), *fault.words, site=fault.site) as built:
            began = time.monotonic()
            with Crowd(built.api, built.customer.live_key, built.journal, built.send, size=SHOPPERS) as crowd:
                crowd.buys(purchases, PATIENCE_SECONDS)
                fault.inject(built, fault.seconds)
                mended = time.monotonic()
                crowd.buys(purchases, PATIENCE_SECONDS)
                healed = built.journal.healed_after(mended)
                without = built.journal.longest_without(began)
            assert healed is not None
            judge(built)
            journal = built.journal
            return Outcome(
                orders=len(journal.orders),
                texts=len(journal.acknowledged),
                ends=len(journal.ends),
                longest_answer=journal.longest_answer(),
                longest_without=without,
                healed_after=healed,
            )
