"""What every kind of carrier owes the platform, whatever speaks at its other end: the port of carriers/carrier.py.

A new kind is one entry in PEERS: the settings of a carrier with a real peer, and that peer as far as this asks of it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

import pytest
from tests.carriers.smpp_peer import PATIENCE_SECONDS, Inbox, Smsc, needs_node

from trunkline.carriers.carrier import SIMULATED, Carrier, LinkState, OutboundText, StoreAway, SubmitRefused
from trunkline.carriers.registry import KINDS, Terms, registry
from trunkline.errors import OperatorError

USUAL = Terms(cancel_wait_seconds=120, rest_seconds=600)
NOWHERE: dict[str, dict[str, Any]] = {
    "smpp": {"kind": "smpp", "url": "smpp://us:hush@127.0.0.1:1"},
    SIMULATED: {"kind": SIMULATED},
}


class Peer(NamedTuple):
    """A carrier's other end."""

    table: dict[str, Any]  # of [carriers.NAME]
    ready: Callable[[], Awaitable[Any]]  # waits until the link is up
    send: Callable[[str], None]  # a text to the platform
    answer: Callable[[], Awaitable[bool]]  # waits for what it hears of the next text: whether that is kept
    heard: Callable[[], Awaitable[bool]]  # whether it has heard anything of a text, once all that it sent is handled


@contextlib.asynccontextmanager
async def node_smpp() -> AsyncIterator[Peer]:
    async with Smsc.started() as smsc:

        async def ready() -> None:
            await smsc.event("bind")
            await smsc.round_trip()

        async def answer() -> bool:
            return await smsc.answers(1) == [0]

        async def heard() -> bool:
            await smsc.round_trip()
            return bool(smsc.unseen("answer"))

        def send(text: str) -> None:
            smsc.order("deliver", text=text)

        yield Peer(
            {"kind": "smpp", "url": f"smpp://us%40er:s%3Acret@localhost:{smsc.port}"}, ready, send, answer, heard
        )


PEERS: dict[str, Callable[[], contextlib.AbstractAsyncContextManager[Peer]]] = {"smpp": node_smpp}


def made(kind: str, table: dict[str, Any] | None = None) -> Carrier:
    name = SIMULATED if kind == SIMULATED else "north"
    return registry({name: table or NOWHERE[kind]}, USUAL, simulated="auto").carriers[name]


@contextlib.asynccontextmanager
async def running(carrier: Carrier, inbox: Inbox) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.create_task(carrier.run(inbox.deliver, inbox.report))
    yield task
    inbox.commit_all()
    task.cancel()
    async with asyncio.timeout(PATIENCE_SECONDS):
        await asyncio.wait((task,))
    assert task.cancelled() or task.exception() is None


def test_every_kind_is_tried_here() -> None:
    assert set(PEERS) == set(KINDS), "a new kind owes a peer"


@pytest.mark.parametrize("kind", [*KINDS, SIMULATED])
def test_a_carrier_says_what_it_is_and_how_it_stands_in_one_line_without_its_secret(kind: str) -> None:
    carrier = made(kind)
    assert carrier.kind == kind
    health = carrier.health()
    assert health.state in set(LinkState)
    assert "\n" not in health.detail
    assert "hush" not in f"{carrier!r} {health}"


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", [*KINDS, SIMULATED])
async def test_a_carrier_whose_peer_is_not_there_goes_on_until_it_is_stopped_and_then_stops(kind: str) -> None:
    carrier = made(kind)
    async with running(carrier, Inbox()) as task:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while carrier.health().state is not LinkState.UP and "next try" not in carrier.health().detail:
                await asyncio.sleep(0.01)  # it has no event to await
        assert not task.done()
        text = OutboundText("72000", "+491511234567", "Hallo")
        with pytest.raises(SubmitRefused):
            await carrier.send(text)


@needs_node
@pytest.mark.asyncio
@pytest.mark.parametrize("kind", KINDS)
async def test_a_peer_hears_that_a_text_is_kept_once_it_is_committed_and_no_sooner(kind: str) -> None:
    inbox = Inbox(holding=True)
    async with PEERS[kind]() as peer, running(made(kind, peer.table), inbox):
        await peer.ready()
        peer.send("Your code is 482913")
        text = await inbox.text()
        assert text.carrier == "north"
        assert b"482913" in text.payload
        assert not await peer.heard(), "nothing is committed"
        inbox.commit_all()
        assert await peer.answer()


@needs_node
@pytest.mark.asyncio
@pytest.mark.parametrize("kind", KINDS)
async def test_a_text_that_cannot_be_kept_is_refused_and_the_next_one_taken(kind: str) -> None:
    inbox = Inbox()
    async with PEERS[kind]() as peer, running(made(kind, peer.table), inbox):
        await peer.ready()
        inbox.failing = StoreAway("the database is away")
        peer.send("Your code is 482913")
        assert not await peer.answer()
        inbox.failing = None
        peer.send("Your code is 482914")
        assert await peer.answer()
        assert made(kind, peer.table).health().state is LinkState.DOWN, "another one of the same settings is its own"


@pytest.mark.parametrize("kind", KINDS)
def test_a_setting_that_there_is_not_is_refused_with_the_one_that_is_near(kind: str) -> None:
    nearly = KINDS[kind].options.__struct_fields__[0]
    with pytest.raises(
        OperatorError, match=f"'north' cannot be used: there is no setting '{nearly}s'; {nearly} is one"
    ):
        made(kind, NOWHERE[kind] | {f"{nearly}s": "x"})
    with pytest.raises(OperatorError, match="there is no setting 'xyzzy'"):
        made(kind, NOWHERE[kind] | {"xyzzy": 1})


@pytest.mark.parametrize("kind", KINDS)
def test_a_value_that_cannot_be_is_refused_naming_carrier_and_setting(kind: str) -> None:
    numbers = [name for name in KINDS[kind].options.__struct_fields__ if name.endswith("_seconds")]
    for name in [*numbers, "quarantine_seconds"]:
        with pytest.raises(OperatorError, match=f"'north' cannot be used: {name}"):
            made(kind, NOWHERE[kind] | {name: "soon"})


@pytest.mark.parametrize("kind", KINDS)
def test_values_come_from_variables_as_well_as_from_a_file(kind: str) -> None:
    written = registry(
        {"north": NOWHERE[kind] | {"quarantine_seconds": "60", "charges": "false"}}, USUAL, simulated="auto"
    )
    assert written.terms["north"] == Terms(cancel_wait_seconds=0, rest_seconds=60)
    assert registry({"north": NOWHERE[kind]}, USUAL, simulated="auto").terms["north"] == USUAL


def test_a_kind_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(OperatorError, match=r"its kind is .*smpp.*, not 'pigeon'"):
        made("smpp", {"kind": "pigeon"})
    with pytest.raises(OperatorError, match=r"its kind is .*smpp.*, not \['smpp'\]"):
        made("smpp", {"kind": ["smpp"]})
    with pytest.raises(OperatorError, match="lacks a kind"):
        made("smpp", {"url": "x"})
