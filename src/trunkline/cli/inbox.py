"""``trunkline inbox``: the texts that came in, and why each one went where it did."""

import pathlib

import click

from trunkline.activations import inbox as texts
from trunkline.activations import vault
from trunkline.cli.command import answer, common, opened, run
from trunkline.cli.terminal import say
from trunkline.clock import iso
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
    """Show the texts that no lease got, newest first, and why."""
    async with opened(data_dir) as (_, built):
        rows = await built.database.fetch(texts.SQL.inbox, everything, recipient, limit)
    if as_json:
        answer(True, {"texts": [_facts(row) for row in rows]}, "")
        return
    if not rows:
        say("no texts" if everything else "no texts without a lease; --all shows the others")
    for row in rows:
        lease = f"lease {row['activation_id']}" if row["activation_id"] else "nobody"
        body, _ = _opened(row)
        body = "(erased)" if body is None else " ".join(body.split())
        shown = body if len(body) <= SHOWN_OF_A_TEXT else body[: SHOWN_OF_A_TEXT - 1] + "…"
        say(f"{iso(row['received_at'])}  {row['sender']} → {row['recipient']}  {lease}: {row['reason'] or '-'}")
        say(f"    {shown}")


def _opened(row: Row) -> tuple[str | None, str | None]:
    """Body and code; None where they are erased. In the clear is what came before there were keys."""
    if row["body"] is not None:
        return row["body"], row["code"]
    return vault.unseal(row["key"], row["sealed"]) or (None, None)


def _facts(row: Row) -> dict[str, object]:
    body, code = _opened(row)
    return {
        "received_at": iso(row["received_at"]),
        "carrier": row["carrier"],
        "sender": row["sender"],
        "recipient": row["recipient"],
        "text": body,
        "code": code,
        "erased": body is None,
        "activation_id": str(row["activation_id"]) if row["activation_id"] else None,
        "reason": row["reason"],
    }
