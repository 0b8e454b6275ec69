"""Somebody who gets webhooks, in a process of its own: ``python -m bench.receivers``.

``/good`` answers at once, ``/fail`` answers 500, ``/hang`` never answers; ``/tally`` is what came to ``/good``, as
JSON: webhook id to seconds since the epoch; ``/count`` how many those are, for whoever asks again and again.
"""

import asyncio
import json
import re
import signal
import time
from typing import cast

import uvloop

from trunkline import roles

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
FAIL = b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

_ID = re.compile(rb"\r\nwebhook-id: *(\S+)", re.IGNORECASE)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)

came: dict[str, float] = {}


class Receiver(asyncio.Protocol):
    def __init__(self) -> None:
        self._held = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._held += data
        head = self._held.find(b"\r\n\r\n")
        length = _LENGTH.search(self._held, 0, head)
        if head < 0 or len(self._held) < head + 4 + (int(length[1]) if length else 0):
            return
        path = self._held.split(b" ", 2)[1]
        if path.startswith(b"/hang"):
            return
        answer = FAIL
        if path.startswith(b"/good"):
            found = _ID.search(self._held, 0, head)
            if found is not None:
                came.setdefault(found[1].decode(), time.time())
            answer = OK
        elif path.startswith(b"/tally"):
            body = json.dumps(came).encode()
            answer = _says(body)
        elif path.startswith(b"/count"):
            answer = _says(b"%d" % len(came))
        elif path.startswith(b"/forget"):
            came.clear()
            answer = OK
        self._transport.write(answer)
        self._transport.close()


def _says(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(body), body)


async def main() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    listener = roles.bind("127.0.0.1", 0)
    server = await loop.create_server(Receiver, sock=listener, backlog=1024)
    print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    await stop.wait()
    server.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
