"""``trunkline account policy``, ``freeze`` and ``unfreeze``."""

import pathlib
from decimal import Decimal
from typing import Any

import click

from trunkline import money
from trunkline.accounts import accounts
from trunkline.accounts import policy as policies
from trunkline.accounts.caps import Caps
from trunkline.accounts.policy import Overrides
from trunkline.activations import freezing
from trunkline.cli.command import answer, common, opened, operator, run
from trunkline.config import Config
from trunkline.errors import InvalidRequest
from trunkline.storage.database import Querier

# What may be set, as its option is called.
FIELDS = {name.removesuffix("_micros").replace("_", "-"): name for name in Overrides.__struct_fields__}


@click.command()
@click.argument("email")
@click.option("--max-active", type=int, help="Leases on real carriers at a time.")
@click.option("--purchases-per-hour", type=int, help="Of numbers on real carriers.")
@click.option("--cancels-per-hour", type=int, help="Of leases on real carriers.")
@click.option("--success-floor", type=float, help="The share of its last leases that must have got a text: 0.2.")
@click.option("--test-max-active", type=int, help="Leases by its test keys at a time.")
@click.option("--test-max-any", type=int, help="Of them for the service any.")
@click.option("--test-country-share", type=float, help="Of a country's test numbers, leased at a time: 0.2.")
@click.option("--test-purchases-per-day", type=int, help="With its test keys, in a day of UTC.")
@click.option("--retention-days", type=int, help="How long texts are kept after their lease's end.")
@click.option("--low-balance", help="The balance below which the customer is told: 5.00.")
@click.option("--cap-day", help="What may be spent in a day of UTC.")
@click.option("--cap-month", help="What may be spent in a calendar month of UTC.")
@click.option("--reset", type=click.Choice(list(FIELDS)), multiple=True, help="Back to the settings', or to no limit.")
@common
@run
async def policy(
    email: str,
    reset: tuple[str, ...],
    as_json: bool,
    data_dir: pathlib.Path | None,
    **given: float | str | None,
) -> None:
    """An account's caps and limits, and where each comes from; options change them."""
    changes: dict[str, policies.Value] = {FIELDS[name]: None for name in reset}
    for option, value in given.items():
        name = option.replace("_", "-")
        if value is not None and name in reset:
            raise InvalidRequest(f"--{name} is given and reset at once.", field=option)
        if isinstance(value, str):
            changes[FIELDS[name]] = money.parse(value, field=option)
        elif value is not None:
            changes[FIELDS[name]] = Decimal(str(value)) if isinstance(value, float) else value
    async with opened(data_dir) as (settings, built), built.database.transaction() as connection:
        found = await accounts.find(connection, email)
        account_id = found["account_id"]
        if changes:
            own = await policies.override(connection, operator(), account_id, changes)
        else:
            own = await policies.of(connection, account_id)
    rows = _effective(own, settings)
    answer(
        as_json,
        {"email": found["email"], "frozen": found["frozen_reason"], "policy": rows},
        "\n".join(
            [f"{found['email']} is frozen: {found['frozen_reason']}"] * bool(found["frozen_reason"])
            + [
                f"{name:<24}{'none' if row['from'] is None else row['value']!s:<8}{row['from'] or ''}".rstrip()
                for name, row in rows.items()
            ]
        ),
    )


def _effective(own: Overrides, settings: Config) -> dict[str, dict[str, Any]]:
    general = {name: getattr(settings.policy, name) for name in Caps.__struct_fields__}
    general["retention_days"] = settings.retention.days
    rows = {}
    for name, field in FIELDS.items():
        value = getattr(own, field)
        if value is not None and field.endswith("_micros"):
            value = money.show(value)
        rows[name.replace("-", "_")] = {
            "value": general.get(field) if value is None else value,
            "from": "account" if value is not None else "settings" if field in general else None,
        }
    return rows


@click.command()
@click.argument("email")
@click.option("--reason", required=True, help="Shown to the customer, in every refusal.")
@common
@run
async def freeze(email: str, reason: str, as_json: bool, data_dir: pathlib.Path | None) -> None:
    """Refuse an account's keys within 2 s, and end its leases now: those without a text are refunded in full."""

    async def whole(connection: Querier) -> tuple[int, int]:
        account_id = (await accounts.find(connection, email))["account_id"]
        return account_id, await freezing.freeze(connection, operator(), account_id, reason)

    async with opened(data_dir) as (_, built):
        account_id, ended = await built.database.transact(whole)
    answer(
        as_json,
        {"account_id": str(account_id), "email": email, "frozen": reason, "leases_ended": ended},
        f"{email} is frozen: {reason}; {ended} leases were ended",
    )


@click.command()
@click.argument("email")
@common
@run
async def unfreeze(email: str, as_json: bool, data_dir: pathlib.Path | None) -> None:
    """Let an account's keys work again."""
    async with opened(data_dir) as (_, built), built.database.transaction() as connection:
        account_id = (await accounts.find(connection, email))["account_id"]
        await freezing.unfreeze(connection, operator(), account_id)
    answer(as_json, {"account_id": str(account_id), "email": email, "frozen": None}, f"{email} is not frozen any more")
