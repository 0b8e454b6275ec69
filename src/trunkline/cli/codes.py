"""``trunkline extract``: the code in a text."""

import sys
from collections.abc import Iterable
from typing import Any

import click
import msgspec

from trunkline.activations.codes import Brands
from trunkline.activations.codes import extract as extract_code
from trunkline.api import wire
from trunkline.catalog import services
from trunkline.errors import OperatorError


class Line(msgspec.Struct):
    """A line of JSONL; members that it does not know are left alone."""

    id: Any
    text: str
    sender: str | None = None


@click.command()
@click.argument("text", required=False)
@click.option(
    "--jsonl", "file", type=click.File("rb"), help="Lines of {id, text}, from a file or - for standard input."
)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@click.option("--data-dir", hidden=True, help="Not needed here: the starter set of services is used.")
def extract(text: str | None, file: Iterable[bytes] | None, as_json: bool, data_dir: str | None) -> None:  # noqa: ARG001
    """Read the code out of TEXT, or out of each line of a JSONL file, in the order asked."""
    if (text is None) == (file is None):
        raise click.UsageError("Give a TEXT, or --jsonl FILE.")
    brands = Brands(
        (row["slug"], row["name"], row["domain"], row["aliases"].split(";") if row["aliases"] else [])
        for row in services.starter_set()
    )
    if file is not None:
        _lines(file, brands)
        return
    found = extract_code(text or "", brands)
    if as_json:
        click.echo(wire.encode({"code": found.code, "service": found.service}))
    else:
        click.echo(found.code if found.code is not None else "no code")


def _lines(file: Iterable[bytes], brands: Brands) -> None:
    decoder = msgspec.json.Decoder(Line)
    out = sys.stdout.buffer
    for number, raw in enumerate(file, 1):
        if not raw.strip():
            continue
        try:
            line = decoder.decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            out.flush()
            raise OperatorError(f"Line {number} is not {{id, text}}: {error}.") from None
        found = extract_code(line.text, brands)
        out.write(wire.encode({"id": line.id, "code": found.code, "service": found.service}) + b"\n")
    out.flush()
