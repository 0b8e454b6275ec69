"""Requests as they come over a socket, however their octets are cut.

What a caller, a proxy and we could read differently is refused, or read as RFC 9110 and RFC 9112 say.
"""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.surfaces.http.edge import Answer, Edge, edge

pytestmark = pytest.mark.asyncio

ORDER = b'{"country":"us","service":"whatsapp"}'
DRY = b'{"country":"us","service":"whatsapp","dry_run":true}'
JSON = "Content-Type: application/json"


@pytest_asyncio.fixture
async def served(url: str) -> AsyncIterator[Edge]:
    async with edge(url) as opened:
        yield opened


def chunked(body: bytes, size: int = 7, extension: bytes = b"", trailers: bytes = b"") -> bytes:
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x%b\r\n%b\r\n" % (len(each), extension, each) for each in pieces) + b"0\r\n" + trailers + b"\r\n"


def refused(found: list[Answer], status: int, code: str) -> None:
    assert [each.status for each in found] == [status], found
    assert found[0].document["code"] == code
    assert found[0].headers["content-type"] == "application/problem+json"
    assert found[0].headers["x-request-id"].startswith("req_")
    assert found[0].headers["connection"] == "close"


@pytest.mark.parametrize("offer", ["h2c", "websocket", "TLS/1.2", "h2c, websocket", "something/9"])
@pytest.mark.parametrize("form", ["at once", "body in a later segment", "chunked", "octet by octet"])
async def test_an_offer_of_another_protocol_is_declined_and_the_request_answered(
    served: Edge, offer: str, form: str
) -> None:
    offered = ("Connection: Upgrade, HTTP2-Settings", f"Upgrade: {offer}", "HTTP2-Settings: AAMAAABkAAQAAP__", JSON)
    if form == "chunked":
        request = served.ask("POST /numbers/purchase", *offered, "Transfer-Encoding: chunked", body=chunked(ORDER))
    else:
        request = served.ask("POST /numbers/purchase", *offered, body=ORDER)
    at = request.index(b"\r\n\r\n") + 4
    parts = {
        "at once": [request + served.ask("GET /account")],
        "body in a later segment": [request[:at], request[at:], served.ask("GET /account")],
        "chunked": [request, served.ask("GET /account")],
        "octet by octet": [bytes([each]) for each in request] + [served.ask("GET /account")],
    }[form]
    bought, account = await served.said(*parts)
    assert (bought.status, account.status) == (200, 200), bought.body
    assert bought.document["data"]["service"] == "whatsapp"
    assert "upgrade" not in bought.headers


async def test_the_body_of_a_request_with_an_offer_is_never_a_request(served: Edge) -> None:
    inner = served.ask("GET /numbers")
    request = served.ask("POST /numbers/purchase", "Connection: upgrade", "Upgrade: h2c", JSON, body=inner)
    at = request.index(b"\r\n\r\n") + 4
    for parts in ([request], [request[:at], request[at:]]):
        found = await served.said(*parts)
        assert [each.status for each in found] == [400]
        assert found[0].document["code"] == "malformed_body"
    got = await served.said(served.ask("GET /account", "Connection: Upgrade", "Upgrade: websocket") * 3)
    assert [each.status for each in got] == [200] * 3


async def test_who_has_said_everything_is_answered_to_the_last_request(served: Edge) -> None:
    order = served.ask("POST /numbers/purchase", JSON, body=ORDER)
    found = await served.said(order * 3 + served.ask("GET /account"))
    assert [each.status for each in found] == [200] * 4
    assert await served.leases() == 3
    assert [each.status for each in await served.said(order, order)] == [200, 200]
    held = await served.said(
        served.ask(f"GET /numbers/status/{found[0].document['data']['activation_id']}?wait=1&after_revision=0")
    )
    assert held[0].document["data"]["status"] == "waiting"
    assert await served.said(order[:-5]) == []  # not whole
    assert await served.leases() == 5


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ([], 400, "malformed_request"),
        (["Host: a", "Host: a"], 400, "malformed_request"),
        (["Host: a", "host: b"], 400, "malformed_request"),
        (["Host: a b"], 400, "malformed_request"),
        (["Host: a/b"], 400, "malformed_request"),
        (["Host: a@b"], 400, "malformed_request"),
        (["Host: a:port"], 400, "malformed_request"),
        (["Host: [::1"], 400, "malformed_request"),
        (["Host: a", "Authorization: Bearer x", "Authorization: Bearer y"], 400, "malformed_request"),
        (["Host: a", "Idempotency-Key: x", "Idempotency-Key: x"], 400, "malformed_request"),
        (["Host: a", "Content-Type: application/json", "content-type: text/plain"], 400, "malformed_request"),
        (["Host: a", "Content-Length: 2", "Content-Length: 2"], 400, "malformed_request"),
        (["Host: a", "Content-Length: 2, 2"], 400, "malformed_request"),
        (["Host: a", "Content-Length: +2"], 400, "malformed_request"),
        (["Host: a", "Content-Length: 2", "Transfer-Encoding: chunked"], 400, "malformed_request"),
        (["Host: a", "Transfer-Encoding: chunked", "Content-Length: 2"], 400, "malformed_request"),
        (["Host: a", "Transfer-Encoding: gzip, chunked"], 501, "transfer_coding_unknown"),
        (["Host: a", "Transfer-Encoding: gzip", "Transfer-Encoding: chunked"], 501, "transfer_coding_unknown"),
        (["Host: a", "Transfer-Encoding: identity"], 501, "transfer_coding_unknown"),
        (["Host: a", "Transfer-Encoding: xchunked"], 501, "transfer_coding_unknown"),
        (["Host: a", "X-Folded: a", " b"], 400, "malformed_request"),
        (["Host : a"], 400, "malformed_request"),
        (["Host: a", "X: a\x00b"], 400, "malformed_request"),
        (["Host: a", "X: a\rb"], 400, "malformed_request"),
        (["Host: a", "X: a\nY: b"], 400, "malformed_request"),
        (["Host: a", ": b"], 400, "malformed_request"),
    ],
)
async def test_a_head_that_two_readers_could_read_differently_is_refused(
    served: Edge, headers: list[str], status: int, code: str
) -> None:
    request = "\r\n".join(["POST /api/v1/numbers/purchase HTTP/1.1", *headers, "", "ab"]).encode()
    refused(await served.said(request, end=False), status, code)
    refused(await served.said(*(bytes([each]) for each in request), end=False), status, code)


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("GET /api/v1/countries HTTP/2.0", 505),
        ("GET /api/v1/countries HTTP/0.9", 505),
        ("GET /api/v1/countries HTTP/3.0", 400),
        ("GET /api/v1/countries HTTP/1.7", 400),
        ("GET /api/v1/countries", 505),
        ("GET /api/v1/countries#top HTTP/1.1", 400),
        ("GET api/v1/countries HTTP/1.1", 400),
        ("GET http://user@here/api/v1/countries HTTP/1.1", 400),
        ("GET ftp://here/api/v1/countries HTTP/1.1", 400),
        ("GET http://a,b:x/api/v1/countries HTTP/1.1", 400),
        ("CONNECT here:443 HTTP/1.1", 400),
        ("PRI * HTTP/2.0", 400),
        ("get /api/v1/countries HTTP/1.1", 400),
    ],
)
async def test_a_request_line_that_is_not_http_1_is_refused(served: Edge, line: str, status: int) -> None:
    found = await served.said(f"{line}\r\nHost: here\r\n\r\n".encode(), end=False)
    assert [each.status for each in found] == [status], found
    assert found[0].document["code"] in ("malformed_request", "http_version_not_supported")


async def test_a_url_as_a_target_is_a_path_like_any_other(served: Edge) -> None:
    for line, host in (
        ("GET http://here/api/v1/countries?limit=1 HTTP/1.1", "Host: here\r\n"),
        ("GET HTTPS://elsewhere.example:443/api/v1/countries?limit=1 HTTP/1.1", "Host: here\r\n"),
        ("GET /api/v1/countries?limit=1 HTTP/1.1", "Host:\r\n"),
        ("GET /api/v1/countries?limit=1 HTTP/1.1", "Host: [::1]:8600\r\n"),
        ("GET /api/v1/countries?limit=1 HTTP/1.1", "Host: xn--mnchen-3ya.example.:1\r\n"),
        ("GET /api/v1/countries?limit=1 HTTP/1.0", ""),
    ):
        found = await served.said(f"{line}\r\n{host}\r\n".encode())
        assert [each.status for each in found] == [200], (line, found)
    assert (await served.said(b"GET http://here HTTP/1.1\r\nHost: here\r\n\r\n"))[0].status == 404
    assert (await served.said(b"OPTIONS * HTTP/1.1\r\nHost: here\r\n\r\n"))[0].status == 404


async def test_a_field_means_the_same_in_one_line_in_several_and_between_blanks(served: Edge) -> None:
    [first] = await served.said(served.ask("GET /countries", key=False))
    etag = first.headers["etag"]
    for lines in (
        [f'If-None-Match: "other", {etag}'],
        [f"If-None-Match: {etag}", 'If-None-Match: "other"'],
        ['If-None-Match: "other"', f"If-None-Match: \t{etag} \t"],
    ):
        async with served.line() as (reader, writer), asyncio.timeout(60):
            writer.write(served.ask("GET /countries", *lines, key=False))
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 304"), lines
    key = served.buyer.account.live_key
    [account] = await served.said(served.ask("GET /account", f"Authorization:  Bearer {key} \t ", key=False))
    assert account.status == 200


async def test_a_coded_body_is_refused_and_the_answer_says_which_coding_there_is(served: Edge) -> None:
    for coding in ("gzip", "br", "deflate, gzip", "GZIP"):
        order = served.ask("POST /numbers/purchase", JSON, f"Content-Encoding: {coding}", body=b"\x1f\x8b" + ORDER)
        [answer] = await served.said(order)
        assert (answer.status, answer.document["code"]) == (415, "unsupported_media_type")
        assert answer.headers["accept-encoding"] == "identity"
    [answer] = await served.said(served.ask("POST /numbers/purchase", JSON, "Content-Encoding: identity", body=DRY))
    assert answer.status == 200
    [answer] = await served.said(served.ask("POST /numbers/purchase", "Content-Type: text/plain", body=DRY))
    assert answer.status == 415
    assert "accept-encoding" not in answer.headers


@pytest.mark.parametrize(
    ("path", "body", "name"),
    [
        ("/numbers/purchase", '{"country":"us","service":"whatsapp","max_price":0.01,"max_price":100}', "max_price"),
        ("/numbers/purchase", '{"country":"us","service":"whatsapp","labels":{"run_id":"a","run_id":"b"}}', "run_id"),
        ("/numbers/purchase", '{"country":"us","service":"whatsapp","\\u0063ountry":"us"}', "country"),
        ("/numbers/purchase/batch", '{"items":[{"country":"us","service":"whatsapp","ttl":60,"ttl":61}]}', "ttl"),
        ("/keys", '{"name":"ci","scopes":["numbers"],"name":"ci"}', "name"),
    ],
)
async def test_a_member_that_is_given_twice_is_named_and_nothing_happens(
    served: Edge, path: str, body: str, name: str
) -> None:
    [answer] = await served.said(served.ask(f"POST {path}", JSON, body=body.encode()))
    assert (answer.status, answer.document["code"], answer.document["field"]) == (422, "invalid_request", name)
    assert await served.leases() == 0


async def test_a_nul_is_refused_wherever_it_stands(served: Edge) -> None:
    for line in (
        "GET /numbers/%00", "GET /numbers/status/1%00", "GET /numbers?label.%00=x", "GET /numbers?label.a=%00",
        "POST /services/a%00b/control/check", "DELETE /services/%00/control",
        "DELETE /keys/%00", "GET /webhooks/%00/deliveries", "GET /numbers?service=%00", "GET /prices?service=%00",
    ):  # fmt: skip
        [answer] = await served.said(served.ask(line))
        assert answer.status in (404, 405, 422), (line, answer)
    [answer] = await served.said(served.ask("POST /services/%00/control", JSON, body=b'{"method":"dns"}'))
    assert (answer.status, answer.document["code"]) == (404, "unknown_service")
    for path, body in (
        ("/numbers/purchase", {"country": "us", "service": "a\0b"}),
        ("/numbers/purchase", {"country": "us", "service": "whatsapp", "labels": {"a\0": "b"}}),
        ("/keys", {"name": "\0", "scopes": ["numbers"]}),
    ):
        [answer] = await served.said(served.ask(f"POST {path}", JSON, body=json.dumps(body).encode()))
        assert answer.status == 422, answer


async def test_who_asks_whether_to_go_on_is_told_so_before_the_body_or_refused_instead(served: Edge) -> None:
    request = served.ask("POST /numbers/purchase", JSON, "Expect: 100-continue", body=DRY)
    at = request.index(b"\r\n\r\n") + 4
    async with served.line() as (reader, writer), asyncio.timeout(60):
        writer.write(request[:at])
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(request[at:])
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    stranger = served.ask("POST /numbers/purchase", JSON, "Expect: 100-continue", body=DRY, key=False)
    [answer] = await served.said(stranger[: stranger.index(b"\r\n\r\n") + 4], end=False)
    assert (answer.status, answer.headers["connection"]) == (401, "close")


async def test_what_is_malformed_is_answered_in_its_turn(served: Edge) -> None:
    [lease] = await served.said(served.ask("POST /numbers/purchase", JSON, body=ORDER))
    held = served.ask(f"GET /numbers/status/{lease.document['data']['activation_id']}?wait=1&after_revision=0")
    found = await served.said(held + b"THIS IS NOT HTTP\r\n\r\n", end=False)
    assert [each.status for each in found] == [200, 400]
    broken = served.ask("POST /numbers/purchase", JSON, "Transfer-Encoding: chunked", body=b"5\r\nab")
    found = await served.said(held, broken, b"XXXXXXXX", b"X", end=False)
    assert [each.status for each in found] == [200, 400]
    assert await served.leases() == 1


async def test_a_caller_of_http_1_0_gets_long_answers_without_chunks(served: Edge) -> None:
    key = served.buyer.account.live_key
    request = (
        f"GET /api/v1/account/statement?from=2026-01-01&to=2026-01-31 HTTP/1.0\r\nAuthorization: Bearer {key}\r\n\r\n"
    )
    async with served.line() as (reader, writer), asyncio.timeout(60):
        writer.write(request.encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert b"transfer-encoding" not in head
    assert b"connection: close" in head
    assert body[:1].isalpha()  # the statement's first column, and not a chunk's size
    assert not body.endswith(b"0\r\n\r\n")


async def test_answers_with_codes_and_secrets_are_kept_by_nobody(served: Edge) -> None:
    order = served.ask("POST /numbers/purchase", JSON, "Idempotency-Key: once", body=ORDER)
    for request in (
        order, order, served.ask("GET /numbers"),
        served.ask("POST /keys", JSON, body=b'{"name":"a","scopes":["numbers"]}'),
        served.ask("GET /account", key=False), served.ask("GET /nowhere"), b"NONSENSE\r\n\r\n",
    ):  # fmt: skip
        [answer] = await served.said(request)
        assert answer.headers["cache-control"] == "no-store", request
        assert answer.headers["x-content-type-options"] == "nosniff", request
    [public] = await served.said(served.ask("GET /countries", key=False))
    assert public.headers["cache-control"].startswith("public")
    assert public.headers["x-content-type-options"] == "nosniff"


def _conversation(served: Edge) -> bytes:
    return b"".join(
        (
            served.ask("POST /numbers/purchase", JSON, body=DRY),
            served.ask("GET /numbers/77", "Connection: upgrade", "Upgrade: h2c"),
            served.ask("POST /numbers/purchase", JSON, "Transfer-Encoding: chunked",
                       body=chunked(DRY, extension=b";a=b", trailers=b"Host: x\r\nX-Sum: 1\r\n")),
            served.ask("POST /numbers/status", JSON, "Connection: Upgrade", "Upgrade: websocket",
                       body=b'{"activation_ids":["1","1"]}'),
            served.ask("GET /account"),
            b"\r\n",
            served.ask("DELETE /keys/1", "Transfer-Encoding: chunked", body=chunked(b"")),
            b"GET / HTTP/1.1\r\nNo colon\r\n\r\n",
        )
    )  # fmt: skip


async def test_the_answers_are_the_same_however_the_octets_are_cut(served: Edge) -> None:
    conversation = _conversation(served)
    expected = [each.gist[:2] for each in await served.said(conversation, end=False)]
    assert [status for status, _ in expected] == [200, 404, 200, 200, 200, 404, 400]
    loop = asyncio.get_running_loop()

    @settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.sets(st.integers(1, len(conversation) - 1), max_size=12))
    def cut(places: set[int]) -> None:
        bounds = [0, *sorted(places), len(conversation)]
        parts = [conversation[a:b] for a, b in itertools.pairwise(bounds)]
        found = asyncio.run_coroutine_threadsafe(served.said(*parts, end=False), loop).result(120)
        assert [each.gist[:2] for each in found] == expected

    await asyncio.to_thread(cut)


async def test_nothing_that_is_sent_makes_the_server_fail_or_hang(
    served: Edge, caplog: pytest.LogCaptureFixture
) -> None:
    conversation = _conversation(served)
    loop = asyncio.get_running_loop()
    noise = st.one_of(
        st.binary(max_size=200),
        st.sampled_from(
            [b"\r\n", b"\r\n\r\n", b"0\r\n\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: x\r\n", b"\x00"]
        ),
    )

    @settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.lists(st.tuples(st.integers(0, len(conversation)), st.integers(0, 40), noise), max_size=4))
    def disturbed(changes: list[tuple[int, int, bytes]]) -> None:
        octets = conversation
        for at, lost, put in changes:
            octets = octets[:at] + put + octets[at + lost :]
        found = asyncio.run_coroutine_threadsafe(served.said(octets), loop).result(120)
        assert all(each.status < 500 or each.status in (501, 505) for each in found), found

    await asyncio.to_thread(disturbed)
    assert "Traceback" not in caplog.text
