"""A customer proves that a service is theirs, by its DNS or its site, and may then lease real numbers for it."""

import asyncio
import datetime
import ssl
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from tests.conftest import Serve, Trunkline
from tests.house import NORTH, House, data, opened, problem
from tests.outside import nameserver, says, site, tls

from trunkline import egress
from trunkline.catalog import control, services

pytestmark = pytest.mark.asyncio


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process name servers may take their time, but where a test says how long."""
    monkeypatch.setattr(control, "DNS_SECONDS", 60.0)


@pytest.fixture
def texts() -> dict[str, list[str]]:
    """The TXT records of the world; a test puts more there."""
    return {}


@pytest_asyncio.fixture
async def house(url: str, texts: dict[str, list[str]]) -> AsyncIterator[House]:
    async with (
        nameserver(texts) as address,
        opened(
            url, **(NORTH | {"TRUNKLINE_POOL__SIMULATED": "test"}), TRUNKLINE_CONTROL__NAMESERVERS=address,
            TRUNKLINE_WEBHOOKS__ALLOW="127.0.0.0/8,::1/128", TRUNKLINE_POLICY__MAX_ACTIVE="1",
        ) as house,
    ):  # fmt: skip
        await add(house, "acme", "acme.example")
        yield house


async def add(house: House, slug: str, domain: str) -> None:
    rows = services.read_csv(["slug,name,domain", f"{slug},{slug.title()},{domain}"])
    await services.put(house.platform.database, rows)


async def acts(house: House) -> list[tuple[str, str]]:
    rows = await house.platform.database.fetch("SELECT action, target FROM audit_entry ORDER BY entry_id")
    return [(row["action"], row["target"]) for row in rows if row["action"].startswith("control.")]


async def test_a_service_that_is_proved_by_dns_is_open_to_its_owner_on_real_carriers_and_not_capped(
    house: House, texts: dict[str, list[str]]
) -> None:
    owner, other = await house.buyer(), await house.buyer()
    await house.stock(3, carrier="north")
    problem(await owner.order("acme"), 403, "service_not_enabled")
    asked = data(await owner.post("/services/acme/control", {"method": "dns"}))
    assert (asked["service"], asked["domain"], asked["proved_at"]) == ("acme", "acme.example", None)
    record = asked["instructions"]
    assert record == {
        "name": "_trunkline.acme.example", "type": "TXT", "value": f"trunkline-control={asked['token']}"
    }  # fmt: skip
    refused = problem(await owner.post("/services/acme/control/check", None), 409, "control_not_proved")
    assert refused["found"] == []
    problem(await owner.order("acme"), 403, "service_not_enabled")

    texts[record["name"]] = ["something else", record["value"]]
    proved = data(await owner.ask("POST", "/services/acme/control/check"))
    assert proved["proved_at"]
    assert proved["expires_at"][:4] > proved["proved_at"][:4]
    for _ in range(2):  # though one active lease is the cap
        await owner.lease("acme")
    problem(await other.order("acme"), 403, "service_not_enabled")
    assert data(await owner.get("/services/control")) == [proved]
    assert await acts(house) == [("control.asked", "service:acme"), ("control.proved", "service:acme")]

    ended = data(await owner.ask("DELETE", "/services/acme/control"))
    assert ended["token"] == asked["token"]
    problem(await owner.order("acme"), 403, "service_not_enabled")
    problem(await owner.ask("DELETE", "/services/acme/control"), 404, "not_found")
    problem(await owner.ask("POST", "/services/acme/control/check"), 404, "not_found")
    assert data(await owner.get("/services/control")) == []


async def test_another_accounts_token_proves_nothing_and_is_shown_as_what_was_found(
    house: House, texts: dict[str, list[str]]
) -> None:
    owner, thief = await house.buyer(), await house.buyer()
    mine = data(await owner.post("/services/acme/control", {"method": "dns"}))["instructions"]
    theirs = data(await thief.post("/services/acme/control", {"method": "dns"}))["instructions"]
    assert mine["value"] != theirs["value"]
    texts[mine["name"]] = [mine["value"]]
    refused = problem(await thief.ask("POST", "/services/acme/control/check"), 409, "control_not_proved")
    assert refused["found"] == [mine["value"]]
    assert data(await owner.ask("POST", "/services/acme/control/check"))["proved_at"]


async def test_asking_again_keeps_the_token_and_the_proof(house: House, texts: dict[str, list[str]]) -> None:
    owner = await house.buyer()
    first = data(await owner.post("/services/acme/control", {"method": "dns"}))
    texts["_trunkline.acme.example"] = [first["instructions"]["value"]]
    proved = data(await owner.ask("POST", "/services/acme/control/check"))
    again = data(await owner.post("/services/acme/control", {"method": "file"}))
    assert (again["token"], again["proved_at"]) == (first["token"], proved["proved_at"])
    assert again["instructions"] == {
        "url": "https://acme.example/.well-known/trunkline-control.txt", "body": first["token"]
    }  # fmt: skip


async def test_a_proof_ends_when_the_catalog_names_another_domain(house: House, texts: dict[str, list[str]]) -> None:
    owner = await house.buyer()
    asked = data(await owner.post("/services/acme/control", {"method": "dns"}))
    texts["_trunkline.acme.example"] = [asked["instructions"]["value"]]
    data(await owner.ask("POST", "/services/acme/control/check"))
    await add(house, "acme", "acme.example")
    assert data(await owner.get("/services/control"))
    await add(house, "acme", "acme.test")
    assert data(await owner.get("/services/control")) == []


async def test_a_proof_of_a_year_ago_has_to_be_renewed(house: House, texts: dict[str, list[str]]) -> None:
    owner = await house.buyer()
    await house.stock(1, carrier="north")
    asked = data(await owner.post("/services/acme/control", {"method": "dns"}))
    texts["_trunkline.acme.example"] = [asked["instructions"]["value"]]
    data(await owner.ask("POST", "/services/acme/control/check"))
    await house.platform.database.execute(
        "UPDATE service_control SET proved_at = proved_at - $1::interval", datetime.timedelta(days=366)
    )
    problem(await owner.order("acme"), 403, "service_not_enabled")
    data(await owner.ask("POST", "/services/acme/control/check"))
    await owner.lease("acme")


async def test_a_proof_that_is_given_up_while_it_is_looked_for_stays_given_up(
    house: House, texts: dict[str, list[str]]
) -> None:
    owner = await house.buyer()
    asked = data(await owner.post("/services/acme/control", {"method": "dns"}))
    texts["_trunkline.acme.example"] = [asked["instructions"]["value"]]
    for _ in range(10):
        await owner.post("/services/acme/control", {"method": "dns"})
        await asyncio.gather(
            owner.ask("POST", "/services/acme/control/check"), owner.ask("DELETE", "/services/acme/control")
        )
        assert data(await owner.get("/services/control")) == []


# The file on the service's site


@pytest_asyncio.fixture
async def trusted(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> AsyncIterator[ssl.SSLContext]:
    context, authority = tls("localhost")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    egress._trust.cache_clear()
    yield context
    egress._trust.cache_clear()


async def test_a_service_is_proved_by_a_file_on_its_site(house: House, trusted: ssl.SSLContext) -> None:
    owner = await house.buyer()
    bodies = iter([b"404", b"something else", b"TOKEN and more", b"TOKEN\n"])
    token = b""

    async def behave(request: bytes, writer: asyncio.StreamWriter) -> None:
        assert request.startswith(b"GET /.well-known/trunkline-control.txt HTTP/1.1\r\n")
        body = next(bodies).replace(b"TOKEN", token)
        status = b"404 Not Found" if body == b"404" else b"200 OK"
        writer.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))
        await writer.drain()

    async with site(behave, context=trusted) as here:
        await add(house, "acme", f"localhost:{here.port}")
        token = data(await owner.post("/services/acme/control", {"method": "file"}))["token"].encode()
        found = []
        for _ in range(3):
            refused = problem(await owner.ask("POST", "/services/acme/control/check"), 409, "control_not_proved")
            found.append(refused["found"])
        assert found == [[], ["something else"], [f"{token.decode()} and more"]]
        assert data(await owner.ask("POST", "/services/acme/control/check"))["proved_at"]


async def test_a_file_that_is_too_long_or_does_not_come_whole_says_so(house: House, trusted: ssl.SSLContext) -> None:
    owner = await house.buyer()
    for answer, words in [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000, "its answer is longer than 64 KiB"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", "its answer ended too early"),
    ]:
        async with site(says(answer), context=trusted) as here:
            await add(house, "acme", f"localhost:{here.port}")
            await owner.post("/services/acme/control", {"method": "file"})
            refused = problem(await owner.ask("POST", "/services/acme/control/check"), 409, "control_not_proved")
            assert words in refused["detail"]


async def test_a_site_that_redirects_or_is_not_public_proves_nothing(house: House, trusted: ssl.SSLContext) -> None:
    owner = await house.buyer()
    moved = b"HTTP/1.1 301 Moved\r\nLocation: https://acme.example/\r\nContent-Length: 0\r\n\r\n"
    async with site(says(moved), context=trusted) as here:
        await add(house, "acme", f"localhost:{here.port}")
        await owner.post("/services/acme/control", {"method": "file"})
        refused = problem(await owner.ask("POST", "/services/acme/control/check"), 409, "control_not_proved")
        assert "301" in refused["detail"]
    await add(house, "inner", "10.1.2.3")
    await owner.post("/services/inner/control", {"method": "file"})
    refused = problem(await owner.ask("POST", "/services/inner/control/check"), 409, "control_not_proved")
    assert "not public" in refused["detail"]


# What is refused


async def test_what_cannot_be_proved_is_refused_with_a_reason(house: House) -> None:
    owner = await house.buyer()
    problem(await owner.post("/services/nosuch/control", {"method": "dns"}), 404, "unknown_service")
    problem(await owner.post("/services/test_success/control", {"method": "dns"}), 404, "unknown_service")
    refused = problem(await owner.post("/services/any/control", {"method": "dns"}), 422, "invalid_request")
    assert "No domain is known" in refused["detail"]
    refused = problem(await owner.post("/services/acme/control", {"method": "email"}), 422, "invalid_request")
    assert refused["field"] == "method"
    tester = owner.testing()
    assert data(await tester.get("/services/control")) == []
    problem(await tester.post("/services/acme/control", {"method": "dns"}), 403, "forbidden")
    problem(await tester.ask("POST", "/services/acme/control/check"), 403, "forbidden")
    problem(await tester.ask("DELETE", "/services/acme/control"), 403, "forbidden")
    with pytest.raises(Exception, match="reserved"):
        services.read_csv(["slug,name", "control,Control"])


async def test_a_name_server_that_is_silent_is_told_of_within_its_time(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "DNS_SECONDS", 0.5)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
    silent = "{}:{}".format(*transport.get_extra_info("sockname"))
    async with opened(url, TRUNKLINE_CONTROL__NAMESERVERS=silent) as house:
        await add(house, "acme", "acme.example")
        owner = await house.buyer()
        await owner.post("/services/acme/control", {"method": "dns"})
        async with asyncio.timeout(60):
            refused = problem(await owner.ask("POST", "/services/acme/control/check"), 409, "control_not_proved")
        assert "did not answer" in refused["detail"]
    transport.close()


async def test_the_operator_sees_the_proofs_and_revokes_one(
    serve: Serve, trunkline: Trunkline, texts: dict[str, list[str]]
) -> None:
    async with nameserver(texts) as address:
        server = serve(TRUNKLINE_CONTROL__NAMESERVERS=address)
        customer = trunkline.customer(per_minute=1000)
        headers = {"Authorization": f"Bearer {customer.live_key}"}
        async with httpx.AsyncClient(base_url=server.api, headers=headers, trust_env=False, timeout=120) as client:
            asked = data(await client.post("/services/whatsapp/control", json={"method": "dns"}))
            texts[asked["instructions"]["name"]] = [asked["instructions"]["value"]]
            proved = data(await client.post("/services/whatsapp/control/check"))
            listed = await asyncio.to_thread(trunkline, "service", "control", "list")
            [row] = listed["controls"]
            assert (row["email"], row["service"], row["method"]) == (customer.email, "whatsapp", "dns")
            assert row["proved_at"] == proved["proved_at"]
            await asyncio.to_thread(trunkline, "service", "control", "revoke", customer.email, "whatsapp")
            assert data(await client.get("/services/control")) == []
            again = await asyncio.to_thread(trunkline.run, "service", "control", "revoke", customer.email, "whatsapp")
            assert again.returncode == 1
