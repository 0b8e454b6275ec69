"""``trunkline numbers move``, ``retire`` and ``remove``."""

import itertools
import pathlib
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

import click

from trunkline import tables
from trunkline.accounts.policy import check_reason
from trunkline.catalog import moving
from trunkline.catalog import numbers as pool
from trunkline.catalog.numbers import Row
from trunkline.cli.command import answer, common, opened, operator, run
from trunkline.errors import InvalidRequest, OperatorError
from trunkline.phone import parse_e164
from trunkline.storage.database import Database, Querier

SHOWN = 50


def which(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the ways to name numbers: one by one, a file, or all of a carrier."""
    for option in (
        click.option("--carrier", help="All numbers of this carrier, which need not be in the settings any more."),
        click.option("--file", type=click.File("rb"), help="A CSV whose first column is the numbers; - for input."),
        click.argument("numbers", nargs=-1),
    ):
        function = option(function)
    return function


@click.command()
@which
@click.option("--to", "target", required=True, help="The carrier's name in the settings.")
@common
@run
async def move(
    numbers: tuple[str, ...],
    file: BinaryIO | None,
    carrier: str | None,
    target: str,
    as_json: bool,
    data_dir: pathlib.Path | None,
) -> None:
    """Bring numbers to another carrier. Leases that run on them go on."""
    async with opened(data_dir) as (_, built):
        if target not in built.registry.carriers or target == pool.SIMULATED:
            names = ", ".join(sorted(set(built.registry.carriers) - {pool.SIMULATED})) or "none"
            raise OperatorError(f"There is no carrier {target!r} in the settings; there are: {names}.")
        chosen = await _chosen(built.database, numbers, file, carrier)
        moved = await bring(built.database, [Row(0, e164, "", "") for e164 in chosen], target)
    answer(as_json, {"moved": moved, "carrier": target}, f"{moved} numbers moved to {target}")


@click.command()
@which
@click.option("--reason", default="retired", show_default=True, help="For the audit, and for whoever looks.")
@common
@run
async def retire(
    numbers: tuple[str, ...],
    file: BinaryIO | None,
    carrier: str | None,
    reason: str,
    as_json: bool,
    data_dir: pathlib.Path | None,
) -> None:
    """Lease numbers no more. Leases that run get their texts to the end; unfreeze puts a number back."""
    check_reason(reason)
    async with opened(data_dir) as (_, built):
        chosen = await _chosen(built.database, numbers, file, carrier)
        async with built.database.transaction() as connection:
            retired = await moving.retire(connection, operator(), chosen, reason)
    answer(as_json, {"retired": retired}, f"{retired} numbers retired")


@click.command()
@which
@common
@run
async def remove(
    numbers: tuple[str, ...],
    file: BinaryIO | None,
    carrier: str | None,
    as_json: bool,
    data_dir: pathlib.Path | None,
) -> None:
    """Take numbers out of the pool for good, as far as no lease runs or rests on them."""
    stay: dict[str, str] = {}
    removed = 0
    async with opened(data_dir) as (_, built):
        chosen = await _chosen(built.database, numbers, file, carrier)
        for chunk in _chunks(chosen):

            async def whole(connection: Querier, chunk: list[str] = chunk) -> dict[str, str | None]:
                return await moving.remove(connection, operator(), chunk)

            found = await built.database.transact(whole)
            stay |= {e164: why for e164, why in found.items() if why is not None}
            removed += sum(why is None for why in found.values())
    for e164, why in itertools.islice(stay.items(), SHOWN):
        click.echo(f"{e164} {why}", err=True)
    facts = {"removed": removed, "stay": [{"e164": e164, "reason": why} for e164, why in stay.items()]}
    answer(as_json, facts, f"{removed} numbers removed" + (f", {len(stay)} stay" if stay else ""))
    if stay:
        raise OperatorError(f"{len(stay)} numbers cannot be removed yet; numbers retire keeps new leases off them.")


async def bring(database: Database, rows: Sequence[Row], carrier: str) -> int:
    """Moves numbers chunk by chunk, each with its act in the audit; how many went. Done again it goes on."""
    moved = 0
    by_number = {row.e164: row for row in rows}
    for chunk in _chunks(list(by_number)):

        async def whole(connection: Querier, chunk: list[str] = chunk) -> int:
            return len(await moving.move(connection, operator(), [by_number[e164] for e164 in chunk], carrier))

        moved += await database.transact(whole)
    return moved


async def _chosen(database: Database, numbers: Sequence[str], file: BinaryIO | None, carrier: str | None) -> list[str]:
    if sum((bool(numbers), file is not None, carrier is not None)) != 1:
        raise click.UsageError("Give numbers, or --file, or --carrier.")
    if carrier is not None:
        return await moving.of_carrier(database, carrier)
    chosen = [parse_e164(number) for number in numbers] if file is None else _of_file(file)
    await moving.known(database, chosen)
    return chosen


def _of_file(file: BinaryIO) -> list[str]:
    found: dict[str, None] = {}
    for record in tables.records(tables.lines(file.read()), pool.COLUMNS):
        if not found and record.cells and record.cells[0].lower() == pool.COLUMNS[0]:
            continue
        try:
            if record.fault:
                raise InvalidRequest(f"{record.fault}.")
            found[pool.read_number(record.cells[0])] = None
        except InvalidRequest as error:
            raise OperatorError(f"Line {record.line}: {error.detail}") from None
    return list(found)


def _chunks(numbers: list[str]) -> list[list[str]]:
    return [numbers[at : at + moving.CHUNK] for at in range(0, len(numbers), moving.CHUNK)]
