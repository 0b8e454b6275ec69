"""The least that an ASGI server can do, under the server settings of the product: ``python -m bench.noop``."""

import asyncio
import signal
from typing import Any, cast

import uvloop

from trunkline import roles
from trunkline.api.server import Api
from trunkline.asgi import Push

BODY = b'{"success":true,"data":null}'
HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(BODY))]


async def answer(scope: dict[str, Any], receive: object, send: Any) -> None:  # noqa: ARG001
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})


class _NobodyWaits:
    def drain(self) -> None:
        pass


async def main() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    listener = roles.bind("127.0.0.1", 0)
    ready = f"listening on http://127.0.0.1:{listener.getsockname()[1]}"
    await roles.listen(cast("Api", answer), cast("Push", _NobodyWaits()), listener, stop, ready)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
