"""A running ``trunkline listen``."""

import contextlib
import json
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

from tests.conftest import Server, Trunkline

WAIT_SECONDS = 60


class Listening:
    """A running ``trunkline listen``."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._process.stdout or ():
            self._lines.put(line.rstrip("\n"))

    def line(self) -> str:
        return self._lines.get(timeout=WAIT_SECONDS)

    def event(self) -> Any:
        return json.loads(self.line())

    def secret(self) -> str:
        """Which its first line tells."""
        found = re.fullmatch(r"ready: your webhook signing secret is (whsec_\S+)", self.line())
        assert found
        return found.group(1)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self._process.send_signal(number)
        return self._process.wait(WAIT_SECONDS)

    def kill(self) -> None:
        """And read to the end, before the pipe is closed."""
        self._process.kill()
        self._reader.join(WAIT_SECONDS)


@contextlib.contextmanager
def listening(trunkline: Trunkline, server: Server, key: str, *words: str) -> Iterator[Listening]:
    with subprocess.Popen(
        [sys.executable, "-m", "trunkline", "listen", *words],
        env=trunkline.environment | {"TRUNKLINE_URL": server.base, "TRUNKLINE_API_KEY": key},
        stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        running = Listening(process)
        try:
            yield running
        finally:
            running.kill()
