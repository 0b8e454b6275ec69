"""``trunkline extract``: the code in a text, and why it is that one."""

import codecs
import json
import sys
from collections.abc import Iterable
from typing import Any

import click
import msgspec

from trunkline.activations.matching import Senders
from trunkline.catalog import services
from trunkline.cli.terminal import exact, say
from trunkline.codes import Brands, Extraction
from trunkline.codes import extract as extract_code
from trunkline.errors import OperatorError
from trunkline.surfaces.http import wire


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
@click.option("--explain", is_flag=True, help="Say what decided, and which numbers were turned down, and why.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
@click.option("--data-dir", hidden=True, help="Not needed here: the starter set of services is used.")
def extract(
    text: str | None,
    file: Iterable[bytes] | None,
    explain: bool,
    as_json: bool,
    data_dir: str | None,  # noqa: ARG001
) -> None:
    """Read the code out of TEXT, or out of each line of a JSONL file, in the order asked."""
    if (text is None) == (file is None):
        raise click.UsageError("Give a TEXT, or --jsonl FILE.")
    rows = services.starter_set()
    brands = Brands((row["slug"], row["name"], row["domain"], _list(row["aliases"])) for row in rows)
    if file is not None:
        senders = Senders({row["slug"]: _list(row["senders"]) for row in rows}, brands)
        _lines(file, brands, senders, explain=explain)
        return
    found = extract_code(text or "", brands)
    if as_json:
        whole = {"code": found.code, "service": found.service} | (_reasons(found) if explain else {})
        click.echo(exact(wire.encode(whole).decode()))
    else:
        say(found.code if found.code is not None else "no code")
        if explain:
            say(*_words(found))


def _list(cell: str) -> list[str]:
    return cell.split(";") if cell else []


def _lines(file: Iterable[bytes], brands: Brands, senders: Senders, *, explain: bool) -> None:
    decoder = msgspec.json.Decoder(Line)
    out = sys.stdout.buffer
    for number, raw in enumerate(file, 1):
        if number == 1:
            raw = raw.removeprefix(codecs.BOM_UTF8)
        if not raw.strip():
            continue
        try:
            line = decoder.decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            halved = _with_halves(raw)
            if halved is None:
                out.flush()
                raise OperatorError(f"Line {number} is not {{id, text}}: {error}.") from None
            line = halved
        found = extract_code(line.text, brands)
        service = found.service or (senders.service(line.sender) if line.sender else None)
        answer = {"id": line.id, "code": found.code, "service": service}
        whole = answer | _reasons(found) if explain else answer
        try:
            out.write(exact(wire.encode(whole).decode()).encode() + b"\n")
        except UnicodeEncodeError:  # the id has half a surrogate pair
            out.write(json.dumps(whole).encode() + b"\n")
    out.flush()


def _with_halves(raw: bytes) -> Line | None:
    """A line whose text holds half of a surrogate pair, as phones cut them; None where it is no line at all."""
    try:
        return msgspec.convert(json.loads(raw.decode("utf-8", "surrogatepass")), Line)
    except (ValueError, RecursionError):
        return None


def _reasons(found: Extraction) -> dict[str, Any]:
    return {
        "kind": found.kind,
        "confidence": round(found.confidence, 2),
        "link": found.link,
        "decided": found.grounds.decided(),
        "named": found.grounds.named(),
        "rejected": [candidate._asdict() for candidate in found.grounds.rejected()],
    }


def _words(found: Extraction) -> list[str]:
    """The reasons for a person, one to a line."""
    lines = [("decided", found.grounds.decided())]
    lines += [("rejected", f"{text}: {reason}") for text, reason in found.grounds.rejected()]
    lines.append(("service", found.grounds.named() or "the text names none of the catalog"))
    if found.link:
        lines.append(("link", found.link))
    lines.append(("sure", f"{found.confidence:.0%}, kind {found.kind}"))
    return [f"  {name:<10}{words}" for name, words in lines]
