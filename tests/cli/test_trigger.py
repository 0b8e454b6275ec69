"""``trunkline trigger``: what it says it made is really told."""

import asyncio
import json
import os
import subprocess
import sys
from typing import Any

import asyncpg
import pytest
from click.testing import CliRunner, Result
from tests.cli.listening import listening
from tests.conftest import Serve, Server, Trunkline
from tests.e2e.client import Client as Customer
from tests.outside import says, site
from tests.receiver import receiving

from trunkline.cli.customer.client import Client
from trunkline.cli.customer.trigger import MAKERS, trigger
from trunkline.errors import OperatorError, TrunklineError
from trunkline.events.types import TYPES

ABOUT = {  # what tells which one an event is about
    "activation_id": ("sms.received", "activation.created", "activation.completed", "activation.cancelled"),
    "verification_id": (
        "verification.started", "verification.sent", "verification.delivered", "verification.undelivered",
        "verification.approved", "verification.failed", "verification.cancelled", "verification.blocked",
    ),
    "key_id": ("key.created", "key.rotated", "key.revoked"),
}  # fmt: skip


def triggered(server: Server, key: str, event: str) -> Result:
    """What the command says in this process, about a server in another."""
    environment = {"TRUNKLINE_URL": server.base, "TRUNKLINE_API_KEY": key}
    return CliRunner().invoke(trigger, [event, "--json"], env=environment)


def test_each_type_that_a_test_key_can_make_is_on_the_stream(server: Server, trunkline: Trunkline, url: str) -> None:
    customer = trunkline.customer(per_minute=600)
    with listening(trunkline, server, customer.test_key, "--json") as stream:
        assert stream.event()["ready"]

        def comes(event: str, about: str, value: str) -> Any:
            while True:
                told = stream.event()
                if (told["type"], told["data"].get(about)) == (event, value):
                    return told["data"]

        for about, events in ABOUT.items():
            for event in events:
                made = json.loads(triggered(server, customer.test_key, event).stdout)
                assert made["event"] == event
                told = comes(event, about, made[about])
                if event == "sms.received":
                    assert told["code"] == made["code"]
        for event, about in (("activation.expired", "activation_id"), ("verification.expired", "verification_id")):
            made = json.loads(triggered(server, customer.test_key, event).stdout)
            asyncio.run(a_minute_later(url))
            comes(event, about, made[about])
    keys = Customer(server, customer.test_key).get("/keys").json()["data"]
    assert [key["name"] for key in keys] == ["first test key"]
    assert {*sum(ABOUT.values(), ()), "activation.expired", "verification.expired", "webhook.test"} == MAKERS.keys()


async def a_minute_later(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(
        "UPDATE activation SET created_at = created_at - '1 minute'::interval,"
        " expires_at = expires_at - '1 minute'::interval, cancel_after = cancel_after - '1 minute'::interval"
        " WHERE ended_at IS NULL"
    )
    await connection.execute(
        "UPDATE verification SET expires_at = expires_at - '1 minute'::interval WHERE ended_at IS NULL"
    )
    await connection.close()


def test_each_enabled_webhook_is_sent_a_test(serve: Serve, trunkline: Trunkline) -> None:
    server = serve(TRUNKLINE_WEBHOOKS__ALLOW="127.0.0.0/8")
    customer = trunkline.customer()
    refused = triggered(server, customer.test_key, "webhook.test").exception
    assert isinstance(refused, OperatorError)
    assert "no enabled webhook" in refused.detail
    with receiving() as receiver:
        http = Customer(server, customer.test_key)
        hooks = [
            http.post("/webhooks", {"url": f"{receiver.url}/{name}", "events": ["sms.received"]}).json()["data"]
            for name in ("a", "b")
        ]
        made = json.loads(triggered(server, customer.test_key, "webhook.test").stdout)["webhooks"]
        assert {each["webhook_id"] for each in made} == {each["webhook_id"] for each in hooks}
        came = {receiver.take().headers["webhook-id"] for _ in hooks}
        assert came == {each["event_id"] for each in made}


def test_what_costs_money_or_cannot_be_made_is_refused(trunkline: Trunkline) -> None:
    done = Trunkline(trunkline.environment | {"TRUNKLINE_API_KEY": "tl_live_x"}).run("trigger", "sms.received")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1), done.stderr
    for key, event, saying in [
        ("tl_live_x", "sms.received", "live key"),
        ("tl_test_x", "balance.low", "/test"),
        ("tl_test_x", "sms.sent", "no type of event"),
        ("tl_test_x", "sms.received", "127.0.0.1:1"),
        ("", "sms.received", "TRUNKLINE_API_KEY"),
    ]:
        refused = CliRunner().invoke(
            trigger, [event], env={"TRUNKLINE_URL": "http://127.0.0.1:1", "TRUNKLINE_API_KEY": key}
        )
        assert refused.stdout == ""
        assert isinstance(refused.exception, TrunklineError)
        assert saying in refused.exception.detail
    assert CliRunner().invoke(trigger).exit_code == 2


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("answer", "saying"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n<html>", "not answer as Trunkline"),
        (b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"data":', "did not come whole"),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 99\r\n\r\n<html>", "answered 502"),
    ],
)
async def test_another_servers_answer_is_told_from_an_answer(answer: bytes, saying: str) -> None:
    async with site(says(answer)) as here:
        asked = Client(f"http://127.0.0.1:{here.port}", "tl_test_x")
        with pytest.raises(TrunklineError, match=saying):
            await asyncio.to_thread(asked.call, "GET", "/webhooks")


def test_it_lists_every_type(trunkline: Trunkline) -> None:
    listed = trunkline("trigger", "--list")["events"]
    assert {each["event"]: each["makes"] for each in listed} == {name: name in MAKERS for name in TYPES}


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no full disk to write to")
def test_an_answer_that_cannot_be_written_is_said_in_one_line(trunkline: Trunkline) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "trunkline", "trigger", "--list"],
            env=trunkline.environment, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=120,
        )  # fmt: skip
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr
    assert "No space left" in done.stderr
