"""Links to carriers and the Valkey are connected to at the first address of their name that answers."""

import asyncio
import pathlib
import shutil
import socket
import subprocess
from typing import Any

import pytest
from redis.exceptions import RedisError
from tests.carriers.smpp_peer import PATIENCE_SECONDS, Inbox, Smsc, carrier, running
from tests.outside import lasting_port, silent

from trunkline.accounts import shared_limits
from trunkline.accounts.shared_limits import SharedLimiter
from trunkline.egress import dialling

pytestmark = pytest.mark.asyncio

PROGRAM = shutil.which("valkey-server") or shutil.which("redis-server")
SILENT = ("127.0.3.1", "127.0.3.2")


@pytest.fixture
def several(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's resolver knows two silent addresses of localhost before the one where everything is."""
    dialling._ranks.clear()

    real = socket.getaddrinfo

    def resolve(host: str, *more: Any, **kept: Any) -> list[Any]:
        if host != "localhost":
            return real(host, *more, **kept)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, 0)) for each in (*SILENT, "127.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


@pytest.mark.usefixtures("several")
async def test_a_link_is_bound_at_the_address_that_answers() -> None:
    inbox = Inbox()
    async with Smsc.started() as smsc:
        with silent(*SILENT, port=smsc.port):
            link = carrier(smsc.port)
            async with running(link, inbox):
                await smsc.event("bind")
                smsc.order("deliver", text="Your code is 482913", destination_addr="491511234567")
                await inbox.text()


@pytest.mark.usefixtures("several")
async def test_a_carrier_that_refuses_the_bind_is_asked_at_another_of_its_addresses_next() -> None:
    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    inbox = Inbox()
    async with Smsc.started() as smsc:
        for address in SILENT:
            await asyncio.start_server(refuse, address, smsc.port)
        async with running(carrier(smsc.port), inbox):
            await smsc.event("bind")


@pytest.mark.skipif(PROGRAM is None, reason="there is no valkey-server and no redis-server here")
@pytest.mark.usefixtures("several")
async def test_the_valkey_is_found_at_the_address_that_answers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    monkeypatch.setattr(shared_limits, "CONNECT_SECONDS", PATIENCE_SECONDS)
    monkeypatch.setattr(shared_limits, "DEADLINE_SECONDS", PATIENCE_SECONDS)
    port = lasting_port()
    with (
        silent(*SILENT, port=port),
        subprocess.Popen(
            [str(PROGRAM), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
            cwd=tmp_path, stdout=subprocess.DEVNULL,
        ) as process,
    ):  # fmt: skip
        limiter = SharedLimiter(f"redis://localhost:{port}/0", parts=1, account_per_minute=600)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while True:
                    try:
                        assert await limiter._client.ping()
                        break
                    except (RedisError, OSError):  # it is not up yet
                        await asyncio.sleep(0.05)
        finally:
            await limiter.close()
            process.kill()
    assert [str(each) for each, rank in dialling._ranks["localhost", port].items() if rank < 0] == ["127.0.0.1"]
