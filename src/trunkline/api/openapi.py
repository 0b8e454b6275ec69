"""The OpenAPI 3.1 document of a table of routes: what a fuzzer checks, a client generator reads and /docs shows.

Everything about a route is derived: shapes from its structs (JSON Schema 2020-12), errors from the classes that it
names and from what ``server.py`` adds, examples of errors from the renderer that sends them.
"""

import itertools
import re
import types
import typing
from collections import Counter
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from trunkline import errors, money
from trunkline.activations import lifecycle, states
from trunkline.api import wire
from trunkline.api.http import MalformedRequest
from trunkline.api.routes import BASE, Route
from trunkline.errors import TrunklineError
from trunkline.storage.database import DatabaseAway

Schema = dict[str, Any]

SUMMARY = "Lease phone numbers, receive the codes that are sent to them."
DESCRIPTION = """\
Keys travel as `Authorization: Bearer KEY`. A success is `{"success": true, "data": …}`, lists add `next_cursor`. Every
error is `application/problem+json` (RFC 9457) with a stable `code`; a path that does not exist is 404 `not_found`, a
method that it does not take 405 `method_not_allowed`. Every answer carries `X-Request-Id`. Money is a JSON number in
the account's currency with at most 6 decimals. Times are UTC, ISO 8601, with `Z`."""
TAGS = {
    "Numbers": "Lease a number for a service, wait for the text, get the code.",
    "Catalog": "Which countries and services there are, at what price. Public: no key, no limit, made to be cached.",
    "Account": "The balance, and every movement of money.",
}

# What a word means wherever it stands, and an example; `Owner.word` is nearer than `word`. A struct may say it better.
WORDS: dict[str, tuple[str, Any]] = {
    "CountryRow.code": ("ISO 3166-1 alpha-2, in lower case.", "us"),
    "CountryRow.name": ("The country's English name.", "United States"),
    "CountryRow.stock": ("Numbers that could be leased.", 4200),
    "Finish.status": ("`completed` once the code has served; `cancelled` gives the number back.", "completed"),
    "ListQuery.country": ("Only leases in this country, in either case.", "us"),
    "ListQuery.service": ("Only leases for this service.", "whatsapp"),
    "ListQuery.status": ("Only leases in this state.", None),
    "PricesQuery.country": ("ISO 3166-1 alpha-2, in either case.", "us"),
    "PricesQuery.service": ("A slug from `/services`.", "whatsapp"),
    "Problem.code": ("The stable name of the error, for programs.", None),
    "Problem.cost": ("What the lease would have cost.", None),
    "Problem.countries": ("Other countries with free numbers.", None),
    "Problem.detail": ("One sentence for the caller.", None),
    "Problem.sms": ("The text that was there before the cancel.", None),
    "Problem.status": ("The HTTP status.", None),
    "Problem.title": ("The error in a few words.", None),
    "Problem.type": ("`urn:trunkline:error:` and the code.", None),
    "PurchaseItem.country": ("ISO 3166-1 alpha-2, in either case.", "us"),
    "PurchaseItem.sender": ("Only texts from this sender count; `*` may stand at an end.", None),
    "PurchaseItem.service": ("Slug from `/services`, or `any` for every text.", "whatsapp"),
    "Refused.code": ("The stable name of the error.", "no_numbers_available"),
    "Refused.detail": ("One sentence for the caller.", "No number is free for 'whatsapp' in 'us' at the moment."),
    "Refused.status": ("The HTTP status that a single purchase would have had.", 404),
    "Refused.title": ("The error in a few words.", "No numbers available"),
    "Refused.type": ("`urn:trunkline:error:` and the code.", "urn:trunkline:error:no_numbers_available"),
    "ServiceRow.name": ("The service's name.", "WhatsApp"),
    "Sms.code": ("The code in the text; null where none was recognised.", "847291"),
    "Sms.sender": ("Who sent the text.", "WhatsApp"),
    "Step.detail": ("What happened, in a sentence.", "The number was leased."),
    "Step.type": ("The event, or `waiting`.", "activation.created"),
    "account_id": ("The account's id.", "7"),
    "activation_id": ("The lease's id.", "10000001"),
    "activation_ids": ("Ids of leases.", ["10000001", "10000002"]),
    "activation_status": ("The state in which the lease is.", None),
    "allow": ("The methods that the path takes.", None),
    "amount": ("What this did to the balance that can be spent.", -0.8),
    "at": ("When it happened.", "2026-04-19T14:30:00Z"),
    "balance": ("Money that can be spent.", 12.4),
    "calling_code": ("The country's calling code.", "+1"),
    "can_cancel": ("Whether `cancelled` would be accepted now.", False),
    "can_finish": ("Whether `completed` would be accepted now.", True),
    "cancel_available_at": ("From when the lease can be cancelled.", "2026-04-19T14:30:00Z"),
    "carrier": ("The carrier that the number belongs to.", "simulated"),
    "contains": ("Only texts that contain this count.", None),
    "cost": ("What the lease costs.", 0.8),
    "country": ("ISO 3166-1 alpha-2, in lower case.", "us"),
    "created_at": ("When it was made.", "2026-04-19T14:30:00Z"),
    "currency": ("ISO 4217.", "USD"),
    "cursor": ("Where to go on: `next_cursor` of the page before.", None),
    "delivery_rate": ("The share of leases that got a text, 0 to 1.", 0.97),
    "domain": ("The service's own site.", "whatsapp.com"),
    "dry_run": ("Check everything, lease and charge nothing.", False),
    "email": ("The owner's address.", "dev@example.com"),
    "ended_at": ("When the lease ended; null while it runs.", None),
    "expires_at": ("When the lease ends by itself.", "2026-04-19T14:50:00Z"),
    "field": ("The field, parameter or header that is wrong.", None),
    "full_text": ("The whole text.", "Your WhatsApp code: 847291"),
    "held": ("Money held for leases that still wait for their text.", 0.8),
    "items": ("The purchases, in the order of the answer.", None),
    "kind": ("What moved the money.", "hold"),
    "labels": ("Up to 10 short strings of your own; lists can be filtered by them.", {"run_id": "build-1042"}),
    "limit": ("Rows in a page.", None),
    "limits": ("What the key may do.", None),
    "lowest_price": ("The lowest price of any service there; null where there is none.", 0.1),
    "max_price": ("Refuse to pay more than this.", 1.5),
    "median_seconds": ("Half of all texts came within this time.", 11.5),
    "messages": ("All texts of the lease, oldest first.", None),
    "min_price": ("What the lease costs now.", None),
    "mode": ("Whether the key is a live or a test key.", "live"),
    "moved": ("The amount that moved, without a sign.", 0.8),
    "operator": ("Only numbers of this mobile operator.", None),
    "phone_number": ("E.164, with `+`.", "+14155550123"),
    "price": ("What a lease costs now.", 0.8),
    "received_at": ("When the text arrived.", "2026-04-19T14:35:22Z"),
    "refund": ("What was given back; 0 where nothing was.", 0),
    "request_id": ("Names this request in the operator's log, as `X-Request-Id` does.", None),
    "requests_per_minute": ("Requests that the key may send in a minute.", 60),
    "retry_after_seconds": ("After how long to ask again, as `Retry-After` says.", None),
    "revision": ("Counts the texts of the lease.", 1),
    "scope": ("The scope that the key lacks.", None),
    "service": ("The service's slug.", "whatsapp"),
    "slug": ("The name to use in requests.", "whatsapp"),
    "sms": ("The newest text; null until one has come.", None),
    "status": ("The state of the lease.", "received"),
    "stock": ("Numbers that could be leased now.", 420),
    "timeline": ("What happened, oldest first; the last step of a waiting lease says why nothing has come.", None),
    "transaction_id": ("The movement's id.", "31"),
    "ttl": ("Seconds until the lease ends by itself.", 1200),
    "wait": ("Hold the answer up to this many seconds for a text.", 30),
}  # fmt: skip

NOW = "2026-04-19T14:32:00Z"

# The errors that say more than their title; the rest get a plain example.
EXAMPLES: tuple[TrunklineError, ...] = (
    errors.InvalidRequest("There is no field 'max_prize'.", field="max_prize"),
    errors.MalformedBody("The body is not JSON: Input data was truncated."),
    errors.IdempotencyKeyReused("This Idempotency-Key was used for another request."),
    errors.IdempotencyInFlight("A request with this Idempotency-Key is still running; ask again in a moment."),
    errors.NotAuthenticated("The API key is unknown, revoked or expired."),
    errors.InsufficientScope("The key lacks the scope 'account:read'.", scope="account:read"),
    errors.PaymentRequired("The lease costs 0.85, and 0.35 is available.", balance=0.35, cost=0.85),
    errors.PriceAboveMax("The price is 0.85, above your max_price.", min_price=0.85),
    errors.UnknownCountry("There is no country 'uk'.", field="country"),
    errors.UnknownService("There is no service 'watsapp'.", field="service"),
    errors.NoNumbersAvailable("No number is free for 'whatsapp' in 'us' at the moment.", countries=["ca", "gb"]),
    errors.ActivationFinished("The activation is cancelled already.", activation_status="cancelled"),
    errors.CancelTooEarly(f"The activation can be cancelled from {NOW}.", cancel_available_at=NOW),
    errors.SmsAlreadyReceived(
        "A text has arrived, so the activation cannot be cancelled any more: complete it.",
        sms=states.Sms("847291", "Your WhatsApp code: 847291", "2026-04-19T14:31:22Z", "WhatsApp", 1),
    ),
    errors.RateLimited("The key may send 60 requests a minute.", retry_after_seconds=1),
)


class Problem(msgspec.Struct, frozen=True):
    """An error, as RFC 9457 says. The members after `request_id` stand where they help the caller to act."""

    success: Literal[False]
    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    field: str | UnsetType = UNSET
    scope: str | UnsetType = UNSET
    allow: str | UnsetType = UNSET
    retry_after_seconds: int | UnsetType = UNSET
    balance: Decimal | UnsetType = UNSET
    cost: Decimal | UnsetType = UNSET
    min_price: Decimal | UnsetType = UNSET
    countries: list[str] | UnsetType = UNSET
    activation_status: states.State | UnsetType = UNSET
    cancel_available_at: str | UnsetType = UNSET
    sms: states.Sms | UnsetType = UNSET


REF = "#/components/schemas/"


def _header(description: str, *, always: bool = False, **schema: Any) -> Schema:
    return {"description": description, "required": always, "schema": {"type": "string"} | schema}


HEADERS: dict[str, Schema] = {
    "X-Request-Id": _header(
        "Names the request in the operator's log.", always=True, examples=["req_6f1d2c9be07a43d58e10"]
    ),
    "RateLimit-Policy": _header(
        "The key's requests (`q`) in a window of `w` seconds.", examples=['"default";q=60;w=60']
    ),
    "RateLimit": _header(
        "Requests that remain (`r`), seconds until all are back (`t`).", examples=['"default";r=59;t=1']
    ),
    "Retry-After": _header("Seconds until the next request is let through.", always=True, type="integer", minimum=1),
    "Idempotent-Replayed": _header("Present where this is the first answer again.", const="true"),
    "ETag": _header("Names this version of the answer.", always=True),
    "Cache-Control": _header("How long the answer may be kept.", always=True, examples=["public, max-age=3600"]),
    "WWW-Authenticate": _header("How to send a key.", always=True),
}
PARAMETERS: dict[str, Schema] = {
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "A text of yours that names this attempt, for instance a UUID: the same key and body again get "
        "the first answer again, and nothing is done twice. Kept for 72 hours.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$"},
        "example": "signup-test-1042",
    },
    "IfNoneMatch": {
        "name": "If-None-Match",
        "in": "header",
        "description": "The `ETag` of the copy you have; the answer is 304 while that is still good.",
        "schema": {"type": "string"},
    },
}


def document(routes: Iterable[Route], *, version: str) -> dict[str, Any]:
    """The document of a table, ready for a JSON encoder. Raises ValueError where two handlers of a tag share a name."""
    table = list(routes)
    shapes = _Shapes(table)
    paths: dict[str, Schema] = {}
    seen: set[str] = set()
    for route in table:
        operation = _operation(route, shapes)
        if operation["operationId"] in seen:
            raise ValueError(f"two routes are called {operation['operationId']}")
        seen.add(operation["operationId"])
        paths.setdefault(BASE + route.path, {})[route.method.lower()] = operation
    kinds = {kind.code: kind for route in table for kind in _errors(route)}
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
            for tag in dict.fromkeys(route.tag for route in table)
        ],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(shapes.schemas.items())),
            "responses": _shared_responses(paths),
            "parameters": PARAMETERS,
            "headers": HEADERS,
            "examples": {code: _example(kinds[code]) for code in sorted(kinds)},
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


def _operation(route: Route, shapes: "_Shapes") -> Schema:
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
    if route.scope is None:
        parameters.append({"$ref": "#/components/parameters/IfNoneMatch"})
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": shapes.of(route.body)}},
        }
    operation["responses"] = _responses(route, shapes.envelope(route, operation["operationId"]))
    return operation


def _path_parameters(route: Route) -> Iterator[Schema]:
    for name in re.findall(r"{(\w+)}", route.path):
        description, example = WORDS.get(name, ("", None))
        schema: Schema = {"type": "string"}
        if name == "activation_id":
            schema["pattern"] = "^[0-9]{1,18}$"
        parameter: Schema = {"name": name, "in": "path", "required": True, "description": description, "schema": schema}
        if example is not None:
            parameter["example"] = example
        yield parameter


def _query_parameters(route: Route) -> Iterator[Schema]:
    if route.query is None:
        return
    (_,), components = msgspec.json.schema_components([route.query], ref_template=REF + "{name}")
    schema = _finished(route.query.__name__, components[route.query.__name__], inward=True)
    for name, each in schema["properties"].items():
        if name == "labels":  # what is one object in the struct is one parameter for each label in the URL
            yield {
                "name": "label.run_id", "in": "query", "schema": each["additionalProperties"], "example": "build-1042",
                "description": "Only rows with this label; `label.NAME` filters by any other label in the same way.",
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


def _errors(route: Route) -> list[type[TrunklineError]]:
    """What a route may answer: its own errors, and those of the server around it."""
    kinds = {
        *route.errors, errors.InvalidRequest, errors.PathTooLong, MalformedRequest,
        TrunklineError, errors.Unavailable, DatabaseAway,
    }  # fmt: skip
    if route.scope is not None:
        kinds |= {errors.NotAuthenticated, errors.InsufficientScope, errors.RateLimited}
    if "{" in route.path:
        kinds.add(errors.NotFound)
    if route.method != "GET":
        kinds |= {errors.PayloadTooLarge, errors.MalformedBody}
    if route.body is not None:
        kinds.add(errors.UnsupportedMediaType)
    if route.idempotent:
        kinds |= {errors.IdempotencyKeyReused, errors.IdempotencyInFlight}
    return sorted(kinds, key=lambda kind: (kind.status, kind.code))


def _headers(*names: str) -> Schema:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _responses(route: Route, answer: Schema) -> Schema:
    limited = ("RateLimit-Policy", "RateLimit") if route.scope is not None else ()
    caching = ("ETag", "Cache-Control") if route.scope is None else ()
    replayed = ("Idempotent-Replayed",) if route.idempotent else ()
    responses: Schema = {
        "200": {
            "description": "Done.",
            "headers": _headers("X-Request-Id", *limited, *caching, *replayed),
            "content": {"application/json": {"schema": answer}},
        }
    }
    if route.scope is None:
        responses["304"] = {"description": "Your copy is still good.", "headers": _headers("X-Request-Id", *caching)}
    for status, group in itertools.groupby(_errors(route), key=lambda kind: kind.status):
        kinds = list(group)
        own = {401: ("WWW-Authenticate",), 429: ("Retry-After",)}.get(status, ())
        responses[str(status)] = {
            "description": ", or ".join(kind.title for kind in kinds) + ".",
            "headers": _headers("X-Request-Id", *(() if status in (401, 414) else limited), *own),
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
                public = "" if "RateLimit" in response["headers"] or status in ("401", "414") else "Public"
                name = public + "Or".join(_pascal(code) for code in codes)
                shared[name] = response
                responses[status] = {"$ref": f"#/components/responses/{name}"}
    return dict(sorted(shared.items()))


def _example(kind: type[TrunklineError]) -> Schema:
    error = next((each for each in EXAMPLES if type(each) is kind), None) or kind(f"{kind.title}.")
    value = wire.problem(error, "req_6f1d2c9be07a43d58e10")
    return {"summary": kind.title, "value": msgspec.json.decode(value)}


def _pascal(name: str) -> str:
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


class _Shapes:
    """The named schemas of a table; those of answers name what is always there, those of bodies what must be."""

    def __init__(self, table: list[Route]) -> None:
        given = [route.body for route in table if route.body is not None]
        sent = [part for route in table for part in _parts(route.answer)]
        kinds = list(dict.fromkeys([*given, *sent, Problem]))
        found, components = msgspec.json.schema_components(kinds, ref_template=REF + "{name}")
        self._of: dict[Any, Schema] = dict(zip(kinds, found, strict=True))
        outward = set(_references([self._of[kind] for kind in [*sent, Problem]]))
        while more := set(_references([components[name] for name in outward])) - outward:
            outward |= more
        self.schemas = {
            name: _finished(name, schema, inward=name not in outward) for name, schema in components.items()
        }

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
        name = _pascal(operation) + "Answer"
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


def _finished(owner: str, schema: Schema, *, inward: bool) -> Schema:
    """A struct's schema as msgspec makes it, put into the words and the JSON of this API."""
    properties: dict[str, Schema] = {}
    for name, raw in schema.get("properties", {}).items():
        each = _tidy(raw, inward=inward)
        description, example = WORDS.get(f"{owner}.{name}") or WORDS.get(name) or ("", None)
        if example is None or example in each.get("enum", [example]):  # else it is another word that sounds the same
            if description:
                each.setdefault("description", description)
            if example is not None and "$ref" not in each:
                each.setdefault("examples", [example])
        if (name == "at" or name.endswith("_at")) and "type" in each:
            each["format"] = "date-time"
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


def _tidy(schema: Schema, *, inward: bool) -> Schema:
    """The same, with money as numbers, null as a type beside another, and enumerations that name their type."""
    schema = {name: value for name, value in schema.items() if name != "default" or value is not None}
    if "items" in schema:
        schema["items"] = _tidy(schema["items"], inward=inward)
    if isinstance(schema.get("additionalProperties"), dict):
        schema["additionalProperties"] = _tidy(schema["additionalProperties"], inward=inward)
    if schema.get("format") == "decimal":  # msgspec thinks of it as a string; ours are numbers
        schema["type"] = "number"
        if inward:
            schema |= {"minimum": 0, "maximum": money.LIMIT}
    if schema.get("enum") in ([True], [False]):
        schema |= {"type": "boolean", "const": schema.pop("enum")[0]}
    if "enum" in schema:
        schema["type"] = "string"
    if "anyOf" in schema:
        kinds = [_tidy(each, inward=inward) for each in schema.pop("anyOf")]
        first, *others = kinds
        if others != [{"type": "null"}] or "type" not in first:
            return schema | {"anyOf": kinds}
        schema = first | schema | {"type": [first["type"], "null"]}
        if "enum" in schema:
            schema["enum"] = [*schema["enum"], None]
    return schema
