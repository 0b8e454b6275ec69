"""A carrier that sends again whatever was not acknowledged."""

import contextlib
import json
import os
import pathlib
import queue
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

PATIENCE_SECONDS = 120.0
ROOT = pathlib.Path(__file__).parents[2]


class ResendingSmsc:
    """node-smpp in a process of its own, which sends every text until it is acknowledged."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self._events: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        self.acknowledged: list[tuple[str, str]] = []
        self.port: int = self._events.get(timeout=PATIENCE_SECONDS)["port"]

    @classmethod
    @contextlib.contextmanager
    def started(cls) -> Iterator["ResendingSmsc"]:
        with subprocess.Popen(
            ["node", str(pathlib.Path(__file__).parent / "peers" / "resending_smsc.js")],
            env=os.environ | {"NODE_PATH": str(ROOT / ".cache" / "node" / "node_modules")},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            smsc = cls(process)
            try:
                yield smsc
            finally:
                assert process.stdin
                process.stdin.close()
                smsc._listener.join(PATIENCE_SECONDS)  # it ends with its input; read to the end before the pipe closes

    def _listen(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._events.put(json.loads(line))

    def send(self, to: str, text: str) -> None:
        self._order(to=to.removeprefix("+"), text=text)

    def drop(self) -> None:
        """Breaks the link."""
        self._order(drop=True)

    def _order(self, **fields: Any) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(fields) + "\n")
        self._process.stdin.flush()

    def wait_for(self, more: int) -> None:
        """Returns when so many more texts have been acknowledged."""
        while more > 0:
            event = self._events.get(timeout=PATIENCE_SECONDS)
            if event["event"] == "acknowledged":
                self.acknowledged.append((f"+{event['to']}", event["text"]))
                more -= 1

    def hear_out(self) -> None:
        """What was said before now, without waiting for more."""
        with contextlib.suppress(queue.Empty):
            while True:
                event = self._events.get_nowait()
                if event["event"] == "acknowledged":
                    self.acknowledged.append((f"+{event['to']}", event["text"]))
