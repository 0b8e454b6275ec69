"""``trunkline account usage``."""

import pathlib

import click
import msgspec

from trunkline import clock
from trunkline.accounts import accounts
from trunkline.accounts import usage as used
from trunkline.accounts.views import Used
from trunkline.cli.command import answer, common, opened, run


@click.command()
@click.argument("email")
@click.option("--from", "first", help="The first day, as in 2026-04-01. Default: of this month.")
@click.option("--to", "last", help="The last day. Default: today.")
@click.option("--group-by", default="day", help="day, service, country, key, or label.NAME.")
@click.option("--test", is_flag=True, help="What its test keys used.")
@common
@run
async def usage(
    email: str,
    first: str | None,
    last: str | None,
    group_by: str,
    test: bool,
    as_json: bool,
    data_dir: pathlib.Path | None,
) -> None:
    """What an account used, by day, service, country, key or label."""
    since, until = used.period(first, last, clock.now().date())
    async with opened(data_dir) as (_, built):
        account_id = (await accounts.find(built.database, email))["account_id"]
        shown = await used.report(built.database, account_id, test=test, first=since, last=until, group_by=group_by)
    lines = [f"{email}, {shown.first} to {shown.last}, {'test mode' if test else shown.currency}"]
    if shown.groups:
        lines.append(f"{group_by:<24} {'leases':>9} {'received':>9} {'cancelled':>9} {'expired':>9} {'spent':>12}")
        lines += [_line(f"{each.group} {each.name or ''}".rstrip(), each) for each in shown.groups]
    if shown.truncated:
        lines.append("(more groups than are shown)")
    lines.append(_line("total", shown.total))
    answer(as_json, msgspec.to_builtins(shown, builtin_types=(type(shown.total.spent),)), "\n".join(lines))


def _line(name: str, each: Used) -> str:
    return f"{name:<24} {each.leases:>9} {each.received:>9} {each.cancelled:>9} {each.expired:>9} {each.spent:>12}"
