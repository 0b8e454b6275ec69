"""``trunkline carriers``."""

import dataclasses
import pathlib

import click

from trunkline.carriers import links
from trunkline.catalog import moving
from trunkline.cli.command import answer, common, opened, run


@click.command()
@common
@run
async def carriers(as_json: bool, data_dir: pathlib.Path | None) -> None:
    """Show the carriers in the settings and how their links stand, and those that have left them with numbers."""
    async with opened(data_dir) as (_, built):
        found = await links.links(built.database, list(built.registry.carriers.values()))
        stranded = await moving.stranded(built.database, list(built.registry.carriers))
    words = [
        f"{link.carrier:<16}{link.kind:<12}{link.state:<12}{link.detail}"
        + (f"; {link.standby} stands by" if link.standby else "")
        for link in found
    ]
    words += [
        f"{row['carrier']:<16}{'-':<12}{'gone':<12}not in the settings; {row['numbers']} numbers, {row['live']} live"
        for row in stranded
    ]
    left = [{"carrier": row["carrier"], "numbers": row["numbers"], "live": row["live"]} for row in stranded]
    answer(
        as_json,
        {"carriers": [dataclasses.asdict(link) for link in found], "not_configured": left},
        "\n".join(words),
    )
