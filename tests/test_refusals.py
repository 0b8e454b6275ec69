"""What is refused is one line for each address and minute, with how often each thing was, in bounded memory."""

import asyncio
import logging

import pytest
import requests

from tests.conftest import Serve, Trunkline
from trunkline import refusals
from trunkline.refusals import OTHERS, Refusals

pytestmark = pytest.mark.asyncio
log = logging.getLogger("trunkline.test")


async def test_an_address_has_a_line_at_once_and_then_one_a_minute(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(refusals, "GATHER_SECONDS", 0.05)
    counted = Refusals(log)
    for _ in range(20):
        counted.note("203.0.113.7", "401 invalid_key")
        counted.note("203.0.113.7", "403 insufficient_scope")
    counted.note("2001:db8::1", "401 invalid_key")
    async with asyncio.timeout(60):
        while len(caplog.messages) < 2:
            await asyncio.sleep(0.01)
    counted.note("203.0.113.7", "401 invalid_key")
    await asyncio.sleep(0.2)
    assert caplog.messages == [
        "refused 203.0.113.7: 20 x 401 invalid_key, 20 x 403 insufficient_scope",
        "refused 2001:db8::1: 1 x 401 invalid_key",
    ]
    assert caplog.records[0].__dict__["facts"] == {
        "address": "203.0.113.7", "refused": {"401 invalid_key": 20, "403 insufficient_scope": 20},
    }  # fmt: skip
    counted.close()
    assert caplog.messages[2:] == ["refused 203.0.113.7: 1 x 401 invalid_key"]


async def test_an_address_that_is_quiet_for_a_minute_is_forgotten_and_begins_anew(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(refusals, "GATHER_SECONDS", 0.02)
    monkeypatch.setattr(refusals, "QUIET_SECONDS", 0.05)
    counted = Refusals(log, most_addresses=1)
    for address in ("192.0.2.1", "192.0.2.2"):
        counted.note(address, "401 invalid_key")
        async with asyncio.timeout(60):
            while counted._timer is not None:
                await asyncio.sleep(0.01)
    assert caplog.messages == ["refused 192.0.2.1: 1 x 401 invalid_key", "refused 192.0.2.2: 1 x 401 invalid_key"]


async def test_many_addresses_take_bounded_memory_and_lines_and_none_is_lost_from_the_count(
    caplog: pytest.LogCaptureFixture,
) -> None:
    counted = Refusals(log)
    for number in range(5_000):
        for _ in range(1 + (number == 77)):
            counted.note(f"2001:db8::{number:x}", "malformed request")
    assert len(counted._known) == refusals.MOST_ADDRESSES + 1
    counted.close()
    assert len(caplog.messages) == refusals.MOST_LINES + 1
    assert f"refused {OTHERS}: 4000 x malformed request" in caplog.messages
    assert "refused 2001:db8::4d: 2 x malformed request" in caplog.messages
    counts = [int(message.partition(": ")[2].split()[0]) for message in caplog.messages]
    assert sum(counts) == 5_001
    counted.close()
    assert len(caplog.messages) == refusals.MOST_LINES + 1, "and then nothing more"


async def test_refused_keys_and_scopes_are_in_the_log_and_counted_without_the_secret(
    serve: Serve, trunkline: Trunkline
) -> None:
    customer = await asyncio.to_thread(trunkline.customer)
    server = await asyncio.to_thread(serve)
    wrong = customer.live_key[:-1] + ("a" if customer.live_key[-1] != "a" else "b")

    def ask(path: str, key: str) -> int:
        headers = {"Authorization": f"Bearer {key}"}
        return requests.get(f"{server.base}{path}", headers=headers, timeout=60).status_code

    made = await asyncio.to_thread(
        requests.post, f"{server.api}/keys", json={"name": "reader", "scopes": ["numbers"]},
        headers={"Authorization": f"Bearer {customer.live_key}"}, timeout=60,
    )  # fmt: skip
    narrow = made.json()["data"]["key"]
    for _ in range(3):
        assert await asyncio.to_thread(ask, "/api/v1/account", wrong) == 401
    for _ in range(2):
        assert await asyncio.to_thread(ask, "/api/v1/keys", narrow) == 403
    shown = (await asyncio.to_thread(requests.get, f"{server.base}/metrics", timeout=60)).text
    assert 'trunkline_http_denied_total{code="invalid_key"} 3' in shown
    assert 'trunkline_http_denied_total{code="insufficient_scope"} 2' in shown
    assert await asyncio.to_thread(server.stop) == 0
    written = server.log.read_text()
    lines = [line for line in written.splitlines() if "refused 127.0.0.1: " in line]
    assert sum("401 invalid_key" in line for line in lines) >= 1
    assert sum("403 insufficient_scope" in line for line in lines) >= 1
    assert wrong not in written
    assert narrow not in written
