"""``trunkline inbox``: the texts that came in, and why each one went where it did."""

import pathlib

import click

from trunkline.activations import arrivals
from trunkline.cli.command import answer, common, opened, run
from trunkline.cli.terminal import say

SHOWN_OF_A_TEXT = 100  # characters, for a person


@click.command()
@click.option("--all", "everything", is_flag=True, help="Also the texts that went to a lease.")
@click.option("--to", "recipient", help="Only the texts to this number, as +E.164.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@common
@run
async def inbox(
    everything: bool, recipient: str | None, limit: int, as_json: bool, data_dir: pathlib.Path | None
) -> None:
    """Show the texts that no lease got, that came again, or whose parts are missing, newest first, and why."""
    async with opened(data_dir) as (_, built):
        found = await arrivals.newest(built.database, recipient=recipient, delivered=everything, limit=limit)
    if as_json:
        answer(True, {"texts": found}, "")
        return
    if not found:
        say("no texts" if everything else "no texts without a lease; --all shows the others")
    for each in found:
        lease = f"lease {each.activation_id}" if each.activation_id else "nobody"
        if each.repeats:
            lease += f" (came again {each.repeats} times, last at {each.repeated_at})"
        body = "(erased)" if each.text is None else " ".join(each.text.split())
        shown = body if len(body) <= SHOWN_OF_A_TEXT else body[: SHOWN_OF_A_TEXT - 1] + "…"
        say(f"{each.received_at}  {each.sender} → {each.recipient}  {each.outcome}, {lease}: {each.reason or '-'}")
        say(f"    {shown}")
