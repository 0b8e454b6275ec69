"""JSON Schema 2020-12 of the structs that travel, as msgspec makes it and as this API means it."""

import types
import typing
from collections.abc import Iterator
from typing import Any

import msgspec

from trunkline import money
from trunkline.activations import lifecycle
from trunkline.events import told
from trunkline.surfaces.api.openapi.problems import problem
from trunkline.surfaces.api.openapi.words import Schema
from trunkline.surfaces.http.route import Route
from trunkline.verify import starting

REF = "#/components/schemas/"


def pascal(name: str) -> str:
    return "".join(word[:1].upper() + word[1:] for word in name.split("_"))


def _parts(kind: Any) -> Iterator[Any]:
    """The types in an answer that msgspec can describe: it refuses a union of structs, so that is taken apart."""
    if typing.get_origin(kind) in (list, dict, types.UnionType) and not _optional(kind):
        for inner in typing.get_args(kind):
            yield from _parts(inner)
    else:
        yield kind


def _optional(kind: Any) -> bool:
    return type(None) in typing.get_args(kind)


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if "$ref" in schema:
            yield schema["$ref"].removeprefix(REF)
        schema = list(schema.values())
    if isinstance(schema, list):
        for each in schema:
            yield from _references(each)


class Shapes:
    """The named schemas of a table; those of answers name what is always there, those of bodies what must be."""

    def __init__(self, table: list[Route]) -> None:
        given = [route.body for route in table if route.body is not None]
        sent = [*(part for route in table for part in _parts(route.answer)), *told.DATA.values()]
        refusal = problem()
        kinds = list(dict.fromkeys([*given, *sent, refusal]))
        found, components = msgspec.json.schema_components(kinds, ref_template=REF + "{name}")
        self._of: dict[Any, Schema] = dict(zip(kinds, found, strict=True))
        outward = set(_references([self._of[kind] for kind in [*sent, refusal]]))
        while more := set(_references([components[name] for name in outward])) - outward:
            outward |= more
        self.schemas = {name: finished(schema, inward=name not in outward) for name, schema in components.items()}

    def of(self, kind: Any) -> Schema:
        inner = typing.get_args(kind)
        match typing.get_origin(kind):
            case _ if kind in self._of:
                return self._of[kind]
            case origin if origin is list:
                return {"type": "array", "items": self.of(inner[0])}
            case origin if origin is dict:
                return {"type": "object", "additionalProperties": self.of(inner[1])}
        return {"oneOf": [self.of(each) for each in inner]}

    def envelope(self, route: Route, operation: str) -> Schema:
        """A named schema for the whole answer, shared by all operations that answer with the same struct."""
        data = self.of(route.answer)
        properties = {"success": {"type": "boolean", "const": True}, "data": data}
        name = pascal(operation) + "Answer"
        if route.is_list:
            properties["next_cursor"] = {
                "type": ["string", "null"],
                "description": "Hand it back as `cursor` to get the next page; null on the last one.",
            }
            name = data["items"]["$ref"].removeprefix(REF) + "Page"
        elif "$ref" in data:
            name = data["$ref"].removeprefix(REF) + "Answer"
        self.schemas[name] = {"type": "object", "properties": properties, "required": list(properties)}
        return {"$ref": REF + name}


def finished(schema: Schema, *, inward: bool) -> Schema:
    """A struct's schema as msgspec makes it, put into the JSON of this API."""
    properties: dict[str, Schema] = {}
    for name, raw in schema.get("properties", {}).items():
        each = tidy(raw, inward=inward)
        if (name == "at" or name.endswith("_at")) and "type" in each:
            each["format"] = "date-time"
        if name == "metadata" and inward and "additionalProperties" in each:
            each["maxProperties"] = starting.MOST_METADATA
            each["propertyNames"] = {"minLength": 1, "maxLength": starting.LONGEST_NAME}
            each["additionalProperties"]["maxLength"] = starting.LONGEST_VALUE
        if name == "labels" and inward:
            each["maxProperties"] = lifecycle.MOST_LABELS
            each["propertyNames"] = {"minLength": 1, "maxLength": lifecycle.LONGEST_LABEL}
            each["additionalProperties"]["maxLength"] = lifecycle.LONGEST_VALUE
        properties[name] = each
    if not inward:  # a default is what the server sends, so it is there
        required = [*schema.get("required", ()), *(name for name, each in properties.items() if "default" in each)]
        for each in properties.values():
            each.pop("default", None)
        return schema | {"properties": properties, "required": sorted(required, key=list(properties).index)}
    return schema | {"properties": properties}


def tidy(schema: Schema, *, inward: bool) -> Schema:
    """The same, with money as numbers, null as a type beside another, and enumerations that name their type."""
    schema = {name: value for name, value in schema.items() if name != "default" or value is not None}
    if "items" in schema:
        schema["items"] = tidy(schema["items"], inward=inward)
    if isinstance(schema.get("additionalProperties"), dict):
        schema["additionalProperties"] = tidy(schema["additionalProperties"], inward=inward)
    if schema.get("format") == "decimal":  # msgspec thinks of it as a string; ours are numbers
        schema["type"] = "number"
        if inward:
            schema |= {"minimum": 0, "maximum": money.LIMIT}
    if schema.get("enum") in ([True], [False]):
        schema |= {"type": "boolean", "const": schema.pop("enum")[0]}
    if "enum" in schema:
        schema["type"] = "string"
    if "anyOf" in schema:
        kinds = [tidy(each, inward=inward) for each in schema.pop("anyOf")]
        first, *others = kinds
        if others != [{"type": "null"}] or "type" not in first:
            return schema | {"anyOf": kinds}
        schema = first | schema | {"type": [first["type"], "null"]}
        if "enum" in schema:
            schema["enum"] = [*schema["enum"], None]
    return schema
