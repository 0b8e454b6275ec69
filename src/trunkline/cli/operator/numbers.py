"""``trunkline numbers``: the operator's own numbers."""

import pathlib
import sys
from typing import BinaryIO

import click

from trunkline import tables
from trunkline.activations import freezing
from trunkline.catalog import numbers as pool
from trunkline.catalog.countries import countries
from trunkline.catalog.numbers import BadRow, Row
from trunkline.cli.command import answer, common, opened, operator, run
from trunkline.cli.operator import moving_numbers
from trunkline.cli.terminal import say
from trunkline.errors import OperatorError
from trunkline.phone import parse_e164

SHOWN_BAD_ROWS = 50


@click.group()
def numbers() -> None:
    """Your numbers: import, list, move, retire, remove, freeze."""


for _command in (moving_numbers.move, moving_numbers.retire, moving_numbers.remove):
    numbers.add_command(_command)


@numbers.command("import")
@click.argument("file", type=click.File("rb"))
@click.option("--carrier", required=True, help="The carrier's name in the settings.")
@click.option("--skip-bad", is_flag=True, help="Import the good rows of a file that has bad ones.")
@click.option("--move", is_flag=True, help="Bring numbers over that another carrier has; their leases go on.")
@common
@run
async def import_(
    file: BinaryIO, carrier: str, skip_bad: bool, move: bool, as_json: bool, data_dir: pathlib.Path | None
) -> None:
    """Import a CSV of e164,country[,operator]. A file with bad rows is not applied, unless told to skip them."""
    rows = list(pool.read_rows(tables.lines(file.read()), countries()))
    bad = [row for row in rows if isinstance(row, BadRow)]
    good = [row for row in rows if isinstance(row, Row)]
    async with opened(data_dir) as (_, built):
        if carrier not in built.registry.carriers:
            names = ", ".join(sorted(built.registry.carriers))
            raise OperatorError(f"There is no carrier {carrier!r} in the settings; there are: {names}.")
        imported = moved = 0
        if good and (skip_bad or not bad):
            with click.progressbar(length=len(good), label="importing", file=sys.stderr) as bar:
                async with built.database.transaction() as connection:
                    known = await pool.import_rows(
                        connection,
                        operator(),
                        good,
                        carrier=carrier,
                        skip_known=skip_bad,
                        skip_moving=move,
                        progress=bar.update,
                    )
                    moving = {row.line for row in known if move and row.carrier}
                    known_bad = [row for row in known if row.line not in moving]
                    imported = 0 if known_bad and not skip_bad else len(good) - len(known)
            if skip_bad or not known_bad:
                moved = await moving_numbers.bring(built.database, [row for row in good if row.line in moving], carrier)
            bad += known_bad
    for row in bad[:SHOWN_BAD_ROWS]:
        say(f"line {row.line}: {row.reason}", err=True)
    if len(bad) > SHOWN_BAD_ROWS:
        say(f"… and {len(bad) - SHOWN_BAD_ROWS} more", err=True)
    answer(
        as_json,
        {"imported": imported, "bad": [{"line": row.line, "reason": row.reason} for row in bad]}
        | ({"moved": moved} if move else {}),
        f"{imported} numbers imported for {carrier}"
        + (f", {moved} moved to it" if move else "")
        + (f", {len(bad)} bad rows" if bad else ""),
    )
    if bad and not skip_bad:
        raise OperatorError(f"{len(bad)} bad rows; nothing was imported (--skip-bad imports the others).")


@numbers.command("list")
@click.option("--carrier")
@click.option("--country")
@click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True)
@common
@run
async def list_(
    carrier: str | None, country: str | None, limit: int, as_json: bool, data_dir: pathlib.Path | None
) -> None:
    """Show numbers with the leases that are live on each."""
    async with opened(data_dir) as (_, built):
        rows = await pool.listing(built.database, carrier=carrier, country=country, limit=limit)
        configured = set(built.registry.carriers)
    if as_json:
        answer(True, {"numbers": [row | {"configured": row["carrier"] in configured} for row in rows]}, "")
        return
    if not rows:
        say("no numbers; import some with: trunkline numbers import FILE.csv --carrier NAME")
    for row in rows:
        state = f"{row['live']} live"
        if row["frozen"] is not None:
            state = f"retired, {state}: {row['frozen']}" if row["retired"] else f"frozen: {row['frozen']}"
        if row["carrier"] not in configured:
            state += "; its carrier is not in the settings"
        say(f"{row['e164']:<17}{row['country']}  {row['carrier']:<12}{row['operator']:<16}{state}")


@numbers.command()
@click.argument("number")
@click.option("--reason", required=True, help="For the audit, and for whoever looks at the list.")
@common
@run
async def freeze(number: str, reason: str, as_json: bool, data_dir: pathlib.Path | None) -> None:
    """Take a number off the shelf, and end its leases now: those without a text are refunded in full."""
    e164 = parse_e164(number)
    async with opened(data_dir) as (_, built):
        ended = await built.database.transact(
            lambda connection: freezing.freeze_number(connection, operator(), e164, reason)
        )
    answer(
        as_json,
        {"e164": e164, "frozen": reason, "leases_ended": ended},
        f"{e164} is frozen: {reason}; {ended} leases were ended",
    )


@numbers.command()
@click.argument("number")
@common
@run
async def unfreeze(number: str, as_json: bool, data_dir: pathlib.Path | None) -> None:
    """Put a frozen or retired number back."""
    e164 = parse_e164(number)
    async with opened(data_dir) as (_, built), built.database.transaction() as connection:
        await pool.unfreeze(connection, operator(), e164)
    answer(as_json, {"e164": e164, "frozen": None}, f"{e164} is not frozen any more")
