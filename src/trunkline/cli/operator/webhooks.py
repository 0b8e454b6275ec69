"""``trunkline webhook``: customers' endpoints, as the operator sees them and stops sending to one."""

import pathlib
from typing import Any

import click
from msgspec.structs import asdict

from trunkline import ids
from trunkline.accounts import accounts
from trunkline.cli.command import answer, common, opened, operator, run
from trunkline.events.webhooks import endpoints


@click.group()
def webhook() -> None:
    """Customers' webhooks: list, disable, enable."""


@webhook.command("list")
@click.argument("email", required=False)
@click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True)
@common
@run
async def list_(email: str | None, limit: int, as_json: bool, data_dir: pathlib.Path | None) -> None:
    """An account's webhooks, or everybody's; newest first."""
    async with opened(data_dir) as (_, built):
        account_id = (await accounts.find(built.database, email))["account_id"] if email is not None else None
        page = await endpoints.every(built.database, account_id, limit=limit)
    found = [{"email": each.email, "mode": each.mode} | asdict(each.webhook) for each in page.data]
    answer(as_json, {"webhooks": found}, "\n".join(_line(each) for each in found) or "no webhooks")


@webhook.command()
@click.argument("webhook_id")
@click.option("--reason", required=True, help="Why; its owner reads it.")
@common
@run
async def disable(webhook_id: str, reason: str, as_json: bool, data_dir: pathlib.Path | None) -> None:
    """Send nothing to a webhook any more. Its owner may enable it again; freeze the account where they may not."""
    async with opened(data_dir) as (_, built), built.database.transaction() as connection:
        found = await endpoints.disable(connection, operator(), ids.from_path(webhook_id), reason)
    answer(as_json, asdict(found), f"webhook {webhook_id} is disabled: {found.disabled_reason}")


@webhook.command()
@click.argument("webhook_id")
@click.option("--reason", required=True, help="Why.")
@common
@run
async def enable(webhook_id: str, reason: str, as_json: bool, data_dir: pathlib.Path | None) -> None:
    """Send to a webhook again, as if it had never failed."""
    async with opened(data_dir) as (_, built), built.database.transaction() as connection:
        found = await endpoints.enable(connection, operator(), ids.from_path(webhook_id), reason)
    answer(as_json, asdict(found), f"webhook {webhook_id} is enabled")


def _line(each: dict[str, Any]) -> str:
    state = f"disabled: {each['disabled_reason']}" if each["status"] == "disabled" else "enabled"
    events = ", ".join(each["events"])
    return f"{each['webhook_id']}  {each['email']}  {each['mode']}  {each['url']}  {events}  {state}"
