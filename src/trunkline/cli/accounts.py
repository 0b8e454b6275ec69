"""``trunkline account``: what the operator does to accounts."""

import pathlib

import click

from trunkline import money
from trunkline.accounts import accounts
from trunkline.cli.command import answer, common, opened, run
from trunkline.ledger import journal


@click.group()
def account() -> None:
    """Accounts: create, credit, limit, show."""


@account.command()
@click.argument("email")
@click.option("--credit", default="0", help="Money to begin with, as in 5.00.")
@common
@run
async def create(email: str, credit: str, as_json: bool, data_dir: pathlib.Path | None) -> None:
    """An account with one live and one test key; their secrets are shown this once."""
    micros = money.parse(credit, field="credit")
    async with opened(data_dir) as (settings, built), built.database.transaction() as connection:
        made = await accounts.create(
            connection, email, currency=settings.money.currency, per_minute=settings.server.requests_per_minute
        )
        await journal.credit(connection, made.account_id, micros)
    answer(
        as_json,
        {"account_id": str(made.account_id), "email": email, "live_key": made.live_key, "test_key": made.test_key},
        f"account {made.account_id} for {email}, balance {money.show(micros)} {settings.money.currency}\n"
        f"live key  {made.live_key}\n"
        f"test key  {made.test_key}\n"
        "Keep the keys now: only their hashes are stored.",
    )


@account.command()
@click.argument("email")
@click.argument("amount")
@common
@run
async def credit(email: str, amount: str, as_json: bool, data_dir: pathlib.Path | None) -> None:
    """Put money onto an account's balance."""
    micros = money.parse(amount)
    async with opened(data_dir) as (_, built), built.database.transaction() as connection:
        found = await accounts.find(connection, email)
        await journal.credit(connection, found["account_id"], micros)
        balance = await connection.fetchrow(journal.SQL.balance, found["account_id"])
        assert balance is not None
    available = money.show(balance["available_micros"])
    answer(
        as_json,
        {"email": email, "credited": money.show(micros), "balance": available, "currency": balance["currency"]},
        f"{email} has {available} {balance['currency']}",
    )


@account.command()
@click.argument("email")
@click.option("--per-minute", type=int, required=True, help="Requests a minute for each of the account's keys.")
@common
@run
async def limit(email: str, per_minute: int, as_json: bool, data_dir: pathlib.Path | None) -> None:
    """Set how many requests a minute the account's keys may send."""
    async with opened(data_dir) as (_, built), built.database.transaction() as connection:
        found = await accounts.find(connection, email)
        await accounts.set_limit(connection, found["account_id"], per_minute)
    answer(
        as_json,
        {"email": email, "per_minute": per_minute},
        f"{email} may send {per_minute} requests a minute by each key",
    )


@account.command()
@click.argument("email")
@common
@run
async def show(email: str, as_json: bool, data_dir: pathlib.Path | None) -> None:
    """An account's balance and limits."""
    async with opened(data_dir) as (_, built):
        found = await accounts.find(built.database, email)
        balance = await built.database.fetchrow(journal.SQL.balance, found["account_id"])
        assert balance is not None
    available, held = money.show(balance["available_micros"]), money.show(balance["held_micros"])
    answer(
        as_json,
        {
            "account_id": str(found["account_id"]),
            "email": found["email"],
            "balance": available,
            "held": held,
            "currency": balance["currency"],
            "per_minute": found["per_minute"],
        },
        f"account {found['account_id']} for {found['email']}: {available} {balance['currency']} available, "
        f"{held} held, {found['per_minute']} requests a minute",
    )
