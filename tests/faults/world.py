"""The system under test: servers on one port over a real PostgreSQL, a carrier by SMPP, a receiver of webhooks."""

import asyncio
import contextlib
import dataclasses
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Literal

import requests

from tests.conftest import END_SECONDS, Customer, Server, Trunkline
from tests.database_line import Line
from tests.e2e.resending import ResendingSmsc
from tests.faults.journal import Journal
from tests.outside import lasting_port
from tests.receiver import Receiver, receiving
from trunkline.storage import embedded

NUMBERS = 2_000
READY_SECONDS = 120
DISK_MIB = 500

Site = Literal["embedded", "small disk", "line"]  # where the database is, and how it is reached


@dataclasses.dataclass
class World:
    """What a fault may break, and what the judge asks."""

    data_dir: pathlib.Path
    operator: Trunkline
    customer: Customer
    smsc: ResendingSmsc
    receiver: Receiver
    journal: Journal
    base: str
    words: tuple[str, ...]
    server: Server
    line: "BackgroundLine | None"

    @property
    def api(self) -> str:
        return self.base + "/api/v1"

    def start(self) -> None:
        """The server again, on the same port."""
        self.server = _serve(self.operator, self.base, self.words, self.data_dir.parent / "server.log")

    def send(self, to: str, text: str) -> None:
        self.smsc.send(to, text)

    def processes(self) -> list[int]:
        """The postmaster of the embedded database and its children."""
        postmaster = int((self.data_dir / "postgres" / "data" / "postmaster.pid").read_text().split("\n", 1)[0])
        children = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(postmaster)], capture_output=True, text=True, check=False
        )
        return [postmaster, *map(int, children.stdout.split())]

    def wait_until_ready(self) -> None:
        """Raises AssertionError where the server does not become ready again."""
        deadline = time.monotonic() + READY_SECONDS
        while True:
            with contextlib.suppress(requests.RequestException):
                if requests.get(self.base + "/readyz", timeout=5).status_code == 200:
                    return
            assert time.monotonic() < deadline, "the server does not become ready again"
            time.sleep(0.05)  # nothing tells of it


class BackgroundLine:
    """A ``Line`` on a loop of its own, for those who have none."""

    def __init__(self, line: Line, loop: asyncio.AbstractEventLoop) -> None:
        self.url = line.url
        self._line = line
        self._loop = loop

    def hush(self) -> None:
        self._loop.call_soon_threadsafe(self._line.hush)

    @classmethod
    @contextlib.contextmanager
    def laid(cls, url: str) -> Iterator["BackgroundLine"]:
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        laying = Line.laid(url)
        line = asyncio.run_coroutine_threadsafe(laying.__aenter__(), loop).result()
        try:
            yield cls(line, loop)
        finally:
            asyncio.run_coroutine_threadsafe(laying.__aexit__(None, None, None), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join(10)


@contextlib.contextmanager
def _small_disk(folder: pathlib.Path) -> Iterator[None]:
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        embedded.wait_until_stopped(folder)
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextlib.contextmanager
def world(folder: pathlib.Path, *words: str, site: Site = "embedded", **settings: str) -> Iterator[World]:
    """Everything up and idle; ``words`` go to ``trunkline serve``."""
    data_dir = folder / "data"
    base = f"http://127.0.0.1:{lasting_port()}"
    with contextlib.ExitStack() as stack:
        smsc = stack.enter_context(ResendingSmsc.started())
        receiver = stack.enter_context(receiving())
        line = None
        if site == "small disk":
            stack.enter_context(_small_disk(data_dir))
        if site == "line":
            share = embedded.start(data_dir)
            stack.callback(share.release)
            line = stack.enter_context(BackgroundLine.laid(share.url))
            settings["TRUNKLINE_DATABASE_URL"] = line.url
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TRUNKLINE_")}
        operator = Trunkline(
            kept
            | {
                "PYTHONUNBUFFERED": "1",
                "TRUNKLINE_DATA_DIR": str(data_dir),
                "TRUNKLINE_CARRIERS__NORTH__KIND": "smpp",
                "TRUNKLINE_CARRIERS__NORTH__URL": f"smpp://user:secret@127.0.0.1:{smsc.port}",
                "TRUNKLINE_POOL__CANCEL_WAIT_SECONDS": "0",
                "TRUNKLINE_WEBHOOKS__ALLOW": "127.0.0.0/8",
                "TRUNKLINE_WEBHOOKS__RETRY_SECONDS": ",".join(["0.5"] * 60),
            }
            | settings
        )
        numbers = folder / "numbers.csv"
        numbers.write_text("".join(f"+3763{place:05},ad\n" for place in range(NUMBERS)))
        operator("numbers", "import", str(numbers), "--carrier", "north")
        operator("service", "enable", "whatsapp")
        customer = operator.customer("100000.00", per_minute=1_000_000)
        unlimited = ["--max-active", "100000", "--purchases-per-hour", "100000", "--cancels-per-hour", "100000"]
        operator("account", "policy", customer.email, *unlimited, "--success-floor", "0")
        server = _serve(operator, base, words, folder / "server.log")
        built = World(data_dir, operator, customer, smsc, receiver, Journal(), base, words, server, line)
        try:
            made = requests.post(
                built.api + "/webhooks",
                json={"url": receiver.url, "events": ["activation.*", "sms.received"]},
                headers={"Authorization": f"Bearer {customer.live_key}"},
                timeout=30,
            )
            assert made.status_code == 200, made.text
            yield built
        finally:
            with contextlib.suppress(ProcessLookupError):
                built.server.process.send_signal(signal.SIGTERM)
            try:
                built.server.process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                built.server.kill()
            assert built.server.process.stdout is not None
            built.server.process.stdout.close()


def _serve(operator: Trunkline, base: str, words: tuple[str, ...], log: pathlib.Path) -> Server:
    with open(log, "ab") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "trunkline", "serve", "--port", base.rpartition(":")[2], *words],
            env=operator.environment, stdout=subprocess.PIPE, stderr=errors, text=True,
        )  # fmt: skip
    assert process.stdout is not None
    assert re.search(r"http://\S+", process.stdout.readline()), log.read_text()[-2000:]
    return Server(base, process, log)
