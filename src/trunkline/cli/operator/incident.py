"""``trunkline incident``: what the operator tells the public about outages."""

import pathlib
from typing import Literal

import click
from msgspec.structs import asdict

from trunkline.cli.command import answer, common, opened, operator, run
from trunkline.monitoring import components, incidents
from trunkline.monitoring.views import Incident
from trunkline.monitoring.views import incident as shown


@click.group()
def incident() -> None:
    """Incidents on the public status: open, update, close, list."""


@incident.command("open")
@click.argument("title")
@click.option("--component", "names", multiple=True, required=True, help="What it affects, as api; may be repeated.")
@click.option("--impact", type=click.Choice(["minor", "major", "critical"]), required=True)
@click.option("--text", default="We are looking into it.", show_default=True, help="The first update.")
@common
@run
async def open_(
    title: str,
    names: tuple[str, ...],
    impact: Literal["minor", "major", "critical"],
    text: str,
    as_json: bool,
    data_dir: pathlib.Path | None,
) -> None:
    """Tell of an outage; health checks never close what you have opened."""
    async with opened(data_dir) as (_, built), built.database.transaction() as connection:
        known = components.names(built.registry)
        told = shown(
            await incidents.begin(connection, operator(), title, text, components=names, known=known, impact=impact)
        )
    answer(as_json, asdict(told), _line(told))


@incident.command()
@click.argument("incident_id", type=click.IntRange(1, 2**63 - 1))
@click.argument("text")
@click.option("--state", type=click.Choice(["identified", "monitoring"]), help="How far you are; by default as before.")
@common
@run
async def update(
    incident_id: int,
    text: str,
    state: Literal["identified", "monitoring"] | None,
    as_json: bool,
    data_dir: pathlib.Path | None,
) -> None:
    """Say more about an incident that is open."""
    async with opened(data_dir) as (_, built), built.database.transaction() as connection:
        told = shown(await incidents.tell(connection, operator(), incident_id, text, state))
    answer(as_json, asdict(told), _line(told))


@incident.command()
@click.argument("incident_id", type=click.IntRange(1, 2**63 - 1))
@click.argument("text", default="This is resolved.")
@common
@run
async def close(incident_id: int, text: str, as_json: bool, data_dir: pathlib.Path | None) -> None:
    """Say that it is over."""
    async with opened(data_dir) as (_, built), built.database.transaction() as connection:
        told = shown(await incidents.close(connection, operator(), incident_id, text))
    answer(as_json, asdict(told), _line(told))


@incident.command("list")
@click.option("--all", "everything", is_flag=True, help="Also those that are closed.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True)
@common
@run
async def list_(everything: bool, limit: int, as_json: bool, data_dir: pathlib.Path | None) -> None:
    """Open incidents, newest first."""
    async with opened(data_dir) as (_, built):
        found = await incidents.find(built.database, closed_since=incidents.EVER if everything else None, most=limit)
    told = [shown(each) for each in found]
    answer(as_json, {"incidents": told}, "\n".join(_line(each) for each in told) or "no incidents")


def _line(told: Incident) -> str:
    until = f" until {told.closed_at}" if told.closed_at else ""
    where = ", ".join(told.components)
    return f"{told.incident_id}  {told.impact}  {told.state}  {where}  since {told.opened_at}{until}  {told.title}"
