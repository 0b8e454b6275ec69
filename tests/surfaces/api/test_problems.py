"""Problems: what the code raises, what SQL answers with and what the document says of them is one thing."""

import dataclasses
import importlib
import inspect
import pkgutil
import re
import types
import typing
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.surfaces.api.documented import DOCUMENT, check

import trunkline
from trunkline import errors
from trunkline.activations import lifecycle
from trunkline.activations.problems import SmsAlreadyReceived
from trunkline.activations.views import Sms
from trunkline.errors import TrunklineError
from trunkline.surfaces.api.openapi import problems
from trunkline.surfaces.http import wire
from trunkline.verify import checking
from trunkline.verify.problems import Reason

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


def test_the_document_knows_every_code_that_a_caller_can_get_and_no_other() -> None:
    inward = {
        "conflict",  # what its heirs have in common
        "no_answer",  # of a URL that was called, which what called it tells in its own words
        "operator_error",  # of a command
    }
    assert set(DOCUMENT["components"]["examples"]) == {kind.code for kind in KINDS} - inward


def test_the_pages_name_codes_that_there_are_with_their_status() -> None:
    statuses = {kind.code: kind.status for kind in KINDS}
    pages = [SOURCE.parent.parent / "README.md", *(SOURCE.parent.parent / "docs").rglob("*.md")]
    named = [
        (page.name, code, int(status))
        for page in pages
        for status, code in re.findall(r"\b([45]\d\d) `([a-z_]+)`", page.read_text("utf-8"))
    ]
    assert len(named) > 20
    assert [each for each in named if statuses.get(each[1]) != each[2]] == []


VALUES: dict[Any, st.SearchStrategy[Any]] = {
    Decimal: st.decimals(0, 10**9, places=6),
    Sms: st.just(SmsAlreadyReceived.example["sms"]),
    Reason: st.just(Reason("prefix_volume", 61, 60)),
    float: st.floats(0, 1),
    int: st.integers(0, 2**53),
    str: st.text(max_size=20),
}


def values(member: Any) -> st.SearchStrategy[Any]:
    """What a member of a type may be."""
    inner = typing.get_args(member)
    match typing.get_origin(member):
        case typing.Annotated:
            return values(inner[0])
        case typing.Union | types.UnionType:
            return st.one_of(*(values(each) for each in inner))
        case origin if origin is list:
            return st.lists(values(inner[0]), max_size=3)
    return VALUES[member] if member in VALUES else st.from_type(member)


@given(st.sampled_from(KINDS), st.data())
def test_whatever_members_an_error_is_given_its_problem_fits_the_document(
    kind: type[TrunklineError], data: st.DataObject
) -> None:
    may_be_left_out = {each.name for each in dataclasses.fields(kind) if each.default is msgspec.UNSET}
    said = {
        name: data.draw(st.just("2026-04-19T14:32:00Z") if name.endswith("_at") else values(member), name)
        for name, member in problems.members(kind).items()
        if name not in may_be_left_out or data.draw(st.booleans())
    }
    check(msgspec.json.decode(wire.problem(kind("No.", **said), "req_1")), {"$ref": "#/components/schemas/Problem"})


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
    drawn: list[tuple[str, str, int]] = []  # name, parent, status
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if found := re.match(r"([│├└─ ]*)([A-Z]\w+)(?: (\d{3}))?(?:  |$| \w+_\w+$)", line):
            depth, name = len(found[1]) // 4, found[2]
            above[depth:] = [name]
            parent = above[depth - 1] if depth else ""
            inherited = next((status for each, _, status in drawn if each == parent), 0)
            drawn.append((name, parent, int(found[3] or inherited)))
    there = [
        (kind.__name__, "" if kind is TrunklineError else kind.__mro__[1].__name__, kind.status)
        for kind in KINDS
        if kind.__module__ == errors.__name__
    ]
    assert sorted(drawn) == sorted(there)


def test_every_problem_that_sql_answers_with_becomes_an_error_with_that_code() -> None:
    codes = {kind.code for kind in KINDS}
    answered = set()
    for file in SOURCE.rglob("*.sql"):
        for assigned in re.findall(r"problem := ([^;]*);", file.read_text()):
            answered |= set(re.findall(r"'(\w+)'", re.sub(r"WHEN '\w+'", "", assigned)))
    assert len(answered) > 10
    assert answered <= codes
    handled = set(re.findall(r'case "(\w+)"', inspect.getsource(lifecycle) + inspect.getsource(checking)))
    assert answered - handled == set(), "nobody makes an error of these"
    assert handled & codes - answered == set(), "SQL answers with none of these"


def test_members_are_sent_as_they_are_and_what_is_unset_is_left_out() -> None:
    sent = msgspec.json.decode(wire.problem(errors.PaymentRequired("No.", balance=msgspec.UNSET), "req_1"))
    assert "balance" not in sent
    assert sent["code"] == "insufficient_balance"
