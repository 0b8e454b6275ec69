"""The system under test: servers on one port over a real PostgreSQL, a carrier by SMPP, a receiver of webhooks."""

import contextlib
import dataclasses
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import requests

from tests.conftest import END_SECONDS, Customer, Server, Trunkline
from tests.e2e.test_kill import ResendingSmsc
from tests.faults.journal import Journal
from tests.outside import lasting_port
from tests.receiver import Receiver, receiving

NUMBERS = 2_000
READY_SECONDS = 120


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


@contextlib.contextmanager
def world(folder: pathlib.Path, *words: str, **settings: str) -> Iterator[World]:
    """Everything up and idle; ``words`` go to ``trunkline serve``."""
    data_dir = folder / "data"
    base = f"http://127.0.0.1:{lasting_port()}"
    with ResendingSmsc.started() as smsc, receiving() as receiver:
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
        built = World(data_dir, operator, customer, smsc, receiver, Journal(), base, words, server)
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
