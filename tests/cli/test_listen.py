"""``trunkline listen`` against the real server: webhooks on a machine without a public address."""

import asyncio
import pathlib
import re
import signal
from typing import Any

import pytest
from click.testing import CliRunner
from standardwebhooks import Webhook
from tests.cli.listening import WAIT_SECONDS, listening
from tests.conftest import Customer, Serve, Server, Trunkline
from tests.e2e.client import Client
from tests.outside import Behaviour, lasting_port, says, site, tls
from tests.receiver import receiving

from trunkline.cli.customer.client import Client as Asked
from trunkline.cli.customer.listen import Sink, follow, listen
from trunkline.cli.customer.server_events import ServerEvent
from trunkline.egress import NoAnswer
from trunkline.errors import OperatorError, TrunklineError

SILENT_SECONDS = 4.0  # longer than this process may stand still
CODE = "Your WhatsApp code: 847291"


def leased(server: Server, customer: Customer) -> Any:
    """A lease of a live key, on a number that takes texts for WhatsApp."""
    order = {"country": "us", "service": "whatsapp"}
    return Client(server, customer.live_key).post("/numbers/purchase", order).json()["data"]


def test_what_happens_is_posted_here_and_signed_with_the_secret_that_is_printed(
    serve: Serve, trunkline: Trunkline
) -> None:
    server = serve(TRUNKLINE_WEBHOOKS__ALLOW="127.0.0.0/8")
    customer = trunkline.customer()
    with (
        receiving() as real,
        receiving() as receiver,
        listening(trunkline, server, customer.live_key, "--forward-to", receiver.url) as posting,
        listening(trunkline, server, customer.live_key, "--events", "sms.*", "--json") as printing,
        listening(trunkline, server, customer.test_key, "--json") as testing,
    ):
        secret = posting.secret()
        assert printing.event() == {"ready": True, "secret": None} == testing.event()
        lease = leased(server, customer)
        created = receiver.take()
        assert Webhook(secret).verify(created.body, created.headers)["type"] == "activation.created"
        assert re.fullmatch(r"[\d:]{8}  activation.created    evt_\d+  204 in \d+ ms", posting.line())
        trunkline.sms(lease["phone_number"], CODE)
        received = receiver.take()
        told = Webhook(secret).verify(received.body, received.headers)
        assert (told["type"], told["data"]["code"]) == ("sms.received", "847291")
        assert (received.path, received.headers["content-type"]) == ("/hook", "application/json")
        hook = {"url": real.url, "events": ["sms.*"]}
        webhook = Client(server, customer.live_key).post("/webhooks", hook).json()["data"]
        again = {"event_id": received.headers["webhook-id"]}
        Client(server, customer.live_key).post(f"/webhooks/{webhook['webhook_id']}/replay", again)
        sent = real.take()
        assert (sent.body, sent.path, [*sent.headers]) == (received.body, received.path, [*received.headers])
        assert printing.event() == {"event_id": received.headers["webhook-id"], **told}
        Client(server, customer.test_key).post("/numbers/purchase", {"country": "us", "service": "test_timeout"})
        assert testing.event()["data"]["service"] == "test_timeout"
        assert receiver.is_empty()  # test and live do not mix
        assert posting.end(signal.SIGINT) == printing.end(signal.SIGTERM) == 0


def test_a_restart_of_the_server_loses_no_event(serve: Serve, trunkline: Trunkline) -> None:
    port = str(lasting_port())
    server = serve("--port", port)
    customer = trunkline.customer()
    with (
        receiving() as receiver,
        listening(trunkline, server, customer.live_key, "--forward-to", receiver.url) as posting,
    ):
        secret = posting.secret()
        lease = leased(server, customer)
        took = [receiver.take()]
        assert server.stop() == 0
        trunkline.sms(lease["phone_number"], CODE)  # a carrier's process goes on
        again = serve("--port", port)
        took.append(receiver.take())
        finish = f"/numbers/finish/{lease['activation_id']}"
        assert Client(again, customer.live_key).post(finish, {"status": "completed"}).status_code == 200
        took.append(receiver.take())
        types = [Webhook(secret).verify(each.body, each.headers)["type"] for each in took]
        assert types == ["activation.created", "sms.received", "activation.completed"]
        assert receiver.is_empty()


def test_a_receiver_that_is_away_or_fails_is_told_of_and_ends_nothing(
    server: Server, trunkline: Trunkline, tmp_path: pathlib.Path
) -> None:
    customer = trunkline.customer()
    secret = "whsec_" + "MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0"
    with receiving(lasting_port()) as receiver:
        kept = tmp_path / "secret"
        kept.write_text(f"{secret}\n")
        words = ("--forward-to", receiver.url, "--secret-file", str(kept), "--json")
        with listening(trunkline, server, customer.live_key, *words) as posting:
            assert posting.event() == {"ready": True, "secret": secret}
            receiver.status = 500
            lease = leased(server, customer)
            assert posting.event()["forwarded"]["status"] == 500
            receiver.server.shutdown()
            receiver.server.server_close()
            trunkline.sms(lease["phone_number"], CODE)
            assert "Connect" in posting.event()["forwarded"]["error"]
            with receiving(receiver.port) as back:
                finish = f"/numbers/finish/{lease['activation_id']}"
                Client(server, customer.live_key).post(finish, {"status": "completed"})
                posted = back.take()
                assert Webhook(secret).verify(posted.body, posted.headers)["type"] == "activation.completed"
                assert posting.event()["forwarded"].keys() == {"status", "ms"}


def test_a_text_that_the_terminal_has_no_characters_for_ends_nothing(server: Server, trunkline: Trunkline) -> None:
    customer = trunkline.customer()
    western = Trunkline(trunkline.environment | {"PYTHONIOENCODING": "latin-1"})
    with listening(western, server, customer.live_key, "--events", "sms.*") as printing:
        assert printing.line().startswith("ready")
        lease = leased(server, customer)
        trunkline.sms(lease["phone_number"], "Ваш код: 847291")
        assert '"full_text":"??? ???: 847291"' in printing.line()
        assert printing.end(signal.SIGINT) == 0


def test_what_cannot_be_listened_to_is_said(server: Server, trunkline: Trunkline) -> None:
    key = trunkline.customer().test_key
    here = {"TRUNKLINE_URL": server.base, "TRUNKLINE_API_KEY": key}
    done = Trunkline(trunkline.environment | here | {"TRUNKLINE_API_KEY": key[:-1]}).run("listen")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1), done.stderr
    for settings, words, saying in [
        ({"TRUNKLINE_API_KEY": ""}, (), "no API key"),
        ({"TRUNKLINE_API_KEY": "a b"}, (), "API key"),
        ({"TRUNKLINE_URL": "http://127.0.0.1:1"}, (), "onnect"),
        ({}, ("--server", "ftp://x"), "no server's URL"),
        ({}, ("--key-file", "/nowhere"), "cannot be read"),
        ({}, ("--events", "sms.sent"), "sms.sent"),
        ({"TRUNKLINE_WEBHOOK_SECRET": "whsec_short"}, (), "A secret is whsec_"),
        ({}, ("--secret-file", "/nowhere"), "cannot be read"),
        ({}, ("--secret-file", "/dev/null"), "A secret is whsec_"),
        ({}, ("--secret", "whsec_MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0"), "A secret is no argument"),
        ({}, ("--forward-to", "http://127.0.0.1.:3000/"), "usual form"),
        ({}, ("--forward-to", "http://256.256.256.256/"), "usual form"),
        ({}, ("--forward-to", "localhost:3000/hook"), "as http://127.0.0.1:3000/hook is one"),
        ({}, ("--forward-to", "http://127.0.0.1:3000/#hook"), "fragment"),
        ({}, ("--server", "http://a..b"), "no URL"),
        ({}, ("--events", "\udcff"), "no type of event"),
    ]:
        refused = CliRunner().invoke(listen, words, env=here | settings)
        assert refused.stdout == "", words
        assert isinstance(refused.exception, TrunklineError), words
        assert saying in refused.exception.detail, words


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(stream: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(stream), stream)


class Heard(Sink):
    """Keeps what it is told."""

    def __init__(self, count: int) -> None:
        super().__init__(True, "http://here", None, b"")
        self.ids: list[str] = []
        self.all = asyncio.Event()
        self._count = count

    async def tell(self, event: ServerEvent) -> None:
        self.ids.append(event.event_id)
        if len(self.ids) == self._count:
            self.all.set()


def in_turn(*behaviours: Behaviour) -> Behaviour:
    """The first connection gets the first, and so on; the last goes on."""
    left = list(behaviours)

    async def behave(request: bytes, writer: asyncio.StreamWriter) -> None:
        await (left.pop(0) if len(left) > 1 else left[0])(request, writer)

    return behave


async def silent(_: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + chunk(b"id: evt_2\ndata: {}\n\nid: evt_3\ndata: {}"))
    await asyncio.sleep(WAIT_SECONDS)


@pytest.mark.asyncio
async def test_a_stream_that_breaks_or_falls_silent_goes_on_after_the_last_whole_event() -> None:
    behave = in_turn(
        says(HEAD + chunk(b"retry: 1\n\nid: evt_1\ndata: {}\n\n") + b"0\r\n\r\n"),
        says(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"),
        silent,
        says(b"not HTTP\r\n\r\n"),
        says(b""),
        says(HEAD + chunk(b"id: evt_2\ndata: {}\n\nid: evt_3\nda") + chunk(b"ta: {}\n\n")),
    )
    heard = Heard(3)
    async with site(behave) as here:
        asked = Asked(f"http://127.0.0.1:{here.port}", "tl_test_x")
        following = asyncio.create_task(follow(asked, None, heard, silent_seconds=SILENT_SECONDS))
        await asyncio.wait({following, asyncio.create_task(heard.all.wait())}, return_when=asyncio.FIRST_COMPLETED)
        following.cancel()
        assert heard.ids == ["evt_1", "evt_2", "evt_3"]
        after = [re.search(rb"Last-Event-ID: (\S+)", request) for request in here.requests]
        assert [each and each.group(1) for each in after[:6]] == [None, b"evt_1", b"evt_1", *[b"evt_2"] * 3]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("answer", "saying"),
    [
        (b'HTTP/1.1 403 Forbidden\r\nContent-Length: 21\r\n\r\n{"detail":"No scope"}', "No scope"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\nContent-Length: 0\r\n\r\n", "answered 302"),
        (b"HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n<html>", "answered 404"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>", "not answer as Trunkline"),
    ],
)
async def test_a_refusal_ends_it_and_no_redirect_is_followed(answer: bytes, saying: str) -> None:
    first = says(HEAD + chunk(b"id: evt_1\ndata: {}\n\n") + b"0\r\n\r\n")
    async with site(in_turn(first, says(answer))) as here, asyncio.timeout(WAIT_SECONDS):
        with pytest.raises(OperatorError, match=saying):
            await follow(Asked(f"http://127.0.0.1:{here.port}", "tl_test_x"), None, Heard(1))
        assert here.connections == 2


@pytest.mark.asyncio
async def test_a_certificate_that_nobody_vouches_for_gets_no_key() -> None:
    context, _ = tls("127.0.0.1")
    async with site(says(HEAD), context=context) as here, asyncio.timeout(WAIT_SECONDS):
        with pytest.raises(NoAnswer, match="certificate"):
            await follow(Asked(f"https://127.0.0.1:{here.port}", "tl_test_x"), None, Heard(1))
        assert here.requests == []
