"""``trunkline key``: an account's API keys, as its operator makes and ends them."""

import datetime
import pathlib

import click
from msgspec.structs import asdict

from trunkline import ids, money
from trunkline.accounts import accounts, issuing
from trunkline.accounts.keys import ALL_SCOPES, MODES, Mode
from trunkline.accounts.views import ApiKey, NewApiKey
from trunkline.cli.command import answer, common, opened, operator, run
from trunkline.errors import InvalidRequest


@click.group()
def key() -> None:
    """API keys: create, list, rotate, revoke."""


@key.command()
@click.argument("email")
@click.option("--name", required=True, help="What the key is called.")
@click.option("--mode", type=click.Choice(MODES), default="live", show_default=True)
@click.option("--scope", "scopes", multiple=True, required=True, help=f"May be repeated: {', '.join(ALL_SCOPES)}.")
@click.option("--cidr", "cidrs", multiple=True, help="Where it may be used from, as 203.0.113.0/24; may be repeated.")
@click.option("--expires", help="When it ends by itself, as 2027-01-01T00:00:00Z.")
@click.option("--cap-day", help="The most that may be spent with it in a day (UTC).")
@click.option("--cap-month", help="The most that may be spent with it in a calendar month (UTC).")
@common
@run
async def create(
    email: str,
    name: str,
    mode: Mode,
    scopes: tuple[str, ...],
    cidrs: tuple[str, ...],
    expires: str | None,
    cap_day: str | None,
    cap_month: str | None,
    as_json: bool,
    data_dir: pathlib.Path | None,
) -> None:
    """A new key of an account; its secret is shown this once."""
    expires_at = _moment(expires) if expires is not None else None
    cap_day_micros = money.parse(cap_day, field="cap_day") if cap_day is not None else None
    cap_month_micros = money.parse(cap_month, field="cap_month") if cap_month is not None else None
    async with opened(data_dir) as (_, built), built.database.transaction() as connection:
        account_id = (await accounts.find(connection, email))["account_id"]
        new = await issuing.create(
            connection,
            operator(),
            account_id,
            mode,
            name=name,
            scopes=scopes,
            cidrs=cidrs,
            expires_at=expires_at,
            cap_day_micros=cap_day_micros,
            cap_month_micros=cap_month_micros,
        )
    answer(as_json, asdict(new), _once(new))


@key.command("list")
@click.argument("email")
@click.option("--ended", is_flag=True, help="Also the keys that are revoked or expired.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True)
@common
@run
async def list_(email: str, ended: bool, limit: int, as_json: bool, data_dir: pathlib.Path | None) -> None:
    """An account's keys, newest first."""
    async with opened(data_dir) as (_, built):
        account_id = (await accounts.find(built.database, email))["account_id"]
        found = (await issuing.page(built.database, account_id, None, ended=ended, limit=limit)).data
    answer(as_json, {"keys": found}, "\n".join(_line(each) for each in found) or "no keys")


@key.command()
@click.argument("key_id")
@click.option(
    "--overlap-hours", type=int, default=issuing.OVERLAP_HOURS, show_default=True, help="How long the old key goes on."
)
@common
@run
async def rotate(key_id: str, overlap_hours: int, as_json: bool, data_dir: pathlib.Path | None) -> None:
    """A new key in the place of another, with all that it may do; its secret is shown this once."""
    async with opened(data_dir) as (_, built), built.database.transaction() as connection:
        new = await issuing.rotate(connection, operator(), ids.from_path(key_id), overlap_hours)
    answer(as_json, asdict(new), _once(new))


@key.command()
@click.argument("key_id")
@click.option("--with-children", is_flag=True, help="Also the keys that it has made, and those that these have made.")
@common
@run
async def revoke(key_id: str, with_children: bool, as_json: bool, data_dir: pathlib.Path | None) -> None:
    """End a key: it stops working everywhere within 2 seconds."""
    async with opened(data_dir) as (_, built), built.database.transaction() as connection:
        ended, children = await issuing.revoke(connection, operator(), ids.from_path(key_id), children=with_children)
    words = f"key {key_id} is revoked" + (f", and {len(children)} that it made" if with_children else "")
    made = {"children_revoked": children} if with_children else {}
    answer(as_json, asdict(ended) | made, words)


def _moment(text: str) -> datetime.datetime:
    try:
        return datetime.datetime.fromisoformat(text)
    except ValueError:
        raise InvalidRequest(f"{text!r} is not a time, as 2027-01-01T00:00:00Z is one.", field="expires") from None


def _once(new: NewApiKey) -> str:
    return f"{_line(new)}\n{new.key}\nKeep it now: only its hash is stored."


def _line(key: ApiKey) -> str:
    if key.revoked_at is not None:
        end = f"revoked {key.revoked_at}"
    else:
        end = f"until {key.expires_at}" if key.expires_at else "without end"
    where = f" from {', '.join(key.cidrs)}" if key.cidrs else ""
    used = f"last used {key.last_used_at}" if key.last_used_at else "never used"
    return f"{key.key_id}  {key.mode}  {key.name}  {', '.join(key.scopes)}{where}  {end}  {used}"
