"""Whose address a request comes from: no header is believed unless the operator trusts who sent it."""

import ipaddress
import time

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.conftest import Serve, Trunkline
from tests.house import data, opened, problem

from trunkline import config
from trunkline.errors import OperatorError
from trunkline.surfaces.http.addresses import MOST_HOPS, Addresses, plain

PROXIES = Addresses(["10.0.0.0/8", "2001:db8:1::/48"])


def of(peer: str | None, *forwarded: str, by: Addresses = PROXIES) -> str:
    headers = [(b"x-forwarded-for", each.encode("latin-1")) for each in forwarded]
    return by.of((peer, 1234) if peer is not None else None, headers)


def test_nobodys_header_is_believed_by_default() -> None:
    nobody = Addresses([])
    assert of("127.0.0.1", "203.0.113.9", by=nobody) == "127.0.0.1"
    assert of("198.51.100.7", "203.0.113.9", by=PROXIES) == "198.51.100.7"
    assert of(None, "203.0.113.9") == ""
    assert of("10.0.0.1") == "10.0.0.1"


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        (["203.0.113.9"], "203.0.113.9"),
        (["6.6.6.6, 203.0.113.9"], "203.0.113.9"),  # what stands left of the caller is the caller's invention
        (["6.6.6.6", "203.0.113.9, 10.9.9.9"], "203.0.113.9"),  # several headers are one
        (["203.0.113.9,10.0.0.2 ,\t10.0.0.3"], "203.0.113.9"),
        (["10.0.0.7, 10.0.0.8"], "10.0.0.7"),  # a caller inside the network
        (["203.0.113.9:4711"], "203.0.113.9"),
        (["[2001:db8::9]:4711"], "2001:db8::9"),
        (["[2001:DB8:0::9]"], "2001:db8::9"),
        (["2001:db8::9"], "2001:db8::9"),
        (["::ffff:203.0.113.9"], "203.0.113.9"),
        (["[::ffff:cb00:7109]:1"], "203.0.113.9"),
        (["203.0.113.9, 2001:db8:1::5, ::ffff:10.0.0.5"], "203.0.113.9"),
        (["fe80::1%eth0"], "fe80::1"),
        (["203.0.113.9, unknown, 10.0.0.5"], "10.0.0.5"),  # what cannot be read ends the walk
        (["203.0.113.9, , 10.0.0.5"], "10.0.0.5"),
        (["203.0.113.9, _hidden"], "10.0.0.1"),
        (["010.0.0.1"], "10.0.0.1"),  # octal or not: nobody can say
        (["203.0.113.9:http"], "10.0.0.1"),
        (["[2001:db8::9"], "10.0.0.1"),
        (["٢٠٣.0.113.9".encode().decode("latin-1")], "10.0.0.1"),
        ([""], "10.0.0.1"),
        ([], "10.0.0.1"),
    ],
)  # fmt: skip
def test_behind_trusted_proxies_the_caller_is_the_last_whom_none_of_them_vouches_for(
    forwarded: list[str], address: str
) -> None:
    assert of("10.0.0.1", *forwarded) == address
    assert of("::ffff:10.0.0.1", *forwarded) == address
    assert of("198.51.100.7", *forwarded) == "198.51.100.7"


def test_the_walk_ends_after_so_many_proxies() -> None:
    hops = [f"10.1.0.{number}" for number in range(MOST_HOPS)]
    assert of("10.0.0.1", ",".join(["203.0.113.9", *hops[1:]])) == "203.0.113.9"
    assert of("10.0.0.1", ",".join(["203.0.113.9", *hops])) == hops[0]
    assert of("10.0.0.1", "203.0.113.9," * 5000 + "10.0.0.2") == "203.0.113.9"


words = st.one_of(
    st.ip_addresses().map(str),
    st.text(st.characters(max_codepoint=255)),
    st.sampled_from(["[::1", ":", "%", "[]:", "1:2"]),
)


@given(
    st.lists(st.lists(words, max_size=30).map(",".join), max_size=5), st.sampled_from(["10.0.0.1", "8.8.8.8", "x", ""])
)
@example(["[%]"], "10.0.0.1")
@example([":"], "10.0.0.1")
def test_whatever_the_header_says_the_answer_is_an_address(forwarded: list[str], peer: str) -> None:
    address = of(peer, *forwarded)
    assert address == "" or str(ipaddress.ip_address(address)) == address
    if peer != "10.0.0.1":
        assert address in (peer, "")


@given(st.ip_addresses(v=6) | st.ip_addresses(v=4))
def test_an_address_is_written_in_one_way(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    written = plain(str(address))
    assert written is not None
    assert plain(written) == written == plain(f" [{address}]:80 ")
    assert plain(address.exploded) == written


def test_trusted_proxies_are_networks_or_the_server_does_not_start() -> None:
    with pytest.raises(OperatorError, match="host bits"):
        config.load({"TRUNKLINE_SERVER__TRUSTED_PROXIES": "10.0.0.1/8"})
    proxies = config.load({"TRUNKLINE_SERVER__TRUSTED_PROXIES": "10.0.0.0/8, ::1"}).server.trusted_proxies
    assert proxies == ["10.0.0.0/8", "::1"]
    assert config.load({}).server.trusted_proxies == []


@pytest.mark.asyncio
async def test_a_thousand_forged_headers_move_neither_the_limit_nor_the_list_of_addresses(url: str) -> None:
    async with opened(url) as house:
        buyer = await house.buyer(per_minute=600)
        await house.platform.database.execute(
            "UPDATE api_key SET cidrs = '{203.0.113.0/24}' WHERE account_id = $1 AND mode = 'test'", buyer.account_id
        )
        outside = buyer.testing()
        statuses = []
        started = time.monotonic()
        for number in range(1000):
            forged = {
                "X-Forwarded-For": f"203.0.113.{number % 256}",
                "X-Real-IP": "203.0.113.1",
                "Forwarded": 'for="203.0.113.1"',
                "Client-IP": f"10.0.{number // 256}.{number % 256}",
            }
            statuses.append((await buyer.ask("GET", "/numbers", headers=forged)).status_code)
            if number % 50 == 0:
                problem(await outside.ask("GET", "/numbers", headers=forged), 403, "ip_not_allowed")
        flown_back = (time.monotonic() - started) * 600 / 60
        assert 600 <= statuses.count(200) <= 600 + flown_back + 1
        assert statuses.count(200) + statuses.count(429) == 1000


def test_with_a_trusted_proxy_the_address_before_it_counts(serve: Serve, trunkline: Trunkline, url: str) -> None:
    customer = trunkline.customer(per_minute=1000)
    server = serve(TRUNKLINE_SERVER__TRUSTED_PROXIES="127.0.0.0/8,10.0.0.0/8")
    with httpx.Client(
        base_url=server.api, headers={"Authorization": f"Bearer {customer.live_key}"}, trust_env=False, timeout=60
    ) as client:
        made = data(
            client.post("/keys", json={"name": "office", "scopes": ["account:read"], "cidrs": ["203.0.113.0/24"]})
        )
        office = {"Authorization": f"Bearer {made['key']}"}
        for forwarded, status in [
            ("203.0.113.9", 200),
            ("6.6.6.6, 203.0.113.9", 200),
            ("203.0.113.9, 6.6.6.6", 403),
            ("203.0.113.9, 10.0.0.9", 200),
            ("203.0.113.9, unknown", 403),
        ]:
            answer = client.get("/account", headers=office | {"X-Forwarded-For": forwarded})
            assert answer.status_code == status, forwarded
        refused = problem(
            client.get("/account", headers=office | {"X-Forwarded-For": "198.51.100.7"}), 403, "ip_not_allowed"
        )
        assert "198.51.100.7" in refused["detail"]
