"""The OpenAPI 3.1 document of a table of routes: what a fuzzer checks, a client generator reads and /docs shows.

Everything about a route is derived: shapes from its structs (JSON Schema 2020-12), errors from the classes that it
names and from what the engine adds, examples of errors from the renderer that sends them.
"""

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from trunkline import errors, fields
from trunkline.accounts.problems import AccountFrozen, InsufficientScope, IpNotAllowed, TooManyAtOnce
from trunkline.errors import TrunklineError
from trunkline.storage.database import DatabaseAway
from trunkline.surfaces.api.openapi import webhooks
from trunkline.surfaces.api.openapi.problems import example
from trunkline.surfaces.api.openapi.schemas import REF, Shapes, finished, pascal
from trunkline.surfaces.api.openapi.words import DESCRIPTION, HEADERS, PARAMETERS, SUMMARY, TAGS, Schema
from trunkline.surfaces.http import wire
from trunkline.surfaces.http.problems import (
    BodyTooSlow,
    HeaderTooLarge,
    MalformedRequest,
    MethodNotAllowed,
    PathTooLong,
    PayloadTooLarge,
    TooManyConnections,
    TransferCodingUnknown,
    UnsupportedMediaType,
    VersionNotSupported,
)
from trunkline.surfaces.http.route import PageQuery, Route
from trunkline.surfaces.http.surface import Surface

_ALWAYS = ("X-Request-Id", "X-Content-Type-Options", "Cache-Control")
_OWN = {
    401: ("WWW-Authenticate",),
    415: ("Accept-Encoding",),
    429: ("Retry-After",),
    503: ("Retry-After",),
}
_UNLIMITED = (401, 414, 431, 501, 505)  # refused before it is known whose the request is


def document(surfaces: Iterable[Surface], *, version: str) -> dict[str, Any]:
    """The document of all tables, for a JSON encoder. Raises ValueError where two handlers of a tag share a name."""
    table = [(surface, route) for surface in surfaces for route in surface.routes]
    shapes = Shapes([route for _, route in table])
    paths: dict[str, Schema] = {}
    seen: set[str] = set()
    for surface, route in table:
        operation = _operation(surface, route, shapes)
        if operation["operationId"] in seen:
            raise ValueError(f"two routes are called {operation['operationId']}")
        seen.add(operation["operationId"])
        paths.setdefault(surface.base + route.path, {})[route.method.lower()] = operation
    kinds = {kind.code: kind for surface, route in table for kind in _errors(surface, route)}
    kinds[MethodNotAllowed.code] = MethodNotAllowed  # which no operation of the table can answer
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Trunkline API",
            "version": version,
            "summary": SUMMARY,
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [
            {"name": tag, "description": TAGS[tag]} if tag in TAGS else {"name": tag}
            for tag in dict.fromkeys(route.tag for _, route in table)
        ],
        "paths": paths,
        "webhooks": webhooks.operations(shapes),
        "components": {
            "schemas": dict(sorted(shapes.schemas.items())),
            "responses": _shared_responses(paths),
            "parameters": PARAMETERS,
            "headers": HEADERS,
            "examples": {code: example(kinds[code]) for code in sorted(kinds)},
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "tl_live_… or tl_test_…",
                    "description": "An API key. Each operation names the scope that the key needs.",
                }
            },
        },
    }


def _operation(surface: Surface, route: Route, shapes: Shapes) -> Schema:
    scope = f"Needs a key with the scope `{route.scope}`." if route.scope else "Public: needs no key."
    operation: Schema = {
        "operationId": f"{route.tag.lower()}_{route.handler.__name__}",
        "tags": [route.tag],
        "summary": route.summary,
        "description": f"{route.description} {scope}".strip(),
        "security": [{"key": [route.scope]}] if route.scope else [],
    }
    parameters = [*_path_parameters(route), *_query_parameters(route)]
    if route.idempotent:
        parameters.append({"$ref": "#/components/parameters/IdempotencyKey"})
    if route.streams_events:
        parameters.append({"$ref": "#/components/parameters/LastEventId"})
    parameters += ({"$ref": f"#/components/parameters/{name}"} for name in surface.headers)
    if route.scope is None and not surface.signed:
        parameters.append({"$ref": "#/components/parameters/IfNoneMatch"})
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        operation["requestBody"] = {
            "required": not route.may_be_empty,
            "content": {"application/json": {"schema": shapes.of(route.body)}},
        }
    if surface.signed:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}
    if route.content_type == wire.JSON.decode() and surface.enveloped:
        answer = shapes.envelope(route, operation["operationId"])
    else:
        answer = shapes.of(route.answer)
    operation["responses"] = _responses(surface, route, answer)
    return operation


def _path_parameters(route: Route) -> Iterator[Schema]:
    for name in re.findall(r"{(\w+)}", route.path):
        schema = msgspec.json.schema(fields.IN_PATHS[name])
        description, examples = schema.pop("description"), schema.pop("examples")
        if name.endswith("_id"):  # see ids.from_path
            schema["pattern"] = "^[0-9]{1,18}$"
        yield {
            "name": name, "in": "path", "required": True, "description": description, "schema": schema,
            "example": examples[0],
        }  # fmt: skip


def _query_parameters(route: Route) -> Iterator[Schema]:
    if route.query is None:
        return
    (_,), components = msgspec.json.schema_components([route.query], ref_template=REF + "{name}")
    schema = finished(components[route.query.__name__], inward=True)
    for name, each in sorted(schema["properties"].items(), key=lambda named: named[0] in PageQuery.__struct_fields__):
        if name == "labels":  # what is one object in the struct is one parameter for each label in the URL
            yield {
                "name": "label.run_id", "in": "query", "schema": each["additionalProperties"], "example": "build-1042",
                "description": "Only rows with this label; `label.NAME` filters by any other label in the same way.",
            }  # fmt: skip
            continue
        if name == "metadata":
            yield {
                "name": "metadata.user", "in": "query", "schema": each["additionalProperties"], "example": "1042",
                "description": "Only rows with this entry; `metadata.NAME` filters by any other in the same way.",
            }  # fmt: skip
            continue
        if isinstance(each.get("type"), list):  # null stands for «not given», which a URL says by leaving it out
            each["type"] = each["type"][0]
        if None in each.get("enum", ()):
            each["enum"].remove(None)
        parameter = {"name": name, "in": "query", "description": each.pop("description", "")}
        if name in schema.get("required", ()):
            parameter["required"] = True
        if examples := each.pop("examples", None):
            parameter["example"] = examples[0]
        yield parameter | {"schema": each}


def _errors(surface: Surface, route: Route) -> list[type[TrunklineError]]:
    """What a route may answer: its own errors, and those of the server around it."""
    kinds = {
        *route.errors, errors.InvalidRequest, PathTooLong, MalformedRequest,
        TrunklineError, errors.Unavailable, DatabaseAway, TooManyConnections,
        HeaderTooLarge, TransferCodingUnknown, VersionNotSupported,
    }  # fmt: skip
    if route.scope is not None:
        kinds |= {errors.NotAuthenticated, InsufficientScope, IpNotAllowed, AccountFrozen}
        kinds.add(TooManyAtOnce)
    if route.live_only:
        kinds.add(errors.Forbidden)
    if not surface.signed:
        kinds.add(errors.RateLimited)
    if "{" in route.path:
        kinds.add(errors.NotFound)
    if route.method != "GET":
        kinds |= {PayloadTooLarge, errors.MalformedBody, BodyTooSlow}
    if route.body is not None:
        kinds.add(UnsupportedMediaType)
    if route.idempotent:
        kinds |= {errors.IdempotencyKeyReused, errors.IdempotencyInFlight}
    return sorted(kinds, key=lambda kind: (kind.status, kind.code))


def _headers(*names: str) -> Schema:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _responses(surface: Surface, route: Route, answer: Schema) -> Schema:
    limited = ("RateLimit-Policy", "RateLimit") if not surface.signed else ()
    is_cached = route.scope is None and not surface.signed
    caching = ("ETag",) if is_cached else ()
    streaming = ("X-Accel-Buffering",) if route.streams_events else ()
    replayed = ("Idempotent-Replayed",) if route.idempotent else ()
    responses: Schema = {
        "200": {
            "description": "Done.",
            "headers": _headers(*_ALWAYS, *limited, *caching, *streaming, *replayed),
            "content": {route.content_type: {"schema": answer}},
        }
    }
    if route.may_end:
        responses["204"] = {
            "description": "Nothing more will come: do not ask again.",
            "headers": _headers(*_ALWAYS, *limited),
        }
    if is_cached:
        responses["304"] = {"description": "Your copy is still good.", "headers": _headers(*_ALWAYS, *caching)}
    for status, group in itertools.groupby(_errors(surface, route), key=lambda kind: kind.status):
        kinds = list(group)
        own = _OWN.get(status, ())
        responses[str(status)] = {
            "description": ", or ".join(kind.title for kind in kinds) + ".",
            "headers": _headers(*_ALWAYS, *(() if status in _UNLIMITED else limited), *own),
            "content": {
                wire.PROBLEM.decode(): {
                    "schema": {
                        "$ref": REF + "Problem",
                        "properties": {"status": {"const": status}, "code": {"enum": [kind.code for kind in kinds]}},
                    },
                    "examples": {kind.code: {"$ref": f"#/components/examples/{kind.code}"} for kind in kinds},
                }
            },
        }
    return responses


def _shared_responses(paths: Schema) -> Schema:
    """Moves error responses that several operations have into components, and leaves references to them."""
    all_responses = [operation["responses"] for path in paths.values() for operation in path.values()]
    counts = Counter(wire.encode(each) for responses in all_responses for each in responses.values())
    shared: Schema = {}
    for responses in all_responses:
        for status, response in responses.items():
            if int(status) >= 400 and counts[wire.encode(response)] > 1:
                codes = response["content"][wire.PROBLEM.decode()]["examples"]
                public = "" if "RateLimit" in response["headers"] or int(status) in _UNLIMITED else "Public"
                name = public + "Or".join(pascal(code) for code in codes)
                shared[name] = response
                responses[status] = {"$ref": f"#/components/responses/{name}"}
    return dict(sorted(shared.items()))
