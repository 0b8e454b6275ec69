"""``trunkline ledger``: the books."""

import dataclasses
import pathlib
import sys

import click

from trunkline import money
from trunkline.cli.command import answer, common, opened, run
from trunkline.errors import OperatorError
from trunkline.ledger import journal


@click.group()
def ledger() -> None:
    """The books."""


@ledger.command()
@common
@run
async def verify(as_json: bool, data_dir: pathlib.Path | None) -> None:
    """Prove the books: postings sum to zero, balances are the sums of theirs, each lease was held once and ended once,
    usage is what leases cost, and each credit is a deposit or an act of the operator's, of its amount."""
    async with opened(data_dir) as (_, built):
        with click.progressbar(
            length=0, label="proving", file=sys.stderr, hidden=as_json or not sys.stderr.isatty()
        ) as bar:

            def looked_at(done: int, rows: int) -> None:
                bar.length = rows
                bar.update(done - bar.pos)

            verdict = await journal.verify(built.database, looked_at)
    words = [
        f"{verdict.transfers} transfers of {verdict.accounts} accounts; "
        f"{money.show(verdict.revenue_micros)} captured, {money.show(verdict.held_micros)} held",
        *(
            f"off: {each.pop('what')}: " + ", ".join(f"{name} {value}" for name, value in each.items())
            for each in map(dict, verdict.off)
        ),
        "the books balance" if verdict.ok else "the books are off",
    ]
    answer(as_json, dataclasses.asdict(verdict), "\n".join(words))
    if not verdict.ok:
        raise OperatorError(f"{len(verdict.off)} things are off.")
