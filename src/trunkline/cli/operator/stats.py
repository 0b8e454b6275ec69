"""``trunkline stats``."""

import pathlib
from typing import get_args

import click
from msgspec.structs import asdict

from trunkline.activations import outcomes
from trunkline.activations.outcomes import Mode, Window
from trunkline.cli.command import answer, common, opened, run
from trunkline.surfaces.api.stats import StatsRow, filters, row


@click.command()
@click.option("--by", default="country,service", show_default=True, help="country, service, operator, carrier.")
@click.option("--country", help="Only leases in this country.")
@click.option("--service", help="Only leases for this service, a slug.")
@click.option("--operator", help="Only numbers of this mobile operator.")
@click.option("--carrier", help="Only numbers of this carrier.")
@click.option("--window", type=click.Choice(get_args(Window)), default="7d", show_default=True)
@click.option("--mode", type=click.Choice(get_args(Mode)), default="live", show_default=True)
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@common
@run
async def stats(
    by: str,
    country: str | None,
    service: str | None,
    operator: str | None,
    carrier: str | None,
    window: Window,
    mode: Mode,
    limit: int,
    as_json: bool,
    data_dir: pathlib.Path | None,
) -> None:
    """How many texts came and how fast, each figure with its 95 % confidence interval; `-`: too few to tell."""
    grouped_by = outcomes.columns(by)
    async with opened(data_dir) as (_, built):
        only = await filters(built.catalog, country, service, operator, carrier, test=mode == "test")
        found = await outcomes.outcomes(built.database, grouped_by, window, test=mode == "test", only=only, limit=limit)
    rows = [row(each) for each in found]
    answer(as_json, {"window": window, "mode": mode, "groups": [asdict(each) for each in rows]}, _table(rows, by))


def _table(rows: list[StatsRow], by: str) -> str:
    if not rows:
        return "no leases have ended in this time"
    grouped_by = outcomes.columns(by)
    names = ["  ".join(str(getattr(each, column) or "-") for column in grouped_by) or "all" for each in rows]
    width = max(len(name) for name in [*names, ",".join(grouped_by)])
    head = f"{','.join(grouped_by):<{width}} {'leases':>9} {'texts':>9}  {'delivered, %':<20} {'median, s':<26} 95 %, s"
    return "\n".join([head, *(_line(f"{name:<{width}}", each) for name, each in zip(names, rows, strict=True))])


def _line(name: str, each: StatsRow) -> str:
    rate = _figure(each.delivery_rate, each.delivery_rate_interval, 100)
    median, p95 = _figure(each.median_seconds, each.median_interval), _figure(each.p95_seconds, each.p95_interval)
    return f"{name} {each.leases:>9} {each.texts:>9}  {rate:<20} {median:<26} {p95}"


def _figure(value: float | None, interval: list[float] | list[float | None] | None, times: int = 1) -> str:
    """``97.1 (95.0 to 98.3)``"""
    if value is None or interval is None:
        return "-"
    low, high = ("?" if end is None else f"{end * times:.1f}" for end in interval)
    return f"{value * times:.1f} ({low} to {high})"
