"""An account that uses all it may, in a process of its own until it is ended: ``python -m bench.neighbour PORT KEY …``.

Forty connections send batches of twenty orders over the keys in turn, and wait as long as a refusal says.
"""

import asyncio
import itertools
import json
import sys

import uvloop

HANDS = 40
BODY = json.dumps({"items": [{"country": "us", "service": "telegram", "ttl": 60}] * 20}).encode()


async def main(port: int, keys: list[str]) -> None:
    print("ready", flush=True)
    await asyncio.gather(*(hand(port, key) for key in itertools.islice(itertools.cycle(keys), HANDS)))


async def hand(port: int, key: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = (
        f"POST /api/v1/numbers/purchase/batch HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n"
    ).encode()
    while True:
        writer.write(head + BODY)
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        await reader.readexactly(int(fields["content-length"]))
        if first.split()[1] == "429":
            await asyncio.sleep(float(fields["retry-after"]))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(int(sys.argv[1]), sys.argv[2:]))
