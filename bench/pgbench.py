"""The purchase statement of the product, run by PostgreSQL's own load generator."""

import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import asyncpg

from bench.stage import Customer, socket_of
from trunkline.activations import lifecycle
from trunkline.activations.lifecycle import Order, Policy
from trunkline.carriers.registry import Terms, registry
from trunkline.catalog.countries import countries
from trunkline.storage import embedded

THREADS = 2
TTL_SECONDS = 1200

_ACCOUNT = 2**62 + 1  # stand in the statement for what pgbench draws anew each time
_SERVICE = "bench_service"
_TPS = re.compile(r"^tps = ([0-9.]+)", re.MULTILINE)
_FAILED = re.compile(r"^number of failed transactions: ([1-9]\d*)", re.MULTILINE)


class _Recorder:
    """Takes down the statement instead of running it."""

    def __init__(self) -> None:
        self.statement = ""
        self.arguments: tuple[Any, ...] = ()

    async def fetch(self, query: str, *args: Any) -> list[asyncpg.Record]:
        self.statement, self.arguments = query, args
        return []

    async def fetchrow(self, query: str, *args: Any) -> asyncpg.Record | None:
        raise NotImplementedError

    async def fetchval(self, query: str, *args: Any) -> Any:
        raise NotImplementedError

    async def execute(self, query: str, *args: Any) -> str:
        raise NotImplementedError


async def purchase(account_id: int, service: str) -> tuple[str, tuple[Any, ...]]:
    """The statement with which the product buys in the simulated network, and its arguments."""
    recorder = _Recorder()
    order = Order(
        country="us",
        service=service,
        max_micros=None,
        operator=None,
        ttl=TTL_SECONDS,
        sender=None,
        contains=None,
        labels={},
    )
    await lifecycle.purchase(
        recorder,
        account_id,
        [order],
        test=False,
        terms=registry({}, Terms(0, 0), simulated="always").visible(test=False),
        key_id=0,
        policy=Policy(),
        countries=countries(),
    )
    return recorder.statement, recorder.arguments


async def script(buyers: Sequence[Customer], services: int) -> str:
    """Each client buys for an account of its own, any of the services ``bench_0`` to ``bench_{services - 1}``."""
    first = buyers[0].account_id
    assert [buyer.account_id for buyer in buyers] == list(range(first, first + len(buyers)))
    statement, arguments = await purchase(_ACCOUNT, _SERVICE)
    literals = [_literal(argument) for argument in arguments]
    text = re.sub(r"\$(\d+)", lambda found: literals[int(found[1]) - 1], statement)
    return f"\\set account {first} + :client_id\n\\set service random(0, {services - 1})\n{text};\n"


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return ":account::bigint" if value == _ACCOUNT else str(value)
    if isinstance(value, str):
        quoted = value.replace("'", "''")
        return "'bench_' || :service::text" if value == _SERVICE else f"'{quoted}'"
    if isinstance(value, list):
        return f"ARRAY[{', '.join(map(_literal, value))}]"
    raise TypeError(f"no literal for {type(value).__name__}")


def run(url: str, file: Path, *, clients: int, seconds: float, environment: Mapping[str, str]) -> float:
    """Transactions a second; RuntimeError where some failed."""
    folder, database = socket_of(url)
    done = subprocess.run(
        [
            str(embedded.programs() / "pgbench"), "--no-vacuum", "--protocol=prepared", f"--client={clients}",
            f"--jobs={THREADS}", f"--time={max(1, round(seconds))}", f"--file={file}", f"--host={folder}",
            "--username=trunkline", database,
        ],
        capture_output=True, text=True, check=False, env=dict(environment),
    )  # fmt: skip
    found = _TPS.search(done.stdout)
    if done.returncode or found is None or _FAILED.search(done.stdout):
        raise RuntimeError(f"pgbench failed: {done.stdout} {done.stderr}")
    return float(found[1])
