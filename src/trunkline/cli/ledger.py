"""``trunkline ledger``: the books."""

import dataclasses
import pathlib

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
    """Prove the books: postings sum to zero, balances are the sums of theirs, each lease ended once."""
    async with opened(data_dir) as (_, built):
        verdict = await journal.verify(built.database)
    words = [
        f"{verdict.transfers} transfers of {verdict.accounts} accounts; "
        f"{money.show(verdict.revenue_micros)} captured, {money.show(verdict.held_micros)} held",
        *(f"off: {each}" for each in verdict.off),
        "the books balance" if verdict.ok else "the books are off",
    ]
    answer(as_json, dataclasses.asdict(verdict), "\n".join(words))
    if not verdict.ok:
        raise OperatorError(f"{len(verdict.off)} things are off.")
