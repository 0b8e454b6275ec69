"""``trunkline service``, ``catalog`` and ``price``."""

import dataclasses
import pathlib
from typing import BinaryIO

import click

from trunkline import money, tables
from trunkline.catalog import prices, services
from trunkline.catalog.countries import countries
from trunkline.catalog.problems import UnknownCountry
from trunkline.cli.command import answer, common, opened, operator, run
from trunkline.cli.operator import control


def _country(code: str | None) -> str | None:
    if code is None:
        return None
    if code.lower() not in countries():
        raise UnknownCountry(f"There is no country {code!r}.")
    return code.lower()


@click.group()
def service() -> None:
    """Which services are open on real carriers."""


service.add_command(control.control)


@service.command()
@click.argument("slug")
@click.option("--country", help="Only there; a rule for a country outweighs the one for all.")
@common
@run
async def enable(slug: str, country: str | None, as_json: bool, data_dir: pathlib.Path | None) -> None:
    """Open a service on real carriers."""
    await _switch(slug, country, True, as_json, data_dir)


@service.command()
@click.argument("slug")
@click.option("--country", help="Only there; a rule for a country outweighs the one for all.")
@common
@run
async def disable(slug: str, country: str | None, as_json: bool, data_dir: pathlib.Path | None) -> None:
    """Close a service on real carriers."""
    await _switch(slug, country, False, as_json, data_dir)


async def _switch(slug: str, country: str | None, enabled: bool, as_json: bool, data_dir: pathlib.Path | None) -> None:
    where = _country(country)
    async with opened(data_dir) as (_, built), built.database.transaction() as connection:
        await services.switch(connection, operator(), slug, where, enabled=enabled)
    answer(
        as_json,
        {"service": slug, "country": where, "enabled": enabled},
        f"{slug} is {'enabled' if enabled else 'disabled'} on real carriers" + (f" in {where}" if where else ""),
    )


@click.group()
def catalog() -> None:
    """The services that can be received."""


@catalog.command("import")
@click.argument("file", type=click.File("rb"))
@common
@run
async def import_(file: BinaryIO, as_json: bool, data_dir: pathlib.Path | None) -> None:
    """Import a CSV of slug,name[,domain,senders,aliases]; a service of the same slug is replaced."""
    rows = services.read_csv(tables.lines(file.read()))
    async with opened(data_dir) as (_, built), built.database.transaction() as connection:
        count = await services.bring_in(connection, operator(), rows)
    answer(as_json, {"imported": count}, f"{count} services imported")


@click.group()
def price() -> None:
    """Prices by rule: service and country, one of them, or neither."""


@price.command("set")
@click.argument("amount")
@click.option("--service", "slug", help="Only for this service.")
@click.option("--country", help="Only in this country.")
@click.option("--currency", help="Of the accounts that it is for; the operator's own without it.")
@common
@run
async def set_(
    amount: str,
    slug: str | None,
    country: str | None,
    currency: str | None,
    as_json: bool,
    data_dir: pathlib.Path | None,
) -> None:
    """Set a price. The rule that names most counts; leases that run keep their price."""
    micros, where = money.parse(amount), _country(country)
    async with opened(data_dir) as (settings, built), built.database.transaction() as connection:
        unit = money.currency(currency or settings.money.currency)
        await prices.set_price(connection, operator(), slug, where, unit, micros)
    answer(
        as_json,
        {"service": slug, "country": where, "currency": unit, "price": money.show(micros)},
        f"{slug or 'every service'} in {where or 'every country'} costs {money.show(micros)} {unit}",
    )


@price.group()
def tier() -> None:
    """Cheaper with volume: by the leases of the calendar month that got a text."""


@tier.command("set")
@click.argument("from_completed", metavar="FROM", type=int)
@click.argument("percent")
@common
@run
async def set_tier(from_completed: int, percent: str, as_json: bool, data_dir: pathlib.Path | None) -> None:
    """From the FROM-th completed lease of a month on, the next ones cost PERCENT less."""
    async with opened(data_dir) as (_, built), built.database.transaction() as connection:
        made = await prices.set_tier(connection, operator(), from_completed, percent)
    answer(
        as_json,
        dataclasses.asdict(made),
        f"after {made.from_completed} completed leases in a month, {made.percent_off}% less",
    )


@tier.command("list")
@common
@run
async def list_tiers(as_json: bool, data_dir: pathlib.Path | None) -> None:
    """Show the tiers."""
    async with opened(data_dir) as (_, built):
        found = await prices.tiers(built.database)
    words = [f"after {each.from_completed:<10} {each.percent_off}% less" for each in found]
    answer(as_json, {"tiers": [dataclasses.asdict(each) for each in found]}, "\n".join(words) or "no tiers")


@tier.command("remove")
@click.argument("from_completed", metavar="FROM", type=int)
@common
@run
async def remove_tier(from_completed: int, as_json: bool, data_dir: pathlib.Path | None) -> None:
    """Take a tier away."""
    async with opened(data_dir) as (_, built), built.database.transaction() as connection:
        await prices.remove_tier(connection, operator(), from_completed)
    answer(as_json, {"from_completed": from_completed, "removed": True}, f"the tier from {from_completed} is gone")
