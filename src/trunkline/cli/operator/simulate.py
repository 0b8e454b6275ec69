"""``trunkline simulate``: texts put into the simulated network."""

import pathlib

import click

from trunkline.carriers.simulated import carrier as simulator
from trunkline.cli.command import answer, common, opened, run
from trunkline.errors import OperatorError
from trunkline.phone import parse_e164


@click.group()
def simulate() -> None:
    """The simulated network."""


@simulate.command()
@click.option("--to", "recipient", required=True, help="The number, E.164 with +.")
@click.option("--from", "sender", required=True, help="The sender that the text shows.")
@click.option("--text", required=True)
@common
@run
async def sms(recipient: str, sender: str, text: str, as_json: bool, data_dir: pathlib.Path | None) -> None:
    """Send a text to a number of the simulated network."""
    e164 = parse_e164(recipient)
    if not 1 <= len(sender) <= 64 or not sender.isprintable():
        raise OperatorError("A sender has 1 to 64 printable characters.")
    async with opened(data_dir) as (_, built):
        [outcome] = await built.inbox.receive([simulator.inbound(sender, e164, text)])
    lease = str(outcome.activation_id) if outcome.activation_id is not None else None
    answer(
        as_json,
        {"to": e164, "outcome": outcome.what, "activation_id": lease},
        f"{outcome.what} to activation {lease}" if lease else f"{outcome.what}: no lease on {e164} takes this text",
    )
