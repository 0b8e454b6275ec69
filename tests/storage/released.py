"""The statements of the last release, as its processes send them: ``python -m tests.storage.released`` at a release.

An upgrade never breaks a process of the release before (docs/upgrading.md): while several nodes are upgraded one after
the other, the old ones send these to the new schema.
"""

import pathlib
import re

import trunkline
from trunkline.storage.queries import Queries

FILE = pathlib.Path(__file__).with_name("released_statements.sql")
HEADER = "-- Every statement of the last release, as the database gets it. Written by `make released`; do not edit.\n"
_NAME = re.compile(r"^-- name: (\S+)\n", re.MULTILINE)


def statements() -> dict[str, str]:
    """By slice and name."""
    pieces = _NAME.split(FILE.read_text())
    return {name: text.strip().removesuffix(";") for name, text in zip(pieces[1::2], pieces[2::2], strict=True)}


def main() -> None:
    source = pathlib.Path(str(trunkline.__file__)).parent
    parts = [HEADER]
    for file in sorted(source.rglob("queries.sql")):
        found = Queries(str(file), file.read_text())
        parts += [
            f"-- name: {file.parent.relative_to(source)}:{name}\n{getattr(found, name)};\n" for name in found.names()
        ]
    FILE.write_text("\n".join(parts))


if __name__ == "__main__":
    main()
