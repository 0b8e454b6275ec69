"""The document says what the server does: every route, field, error and header, and nothing else."""

import itertools
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec
import openapi_spec_validator
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.surfaces.api.documented import DOCUMENT, OPERATIONS, SURFACES, check

from trunkline.accounts.keys import Key
from trunkline.activations.views import Detail, Lease, Sms, Status, Step
from trunkline.errors import InvalidRequest, RateLimited, TrunklineError
from trunkline.surfaces import BASE
from trunkline.surfaces.api import catalog, purchasing
from trunkline.surfaces.api.openapi import document as openapi
from trunkline.surfaces.api.openapi import words
from trunkline.surfaces.http import idempotency, wire
from trunkline.surfaces.http.route import Route
from trunkline.surfaces.http.surface import Surface

ROUTES = [route for _, route in OPERATIONS]
NAMES = [f"{route.method} {route.path}" for route in ROUTES]
SMS = Sms("847291", "Your WhatsApp code: 847291", "2026-04-19T14:35:22Z", "WhatsApp", 1)
TIME = "2026-04-19T14:50:00Z"


def operation(route: Route) -> dict[str, Any]:
    found: dict[str, Any] = DOCUMENT["paths"][BASE + route.path][route.method.lower()]
    return found


def resolve(thing: Any) -> Any:
    if "$ref" not in thing:
        return thing
    found: Any = DOCUMENT
    for step in thing["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    return found


def every(document: Any, name: str) -> Iterator[Any]:
    """All values under a name, at any depth."""
    if isinstance(document, dict):
        for key, value in document.items():
            if key == name:
                yield value
            yield from every(value, name)
    elif isinstance(document, list):
        for value in document:
            yield from every(value, name)


def answer_schema(route: Route) -> dict[str, Any]:
    schema: dict[str, Any] = operation(route)["responses"]["200"]["content"]["application/json"]["schema"]
    return schema


def route_of(path: str) -> Route:
    return next(route for _, route in OPERATIONS if route.path == path)


def parameters(route: Route, where: str) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in map(resolve, operation(route).get("parameters", ())) if each["in"] == where}


def test_the_document_is_valid_openapi_3_1() -> None:
    openapi_spec_validator.validate(DOCUMENT)
    assert DOCUMENT["openapi"].startswith("3.1.")
    assert DOCUMENT["info"]["version"] == "1.2.3"


def test_every_reference_leads_somewhere() -> None:
    references = list(every(DOCUMENT, "$ref"))
    assert references
    for reference in references:
        assert resolve({"$ref": reference})


def test_every_route_is_there_and_no_other() -> None:
    documented = {(method, path) for path, item in DOCUMENT["paths"].items() for method in item}
    assert documented == {(route.method.lower(), surface.base + route.path) for surface, route in OPERATIONS}


def test_the_document_is_the_same_each_time() -> None:
    assert wire.encode(openapi.document(SURFACES, version="1")) == wire.encode(openapi.document(SURFACES, version="1"))


def test_two_operations_never_share_a_name() -> None:
    names = list(every(DOCUMENT["paths"], "operationId"))
    assert len(names) == len(set(names)) == len(OPERATIONS)
    with pytest.raises(ValueError, match="numbers_purchase"):
        openapi.document([SURFACES[0], SURFACES[0]], version="1")


@pytest.mark.parametrize("route", ROUTES, ids=NAMES)
def test_every_error_of_a_route_is_documented_under_its_status_with_an_example(route: Route) -> None:
    responses = {status: resolve(response) for status, response in operation(route)["responses"].items()}
    for kind in route.errors:
        content = responses[str(kind.status)]["content"]["application/problem+json"]
        assert kind.code in content["schema"]["properties"]["code"]["enum"]
        assert resolve(content["examples"][kind.code])["value"]["code"] == kind.code


@pytest.mark.parametrize(("surface", "route"), OPERATIONS, ids=NAMES)
def test_what_the_server_adds_to_a_route_is_documented(surface: Surface, route: Route) -> None:
    responses = {status: resolve(response) for status, response in operation(route)["responses"].items()}
    assert {"200", "400", "414", "422", "500", "503"} <= set(responses)
    assert ({"401", "403"} <= set(responses)) == (route.scope is not None)
    assert "429" in responses, "an address may have too many connections, whatever it asks for"
    is_cached = route.scope is None and not surface.signed
    assert ("304" in responses) == is_cached
    assert ({"413", "415"} <= set(responses)) == (route.body is not None)
    assert "404" in responses or "{" not in route.path
    assert all("X-Request-Id" in response["headers"] for response in responses.values())
    headers = set(responses["200"]["headers"])
    assert ({"RateLimit", "RateLimit-Policy"} <= headers) == (not surface.signed)
    assert ({"ETag", "Cache-Control"} <= headers) == is_cached
    assert ("Idempotent-Replayed" in headers) == route.idempotent
    assert "Retry-After" in responses.get("429", {"headers": ["Retry-After"]})["headers"]


def test_every_example_of_an_error_is_such_an_error() -> None:
    for item in DOCUMENT["paths"].values():
        for response in itertools.chain.from_iterable(each["responses"].values() for each in item.values()):
            for content in resolve(response).get("content", {}).values():
                for example in content.get("examples", {}).values():
                    check(resolve(example)["value"], content["schema"])


def test_the_database_being_away_has_a_code_of_its_own() -> None:
    assert {"database_away", "unavailable"} <= set(DOCUMENT["components"]["examples"])


def test_a_problem_may_have_members_that_the_document_does_not_know() -> None:
    error = RateLimited("Too many.", retry_at="2026-04-19T14:32:01Z")
    later = msgspec.json.decode(wire.problem(error, "req_1")) | {"something_new": [1]}
    check(later, {"$ref": "#/components/schemas/Problem"})


def test_what_the_handlers_answer_fits_the_document() -> None:
    common: dict[str, Any] = {
        "status": "received", "sms": SMS, "revision": 1, "messages": [SMS], "expires_at": TIME,
        "cancel_available_at": TIME, "can_cancel": False, "can_finish": True,
    }  # fmt: skip
    lease = Lease("10000001", "+14155550123", "us", "whatsapp", TIME, Decimal("0.80"), TIME, {"run_id": "1"}, False)
    nothing = Lease(None, None, "us", "whatsapp", None, Decimal("0.000125"), None, {}, True)
    detail = Detail(
        **common, activation_id="1", phone_number="+14155550123", country="us", service="any", cost=Decimal(1),
        refund=Decimal(0), currency="USD", carrier="simulated", created_at=TIME, ended_at=None, labels={},
        timeline=[Step(TIME, "waiting", "No text has come to the number yet.", [])],
    )  # fmt: skip
    refused = wire.problem_members(TrunklineError("No.")) | {"anything": "more"}
    waiting = Status(**(common | {"status": "waiting", "sms": None, "messages": []}))
    answers_of: dict[str, list[Any]] = {
        "/numbers/purchase": [lease, nothing],
        "/numbers/purchase/batch": [[purchasing.Bought(lease), refused], []],
        "/numbers/status/{activation_id}": [Status(**common), waiting],
        "/numbers/status": [{"1": waiting, "x": None}, {}],
        "/numbers/finish/{activation_id}": [detail],
        "/numbers/{activation_id}": [detail],
    }
    for path, answers in answers_of.items():
        for answer in answers:
            check(msgspec.json.decode(wire.success(answer)), answer_schema(route_of(path)))
    check(msgspec.json.decode(wire.page([detail], None)), answer_schema(route_of("/numbers")))
    row = catalog.PriceRow("us", "whatsapp", Decimal("0.8"), "USD", 3, None, 2.5)
    check(msgspec.json.decode(wire.page([row], "AAAAAAAAJxE")), answer_schema(route_of("/prices")))


def test_an_answer_says_which_of_its_fields_are_always_there() -> None:
    for name in ("Lease", "Status", "Activation", "Bought", "Refused", "Sms"):
        schema = DOCUMENT["components"]["schemas"][name]
        assert schema["required"] == list(schema["properties"]), name


def test_a_body_with_an_unknown_field_does_not_fit_the_document() -> None:
    for _, route in OPERATIONS:
        if route.body is not None:
            content = operation(route)["requestBody"]["content"]["application/json"]
            assert resolve(content["schema"])["additionalProperties"] is False


def test_money_is_a_number() -> None:
    decimals = [each for each in every(DOCUMENT, "properties") for each in each.values() if isinstance(each, dict)]
    money = [each for each in decimals if each.get("format") == "decimal"]
    assert money
    assert all(each["type"] in ("number", ["number", "null"]) for each in money)


def test_every_field_and_parameter_says_what_it_means() -> None:
    for name, schema in DOCUMENT["components"]["schemas"].items():
        for field, each in schema.get("properties", {}).items():
            assert each.get("description") or field in ("success", "data"), f"{name}.{field}"
    for _, route in OPERATIONS:
        for each in map(resolve, operation(route).get("parameters", ())):
            assert each["description"], f"{route.path} {each['name']}"


def test_a_label_filter_is_one_parameter_for_each_label() -> None:
    query = parameters(route_of("/numbers"), "query")
    assert "labels" not in query
    assert query["label.run_id"]["schema"]["type"] == "string"
    assert query["limit"]["schema"] == {"type": "integer", "minimum": 1, "maximum": 100, "default": 25}


def test_a_parameter_that_may_be_left_out_is_not_null() -> None:
    for _, route in OPERATIONS:
        for each in parameters(route, "query").values():
            assert each["schema"]["type"] in ("string", "integer", "number", "boolean")
            assert None not in each["schema"].get("enum", [])


def test_a_key_is_asked_for_with_its_scope_and_public_routes_ask_for_none() -> None:
    for _, route in OPERATIONS:
        assert operation(route)["security"] == ([] if route.scope is None else [{"key": [route.scope]}])
        assert route.scope is None or f"`{route.scope}`" in operation(route)["description"]


def test_only_what_spends_takes_an_idempotency_key() -> None:
    for _, route in OPERATIONS:
        assert ("Idempotency-Key" in parameters(route, "header")) == route.idempotent


@given(
    st.one_of(
        st.text(st.characters(max_codepoint=0xFF), max_size=5), st.text(st.characters(codec="ascii"), max_size=300)
    )
)
def test_an_idempotency_key_fits_the_document_exactly_when_the_server_takes_it(text: str) -> None:
    text = text.strip()  # as HTTP does with every header
    schema = words.PARAMETERS["IdempotencyKey"]["schema"]
    fits = re.fullmatch(schema["pattern"].strip("^$"), text) is not None and len(text) <= schema["maxLength"]
    key = Key(key_id=1, account_id=1, test=True, scopes=frozenset(), per_minute=60, expires=None)
    try:
        idempotency.claim(key, text.encode("latin-1"), b"")
    except InvalidRequest:
        assert not fits
    else:
        assert fits
