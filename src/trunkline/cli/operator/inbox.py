"""``trunkline inbox``: the texts that came in, and why each one went where it did."""

import datetime
import itertools
import pathlib

import click

from trunkline.activations import inbox as texts
from trunkline.activations import long_texts
from trunkline.cli.command import answer, common, opened, run
from trunkline.cli.terminal import say
from trunkline.clock import iso
from trunkline.storage import vault
from trunkline.storage.database import Row

SHOWN_OF_A_TEXT = 100  # characters, for a person


@click.command()
@click.option("--all", "everything", is_flag=True, help="Also the texts that went to a lease.")
@click.option("--to", "recipient", help="Only the texts to this number, as +E.164.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@common
@run
async def inbox(
    everything: bool, recipient: str | None, limit: int, as_json: bool, data_dir: pathlib.Path | None
) -> None:
    """Show the texts that no lease got, that came again, or whose parts are missing, newest first, and why."""
    async with opened(data_dir) as (_, built):
        rows = await built.database.fetch(texts.SQL.inbox, everything, recipient, limit)
        parts = await built.database.fetch(texts.SQL.parts_waiting, recipient, limit)
    by_text = itertools.groupby(parts, key=lambda row: row["assembly_id"])
    found = [_unfinished(list(group)) for _, group in by_text] + [_facts(row) for row in rows]
    found = sorted(found, key=lambda facts: str(facts["received_at"]), reverse=True)[:limit]  # stable
    if as_json:
        answer(True, {"texts": found}, "")
        return
    if not found:
        say("no texts" if everything else "no texts without a lease; --all shows the others")
    for facts in found:
        lease = f"lease {facts['activation_id']}" if facts["activation_id"] else "nobody"
        if facts["repeats"]:
            lease += f" (came again {facts['repeats']} times, last at {facts['repeated_at']})"
        body = facts["text"]
        body = "(erased)" if body is None else " ".join(str(body).split())
        shown = body if len(body) <= SHOWN_OF_A_TEXT else body[: SHOWN_OF_A_TEXT - 1] + "…"
        say(
            f"{facts['received_at']}  {facts['sender']} → {facts['recipient']}  {facts['outcome']}, {lease}:"
            f" {facts['reason'] or '-'}"
        )
        say(f"    {shown}")


def _facts(row: Row) -> dict[str, object]:
    body, code = vault.opened(row["body"], row["code"], row["key"], row["sealed"])
    return {
        "received_at": iso(row["received_at"]),
        "carrier": row["carrier"],
        "sender": row["sender"],
        "recipient": row["recipient"],
        "text": body,
        "code": code,
        "erased": body is None,
        "activation_id": str(row["activation_id"]) if row["activation_id"] else None,
        "outcome": row["outcome"],
        "reason": row["reason"],
        "incomplete": row["incomplete"],
        "repeats": row["repeats"],
        "repeated_at": _instant(row["repeated_at"]),
    }


def _unfinished(parts: list[Row]) -> dict[str, object]:
    """A long text that waits for its missing parts."""
    first = parts[0]
    numbers = ", ".join(str(part["number"]) for part in parts)
    return {
        "received_at": iso(first["began_at"]),
        "carrier": first["carrier"],
        "sender": first["sender"],
        "recipient": first["recipient"],
        "text": long_texts.joined(parts, first["total"]),
        "code": None,
        "erased": False,
        "activation_id": None,
        "outcome": "incomplete",
        "reason": f"part {numbers} of {first['total']} has come, the rest is waited for",
        "incomplete": True,
        "repeats": 0,
        "repeated_at": None,
    }


def _instant(moment: datetime.datetime | None) -> str | None:
    return iso(moment) if moment else None
