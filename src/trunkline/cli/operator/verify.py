"""``trunkline verify``: profiles of accounts, their texts, and the guard."""

import json
import pathlib
import sys
import time
from typing import Any, get_args

import click
import msgspec

from trunkline import clock, paging
from trunkline.accounts import accounts, usage
from trunkline.cli.command import answer, common, opened, operator, run
from trunkline.errors import InvalidRequest, OperatorError
from trunkline.verify import outcomes, profiles, replaying
from trunkline.verify.messages.lint import lint as look_at
from trunkline.verify.profiles import Whose
from trunkline.verify.views import Profile

MODE = click.option("--test", is_flag=True, help="Of the account's test mode.")
ACCOUNT = click.option("--account", "email", required=True, help="The account's e-mail address.")


@click.group()
def verify() -> None:
    """Codes that accounts send to their own users: profiles, texts, the guard."""


@verify.group()
def profile() -> None:
    """An app's settings for the codes that it sends."""


@profile.command("list")
@ACCOUNT
@MODE
@common
@run
async def list_profiles(email: str, test: bool, as_json: bool, data_dir: pathlib.Path | None) -> None:
    """The profiles of an account, the newest first."""
    async with opened(data_dir) as (_, built):
        account_id = (await accounts.find(built.database, email))["account_id"]
        page = await profiles.page(
            built.database, Whose(account_id, test), before=paging.NEWEST, limit=profiles.MOST_PROFILES
        )
    shown = [msgspec.to_builtins(each) for each in page.data]
    lines = []
    for each in shown:
        awaits = "" if each["text_approved"] else "its text awaits approval"
        lines.append(f"{each['slug']:<20}{each['brand'] or '-':<20}{awaits}".rstrip())
    answer(as_json, {"profiles": shown}, "\n".join(lines) or "No profiles; the default one is as it came.")


@profile.command("show")
@click.argument("slug")
@ACCOUNT
@MODE
@common
@run
async def show_profile(slug: str, email: str, test: bool, as_json: bool, data_dir: pathlib.Path | None) -> None:
    """Everything that a profile sets."""
    async with opened(data_dir) as (_, built):
        account_id = (await accounts.find(built.database, email))["account_id"]
        found = await profiles.show(built.database, Whose(account_id, test), slug)
    _say(as_json, msgspec.to_builtins(found))


@profile.command("set")
@click.argument("slug")
@click.argument("settings", nargs=-1)
@ACCOUNT
@MODE
@common
@run
async def set_profile(
    slug: str,
    settings: tuple[str, ...],
    email: str,
    test: bool,
    as_json: bool,
    data_dir: pathlib.Path | None,
) -> None:
    """Change or make a profile: ``brand=ACME countries='["de"]' ttl=120``. Values are JSON, or words as they are."""
    changes: dict[str, Any] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or name not in Profile.__struct_fields__:
            raise InvalidRequest(f"{name!r} is no setting; there are {', '.join(Profile.__struct_fields__)}.")
        changes[name] = _value(value)
    async with opened(data_dir) as (_, built), built.database.transaction() as connection:
        account_id = (await accounts.find(connection, email))["account_id"]
        found = await profiles.put(connection, operator(), Whose(account_id, test), slug, changes)
    _say(as_json, msgspec.to_builtins(found))


@profile.command("approve")
@click.argument("slug")
@ACCOUNT
@MODE
@common
@run
async def approve_text(slug: str, email: str, test: bool, as_json: bool, data_dir: pathlib.Path | None) -> None:
    """Let a profile's own words be sent although they lead somewhere."""
    async with opened(data_dir) as (_, built), built.database.transaction() as connection:
        account_id = (await accounts.find(connection, email))["account_id"]
        found = await profiles.approve_text(connection, operator(), Whose(account_id, test), slug)
    answer(as_json, msgspec.to_builtins(found), f"The text of {slug} is approved: {found.text}")


@verify.command()
@click.argument("text")
@click.option("--brand", default="", help="To try it with.")
@common
def lint(text: str, brand: str, as_json: bool, data_dir: pathlib.Path | None) -> None:  # noqa: ARG001
    """How a text is sent, and what makes it dear or unreadable."""
    report = look_at(text, brand=brand)
    lines = [f"{report.encoding}, {report.segments} part(s), {report.units} units, {report.left} left", report.text]
    lines += [
        f"{each.level}: {each.message}" + (f" {each.instead!r} could stand there." if each.instead else "")
        for each in report.findings
    ]
    answer(as_json, msgspec.to_builtins(report), "\n".join(lines))
    if not report.ok:
        raise OperatorError("The text would be refused.")


@verify.command()
@ACCOUNT
@MODE
@click.option("--by", default="day", show_default=True, type=click.Choice(get_args(outcomes.By)), help="Groups.")
@click.option("--from", "first", help="The first day, as in 2026-04-01; default: of this month.")
@click.option("--to", "last", help="The last day; default: today.")
@common
@run
async def stats(
    email: str,
    test: bool,
    by: outcomes.By,
    first: str | None,
    last: str | None,
    as_json: bool,
    data_dir: pathlib.Path | None,
) -> None:
    """What became of an account's verifications: rates with their intervals, times, what an approval cost."""
    since, until = usage.period(first, last, clock.now().date())
    async with opened(data_dir) as (_, built):
        account_id = (await accounts.find(built.database, email))["account_id"]
        groups = await outcomes.conversion(built.database, account_id, test=test, first=since, last=until, by=by)
    heads = ("started", "sent", "delivered", "approved", "blocked")
    lines = [f"{by:<16}" + "".join(f"{head:>11}" for head in (*heads, "conversion", "cost"))]
    for each in groups:
        rate = each.conversion_rate
        shown = f"{rate.value:.0%}" if rate is not None else "-"
        counts = "".join(f"{getattr(each, head):>11}" for head in heads)
        lines.append(f"{each.group:<16}{counts}{shown:>11}{each.cost:>11}")
    told = {"from": since.isoformat(), "to": until.isoformat(), "by": by, "groups": msgspec.to_builtins(groups)}
    answer(as_json, told, "\n".join(lines) if groups else "No verifications in these days.")


@verify.group()
def guard() -> None:
    """What holds starts back that look like SMS pumping."""


@guard.command()
@click.option("--account", "email", help="Of one account alone.")
@click.option("--limit", default=50, show_default=True, help="Starts to show.")
@common
@run
async def log(email: str | None, limit: int, as_json: bool, data_dir: pathlib.Path | None) -> None:
    """The latest starts that a rule stopped, or would have stopped, the newest first."""
    async with opened(data_dir) as (_, built):
        account_id = (await accounts.find(built.database, email))["account_id"] if email else None
        rows = await replaying.log(built.database, account_id, limit)
    lines = [
        f"{each['at']}  {each['verification_id']}  {each['phone_number']}  "
        + "; ".join(f"{said['rule']} {said['verdict']}: {said['reason']}" for said in each["decisions"])
        for each in rows
    ]
    answer(as_json, {"starts": rows}, "\n".join(lines) or "No rule has stopped anything.")


@guard.command()
@click.option("--rule", "rules", multiple=True, help="A threshold to try, as prefix_starts=10; may be repeated.")
@click.option("--days", default=7, show_default=True, help="Of past starts.")
@click.option("--account", "email", help="Of one account alone.")
@common
@run
async def replay(
    rules: tuple[str, ...],
    days: int,
    email: str | None,
    as_json: bool,
    data_dir: pathlib.Path | None,
) -> None:
    """What changed rules would have stopped of past starts, and how many of those were approved in truth."""
    async with opened(data_dir) as (settings, built):
        options = replaying.changed(settings.verify.guard, rules)
        account_id = (await accounts.find(built.database, email))["account_id"] if email else None
        began = time.monotonic()
        with click.progressbar(
            length=1, label="replaying", file=sys.stderr, hidden=as_json or not sys.stderr.isatty()
        ) as bar:

            def tell(done: int, of: int) -> None:
                bar.length = max(of, 1)
                bar.update(done - bar.pos)

            found = await replaying.replay(built.database, options, days=days, account_id=account_id, progress=tell)
    told = msgspec.to_builtins(found) | {"seconds": round(time.monotonic() - began, 1)}
    lines = [f"{found.starts} starts of {days} days, {found.stopped} of them stopped, {found.stopped_approved} wrongly"]
    lines += [
        f"{rule:<20}{each.stopped:>8} stopped, {each.approved} of them approved in truth"
        for rule, each in found.rules.items()
    ]
    answer(as_json, told, "\n".join(lines))


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _say(as_json: bool, data: dict[str, Any]) -> None:
    answer(
        as_json, data, "\n".join(f"{name:<16}{json.dumps(value, ensure_ascii=False)}" for name, value in data.items())
    )
