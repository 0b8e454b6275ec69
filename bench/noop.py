"""The least that an ASGI server can do: uvicorn over httptools and uvloop, with an answer that is always the same.

A yardstick that is not ours, and so does not move with what it measures: ``python -m bench.noop``.
"""

import asyncio
from typing import Any

import uvicorn
import uvloop

from trunkline import roles

BODY = b'{"success":true,"data":null}'
HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(BODY))]


async def answer(scope: dict[str, Any], receive: object, send: Any) -> None:  # noqa: ARG001
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": BODY})


async def main() -> None:
    listener = roles.bind("127.0.0.1", 0)
    options = uvicorn.Config(
        answer,
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
    )
    server = uvicorn.Server(options)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        await asyncio.sleep(0.005)
    print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    await serving


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
