"""The schema of a problem document (RFC 9457), derived from the classes of errors, and an example of each."""

import dataclasses
import typing
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from trunkline.errors import TrunklineError
from trunkline.surfaces.api.openapi.words import Schema
from trunkline.surfaces.http import wire

_REQUEST_ID = "Names this request in the operator's log, as `X-Request-Id` does."
REQUEST_ID = "req_6f1d2c9be07a43d58e10"


def kinds(root: type[TrunklineError] = TrunklineError) -> Iterator[type[TrunklineError]]:
    """A class of errors and all that descend from it, of the modules that are imported."""
    yield root
    for kind in root.__subclasses__():
        yield from kinds(kind)


def members(kind: type[TrunklineError]) -> dict[str, Any]:
    """The types of a class's own and inherited members, by name, without their being left out."""
    types = typing.get_type_hints(kind, include_extras=True)
    return {each.name: _given(types[each.name]) for each in dataclasses.fields(kind) if each.name != "detail"}


def _given(member: Any) -> Any:
    parts = [part for part in typing.get_args(member) if part is not UnsetType]
    return typing.Union[tuple(parts)] if UnsetType in typing.get_args(member) else member  # noqa: UP007


def problem() -> type[msgspec.Struct]:
    """``Problem``: what every error has, and the members that any class adds; one name has one type and meaning."""
    found: dict[str, Any] = {}
    for kind in kinds():
        for name, member in members(kind).items():
            assert found.setdefault(name, member) == member, f"{kind.__name__}.{name} is of another type elsewhere"
    always = [
        ("success", Literal[False]),
        ("type", Annotated[str, Meta(description="`urn:trunkline:error:` and the code.")]),
        ("title", Annotated[str, Meta(description="The error in a few words.")]),
        ("status", Annotated[int, Meta(description="The HTTP status.", examples=[404])]),
        ("detail", Annotated[str, Meta(description="One sentence for the caller.")]),
        ("code", Annotated[str, Meta(description="The stable name of the error, for programs.")]),
        ("request_id", Annotated[str, Meta(description=_REQUEST_ID)]),
    ]
    struct = msgspec.defstruct("Problem", [*always, *((name, each | UnsetType, UNSET) for name, each in found.items())])
    struct.__doc__ = (
        "An error, as RFC 9457 says. The members after `request_id` stand where they help the caller to act."
    )
    return struct


def example(kind: type[TrunklineError]) -> Schema:
    said = dict(kind.__dict__.get("example", {"detail": f"{kind.title}."}))
    value = wire.problem(kind(said.pop("detail"), **said), REQUEST_ID)
    return {"summary": kind.title, "value": msgspec.json.decode(value)}
