"""The API that asks nobody who they are and counts no requests: ``python -m bench.trusting KEY``.

What it answers faster is what key check, limit and headers cost.
"""

import asyncio
import pathlib
import signal
import sys
import tempfile
from typing import cast

import uvloop

from trunkline import app, asgi, config, roles
from trunkline.accounts.keys import Key, Keyring
from trunkline.accounts.limits import Limiter
from trunkline.surfaces.http.callers import Callers


class _Trusting:
    """Lets everybody in as one key, and counts nothing."""

    def __init__(self, key: Key) -> None:
        self._key = key

    async def admit(self, *_: object) -> Key:
        return self._key

    def recognise(self, *_: object) -> Key:
        return self._key

    def count(self, *_: object) -> bool:
        return True


async def main(secret: str) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    settings = config.load()
    async with app.platform(settings, pathlib.Path(tempfile.gettempdir(), "trunkline-tests")) as built:
        pushed, keyring = asgi.push(settings, built), Keyring(built.database)
        tail = asyncio.create_task(pushed.tail.run())
        limiter = Limiter(account_per_minute=settings.server.account_requests_per_minute)
        application = asgi.application(
            settings, built, pushed, keyring, limiter, roles.probes(settings, built, pushed, None)
        )
        application._callers = cast("Callers", _Trusting(await keyring.find(secret)))
        listener = roles.bind("127.0.0.1", 0)
        ready = f"listening on http://127.0.0.1:{listener.getsockname()[1]}"
        await roles.listen(application, pushed, listener, stop, ready)
        tail.cancel()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(sys.argv[1]))
