"""Of a name's addresses the first that connects wins, whatever the others do, and has the first turn next time."""

import asyncio
import ipaddress
from collections.abc import Sequence
from typing import Any

import pytest
from tests.events.webhooks.sending import post
from tests.outside import lasting_port, nameserver, nobody, says, silent, site, tls

from trunkline import egress
from trunkline.egress import Address, NoAnswer, dialling, fetch, networks

pytestmark = pytest.mark.asyncio

LOOPBACK = networks(["127.0.0.0/8", "::1/128"])
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
SILENT = ("127.0.3.1", "127.0.3.2", "127.0.3.3")
GOOD = "127.0.3.9"


def addresses(*texts: str) -> list[Address]:
    return [ipaddress.ip_address(text) for text in texts]


def leads_to(*texts: str) -> egress.Resolve:
    async def resolve(_: str) -> Sequence[Address]:
        return addresses(*texts)

    return resolve


@pytest.fixture(autouse=True)
def forgotten() -> None:
    dialling._ranks.clear()


async def test_three_silent_addresses_do_not_keep_from_the_fourth_and_are_passed_over_the_next_time() -> None:
    port = lasting_port()
    with silent(*SILENT, port=port):
        async with site(says(OK), host=GOOD, port=port) as here:
            url, name = f"http://several.example:{port}/", leads_to(*SILENT, GOOD)
            for _ in range(3):
                answer = await fetch("GET", url, allow=LOOPBACK, resolve=name)
                assert (answer.status, answer.address) == (200, GOOD)
            assert here.connections == 3
    assert dialling._in_order("several.example", port, addresses(*SILENT, GOOD))[0] == addresses(GOOD)[0]


async def test_the_one_that_answered_goes_first_and_no_other_is_asked() -> None:
    port = lasting_port()
    async with site(says(OK), host=SILENT[0], port=port) as first:
        async with site(says(OK), host=GOOD, port=port) as good:
            dialling.prefer("several.example", port, addresses(GOOD)[0])
            await fetch("GET", f"http://several.example:{port}/", allow=LOOPBACK, resolve=leads_to(SILENT[0], GOOD))
            assert (first.connections, good.connections) == (0, 1)
        answer = await fetch(
            "GET", f"http://several.example:{port}/", allow=LOOPBACK, resolve=leads_to(SILENT[0], GOOD)
        )
        assert (answer.address, first.connections) == (SILENT[0], 1)  # where it is gone, another takes its place


async def test_an_address_that_connects_and_says_nothing_has_the_last_turn_next_time() -> None:
    async def mute(_: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    port = lasting_port()
    name = leads_to(SILENT[0], GOOD)
    url = f"http://several.example:{port}/"
    async with site(mute, host=SILENT[0], port=port), site(says(OK), host=GOOD, port=port):
        with pytest.raises(NoAnswer, match="no whole answer"):
            await fetch("GET", url, allow=LOOPBACK, resolve=name, seconds=0.5)
        assert (await fetch("GET", url, allow=LOOPBACK, resolve=name)).address == GOOD


async def test_where_tls_fails_at_one_address_the_next_has_its_turn(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    context, authority = tls("several.example")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    egress._trust.cache_clear()
    other, _ = tls("several.example")
    port = lasting_port()
    try:
        async with (
            site(says(OK), host=SILENT[0], port=port, context=other) as stranger,
            site(says(OK), host=GOOD, port=port, context=context),
        ):
            url = f"https://several.example:{port}/"
            answer = await fetch("GET", url, allow=LOOPBACK, resolve=leads_to(SILENT[0], GOOD))
            assert (answer.address, stranger.requests) == (GOOD, [])
            with pytest.raises(NoAnswer, match="certificate"):
                await fetch("GET", url, allow=LOOPBACK, resolve=leads_to(SILENT[0]))
    finally:
        egress._trust.cache_clear()


async def test_an_address_that_is_not_allowed_is_dialled_by_no_turn() -> None:
    port = lasting_port()
    async with site(says(OK), host=SILENT[0], port=port) as inside, site(says(OK), host=GOOD, port=port):
        dialling.prefer("several.example", port, addresses(SILENT[0])[0])
        name = leads_to(GOOD)
        for _ in range(2):
            answer = await fetch("GET", f"http://several.example:{port}/", allow=networks([f"{GOOD}/32"]), resolve=name)
            assert answer.address == GOOD
        assert inside.connections == 0


async def test_families_take_turns_and_no_more_than_eight_addresses_are_tried() -> None:
    four = [f"192.0.2.{n}" for n in range(1, 10)]
    six = [f"2001:db8::{n}" for n in range(1, 4)]
    order = dialling._in_order("many.example", 1, addresses(*six, *four))
    assert [str(each) for each in order] == [
        six[0], four[0], six[1], four[1], six[2], four[2], four[3], four[4]
    ]  # fmt: skip


async def test_where_nobody_answers_the_reason_is_told_and_no_connection_stays_open() -> None:
    with nobody() as port, pytest.raises(OSError, match=r"failed|refused") as refused:
        await dialling.connect("nobody.example", port, addresses("127.0.0.1", "127.0.0.2"), seconds=5)
    assert isinstance(refused.value, dialling.AllFailed)
    port = lasting_port()
    with silent(*SILENT[:2], port=port), pytest.raises(OSError, match=r"took more than 0\.5 seconds"):
        await dialling.connect("silent.example", port, addresses(*SILENT[:2]), seconds=0.5)


async def test_a_webhook_whose_name_has_three_silent_addresses_is_delivered_at_the_first_attempt(url: str) -> None:
    port = lasting_port()
    hosts: dict[str, list[str] | None] = {"hook.example": [*SILENT, GOOD]}
    with silent(*SILENT, port=port):
        async with (
            site(says(OK), host=GOOD, port=port),
            nameserver({}, hosts) as names,
            post(url, nameservers=names, retry_seconds="600") as office,
        ):
            await office.endpoint(f"http://hook.example:{port}/")
            async with office.sending():
                await office.tell(5)
                rows = await office.recorded(5)
    assert [(row["status"], row["address"], row["number"]) for row in rows] == [(200, GOOD, 1)] * 5
