"""What a text is known by over a link: what was not acknowledged is a repetition, what was is a new text."""

import datetime
from typing import Any

import pytest
from tests.carriers.smpp_peer import Inbox, bound, needs_node

from trunkline.carriers.carrier import Identity, StoreAway
from trunkline.carriers.smpp.identities import Identities

NUMBER = "491511234567"
MINUTE = datetime.timedelta(minutes=1)


def known_as(identity: Identity | None) -> tuple[str, str | None]:
    assert identity is not None
    return identity.name, identity.session


def in_doubt(identity: Identity | None, moment: datetime.datetime) -> bool:
    assert identity is not None
    return any((since is None or since <= moment) and moment < until for since, until in identity.doubtful)


def order(smsc: Any, **more: Any) -> None:
    smsc.order("deliver", text="Your code is 482913", destination_addr=NUMBER, **more)


@needs_node
@pytest.mark.asyncio
async def test_the_same_words_after_our_answer_are_a_new_text() -> None:
    inbox = Inbox()
    async with bound(inbox) as (smsc, _):
        names = set()
        for _ in range(3):
            order(smsc)
            names.add(known_as((await inbox.text()).identity))
            assert await smsc.answers(1) == [0]
        assert len(names) == 3
        assert len({session for _, session in names}) == 1


@needs_node
@pytest.mark.asyncio
async def test_the_same_words_before_our_answer_are_the_same_text() -> None:
    inbox = Inbox(holding=True)
    async with bound(inbox) as (smsc, _):
        order(smsc, count=3)
        first = await inbox.text()
        assert {known_as((await inbox.text()).identity) for _ in range(2)} == {known_as(first.identity)}
        inbox.commit_all()
        assert await smsc.answers(3) == [0, 0, 0]
        order(smsc)
        fourth = await inbox.text()
        inbox.commit_all()
        assert known_as(fourth.identity) != known_as(first.identity)


@needs_node
@pytest.mark.asyncio
async def test_the_same_sequence_number_is_the_same_text() -> None:
    inbox = Inbox()
    async with bound(inbox) as (smsc, _):
        order(smsc, sequence_number=77)
        first = await inbox.text()
        assert await smsc.answers(1) == [0]
        order(smsc, sequence_number=77)
        assert known_as((await inbox.text()).identity) == known_as(first.identity)


@needs_node
@pytest.mark.asyncio
async def test_what_came_shortly_before_the_link_was_lost_is_in_doubt_on_the_next_session() -> None:
    inbox = Inbox()
    async with bound(inbox) as (smsc, _):
        order(smsc)
        first = await inbox.text()
        came = datetime.datetime.now(datetime.UTC)
        smsc.order("drop")
        await smsc.event("bind")
        order(smsc)
        again = await inbox.text()
        assert known_as(again.identity)[1] != known_as(first.identity)[1]
        assert in_doubt(again.identity, came)


@needs_node
@pytest.mark.asyncio
async def test_a_text_that_was_refused_may_have_been_committed() -> None:
    inbox = Inbox()
    async with bound(inbox) as (smsc, _):
        inbox.failing = StoreAway("away")
        order(smsc)
        first = await inbox.text()
        came = datetime.datetime.now(datetime.UTC)
        assert await smsc.answers(1) == [0x64]
        inbox.failing = None
        order(smsc)
        again = await inbox.text()
        assert known_as(again.identity)[1] != known_as(first.identity)[1]
        assert in_doubt(again.identity, came)


def test_a_process_that_has_just_begun_is_in_doubt_about_everything_before() -> None:
    now = datetime.datetime.now(datetime.UTC)
    identity = Identities().identify(b"", 1)
    assert in_doubt(identity, now - datetime.timedelta(days=2))
    assert not in_doubt(identity, now + 5 * MINUTE)


def test_what_was_acknowledged_long_before_a_session_ended_is_in_no_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime.datetime.now(datetime.UTC)
    clock = [now]
    monkeypatch.setattr("trunkline.carriers.smpp.identities._now", lambda: clock[0])
    identities = Identities()
    for hours in (2, 4, 6):
        clock[0] = now + datetime.timedelta(hours=hours)
        identities.interrupted(clock[0] - MINUTE / 2)
    identity = identities.identify(b"", 1)
    for hours in (2, 4, 6):
        end = now + datetime.timedelta(hours=hours)
        assert in_doubt(identity, end - MINUTE)
        assert in_doubt(identity, end + MINUTE / 2), "it was in hand when the session ended"
        assert not in_doubt(identity, end - 10 * MINUTE)
    for _ in range(500):
        clock[0] += datetime.timedelta(minutes=10)
        identities.interrupted(clock[0])
    assert len(identities.identify(b"", 2).doubtful) <= 50
    assert in_doubt(identities.identify(b"", 2), clock[0])
