"""One process has a carrier's link, however many could; the next takes it over when that one is gone."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.carriers.raw_peer import RawServer
from tests.carriers.smpp_peer import PATIENCE_SECONDS
from tests.conftest import Trunkline
from tests.database_line import Line

from trunkline.carriers.carrier import Deliver, Health, LinkState, OutboundText, Report
from trunkline.carriers.ownership import Ownership
from trunkline.storage.database import Database
from trunkline.storage.migrate import migrate

pytestmark = pytest.mark.asyncio


class Bound:
    """A carrier that notes in which process of several it is bound."""

    kind = "smpp"

    def __init__(self, name: str, bound: set[str], most: list[int]) -> None:
        self.name = "north"
        self._process = name
        self._bound = bound
        self._most = most
        self.came = asyncio.Event()
        self.went = asyncio.Event()

    async def run(self, deliver: Deliver | None = None, report: Report | None = None) -> None:
        self._bound.add(self._process)
        self._most.append(len(self._bound))
        self.came.set()
        self.went.clear()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)  # a goodbye takes its time
            self._bound.discard(self._process)
            self.came.clear()
            self.went.set()

    async def send(self, text: OutboundText) -> list[str]:
        return []

    def health(self) -> Health:
        return Health(LinkState.UP, "bound")


class Processes:
    """Several that could have the link, each over a database connection of its own."""

    def __init__(self) -> None:
        self.bound: set[str] = set()
        self.most: list[int] = []
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, name: str, database: Database) -> tuple[Bound, Ownership, "asyncio.Task[None]"]:
        link = Bound(name, self.bound, self.most)
        owner = Ownership(link, database.alone)
        owner._process = name
        self._tasks.append(asyncio.create_task(owner.run(link.run)))
        return link, owner, self._tasks[-1]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@pytest_asyncio.fixture
async def processes() -> AsyncIterator[Processes]:
    started = Processes()
    yield started
    await started.stop()
    assert set(started.most) <= {1}, "two were bound at once"


@pytest_asyncio.fixture
async def database(url: str) -> AsyncIterator[Database]:
    await migrate(url)
    opened = await Database.open(url)
    yield opened
    await opened.close()


async def comes(event: asyncio.Event) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        await event.wait()


async def test_of_several_one_has_the_link_and_the_others_stand_by(database: Database, processes: Processes) -> None:
    first, owner, task = processes.start("first", database)
    await comes(first.came)
    second, other, _ = processes.start("second", database)
    while other.health().detail != "first has the link":
        await asyncio.sleep(0.05)
    assert (owner.health().state, other.health().state) == (LinkState.UP, LinkState.STANDBY)
    assert processes.bound == {"first"}
    task.cancel()  # it says goodbye: nobody has to wait out whether it lives
    await comes(second.came)
    assert (processes.bound, other.health().state) == ({"second"}, LinkState.UP)


async def test_an_owner_that_loses_its_connection_keeps_the_link_or_gives_it_up_first(
    url: str, database: Database, processes: Processes
) -> None:
    links = {name: processes.start(name, database)[0] for name in ("first", "second", "third")}
    async with asyncio.timeout(PATIENCE_SECONDS):
        for _ in range(2):
            while len(processes.bound) != 1:
                await asyncio.sleep(0.05)
            await database.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2"
                " AND pid <> pg_backend_pid()"
            )
            await asyncio.sleep(2.5)
        while len(processes.bound) != 1:
            await asyncio.sleep(0.05)
    assert all(link.came.is_set() == (name in processes.bound) for name, link in links.items())


async def test_an_owner_that_is_cut_off_gives_the_link_up_before_the_next_one_takes_it(
    url: str, database: Database, processes: Processes
) -> None:
    async with Line.laid(url) as line:
        far = await Database.open(line.url)
        try:
            first, owner, _ = processes.start("first", far)
            await comes(first.came)
            second, _, _ = processes.start("second", database)
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not owner._is_wanted:
                    await asyncio.sleep(0.05)
            line.cut()
            await comes(first.went)
            await comes(second.came)
        finally:
            await far.close()


async def test_an_owner_alone_keeps_its_link_while_the_database_is_away(url: str, processes: Processes) -> None:
    await migrate(url)
    async with Line.laid(url) as line:
        database = await Database.open(line.url)
        try:
            link, _, _ = processes.start("alone", database)
            await comes(link.came)
            line.cut()
            await asyncio.sleep(6)
            assert processes.bound == {"alone"}
        finally:
            await database.close()


async def test_two_servers_never_both_bind_and_one_takes_over_when_the_other_is_killed(trunkline: Trunkline) -> None:
    async with RawServer.started() as smsc:
        operator = Trunkline(
            trunkline.environment
            | {
                "TRUNKLINE_CARRIERS__NORTH__KIND": "smpp",
                "TRUNKLINE_CARRIERS__NORTH__URL": f"smpp://us:secret@127.0.0.1:{smsc.port}",
            }
        )
        command = [sys.executable, "-m", "trunkline", "serve", "--role", "carrier"]
        servers = [subprocess.Popen(command, env=operator.environment, stdout=subprocess.DEVNULL) for _ in range(2)]
        try:
            peer = await smsc.peer()
            await peer.accept_bind()
            shown = {"owner": None, "standby": None}
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not (shown["owner"] and shown["standby"] and shown["state"] == "up"):
                    [shown] = [
                        each
                        for each in (await asyncio.to_thread(operator, "carriers"))["carriers"]
                        if each["carrier"] == "north"
                    ]
            assert smsc._accepted.empty(), "the second server has not even connected"
            owner, standby = (int(shown[role].rpartition(":")[2]) for role in ("owner", "standby"))
            assert {owner, standby} == {server.pid for server in servers}
            os.kill(owner, signal.SIGKILL)
            peer = await smsc.peer()
            await peer.accept_bind()
        finally:
            smsc.hang_up()
            for server in servers:
                server.kill()
                server.wait()
