"""Named queries with named parameters: SQL kept in ``.sql`` files beside the code that calls it.

A file is a row of statements, each behind a line ``-- name: purchase``. Comments below that line stay with the
statement, so that the database's own logs show them. A parameter is a name, ``:account``; the database gets ``$1``, and
so on in the order in which the names first appear.
"""

import functools
import importlib.resources
import operator
import re
from collections.abc import Callable
from typing import Any, TypeAlias

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)

# What is passed over (strings, quoted names, comments, dollar quotes), a parameter by number, a parameter by name. A
# colon after a value or a bracket is an array's slice, unless the bracket opens an ARRAY[]; two are a cast.
_TOKEN = re.compile(
    r"""'(?:[^']|'')*' | "[^"]*" | --[^\n]* | /\*.*?\*/ | (?P<quote>\$[a-z_]*\$).*?(?P=quote)
      | (?P<number>\$\d+) | (?:(?<=ARRAY\[)|(?<![\w\]\[):])):(?P<name>[a-z]\w*)""",
    re.VERBOSE | re.DOTALL,
)


_Getter: TypeAlias = Callable[[dict[str, Any]], tuple[Any, ...]]

_parameters: dict[str, tuple[tuple[str, ...], _Getter]] = {}  # of each statement, as the database reads it


def bind(statement: str, /, **values: Any) -> tuple[Any, ...]:
    """A statement and its values, in order: ``connection.fetch(*bind(SQL.key, key=…, account=…))``.

    Raises TypeError where a value is missing, or is none of the statement's.
    """
    names, ordered = _parameters[statement]
    try:
        if len(values) == len(names):
            return (statement, *ordered(values))
    except KeyError:
        pass
    raise TypeError(f"The statement takes {', '.join(names)}; given were {', '.join(values)}: {statement}")


def numbered(name: str, text: str) -> str:
    """A statement as the database reads it. Raises ValueError where a parameter has a number."""
    places: dict[str, int] = {}

    def number(token: re.Match[str]) -> str:
        if token["number"] is not None:
            raise ValueError(f"The statement {name} has a parameter with a number, {token[0]}, where names are given.")
        if token["name"] is None:
            return token[0]
        return f"${places.setdefault(token['name'], len(places) + 1)}"

    statement = _TOKEN.sub(number, text)
    names = tuple(places)
    if _parameters.setdefault(statement, (names, _getter(names)))[0] != names:
        raise ValueError(f"The statement {name} stands elsewhere with other names.")
    return statement


def _getter(names: tuple[str, ...]) -> _Getter:
    """What takes values by name; an itemgetter of one name alone would give no tuple."""
    if len(names) > 1:
        return operator.itemgetter(*names)
    return lambda values: tuple(values[name] for name in names)


class Queries:
    """The statements of one file as attributes: ``SQL.purchase``."""

    def __init__(self, origin: str, text: str) -> None:
        self._origin = origin
        pieces = _NAME.split(text)
        named = zip(pieces[1::2], pieces[2::2], strict=True)
        self._statements = {name: numbered(name, body.strip().rstrip(";")) for name, body in named}

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
