"""What the SMPP tests share: node-smpp as the SMSC, a collector in place of the platform, and a link between them."""

import asyncio
import contextlib
import json
import os
import shutil
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from trunkline.carriers.carrier import DeliveryReceipt, InboundText
from trunkline.carriers.smpp.carrier import SmppCarrier
from trunkline.carriers.smpp.options import SmppOptions

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 60.0

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed; the SMSC is node-smpp")


class Smsc:
    """node-smpp in a process of its own; peers/smsc.js has the orders and the events."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._unseen: list[dict[str, Any]] = []
        self.port = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def started(cls, *arguments: str | Path) -> AsyncIterator["Smsc"]:
        process = await asyncio.create_subprocess_exec(
            "node",
            str(Path(__file__).parent / "peers" / "smsc.js"),
            *map(str, arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "NODE_PATH": str(ROOT / ".cache" / "node" / "node_modules")},
        )
        smsc = cls(process)
        try:
            smsc.port = (await smsc.event("listening"))["port"]
            yield smsc
        finally:
            process.kill()
            await process.communicate()  # reads what nobody wanted to know, so that its pipe can close

    def order(self, do: str, **fields: Any) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps({"do": do, **fields}).encode() + b"\n")

    async def behave(self, on: str, **how: Any) -> None:
        """Changes what it does from now on; returns when it is so."""
        self.order(on, **how)
        await self.event("ready")

    async def event(self, name: str, **having: Any) -> dict[str, Any]:
        """The first event of this kind that no call has returned yet; waits for it."""
        wanted = {"event": name, **having}.items()
        for position, seen in enumerate(self._unseen):
            if wanted <= seen.items():
                return self._unseen.pop(position)
        assert self._process.stdout
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                line = await self._process.stdout.readline()
                assert line, "the SMSC ended"
                seen = json.loads(line)
                if wanted <= seen.items():
                    return dict(seen)
                self._unseen.append(seen)

    async def answers(self, count: int, command: str = "deliver_sm_resp") -> list[int]:
        """The statuses of the next answers to its texts."""
        return [(await self.event("answer", command=command))["status"] for _ in range(count)]

    async def round_trip(self) -> None:
        """Returns when the link has handled everything sent to it until now."""
        self.order("enquire")
        await self.event("answer", command="enquire_link_resp")

    def unseen(self, name: str) -> list[dict[str, Any]]:
        return [seen for seen in self._unseen if seen["event"] == name]


class Inbox:
    """Stands where the platform stands: takes texts and receipts, and commits at once or when told."""

    def __init__(self, *, holding: bool = False) -> None:
        self.holding = holding
        self.failing: Exception | None = None
        self.texts: asyncio.Queue[InboundText] = asyncio.Queue()
        self.receipts: asyncio.Queue[DeliveryReceipt] = asyncio.Queue()
        self.held: list[asyncio.Future[None]] = []

    def deliver(self, text: InboundText) -> "asyncio.Future[None]":
        self.texts.put_nowait(text)
        return self._commit()

    def report(self, receipt: DeliveryReceipt) -> "asyncio.Future[None]":
        self.receipts.put_nowait(receipt)
        return self._commit()

    async def text(self) -> InboundText:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.texts.get()

    async def receipt(self) -> DeliveryReceipt:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.receipts.get()

    def commit_all(self) -> None:
        for future in self.held:
            if not future.done():
                future.set_result(None)
        self.held.clear()

    def _commit(self) -> "asyncio.Future[None]":
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.failing:
            future.set_exception(self.failing)
        elif self.holding:
            self.held.append(future)
        else:
            future.set_result(None)
        return future


def carrier(port: int, *, scheme: str = "smpp", **options: Any) -> SmppCarrier:
    """A link that is as patient with its peer as the tests are with both."""
    patient = {"response_timeout_seconds": PATIENCE_SECONDS, "connect_timeout_seconds": PATIENCE_SECONDS}
    url = f"{scheme}://us%40er:s%3Acret@localhost:{port}"
    return SmppCarrier("acme", SmppOptions(url=url, **(patient | options)))


def answers_within(link: SmppCarrier, seconds: float) -> None:
    """How long the peer has for what a link that is bound asks from now on."""
    assert link._session is not None
    link._session._requests._timeout_seconds = seconds


@contextlib.asynccontextmanager
async def running(link: SmppCarrier, inbox: Inbox) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.create_task(link.run(inbox.deliver, inbox.report))
    try:
        yield task
    finally:
        assert task.cancelled() or not task.done(), "a link never ends by itself"
        inbox.commit_all()
        task.cancel()
        await asyncio.wait((task,))


@contextlib.asynccontextmanager
async def bound(inbox: Inbox, **options: Any) -> AsyncIterator[tuple[Smsc, SmppCarrier]]:
    """An SMSC and a link bound to it."""
    async with Smsc.started() as smsc:
        link = carrier(smsc.port, **options)
        async with running(link, inbox):
            await smsc.event("bind")
            await smsc.round_trip()
            yield smsc, link


def only(found: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: found[name] for name in names}
