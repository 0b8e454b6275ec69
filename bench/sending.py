"""How fast codes get to a peer: node-smpp takes them, sends receipts, and says when each came."""

import asyncio
import contextlib
import json
import os
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from bench import report
from bench.stage import SQL, Customer, Stage, customers
from trunkline.storage import secret_file
from trunkline.verify.passcodes import Seals

ROOT = Path(__file__).parents[1]
SETTINGS = """
[carriers.north]
kind = "smpp"
url = "smpp://user:secret@127.0.0.1:{port}"
window = 200
[verify]
countries = ["de"]
routes = [{{ prefix = "+49", carrier = "north" }}]
[verify.guard]
shadow = ["prefix_volume", "prefix_conversion", "velocity",
          "spend_prefix", "spend_country", "spend_profile", "spend_account"]
"""
PATIENCE_SECONDS = 120


class _Peer:
    """node-smpp in a process of its own; ``came`` is when each recipient's text was there."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.came: dict[str, float] = {}
        self.port = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def started(cls) -> AsyncIterator["_Peer"]:
        process = await asyncio.create_subprocess_exec(
            "node", str(ROOT / "tests" / "carriers" / "peers" / "smsc.js"), stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, env={**os.environ, "NODE_PATH": str(ROOT / ".cache/node/node_modules")},
        )  # fmt: skip
        peer = cls(process)
        assert process.stdout is not None
        assert process.stdin is not None
        peer.port = json.loads(await process.stdout.readline())["port"]
        process.stdin.write(b'{"do": "on_submit", "ids": "hex", "receipt": "after"}\n')
        listening = asyncio.create_task(peer._listen())
        try:
            yield peer
        finally:
            listening.cancel()
            process.kill()
            await process.wait()

    async def _listen(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            event = json.loads(line)
            if event["event"] == "submit":
                self.came["+" + event["destination_addr"]] = time.perf_counter()


def measure(stage: Stage) -> list[report.Figure]:
    return [stage.run(lambda: _latency(stage)), stage.run(lambda: _throughput(stage))]


async def _stocked(stage: Stage, peer: _Peer) -> tuple[str, Customer, str]:
    url = await asyncio.to_thread(stage.database)
    file = stage.directory / f"sending-{peer.port}.toml"
    file.write_text(SETTINGS.format(port=peer.port))
    connection = await asyncpg.connect(url)
    [customer] = await customers(connection, 1)
    await connection.close()
    return url, customer, str(file)


async def _latency(stage: Stage) -> report.Figure:
    """From the request's first octet to the peer, at 100 starts a second."""
    async with _Peer.started() as peer:
        url, customer, file = await _stocked(stage, peer)
        server = await asyncio.to_thread(stage.serve, url, TRUNKLINE_CONFIG=file)
        count = 300 if stage.quick else 2_000
        began: dict[str, float] = {}
        base, headers = f"http://127.0.0.1:{server.port}/api/v1", {"Authorization": f"Bearer {customer.key}"}
        async with httpx.AsyncClient(base_url=base, headers=headers, trust_env=False, timeout=30) as client:

            async def start(number: str) -> None:
                began[number] = time.perf_counter()
                (await client.post("/verifications", json={"phone_number": number})).raise_for_status()

            for turn in range(100):  # plans are made, and kept
                await start(f"+49151{turn:09d}")
            began.clear()
            loop = asyncio.get_running_loop()
            first, calls = loop.time(), []
            for turn in range(count):
                await asyncio.sleep(max(0.0, first + turn / 100 - loop.time()))
                calls.append(asyncio.create_task(start(f"+4915{turn * 104_729 % 10**9:09d}")))
            await asyncio.gather(*calls)
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not began.keys() <= peer.came.keys():
                    await asyncio.sleep(0.05)
        took = sorted((peer.came[number] - at) * 1000 for number, at in began.items())
        return report.Figure(
            "start of a verification → the text at the peer (SMPP), p99 at 100/s", [took[int(len(took) * 0.99)]], 50,
            at_most=True, unit="ms", raw=f"p50 {statistics.median(took):.1f} ms, {len(took):,} starts",
        )  # fmt: skip


async def _throughput(stage: Stage) -> report.Figure:
    """A full queue, from the first text at the peer until every receipt is recorded; one carrier process."""
    count = 4_000 if stage.quick else 20_000
    async with _Peer.started() as peer:
        url, customer, file = await _stocked(stage, peer)
        folder = Path(stage.environment(url)["TRUNKLINE_DATA_DIR"])
        folder.mkdir(parents=True, exist_ok=True)
        await _fill(url, customer, Seals(secret_file.read(folder / "verify-secret")), count)
        await asyncio.to_thread(stage.serve, url, "--role", "carrier", TRUNKLINE_CONFIG=file)
        connection = await asyncpg.connect(url)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await connection.fetchval("SELECT count(*) FROM verification_send WHERE state = 'delivered'") < count:
                await asyncio.sleep(0.05)
        seconds = time.perf_counter() - min(peer.came.values())
        await connection.close()
        return report.Figure(
            "texts with a code over SMPP, submitted to node-smpp and their receipts recorded, one carrier process",
            [count / seconds], 2_000, unit="/s", raw=f"{count:,} in {seconds:.1f} s",
        )  # fmt: skip


async def _fill(url: str, customer: Customer, seals: Seals, count: int) -> None:
    """Verifications whose texts wait in the queue."""
    connection = await asyncpg.connect(url)
    rows: Sequence[Any] = [
        (number, customer.account_id, f"+4915{number:09d}", seals.seal(number, f"ACME: Ihr Code ist {number:06d}."))
        for number in range(1, count + 1)
    ]
    await connection.executemany(SQL.queued_verification, rows)
    await connection.execute("VACUUM ANALYZE verification, verification_send")
    await connection.close()
