"""``trunkline service``, ``catalog`` and ``price``."""

import pathlib
from collections.abc import Iterable

import click

from trunkline import money
from trunkline.catalog import prices, services
from trunkline.catalog.countries import countries
from trunkline.cli.command import answer, common, opened, run
from trunkline.errors import OperatorError, UnknownCountry


def _country(code: str | None) -> str | None:
    if code is None:
        return None
    if code.lower() not in countries():
        raise UnknownCountry(f"There is no country {code!r}.")
    return code.lower()


@click.group()
def service() -> None:
    """Which services are open on real carriers."""


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
    async with opened(data_dir) as (_, built):
        await services.switch(built.database, slug, where, enabled=enabled)
    answer(
        as_json,
        {"service": slug, "country": where, "enabled": enabled},
        f"{slug} is {'enabled' if enabled else 'disabled'} on real carriers" + (f" in {where}" if where else ""),
    )


@click.group()
def catalog() -> None:
    """The services that can be received."""


@catalog.command("import")
@click.argument("file", type=click.File("r", encoding="utf-8-sig"))
@common
@run
async def import_(file: Iterable[str], as_json: bool, data_dir: pathlib.Path | None) -> None:
    """Import a CSV of slug,name[,domain,senders,aliases]; a service of the same slug is replaced."""
    try:
        rows = services.read_csv(file)
    except UnicodeDecodeError:
        raise OperatorError("The file is not UTF-8.") from None
    async with opened(data_dir) as (_, built):
        count = await services.put(built.database, rows)
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
    async with opened(data_dir) as (settings, built):
        unit = (currency or settings.money.currency).upper()
        if len(unit) != 3 or not unit.isascii() or not unit.isalpha():
            raise OperatorError(f"{currency!r} is no currency: three letters, as in USD.")
        await prices.set_price(built.database, slug, where, unit, micros)
    answer(
        as_json,
        {"service": slug, "country": where, "currency": unit, "price": money.show(micros)},
        f"{slug or 'every service'} in {where or 'every country'} costs {money.show(micros)} {unit}",
    )
