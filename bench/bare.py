"""The least that a sender of webhooks can do: ``python -m bench.bare URL COUNT AT_A_TIME``, with no database behind it.

The same client, the same size of request; prints how many a second were answered, and the seconds of CPU for each.
"""

import asyncio
import sys
import time

import uvloop

from trunkline import egress

BODY = b"x" * 420
HEADERS = {
    "content-type": "application/json",
    "webhook-id": "bare",
    "webhook-timestamp": "1700000000",
    "webhook-signature": "v1," + "x" * 44,
}


async def main(url: str, count: int, at_a_time: int) -> None:
    allow = egress.networks(["127.0.0.0/8"])
    left = iter(range(count))

    async def send() -> None:
        for _ in left:
            answer = await egress.fetch("POST", url, HEADERS, BODY, allow=allow)
            assert answer.status == 200

    started, spent = time.perf_counter(), time.process_time()
    await asyncio.gather(*(send() for _ in range(at_a_time)))
    print(count / (time.perf_counter() - started), (time.process_time() - spent) / count)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
