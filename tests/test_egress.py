"""Calls to addresses that customers name reach nobody whom they should not, and end in time whatever is there."""

import asyncio
import contextlib
import ipaddress
import socket
import ssl
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import example, given
from hypothesis import strategies as st

from tests.egress.hostile import HOSTILE
from tests.outside import Behaviour, Site, nobody, says, site, tls
from trunkline import egress
from trunkline.egress import NoAnswer, UrlRefused, check, fetch, is_public, networks, urls
from trunkline.egress.answers import MOST_READ

LOOPBACK = networks(["127.0.0.0/8", "::1/128"])
RESOLVE_SECONDS = 60  # for a resolver to ask all its name servers in vain
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Seen: yes\r\n\r\nhello"


@pytest.mark.asyncio
async def test_no_spelling_of_an_address_that_is_not_public_is_dialled() -> None:
    async with site(says(OK)) as four, site(says(OK), host="::1") as six:
        for form in HOSTILE:
            for here in (four, six):
                with pytest.raises((UrlRefused, NoAnswer)) as refused:
                    await fetch("GET", form.replace("{P}", str(here.port)), seconds=RESOLVE_SECONDS)
                assert refused.type is UrlRefused or "cannot be resolved" in str(refused.value), form
        assert (four.connections, six.connections) == (0, 0)
    assert len(HOSTILE) >= 60


@pytest.mark.parametrize(
    "network",
    [
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"),
        *("192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
        *(
            "224.0.0.0/4",
            "240.0.0.0/4",
            "::/8",
            "64:ff9b::/96",
            "64:ff9b:1::/48",
            "100::/64",
            "2001::/32",
            "2001:2::/48",
        ),
        *("2001:db8::/32", "2001:10::/28", "2002::/16", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10"),
        "ff00::/8",
    ],
)
def test_the_special_networks_are_not_public_from_their_first_address_to_their_last(network: str) -> None:
    whole = ipaddress.ip_network(network)
    assert not is_public(whole[0])
    assert not is_public(whole[-1])
    assert not is_public(whole[whole.num_addresses // 2])


@given(st.ip_addresses())
def test_what_python_calls_private_reserved_or_multicast_is_never_public(address: Any) -> None:
    if address.is_private or address.is_reserved or address.is_multicast or address.is_link_local:
        assert not is_public(address)


def test_ordinary_addresses_are_public() -> None:
    for text in ("1.1.1.1", "9.9.9.9", "93.184.216.34", "2606:4700:4700::1111", "2a00:1450:4001::1", "2001:4860::8888"):
        assert is_public(ipaddress.ip_address(text))


@given(st.text(max_size=40))
@example("@")
@pytest.mark.filterwarnings("ignore::hypothesis.errors.NonInteractiveExampleWarning")
def test_whatever_a_url_holds_it_is_read_or_refused(text: str) -> None:
    for url in (text, f"https://{text}/", f"https://example.com{text}", f"https://example.com/{text}"):
        with contextlib.suppress(UrlRefused):
            target = urls.read(url)
            assert target.path.isascii()
            assert not any(character in target.host + target.path for character in " \r\n\0\\")
            assert "@" not in target.host


@pytest.mark.asyncio
async def test_a_host_that_readers_of_names_disagree_about_is_refused() -> None:
    for host in ("straße.example", "STRAẞE.example", "πας.example", "a\u200db.example", "a\u200cb.example"):
        with pytest.raises(UrlRefused, match="xn--"):
            await check(f"https://{host}/")
    for host in ("xn--strae-oqa.example", "bücher.example", "παs.example"):
        await check(f"https://{host}/")


# A site of the operator's own, with a certificate that is good


@pytest_asyncio.fixture
async def trusted(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> AsyncIterator[ssl.SSLContext]:
    context, authority = tls("localhost", "127.0.0.1", "::1")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    egress._trust.cache_clear()
    yield context
    egress._trust.cache_clear()


@contextlib.asynccontextmanager
async def secure(behave: Behaviour, context: ssl.SSLContext) -> AsyncIterator[tuple[Site, str]]:
    async with site(behave, context=context) as here:
        yield here, f"https://localhost:{here.port}/a?b=c"


@pytest.mark.asyncio
async def test_a_listed_receiver_is_called_by_its_name_over_tls(trusted: ssl.SSLContext) -> None:
    async with secure(says(OK), trusted) as (here, url):
        answer = await fetch("POST", url, {"webhook-id": "msg_1"}, b'{"a":1}', allow=LOOPBACK)
        assert (answer.status, answer.body, answer.whole) == (200, b"hello", True)
        assert answer.headers["x-seen"] == "yes"
        head = here.requests[0].decode().lower()
        assert head.startswith("post /a?b=c http/1.1\r\n")
        assert f"host: localhost:{here.port}\r\n" in head
        assert "webhook-id: msg_1\r\n" in head
        assert "content-length: 7\r\n" in head
        with pytest.raises(UrlRefused, match="not public"):
            await fetch("GET", url)
        assert here.connections == 1


@pytest.mark.asyncio
async def test_only_listed_addresses_may_be_asked_without_tls() -> None:
    async with site(says(OK)) as here:
        url = f"http://127.0.0.1:{here.port}/"
        assert (await fetch("GET", url, allow=LOOPBACK)).status == 200
        with pytest.raises(UrlRefused):
            await fetch("GET", url, allow=networks(["10.0.0.0/8"]))


@pytest.mark.asyncio
async def test_a_certificate_for_another_name_or_of_an_unknown_authority_is_no_answer(
    trusted: ssl.SSLContext,
) -> None:
    async with site(says(OK), context=trusted, host="127.0.0.2") as here:
        with pytest.raises(NoAnswer, match="certificate"):
            await fetch("GET", f"https://127.0.0.2:{here.port}/", allow=LOOPBACK)
    unknown, _ = tls("localhost")
    async with secure(says(OK), unknown) as (_, url):
        with pytest.raises(NoAnswer, match="certificate"):
            await fetch("GET", url, allow=LOOPBACK)


@pytest.mark.asyncio
async def test_a_name_is_resolved_once_and_the_address_that_was_checked_is_dialled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []
    answers = iter(["127.0.0.1", "127.0.0.2", "127.0.0.2"])

    def rebinding(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    async with site(says(OK)) as here, site(says(OK), host="127.0.0.2") as inner:
        allow = networks(["127.0.0.1/32"])
        answer = await fetch("GET", f"http://rebinding.example:{here.port}/", allow=allow)
        assert (answer.status, answer.address, asked) == (200, "127.0.0.1", ["rebinding.example"])
        with pytest.raises(UrlRefused, match="not public"):
            await fetch("GET", f"http://rebinding.example:{inner.port}/", allow=allow)
        assert inner.connections == 0


@pytest.mark.asyncio
async def test_a_name_with_one_answer_that_is_not_public_is_refused_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    def mixed(host: str, port: int, **_: Any) -> list[Any]:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in ("93.184.216.34", "10.0.0.1")
        ]

    monkeypatch.setattr(socket, "getaddrinfo", mixed)
    with pytest.raises(UrlRefused, match="not public"):
        await fetch("GET", "https://mixed.example/")


@pytest.mark.asyncio
async def test_public_addresses_are_asked_over_https_on_port_443_alone() -> None:
    for url in ("http://93.184.216.34/", "https://93.184.216.34:8443/", "http://93.184.216.34:443/"):
        with pytest.raises(UrlRefused, match="port 443"):
            await fetch("GET", url)


@pytest.mark.asyncio
async def test_on_any_port_is_still_over_https_and_to_public_addresses() -> None:
    for url in ("http://93.184.216.34/", "http://93.184.216.34:443/"):
        with pytest.raises(UrlRefused, match="not https"):
            await fetch("GET", url, any_port=True)
    for form in HOSTILE:
        with pytest.raises((UrlRefused, NoAnswer)):
            await fetch("GET", form.replace("{P}", "8443"), any_port=True, seconds=RESOLVE_SECONDS)


@pytest.mark.asyncio
async def test_a_check_refuses_what_would_not_be_dialled_and_dials_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(egress, "CHECK_SECONDS", RESOLVE_SECONDS)
    for url in ("https://93.184.216.34/", "https://93.184.216.34:8443/hook", "https://nobody.invalid/hook"):
        await check(url)
    unresolved = []
    for form in [*HOSTILE, "http://93.184.216.34/", "https://93.184.216.34:0/", "http://nobody.invalid/"]:
        try:
            await check(form.replace("{P}", "8443"))
        except UrlRefused:
            continue
        unresolved.append(form)
    for form in unresolved:  # it passes because no resolver here reads it as an address
        with pytest.raises(NoAnswer, match="cannot be resolved"):
            await fetch("GET", form.replace("{P}", "8443"), any_port=True, seconds=RESOLVE_SECONDS)
    async with site(says(OK)) as here:
        for url in (f"http://127.0.0.1:{here.port}/", f"http://localhost:{here.port}/"):
            await check(url, allow=LOOPBACK)
            with pytest.raises(UrlRefused):
                await check(url, allow=networks(["10.0.0.0/8"]))
        assert here.connections == 0


@pytest.mark.asyncio
async def test_a_name_is_looked_up_once_however_many_ask_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def slowly(host: str, *more: Any, **kept: Any) -> Any:
        asked.append(host)
        time.sleep(0.2)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", slowly)
    monkeypatch.setattr(egress, "CHECK_SECONDS", RESOLVE_SECONDS)
    answers = await asyncio.gather(*(check("https://slow.example/") for _ in range(100)), return_exceptions=True)
    assert {type(answer) for answer in answers} == {UrlRefused}
    assert asked == ["slow.example"]


@pytest.mark.asyncio
async def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    async with site(says(OK)) as inner:
        moved = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%d/\r\nContent-Length: 0\r\n\r\n" % inner.port
        async with site(says(moved)) as here:
            answer = await fetch("GET", f"http://127.0.0.1:{here.port}/", allow=LOOPBACK)
        assert (answer.status, inner.connections) == (302, 0)


@pytest.mark.asyncio
async def test_proxy_variables_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    async with site(says(OK)) as here, site(says(OK)) as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        await fetch("GET", f"http://127.0.0.1:{here.port}/", allow=LOOPBACK)
        assert (here.connections, proxy.connections) == (1, 0)


async def _drip(_: bytes, writer: asyncio.StreamWriter) -> None:
    for byte in OK[:-5] + b"x" * 1200:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.05)


async def _endless(_: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b"x" * 65536)
        await writer.drain()


async def _endless_head(_: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-More: %s\r\n" % (b"x" * 1000))
        await writer.drain()


async def _endless_chunks(_: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"1\r\nx\r\n" * 1000)
        await writer.drain()


async def _silent(_: bytes, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


@pytest.mark.asyncio
@pytest.mark.parametrize("behave", [_drip, _silent])
async def test_a_server_that_drips_or_says_nothing_costs_the_whole_time_and_no_more(behave: Behaviour) -> None:
    async with site(behave) as here:
        began = time.monotonic()
        with pytest.raises(NoAnswer, match=r"within 0\.5 seconds"):
            await fetch("GET", f"http://127.0.0.1:{here.port}/", allow=LOOPBACK, seconds=0.5)
        assert time.monotonic() - began < 30  # both would take a minute


@pytest.mark.asyncio
async def test_an_endless_answer_is_read_to_its_64th_kibibyte() -> None:
    for behave in (_endless, _endless_chunks):
        async with site(behave) as here:
            answer = await fetch("GET", f"http://127.0.0.1:{here.port}/", allow=LOOPBACK)
            assert (answer.status, answer.whole) == (200, False)
            assert 5_000 < len(answer.body) < MOST_READ
    async with site(_endless_head) as here:
        with pytest.raises(NoAnswer, match="head has no end"):
            await fetch("GET", f"http://127.0.0.1:{here.port}/", allow=LOOPBACK)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("sent", "body", "whole"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\nto the end", b"to the end", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort", b"short", False),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
        (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Late: 1\r\n\r\n", b"ok", True),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00",
            b"\x1f\x8b\x08\0",
            True,
        ),
    ],
)
async def test_answers_of_every_framing_are_read_as_they_came(sent: bytes, body: bytes, whole: bool) -> None:
    async with site(says(sent)) as here:
        answer = await fetch("GET", f"http://127.0.0.1:{here.port}/", allow=LOOPBACK)
        assert (answer.body, answer.whole) == (body, whole)
        assert "x-late" not in answer.headers


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (b"HTTP/1.1 204 No Content\r\nX-Seen: yes\r\n\r\n", 204, b""),
        (b"HTTP/1.1 500 Oops\r\nX-Seen: yes\r\nContent-Length: 3\r\n\r\nbad", 500, b"bad"),
    ],
)
async def test_an_answer_is_the_first_one_whatever_comes_with_it(answer: bytes, status: int, body: bytes) -> None:
    """As where a server takes a body that it did not read for the next request."""
    for more in (b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\nno", OK):
        async with site(says(answer + more)) as here:
            got = await fetch("POST", f"http://127.0.0.1:{here.port}/", body=b"{}", allow=LOOPBACK)
        assert (got.status, got.body, got.whole, got.headers["x-seen"]) == (status, body, True, "yes")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"SSH-2.0-OpenSSH_9.7\r\n",
        b"HTTP/1.1 200",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"\x00" * 100,
    ],
)
async def test_what_is_not_http_is_no_answer(sent: bytes) -> None:
    async with site(says(sent)) as here:
        with pytest.raises(NoAnswer):
            await fetch("GET", f"http://127.0.0.1:{here.port}/", allow=LOOPBACK)


@pytest.mark.asyncio
async def test_nobody_at_the_address_and_no_such_name_are_no_answer() -> None:
    with nobody() as port, pytest.raises(NoAnswer, match="connection failed"):
        await fetch("GET", f"http://127.0.0.1:{port}/", allow=LOOPBACK)
    with pytest.raises(NoAnswer, match="cannot be resolved"):
        await fetch("GET", "https://nobody.invalid/", seconds=RESOLVE_SECONDS)


@pytest.mark.asyncio
async def test_a_header_that_would_be_two_is_refused_before_anything_is_sent() -> None:
    async with site(says(OK)) as here:
        for headers in ({"X-A": "1\r\nX-B: 2"}, {"X-A: 1\r\nX-B": "2"}, {"X-A": "\u2028"}):
            with pytest.raises(UrlRefused):
                await fetch("GET", f"http://127.0.0.1:{here.port}/", headers, allow=LOOPBACK)
        assert here.connections == 0
