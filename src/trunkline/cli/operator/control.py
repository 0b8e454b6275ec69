"""``trunkline service control``: what customers have proved to be theirs."""

import pathlib

import click

from trunkline import clock
from trunkline.accounts import accounts
from trunkline.catalog import control as proofs
from trunkline.cli.command import answer, common, opened, operator, run


@click.group()
def control() -> None:
    """Customers' proofs that a service is theirs, which opens it to them on real carriers."""


@control.command("list")
@click.option("--limit", type=click.IntRange(1, 100_000), default=1000, show_default=True)
@common
@run
async def list_(limit: int, as_json: bool, data_dir: pathlib.Path | None) -> None:
    """Who has proved what, and who has only asked."""
    async with opened(data_dir) as (_, built):
        rows = await proofs.every(built.database, limit)
    shown = [
        {
            "email": row["email"],
            "service": row["slug"],
            "domain": row["domain"],
            "method": row["method"],
            "asked_at": clock.iso(row["created_at"]),
            "proved_at": clock.iso(row["proved_at"]) if row["proved_at"] is not None else None,
        }
        for row in rows
    ]
    lines = [
        f"{row['service']:<20}{row['email']:<32}{row['domain']:<28}{row['method']:<6}{row['proved_at'] or 'not proved'}"
        for row in shown
    ]
    answer(as_json, {"controls": shown}, "\n".join(lines) or "nobody has asked for a proof")


@control.command()
@click.argument("email")
@click.argument("slug")
@common
@run
async def revoke(email: str, slug: str, as_json: bool, data_dir: pathlib.Path | None) -> None:
    """End a customer's proof; leases that run go on. The customer may prove it again: to keep them out, freeze them."""
    async with opened(data_dir) as (_, built), built.database.transaction() as connection:
        account_id = (await accounts.find(connection, email))["account_id"]
        await proofs.revoke(connection, operator(), account_id, slug)
    answer(as_json, {"email": email, "service": slug}, f"{email} has no proof for {slug} any more")
