"""``trunkline account``: what the operator does to accounts."""

import pathlib

import click

from trunkline import clock, money
from trunkline.accounts import accounts, limits, usage
from trunkline.cli.command import answer, common, opened, operator, run
from trunkline.cli.operator import policy
from trunkline.cli.operator import usage as used
from trunkline.errors import OperatorError
from trunkline.ledger import journal
from trunkline.ledger import statement as statements


@click.group()
def account() -> None:
    """Accounts: create, credit, limit, statement, show."""


for command in (used.usage, policy.policy, policy.freeze, policy.unfreeze):
    account.add_command(command)


@account.command()
@click.argument("email")
@click.option("--credit", default="0", help="Money to begin with, as in 5.00.")
@click.option("--currency", help="Of its money, as in EUR; the operator's own without it. It stays.")
@common
@run
async def create(email: str, credit: str, currency: str | None, as_json: bool, data_dir: pathlib.Path | None) -> None:
    """An account with one live and one test key; their secrets are shown this once."""
    micros = money.parse(credit, field="credit")
    async with opened(data_dir) as (settings, built), built.database.transaction() as connection:
        unit = money.currency(currency) if currency else settings.money.currency
        per_minute = settings.server.requests_per_minute
        made = await accounts.create(
            connection, operator(), email, currency=unit, per_minute=per_minute, credit_micros=micros
        )
    answer(
        as_json,
        {"account_id": str(made.account_id), "email": email, "live_key": made.live_key, "test_key": made.test_key},
        f"account {made.account_id} for {email}, balance {money.show(micros)} {unit}\n"
        f"live key  {made.live_key}\n"
        f"test key  {made.test_key}\n"
        "Keep the keys now: only their hashes are stored.",
    )


@account.command(context_settings={"ignore_unknown_options": True})  # so that -5 is an amount, and refused as one
@click.argument("email")
@click.argument("amount")
@click.option("--note", help="Why, for the audit.")
@common
@run
async def credit(email: str, amount: str, note: str | None, as_json: bool, data_dir: pathlib.Path | None) -> None:
    """Put money onto an account's balance."""
    micros = money.parse(amount)
    async with opened(data_dir) as (_, built), built.database.transaction() as connection:
        account_id = (await accounts.find(connection, email))["account_id"]
        balance = await journal.credit(connection, operator(), account_id, micros, note)
    available = money.show(balance.available_micros)
    answer(
        as_json,
        {"email": email, "credited": money.show(micros), "balance": available, "currency": balance.currency},
        f"{email} has {available} {balance.currency}",
    )


@account.command()
@click.argument("email")
@click.option("--per-minute", type=int, help="Requests a minute for each of the account's keys.")
@click.option("--account-per-minute", type=int, help="And for all of them together; 0: the operator's setting.")
@click.option("--burst", type=int, help="Requests that an idle key may send at once; 0: a whole minute's.")
@common
@run
async def limit(
    email: str,
    per_minute: int | None,
    account_per_minute: int | None,
    burst: int | None,
    as_json: bool,
    data_dir: pathlib.Path | None,
) -> None:
    """Set how many requests the account's keys may send; what is not given stays as it is."""
    wanted = {"per_minute": per_minute, "account_per_minute": account_per_minute, "burst": burst}
    if all(value is None for value in wanted.values()):
        raise click.UsageError("Give --per-minute, --account-per-minute or --burst.")
    async with opened(data_dir) as (settings, built), built.database.transaction() as connection:
        account_id = (await accounts.find(connection, email))["account_id"]
        kept = await accounts.set_limits(connection, operator(), account_id, **wanted)
    together = limits.account_share(
        kept["per_minute"], kept["account_per_minute"], settings.server.account_requests_per_minute
    )
    at_once = kept["burst"] or kept["per_minute"]
    answer(
        as_json,
        {"email": email, "per_minute": kept["per_minute"], "account_per_minute": together, "burst": at_once},
        f"{email} may send {kept['per_minute']} requests a minute by each key, {at_once} of them at once, "
        f"and {together} by all keys together",
    )


@account.command()
@click.argument("email")
@click.option("--from", "first", help="The first day, as in 2026-04-01. Default: of this month.")
@click.option("--to", "last", help="The last day. Default: today.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=pathlib.Path), help="A file; without it, stdout.")
@common
@run
async def statement(
    email: str,
    first: str | None,
    last: str | None,
    output: pathlib.Path | None,
    as_json: bool,
    data_dir: pathlib.Path | None,
) -> None:
    """An account's transfers as CSV, with the balance after each. --json says what was written, and needs --output."""
    if as_json and output is None:
        raise click.UsageError("--json needs --output.")
    since, until = usage.period(first, last, clock.now().date())
    count = -1  # the header is no transfer
    async with opened(data_dir) as (_, built):
        account_id = (await accounts.find(built.database, email))["account_id"]
        pieces = await statements.export(built.database, operator(), account_id, since, until)
        try:
            with click.open_file(str(output or "-"), "wb", atomic=output is not None) as file:
                async for lines in pieces:
                    count += lines.count(b"\n")
                    file.write(lines)
        except OSError as error:
            if isinstance(error, BrokenPipeError):
                raise
            raise OperatorError(f"{output} cannot be written: {error.strerror}.") from None
    if output:
        answer(
            as_json,
            {"email": email, "from": since, "to": until, "transfers": count, "output": str(output)},
            f"{count} transfers of {email} from {since} to {until} written to {output}",
        )


@account.command()
@click.argument("email")
@common
@run
async def show(email: str, as_json: bool, data_dir: pathlib.Path | None) -> None:
    """An account's balance and limits."""
    async with opened(data_dir) as (_, built):
        found = await accounts.find(built.database, email)
        balance = await journal.balance(built.database, found["account_id"])
    available, held = money.show(balance.available_micros), money.show(balance.held_micros)
    answer(
        as_json,
        {
            "account_id": str(found["account_id"]),
            "email": found["email"],
            "balance": available,
            "held": held,
            "currency": balance.currency,
            "per_minute": found["per_minute"],
            "frozen": found["frozen_reason"],
        },
        f"account {found['account_id']} for {found['email']}: {available} {balance.currency} available, "
        f"{held} held, {found['per_minute']} requests a minute"
        + (f"\nfrozen: {found['frozen_reason']}" if found["frozen_reason"] else ""),
    )
