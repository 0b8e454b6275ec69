"""Schemathesis over the derived OpenAPI document, against the real server: no 5xx, no answer outside its schema."""

import contextlib
import gc
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.conftest import Server, Trunkline

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
HEAD_CHECKS = [not_a_server_error, status_code_conformance, response_headers_conformance]
EXAMPLES = 40  # for each operation


@contextlib.contextmanager
def nothing_collected() -> Iterator[None]:
    """CPython before 3.13 raises a SystemError out of ``ast.parse`` where a finalizer parses something meanwhile."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.fixture
def described(serve: Any, trunkline: Trunkline) -> Any:
    """The API with a customer who has money, a lease that waits and one that has its code."""
    key = trunkline.customer(credit="1000", per_minute=1_000_000).live_key
    server: Server = serve()
    config = schemathesis.Config.from_dict({"headers": {"Authorization": f"Bearer {key}"}, "request-timeout": 60})
    with nothing_collected():
        return schemathesis.openapi.from_url(f"{server.api}/openapi.json", config=config, timeout=60)


@pytest.mark.timeout(900)
def test_every_answer_is_what_its_document_says(described: Any) -> None:
    operations = [found.ok() for found in described.get_all_operations()]
    assert len(operations) >= 12
    for operation in operations:

        @hypothesis.given(case=operation.as_strategy())
        @hypothesis.settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(hypothesis.HealthCheck))
        def answers_as_described(case: Any) -> None:
            if case.query and "wait" in case.query:
                case.query["wait"] = 0  # held calls have tests of their own
            checks = CHECKS
            if "text/event-stream" in case.operation.definition.raw["responses"]["200"]["content"]:
                case.method, checks = "HEAD", HEAD_CHECKS  # what is streamed does not end
            case.call_and_validate(checks=checks)

        answers_as_described()
