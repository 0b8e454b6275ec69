"""The schema as a file, to be read and compared: ``python -m tests.storage.snapshot`` writes it (``make snapshot``).

Of functions it has the signatures: their bodies stand in the slices' routines.
"""

import asyncio
import os
import pathlib
import re
import subprocess
import tempfile

import pytest

from trunkline.storage import embedded
from trunkline.storage.migrate import migrate

FILE = pathlib.Path(__file__).with_name("schema.sql")

embedded_only = pytest.mark.skipif(
    "TRUNKLINE_TEST_DATABASE_URL" in os.environ, reason="pg_dump must be of the server's version"
)
HEADER = "-- What the migrations and the routines make. Written by `python -m tests.storage.snapshot`; do not edit.\n"


def dump(url: str) -> str:
    """The schema of a database, without what differs between two dumps of the same one."""
    program = embedded.programs() / "pg_dump"
    done = subprocess.run(
        [str(program), "--schema-only", "--no-owner", "--no-privileges", url],
        capture_output=True, text=True, check=True, env=os.environ | {"PGTZ": "UTC"},
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if not re.match(r"--|SET |SELECT pg_catalog|\\", line)]
    whole = re.sub(r"\n    AS (\$\w*\$).*?\1;", ";", "\n".join(lines), flags=re.DOTALL)
    return HEADER + re.sub(r"\n{2,}", "\n\n", whole).strip() + "\n"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        server = embedded.start(pathlib.Path(folder) / "data")
        asyncio.run(migrate(server.url))
        FILE.write_text(dump(server.url))
        server.release()
        embedded.wait_until_stopped(pathlib.Path(folder) / "data")


if __name__ == "__main__":
    main()
