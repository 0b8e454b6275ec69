"""The life of a link, against node-smpp: binds, acknowledgements, losses, farewells."""

import asyncio
import contextlib
import logging
import ssl
from pathlib import Path

import pytest
import trustme
from tests.carriers.smpp_peer import (
    PATIENCE_SECONDS,
    Inbox,
    Smsc,
    answers_within,
    bound,
    carrier,
    needs_node,
    only,
    running,
)
from tests.outside import nobody

from trunkline.carriers.carrier import (
    Health,
    InboundText,
    LinkState,
    OutboundText,
    StoreAway,
    SubmitRefused,
    SubmitUnknown,
)
from trunkline.carriers.smpp import session
from trunkline.carriers.smpp.carrier import SmppCarrier
from trunkline.carriers.smpp.options import SmppOptions

pytestmark = needs_node

TEMPORARY = 0x64
TEXT = {"text": "Your code is 482913", "destination_addr": "491511234567"}


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts in hand may take their time also before a goodbye."""
    monkeypatch.setattr(session, "_DRAIN_SECONDS", PATIENCE_SECONDS)


async def healthy(link: SmppCarrier, state: LinkState, words: str) -> Health:
    """The link's health once it says this; it has no event to await, so it is looked at until then."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (link.health().state is state and words in link.health().detail):
            await asyncio.sleep(0.01)
    return link.health()


@pytest.mark.asyncio
@pytest.mark.parametrize("bind", ["transceiver", "receiver", "transmitter"])
async def test_a_link_binds_as_it_is_told(bind: str) -> None:
    async with Smsc.started() as smsc:
        link = carrier(smsc.port, bind=bind, system_type="VMA", address_range="^49")
        assert link.health() == Health(LinkState.DOWN, "not started")
        async with running(link, Inbox()):
            bind_event = await smsc.event("bind")
            await smsc.round_trip()
            assert link.health() == Health(LinkState.UP, f"bound to localhost:{smsc.port} as {bind}")
        assert only(bind_event, "command", "system_id", "password", "system_type", "address_range", "version") == {
            "command": f"bind_{bind}",
            "system_id": "us@er",
            "password": "s:cret",
            "system_type": "VMA",
            "address_range": "^49",
            "version": 0x34,
        }
        await smsc.event("unbind")
        assert link.health() == Health(LinkState.DOWN, "stopped")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A certificate authority, and the key and certificate that it gave to localhost."""
    folder = tmp_path_factory.mktemp("tls")
    ca = trustme.CA()
    leaf = ca.issue_cert("localhost")
    ca.cert_pem.write_to_path(str(folder / "ca.pem"))
    leaf.private_key_pem.write_to_path(str(folder / "key.pem"))
    leaf.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    return folder / "ca.pem", folder / "key.pem", folder / "cert.pem"


@pytest.mark.asyncio
@pytest.mark.parametrize("bind", ["transceiver", "receiver", "transmitter"])
async def test_texts_come_and_go_over_tls(bind: str, authority: tuple[Path, Path, Path]) -> None:
    ca, key, certificate = authority
    inbox = Inbox()
    async with Smsc.started("--tls", key, certificate) as smsc:
        link = carrier(smsc.port, scheme="smpps", bind=bind, tls_ca=ca)
        async with running(link, inbox):
            await smsc.event("bind", command=f"bind_{bind}")
            await smsc.round_trip()
            if bind != "transmitter":
                smsc.order("deliver", **TEXT, count=300)
                assert await smsc.answers(300) == [0] * 300
            if bind != "receiver":
                assert await link.send(OutboundText("72000", "+491511234567", "Hallo")) == ["m1"]
        await smsc.event("unbind")


@pytest.mark.asyncio
async def test_a_peer_with_a_strangers_certificate_is_not_told_the_password(
    authority: tuple[Path, Path, Path],
) -> None:
    _, key, certificate = authority
    async with Smsc.started("--tls", key, certificate) as smsc:
        link = carrier(smsc.port, scheme="smpps")
        async with running(link, Inbox()):
            await healthy(link, LinkState.DOWN, "certificate verify failed")
            assert not smsc.unseen("bind")
        unchecked = carrier(smsc.port, scheme="smpps", tls_verify=False)
        async with running(unchecked, Inbox()):
            await smsc.event("bind")


@pytest.mark.asyncio
async def test_a_text_is_acknowledged_only_after_it_is_committed() -> None:
    inbox = Inbox(holding=True)
    async with bound(inbox) as (smsc, _):
        smsc.order("deliver", **TEXT)
        await inbox.text()
        await smsc.round_trip()
        assert not smsc.unseen("answer")
        inbox.commit_all()
        assert await smsc.answers(1) == [0]


@pytest.mark.asyncio
async def test_texts_are_acknowledged_in_the_order_of_their_commits() -> None:
    inbox = Inbox(holding=True)
    async with bound(inbox) as (smsc, _):
        smsc.order("deliver", **TEXT, count=3)
        for _ in range(3):
            await inbox.text()
        first, second, third = inbox.held
        sequences = []
        for future in (third, first, second):
            future.set_result(None)
            sequences.append((await smsc.event("answer", status=0, command="deliver_sm_resp"))["sequence"])
        assert sequences == [max(sequences), max(sequences) - 2, max(sequences) - 1]


@pytest.mark.asyncio
@pytest.mark.parametrize("error", [StoreAway("the database is away"), RuntimeError("with text: 482913")])
async def test_a_text_that_cannot_be_committed_is_to_be_sent_again(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    inbox = Inbox()
    async with bound(inbox) as (smsc, _):
        inbox.failing = error
        smsc.order("deliver", **TEXT, count=2)
        assert await smsc.answers(2) == [TEMPORARY] * 2
        inbox.failing = None
        smsc.order("deliver", **TEXT)
        assert await smsc.answers(1) == [0]
    assert type(error).__name__ in caplog.text
    assert "482913" not in caplog.text


@pytest.mark.asyncio
async def test_a_delivery_that_raises_or_is_cancelled_is_to_be_sent_again() -> None:
    class Raising(Inbox):
        def deliver(self, text: InboundText) -> "asyncio.Future[None]":
            raise StoreAway("the database is away")

    async with bound(Raising()) as (smsc, _):
        smsc.order("deliver", **TEXT)
        assert await smsc.answers(1) == [TEMPORARY]
    inbox = Inbox(holding=True)
    async with bound(inbox) as (smsc, _):
        smsc.order("deliver", **TEXT)
        await inbox.text()
        inbox.held[0].cancel()
        assert await smsc.answers(1) == [TEMPORARY]


@pytest.mark.asyncio
async def test_no_more_texts_are_in_hand_than_the_window_however_many_the_peer_sends() -> None:
    inbox = Inbox(holding=True)
    async with bound(inbox, window=10) as (smsc, _):
        smsc.order("deliver", **TEXT, count=2000)
        answered = 0
        while answered < 2000:
            for _ in range(10):
                await inbox.text()
            assert len(inbox.held) == 10
            assert inbox.texts.empty()
            inbox.commit_all()
            assert await smsc.answers(10) == [0] * 10
            answered += 10


@pytest.mark.asyncio
async def test_a_peer_is_not_blamed_for_silence_while_we_do_not_listen() -> None:
    inbox = Inbox(holding=True)
    async with bound(inbox, window=2, enquire_link_seconds=0.1) as (smsc, link):
        await smsc.behave("on_submit", mute=True)
        smsc.order("deliver", **TEXT, count=3)
        await inbox.text()
        await inbox.text()
        answers_within(link, 0.2)
        sending = asyncio.create_task(link.send(OutboundText("72000", "+491511234567", "Hallo")))
        await smsc.event("submit")
        # Longer than both limits: time itself is what is tested here.
        done, _ = await asyncio.wait((sending,), timeout=0.6)
        assert not done
        assert link.health().state is LinkState.UP
        answers_within(link, PATIENCE_SECONDS)  # whatever else is asked
        inbox.commit_all()
        with pytest.raises(SubmitUnknown, match="no answer within"):
            await sending
        await inbox.text()
        assert len(inbox.held) == 1
        assert link.health().state is LinkState.UP


@pytest.mark.asyncio
async def test_a_dropped_link_comes_back_and_takes_texts() -> None:
    inbox = Inbox(holding=True)
    async with bound(inbox) as (smsc, link):
        smsc.order("deliver", **TEXT)
        await inbox.text()
        lost = asyncio.create_task(healthy(link, LinkState.DOWN, "next try in 0."))
        smsc.order("drop")
        await smsc.event("close", session=1)
        await lost
        inbox.commit_all()  # too late to be told: the peer sends the text again
        inbox.holding = False
        await smsc.event("bind", session=2)
        smsc.order("deliver", **TEXT)
        assert await smsc.answers(1) == [0]


@pytest.mark.asyncio
async def test_a_refused_bind_is_shown_to_the_operator_and_tried_again() -> None:
    async with Smsc.started() as smsc:
        await smsc.behave("on_bind", status=0x0E)
        link = carrier(smsc.port)
        async with running(link, Inbox()):
            await smsc.event("bind", session=1)
            await healthy(link, LinkState.DOWN, "bind_transceiver refused: ESME_RINVPASWD (0x0E), next try in")
            with pytest.raises(SubmitRefused, match="acme is down"):
                await link.send(OutboundText("72000", "+491511234567", "Hallo"))
            await smsc.event("bind", session=2)
            await smsc.behave("on_bind", status=0)
            await smsc.event("bind", session=3)
            await healthy(link, LinkState.UP, "bound to")


@pytest.mark.asyncio
async def test_a_port_where_nobody_listens_is_shown_to_the_operator() -> None:
    with nobody() as port:
        link = carrier(port)
        async with running(link, Inbox()):
            await healthy(link, LinkState.DOWN, "next try in")


@pytest.mark.asyncio
async def test_an_idle_link_is_probed_and_stays() -> None:
    async with bound(Inbox(), enquire_link_seconds=0.05) as (smsc, link):
        for _ in range(3):
            await smsc.event("enquire", session=1)
        assert link.health().state is LinkState.UP


@pytest.mark.asyncio
async def test_a_peer_that_does_not_answer_the_probe_is_left_for_a_new_session() -> None:
    async with bound(Inbox(), enquire_link_seconds=0.1) as (smsc, link):
        lost = asyncio.create_task(healthy(link, LinkState.DOWN, "enquire_link: no answer within 0.2 s"))
        answers_within(link, 0.2)  # before it goes mute, or an enquiry could have the whole of our patience
        await smsc.behave("on_enquire", mute=True)
        await smsc.event("close", session=1)
        await lost
        await smsc.event("bind", session=2)


@pytest.mark.asyncio
async def test_a_peer_that_unbinds_hears_of_texts_in_hand_first() -> None:
    inbox = Inbox(holding=True)
    async with bound(inbox) as (smsc, _):
        smsc.order("deliver", **TEXT)
        await inbox.text()
        smsc.order("unbind")
        await smsc.round_trip()
        smsc.order("deliver", **TEXT)  # too late for this session
        assert await smsc.answers(1) == [TEMPORARY]
        inbox.commit_all()
        assert await smsc.answers(1) == [0]
        await smsc.event("answer", command="unbind_resp", status=0)
        await smsc.event("bind", session=2)


@pytest.mark.asyncio
async def test_a_stopped_link_acknowledges_what_is_committed_meanwhile_and_unbinds() -> None:
    inbox = Inbox(holding=True)
    async with Smsc.started() as smsc:
        link = carrier(smsc.port)
        async with running(link, inbox) as task:
            await smsc.event("bind")
            smsc.order("deliver", **TEXT, count=2)
            await inbox.text()
            await inbox.text()
            task.cancel()
            await smsc.round_trip()
            smsc.order("deliver", **TEXT)
            assert await smsc.answers(1) == [TEMPORARY]
            assert not smsc.unseen("unbind")
            inbox.commit_all()
            assert await smsc.answers(2) == [0, 0]
            await smsc.event("unbind")
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await smsc.event("close", session=1)


@pytest.mark.asyncio
async def test_nothing_said_in_confidence_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with bound(Inbox()) as (smsc, _):
        smsc.order("deliver", **TEXT)
        assert await smsc.answers(1) == [0]
        smsc.order("send", command="alert_notification", source_addr="491511234567")
        smsc.order("send", command="query_sm", message_id="x", source_addr="491511234567")
        await smsc.event("answer", command="generic_nack", status=3)
    for secret in ("482913", "491511234567", "s:cret", "s%3Acret"):
        assert secret not in caplog.text


async def _a_day_in_production() -> None:
    inbox = Inbox(holding=True)
    async with bound(inbox, window=5) as (smsc, link):
        smsc.order("deliver", **TEXT, count=50)
        for _ in range(10):
            for _ in range(5):
                await inbox.text()
            inbox.commit_all()
        assert await smsc.answers(50) == [0] * 50
        assert await link.send(OutboundText("72000", "+491511234567", "Hallo")) == ["m1"]
        smsc.order("deliver", **TEXT, count=5)  # the window is full, so nothing is read when the connection goes
        for _ in range(5):
            await inbox.text()
        smsc.order("raw", hex="00000003")
        inbox.commit_all()
        await smsc.event("bind", session=2)


def test_a_link_works_on_uvloop_which_the_server_runs_on() -> None:
    uvloop = pytest.importorskip("uvloop")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_a_day_in_production())


def test_options_that_cannot_work_are_refused_without_showing_the_secret() -> None:
    good = "smpp://user:hush@smsc.example"
    assert (SmppOptions(url=good).port, SmppOptions(url=good.replace("smpp:", "smpps:")).port) == (2775, 3550)
    assert "hush" not in repr(SmppOptions(url=good))
    assert isinstance(SmppOptions(url=good.replace("smpp:", "smpps:")).tls_context(), ssl.SSLContext)
    for wrong in (
        {"url": "http://user:hush@smsc.example"},
        {"url": "smpp://user:hush@"},
        {"url": "smpp://user:hush@[smsc"},
        {"url": "smpp://user:hush@a..b"},
        {"url": "smpp://user:hush\u2100@smsc.example"},
        {"url": "smpp://user:hush@smsc.example:99999"},
        {"url": f"smpp://user:{'hush' * 17}@smsc.example"},
        {"url": good, "bind": "both"},
        {"url": good, "window": 0},
        {"url": good, "response_timeout_seconds": 0},
        {"url": good, "alphabets": {1: "klingon"}},
        {"url": good, "alphabets": {256: "gsm7"}},
    ):
        with pytest.raises(ValueError, match="SMPP") as refused:
            SmppOptions(**wrong)
        assert "hush" not in str(refused.value)
