"""SQL keeps the law of the slices: a function calls what its own slice defines, or one below it."""

import re
import tomllib
from pathlib import Path

import trunkline

SOURCE = Path(str(trunkline.__file__)).parent
PROJECT = Path(__file__).parents[2] / "pyproject.toml"

FUNCTION = re.compile(r"CREATE (?:OR REPLACE )?FUNCTION (\w+)\s*\(.*?\$\$(.*?)\$\$", re.DOTALL)
BEGINS = re.compile(r"CREATE (?:OR REPLACE )?FUNCTION")
UNREAD = re.compile(r"--[^\n]*|'(?:[^']|'')*'")  # comments and strings
ROUTINES = [file for file in SOURCE.rglob("*.sql") if "routines" in (file.stem, file.parent.name)]


def _floors() -> dict[str, int]:
    """The floor of each slice, the lowest is the greatest; those on one floor do not know each other."""
    contract = tomllib.loads(PROJECT.read_text())["tool"]["importlinter"]["contracts"][0]
    return {name.strip(): floor for floor, line in enumerate(contract["layers"]) for name in line.split("|")}


def _functions() -> dict[str, tuple[str, str]]:
    """Slice and body of every function."""
    found: dict[str, tuple[str, str]] = {}
    for file in ROUTINES:
        text = UNREAD.sub("", file.read_text())
        own = FUNCTION.findall(text)
        assert len(own) == len(BEGINS.findall(text)), f"{file} has a function that is not read here"
        for name, body in own:
            owner = file.relative_to(SOURCE).parts[0]
            assert name not in found, f"{name} is defined by {owner} and by {found[name][0]}"
            found[name] = owner, body
    return found


def test_every_function_has_one_owner() -> None:
    assert len(_functions()) > 50


def test_functions_call_only_those_of_their_own_slice_and_of_slices_below() -> None:
    functions, floors = _functions(), _floors()
    rising = [
        f"{name} ({slice_}) calls {called} ({functions[called][0]})"
        for name, (slice_, body) in functions.items()
        for called in sorted(set(re.findall(r"\b(\w+)\s*\(", body)) & functions.keys())
        if functions[called][0] != slice_ and floors[functions[called][0]] <= floors[slice_]
    ]
    assert rising == []
