"""``trunkline carriers``."""

import dataclasses
import pathlib

import click

from trunkline.carriers import links
from trunkline.cli.command import answer, common, opened, run


@click.command()
@common
@run
async def carriers(as_json: bool, data_dir: pathlib.Path | None) -> None:
    """Show the carriers in the settings and how their links stand."""
    async with opened(data_dir) as (_, built):
        found = await links.links(built.database, list(built.registry.carriers.values()))
    words = [f"{link.carrier:<16}{link.kind:<12}{link.state:<12}{link.detail}" for link in found]
    answer(as_json, {"carriers": [dataclasses.asdict(link) for link in found]}, "\n".join(words))
