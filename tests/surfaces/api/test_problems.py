"""Problems: what the code raises, what SQL answers with and what the document says of them is one thing."""

import importlib
import inspect
import pkgutil
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.surfaces.api.documented import DOCUMENT, check

import trunkline
from trunkline import errors
from trunkline.activations import lifecycle
from trunkline.errors import TrunklineError
from trunkline.surfaces.api.openapi import problems
from trunkline.surfaces.http import wire

SOURCE = Path(str(trunkline.__file__)).parent
for module in pkgutil.walk_packages(trunkline.__path__, "trunkline."):
    if not module.name.endswith(("__main__", ".keeper")):  # which run when they are imported
        importlib.import_module(module.name)
PRIVATE = "trunkline.carriers."  # errors between a carrier and its link, which nobody outside sees
KINDS = [
    kind
    for kind in problems.kinds()
    if kind.__module__.startswith("trunkline.") and not kind.__module__.startswith(PRIVATE)
]
PROBLEM = DOCUMENT["components"]["schemas"]["Problem"]


def raised(kind: type[TrunklineError]) -> dict[str, Any]:
    found: dict[str, Any] = problems.example(kind)["value"]
    return found


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_has_an_example_that_shows_what_it_always_says_and_fits_the_document(
    kind: type[TrunklineError],
) -> None:
    document = raised(kind)
    check(document, {"$ref": "#/components/schemas/Problem"})
    assert set(problems.members(kind)) <= set(PROBLEM["properties"])


def test_whatever_an_error_says_besides_is_in_the_document_with_its_meaning() -> None:
    named = {name for kind in KINDS for name in problems.members(kind)}
    assert {"cap", "spent", "period", "of", "success_rate", "success_floor", "disabled_reason", "retry_at"} <= named
    told = {name: each for name, each in PROBLEM["properties"].items() if name != "success"}
    undescribed = [name for name, each in told.items() if "description" not in each]
    assert undescribed == []


def test_an_error_takes_no_fact_that_it_does_not_name() -> None:
    with pytest.raises(TypeError, match="something_new"):
        errors.RateLimited("Too many.", something_new=1)  # type: ignore[call-arg]
    said = errors.RateLimited("Too many.", limit="key")
    assert (str(said), said.members()) == ("Too many.", {"limit": "key"})


def test_a_code_means_one_thing() -> None:
    by_code: dict[str, type[TrunklineError]] = {}
    for kind in KINDS:  # heirs come after what they descend from
        assert issubclass(kind, by_code.setdefault(kind.code, kind)), f"{kind.__name__} has another error's code"


def test_the_tree_that_errors_draws_is_the_one_that_there_is() -> None:
    drawn = set(re.findall(r"^[│├└─ ]*(\w+)(?: \d{3})?", inspect.getdoc(errors) or "", re.MULTILINE))
    general = {kind.__name__ for kind in KINDS if kind.__module__ == errors.__name__}
    assert general <= drawn


def test_every_problem_that_sql_answers_with_becomes_an_error_with_that_code() -> None:
    codes = {kind.code for kind in KINDS}
    answered = set()
    for file in SOURCE.rglob("*.sql"):
        for assigned in re.findall(r"problem := ([^;]*);", file.read_text()):
            answered |= set(re.findall(r"'(\w+)'", re.sub(r"WHEN '\w+'", "", assigned)))
    assert len(answered) > 10
    assert answered <= codes
    handled = set(re.findall(r'case "(\w+)"', inspect.getsource(lifecycle)))
    assert answered - handled == set(), "nobody makes an error of these"


def test_members_are_sent_as_they_are_and_what_is_unset_is_left_out() -> None:
    sent = msgspec.json.decode(wire.problem(errors.PaymentRequired("No.", balance=msgspec.UNSET), "req_1"))
    assert "balance" not in sent
    assert sent["code"] == "insufficient_balance"
