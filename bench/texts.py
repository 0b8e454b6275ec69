"""How fast texts come in over SMPP, and how soon whoever waits for one has it."""

import asyncio
import functools
import json
import os
import shutil
import statistics
import subprocess
from pathlib import Path
from typing import Any

import asyncpg
import msgspec

from bench import report, waiting
from bench.stage import FIRST_NUMBER, SQL, Customer, Lease, Stage, customers, leases, stop
from trunkline.storage.queries import bind

WINDOW = 100
ACCOUNTS = 20
CARRIER = "bench"
MODULES = Path(__file__).parents[1] / ".cache" / "node" / "node_modules"
FIRST_CODE = 100_000
WAITING = 200
TEXTS_PER_SECOND = 100

CONFIGURATION = """\
[carriers.{name}]
kind = "smpp"
url = "smpp://bench:secret@127.0.0.1:{port}"
window = {window}
charges = false
quarantine_seconds = 0
"""


class Sent(msgspec.Struct):
    """What a sender tells after an order."""

    seconds: float
    granted: int
    refused: int
    sent: list[int]  # monotonic nanoseconds


class Sender:
    """node-smpp, as the carrier's side."""

    def __init__(self, node: str) -> None:
        self.process = subprocess.Popen(
            [node, str(Path(__file__).with_name("sender.js"))],
            env=os.environ | {"NODE_PATH": str(MODULES)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.port = int(json.loads(self._line())["listening"])

    def _line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the sender has ended")
        return line

    def wait_until_bound(self) -> None:
        self._line()

    def order(self, **order: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()

    def result(self) -> Sent:
        sent = msgspec.json.decode(self._line(), type=Sent)
        if sent.refused:
            raise RuntimeError(f"{sent.refused} texts were refused")
        return sent


def measure(stage: Stage) -> list[report.Figure]:
    """Nothing where there is no Node: the sender is somebody else's implementation."""
    node = shutil.which("node")
    if node is None or not MODULES.exists():
        print("texts: skipped, because Node or its package smpp is not there")
        return []
    return [_throughput(stage, node), *_latency(stage, node)]


def _carrier(stage: Stage, node: str, url: str, role: str) -> tuple[Sender, int]:
    """A sender and a process of ours bound to it; the process's port."""
    sender = Sender(node)
    stage.later(lambda: stop(sender.process))
    settings = stage.directory / "carrier.toml"
    settings.write_text(CONFIGURATION.format(name=CARRIER, port=sender.port, window=WINDOW))
    server = stage.serve(url, "--role", role, TRUNKLINE_CONFIG=str(settings))
    sender.wait_until_bound()
    return sender, server.port


async def _stocked(url: str, count: int) -> tuple[list[Customer], list[Lease]]:
    connection = await asyncpg.connect(url)
    await connection.execute(*bind(SQL.numbers, carrier=CARRIER, first=FIRST_NUMBER, count=count))
    owners = await customers(connection, ACCOUNTS)
    leased = await leases(connection, owners, "whatsapp", count)
    await connection.execute("VACUUM ANALYZE")
    await connection.execute("CHECKPOINT")
    await connection.close()
    return owners, leased


async def _matched(url: str) -> int:
    connection = await asyncpg.connect(url)
    row = await connection.fetchrow(SQL.counts)
    await connection.close()
    assert row is not None
    return int(row["texts"])


def _throughput(stage: Stage, node: str) -> report.Figure:
    """Each lease gets two texts: the first captures its money, the second only bumps its revision."""
    rounds, numbers = (3, 4_000) if stage.quick else (5, 10_000)
    url = stage.database()
    _, leased = stage.run(lambda: _stocked(url, rounds * numbers))
    sender, _ = _carrier(stage, node, url, "carrier")
    rates = []
    for turn in range(rounds):
        first = int(leased[turn * numbers].e164)
        sender.order(texts=2 * numbers, window=WINDOW, first=first, numbers=numbers, code=FIRST_CODE)
        sent = sender.result()
        rates.append(sent.granted / sent.seconds)
    matched = stage.run(lambda: _matched(url))
    if matched != 2 * numbers * rounds:
        raise RuntimeError(f"{2 * numbers * rounds} texts were acknowledged, and {matched} reached their leases")
    stop(sender.process)
    return report.Figure(
        f"texts over SMPP matched, committed and acknowledged, window {WINDOW}, one carrier process",
        rates,
        4_000,
        unit="/s",
        raw=f"{2 * numbers:,} texts to {numbers:,} leases in each round, acknowledgements counted at node-smpp",
    )


def _latency(stage: Stage, node: str) -> list[report.Figure]:
    rounds, texts = (3, 500) if stage.quick else (5, 1_000)
    url = stage.database()
    owners, leased = stage.run(lambda: _stocked(url, rounds * WAITING))
    keys = {owner.account_id: owner.key for owner in owners}
    sender, port = _carrier(stage, node, url, "all")
    medians, tails = [], []
    for turn in range(rounds):
        waited = leased[turn * WAITING : (turn + 1) * WAITING]
        calls = [(lease.activation_id, keys[lease.account_id]) for lease in waited]
        order = {
            "texts": texts, "window": WINDOW, "first": int(waited[0].e164), "numbers": WAITING, "code": FIRST_CODE,
            "rate": TEXTS_PER_SECOND,
        }  # fmt: skip
        heard = asyncio.run(waiting.hear(port, calls, functools.partial(sender.order, **order), texts))
        sent = sender.result().sent
        delays = sorted((heard[str(FIRST_CODE + at)] - when) / 1e6 for at, when in enumerate(sent))
        medians.append(statistics.median(delays))
        tails.append(delays[len(delays) * 99 // 100])
    stop(sender.process)
    what = f"text on the wire to the answer of a waiting call, {TEXTS_PER_SECOND} texts/s, {WAITING} calls waiting"
    return [
        report.Figure(f"{what}: p50", medians, 50, at_most=True, unit="ms", raw=f"{texts:,} texts in each round"),
        report.Figure(f"{what}: p99", tails, 50, at_most=True, unit="ms", raw=f"{texts:,} texts in each round"),
    ]
