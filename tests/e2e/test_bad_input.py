"""What bad input gets: a clear problem, and nothing changed."""

import contextlib
import json
import socket
import urllib.parse
from typing import Any

import pytest
import requests

from tests.conftest import Server, Trunkline


class Caller:
    def __init__(self, server: Server, trunkline: Trunkline) -> None:
        self.server = server
        self.trunkline = trunkline
        self.key = trunkline.customer(per_minute=100_000).live_key

    def raw(self, data: bytes) -> bytes:
        """What the server sends back on one connection, until it closes or an answer is whole."""
        parts = urllib.parse.urlsplit(self.server.base)
        with socket.create_connection((parts.hostname, parts.port), timeout=60) as connection:
            with contextlib.suppress(ConnectionError):  # it may be cut off before it has heard all
                connection.sendall(data)
            answer = b""
            while chunk := connection.recv(65536):
                answer += chunk
                head, _, body = answer.partition(b"\r\n\r\n")
                length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                if length and len(body) >= int(length[0].split(b":")[1]):
                    break
            return answer

    def post(self, body: bytes | str, path: str = "/numbers/purchase", **headers: str) -> requests.Response:
        return requests.post(
            self.server.api + path,
            data=body,
            headers={"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"} | headers,
            timeout=30,
        )

    def get(self, path: str, **headers: str) -> requests.Response:
        return requests.get(
            self.server.api + path, headers={"Authorization": f"Bearer {self.key}"} | headers, timeout=30
        )

    def nothing_changed(self) -> None:
        account = self.get("/account").json()["data"]
        assert (account["balance"], account["held"]) == (5, 0)
        assert self.get("/numbers").json()["data"] == []


@pytest.fixture
def caller(server: Server, trunkline: Trunkline) -> Caller:
    return Caller(server, trunkline)


def problem(answer: requests.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-request-id"].startswith("req_")
    document: dict[str, Any] = answer.json()
    assert document["success"] is False
    assert document["status"] == status
    assert document["code"] == code
    assert {"type", "title", "detail", "request_id"} <= document.keys()
    return document


def test_a_bad_purchase_is_refused_and_names_what_is_wrong(caller: Caller) -> None:
    good = {"country": "us", "service": "whatsapp"}
    cases: list[tuple[str | bytes, int, str, str | None]] = [
        ("", 400, "malformed_body", None),
        ("{", 400, "malformed_body", None),
        ('{"country": "us"', 400, "malformed_body", None),
        (b'{"country": "\xff", "service": "whatsapp"}', 400, "malformed_body", None),
        ('{"country": "us", "service": "\\ud800"}', 400, "malformed_body", None),
        ('{"country": "us", "service": "a\\u0000b"}', 422, "invalid_request", None),
        ("[" * 60_000, 422, "invalid_request", None),
        ("[]", 422, "invalid_request", None),
        ("null", 422, "invalid_request", None),
        (json.dumps({"country": "us"}), 422, "invalid_request", "service"),
        (json.dumps(good | {"contry": "us"}), 422, "invalid_request", "contry"),
        (json.dumps(good | {"ttl": "600"}), 422, "invalid_request", "ttl"),
        (json.dumps(good | {"ttl": 59}), 422, "invalid_request", "ttl"),
        (json.dumps(good | {"ttl": 3601}), 422, "invalid_request", "ttl"),
        (json.dumps(good | {"ttl": 1e400}), 400, "malformed_body", None),
        (json.dumps(good | {"max_price": -1}), 422, "invalid_request", "max_price"),
        (json.dumps(good | {"max_price": 0.0000001}), 422, "invalid_request", "max_price"),
        ('{"country": "us", "service": "whatsapp", "max_price": 1e999999}', 422, "invalid_request", "max_price"),
        (json.dumps(good | {"max_price": "NaN"}), 422, "invalid_request", "max_price"),
        (json.dumps(good | {"labels": {str(n): "x" for n in range(11)}}), 422, "invalid_request", "labels"),
        (json.dumps(good | {"labels": {"run_id": 7}}), 422, "invalid_request", None),
        (json.dumps(good | {"sender": "a\nb"}), 422, "invalid_request", "sender"),
        (json.dumps(good | {"country": "zz"}), 404, "unknown_country", "country"),
        (json.dumps(good | {"country": "usa"}), 404, "unknown_country", "country"),
        (json.dumps(good | {"service": "wattsapp"}), 404, "unknown_service", "service"),
        (json.dumps(good | {"country": "af"}), 404, "no_numbers_available", None),
        (json.dumps(good | {"max_price": 0.01}), 409, "price_above_max", None),
        ("x" * 70_000, 413, "payload_too_large", None),
    ]
    for body, status, code, field in cases:
        document = problem(caller.post(body), status, code)
        assert field is None or document["field"] == field, document
    caller.nothing_changed()


def test_a_refusal_says_what_helps(caller: Caller) -> None:
    elsewhere = problem(caller.post('{"country": "af", "service": "whatsapp"}'), 404, "no_numbers_available")
    assert "us" in elsewhere["countries"]
    dear = problem(caller.post('{"country": "us", "service": "whatsapp", "max_price": 0.01}'), 409, "price_above_max")
    assert dear["min_price"] == 0.10
    poor = Caller(caller.server, caller.trunkline)
    poor.key = caller.trunkline.customer(credit="0.05").live_key
    refused = problem(poor.post('{"country": "us", "service": "whatsapp"}'), 402, "insufficient_balance")
    assert (refused["balance"], refused["cost"]) == (0.05, 0.10)


def test_what_belongs_to_somebody_else_does_not_exist(caller: Caller) -> None:
    lease = caller.post('{"country": "us", "service": "whatsapp"}').json()["data"]["activation_id"]
    stranger = Caller(caller.server, caller.trunkline)
    made_up = ["0", "1", "99999999", "-1", "abc", "1e3", "9" * 18, "9" * 40, "%00", "١٢٣", "10000001 ", "1;DROP"]
    answers = {
        json.dumps({k: v for k, v in stranger.get(f"/numbers/status/{one}").json().items() if k != "request_id"})
        for one in [lease, *made_up]
    }
    assert len(answers) == 1
    for path in ("/numbers/status/", "/numbers/"):
        for one in [lease, *made_up]:
            problem(stranger.get(path + one), 404, "not_found")
    problem(stranger.post('{"status": "cancelled"}', f"/numbers/finish/{lease}"), 404, "not_found")
    bulk = stranger.post(
        json.dumps({"activation_ids": [lease, *(one for one in made_up if len(one) <= 32)]}), "/numbers/status"
    )
    assert set(bulk.json()["data"].values()) == {None}
    assert caller.get(f"/numbers/status/{lease}").json()["data"]["status"] == "waiting"


def test_a_path_that_does_not_exist_and_a_method_that_is_not_taken(caller: Caller) -> None:
    for path in ("/", "/numbers/purchase/", "/numberz", "/numbers//", "/../etc/passwd", "/numbers/1/2/3", "/%2e%2e"):
        problem(caller.get(path), 404, "not_found")
    refused = caller.get("/numbers/purchase/batch")
    problem(refused, 405, "method_not_allowed")
    assert refused.headers["allow"] == "POST"
    for method in ("DELETE", "PUT", "PATCH", "OPTIONS", "BREW"):
        answer = requests.request(method, caller.server.api + "/countries", timeout=30)
        assert answer.status_code in (400, 405)
        assert answer.headers["content-type"] == "application/problem+json"


def test_a_body_that_is_not_json_is_not_guessed_at(caller: Caller) -> None:
    good = '{"country": "us", "service": "whatsapp"}'
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/xml", "x"):
        problem(caller.post(good, **{"Content-Type": kind}), 415, "unsupported_media_type")
    caller.nothing_changed()
    assert caller.post(good, **{"Content-Type": "application/json; charset=utf-8"}).status_code == 200


def test_a_bad_query_is_refused(caller: Caller) -> None:
    lease = caller.post('{"country": "us", "service": "whatsapp"}').json()["data"]["activation_id"]
    for path in (
        "/numbers?limit=0",
        "/numbers?limit=101",
        "/numbers?limit=ten",
        "/numbers?limit=null",
        "/numbers?cursor=xyz",
        "/numbers?cursor=",
        "/numbers?status=lost",
        "/numbers?statos=waiting",
        "/numbers?service=%00",
        "/numbers?service=%ff",
        "/numbers?limit=1&limit=2",
        f"/numbers/status/{lease}?wait=31",
        f"/numbers/status/{lease}?wait=-1",
        f"/numbers/status/{lease}?wait=nan",
        f"/numbers/status/{lease}?after_revision=-1",
        "/countries?limit=0",
        "/services?qq=x",
    ):
        problem(caller.get(path), 422, "invalid_request")
    problem(caller.get("/prices?country=zz"), 404, "unknown_country")
    problem(caller.get("/prices?service=zz"), 404, "unknown_service")


def test_only_a_good_key_is_let_in(caller: Caller, trunkline: Trunkline) -> None:
    for header in (
        None,
        "",
        "Bearer",
        "Bearer ",
        "Basic dXNlcjpwYXNz",
        caller.key,
        f"Bearer {caller.key[:-1]}",
        f"Bearer {caller.key[:-1]}!",
        f"Bearer {caller.key.swapcase()}",
        "Bearer tl_live_000000000000000000000000000000000000",
        "Bearer " + "x" * 5000,
        "Bearer \u00e9\u00e9".encode("latin-1"),
    ):
        headers: dict[str, Any] = {} if header is None else {"Authorization": header}
        answer = requests.get(caller.server.api + "/account", headers=headers, timeout=30)
        problem(answer, 401, "invalid_key")
        assert answer.headers["www-authenticate"].startswith("Bearer")


def test_an_idempotency_key_out_of_bounds_is_refused(caller: Caller) -> None:
    good = '{"country": "us", "service": "whatsapp"}'
    for key in ("", "x" * 256, "caf\u00e9"):
        answer = caller.post(good, **{"Idempotency-Key": key.encode("latin-1").decode("latin-1")})
        problem(answer, 422, "invalid_request")
    caller.nothing_changed()
    assert caller.post(good, **{"Idempotency-Key": "x" * 255}).status_code == 200


def test_what_is_not_http_gets_a_problem_and_a_closed_connection(caller: Caller) -> None:
    start = b"GET /api/v1/countries HTTP/1.1\r\nHost: x\r\n"
    for data in (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"HELLO\r\n\r\n",
        start + b"X-Bad: a\x01b\r\n\r\n",
        start + b"X-Bad: a\x00b\r\n\r\n",
        start + b"no colon here\r\n\r\n",
        b"POST /api/v1/numbers/purchase HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /api/v1/numbers/purchase HTTP/1.1\r\nHost: x\r\nContent-Length: ten\r\n\r\n",
    ):
        answer = caller.raw(data)
        assert answer.startswith(b"HTTP/1.1 400"), (data, answer)
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "malformed_request"
    assert requests.get(caller.server.api + "/countries", timeout=30).status_code == 200


def test_a_head_too_large_is_cut_off(caller: Caller) -> None:
    for data in (
        b"GET /api/v1/" + b"a" * 9_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /api/v1/" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /api/v1/countries HTTP/1.1\r\nX-Big: " + b"a" * 70_000,
        b"GET /api/v1/countries HTTP/1.1\r\n" + b"X-Many: 1\r\n" * 10_000,
    ):
        answer = caller.raw(data)
        assert answer.startswith(b"HTTP/1.1 414"), answer[:100]
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "path_too_long"
