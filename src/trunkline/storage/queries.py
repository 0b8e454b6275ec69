"""SQL kept in ``.sql`` files beside the code that calls it.

A file is a row of statements, each behind a line ``-- name: purchase``. Comments below that line stay with the
statement, so that the database's own logs show them.
"""

import functools
import importlib.resources
import re

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


class Queries:
    """The statements of one file as attributes: ``SQL.purchase``."""

    def __init__(self, origin: str, text: str) -> None:
        self._origin = origin
        pieces = _NAME.split(text)
        named = zip(pieces[1::2], pieces[2::2], strict=True)
        self._statements = {name: body.strip().rstrip(";") for name, body in named}

    def __getattr__(self, name: str) -> str:
        try:
            return self._statements[name]
        except KeyError:
            raise AttributeError(f"{self._origin} has no statement named {name}") from None

    def names(self) -> list[str]:
        return list(self._statements)


@functools.cache
def queries(package: str) -> Queries:
    """The statements in ``queries.sql`` of a package."""
    text = importlib.resources.files(package).joinpath("queries.sql").read_text("utf-8")
    return Queries(f"{package}/queries.sql", text)
