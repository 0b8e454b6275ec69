"""What a figure stands on: one real PostgreSQL, databases, customers, and servers as an operator runs them."""

import asyncio
import contextlib
import copy
import itertools
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit, urlunsplit

import asyncpg

from trunkline import app, config
from trunkline.accounts import accounts
from trunkline.audit.acts import Actor
from trunkline.ledger import journal
from trunkline.storage import embedded
from trunkline.storage.queries import bind, queries

SQL = queries(__package__)

Result = TypeVar("Result")

PER_MINUTE = 10_000_000
CREDIT_MICROS = 10**12
FIRST_NUMBER = 2_010_000_000  # in the North American plan; no exchange there begins with 0
STOP_SECONDS = 60


@dataclass(frozen=True)
class Customer:
    account_id: int
    key: str


@dataclass(frozen=True)
class Lease:
    activation_id: int
    account_id: int
    e164: str


@dataclass(frozen=True)
class Server:
    """A running process of ours; port 0 where it does not listen."""

    port: int
    process: "subprocess.Popen[str]"

    def cpu_seconds(self) -> float | None:
        """Spent so far, by the kernel's count; None where there is no /proc."""
        stat = Path(f"/proc/{self.process.pid}/stat")
        if not stat.exists():
            return None
        user, system = stat.read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def resident_mib(self) -> float:
        shown = subprocess.run(["ps", "-o", "rss=", "-p", str(self.process.pid)], capture_output=True, check=True)
        return int(shown.stdout) / 1024


class Stage:
    """Everything that runs is on ``stack``, and gone when that closes."""

    def __init__(self, directory: Path, stack: contextlib.ExitStack, *, quick: bool) -> None:
        self.directory = directory
        self.quick = quick
        self._stack = stack
        self._names = itertools.count()
        server = embedded.start(directory)
        stack.callback(_stop_postgres, server, directory)
        self._server_url = server.url
        self.run(self._make_template)

    def with_stack(self, stack: contextlib.ExitStack) -> "Stage":
        """The same, but what is started goes with another stack."""
        other = copy.copy(self)
        other._stack = stack
        return other

    def later(self, clean_up: Callable[[], object]) -> None:
        self._stack.callback(clean_up)

    async def _make_template(self) -> None:
        await self._execute("CREATE DATABASE bench_template")
        settings = config.load(self.environment(self._url("bench_template")))
        async with app.platform(settings, self.directory):
            pass

    def run(self, job: Callable[[], Awaitable[Result]]) -> Result:
        async def main() -> Result:
            return await job()

        return asyncio.run(main())

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self._server_url)
        await connection.execute(statement)
        await connection.close()

    def _url(self, name: str) -> str:
        return urlunsplit(urlsplit(self._server_url)._replace(path=f"/{name}"))

    def database(self) -> str:
        """The URL of a new database: migrated and seeded, empty otherwise."""
        name = f"bench_{next(self._names)}"
        self.run(lambda: self._execute(f"CREATE DATABASE {name} TEMPLATE bench_template"))
        return self._url(name)

    def postgres_version(self) -> str:
        async def ask() -> str:
            connection = await asyncpg.connect(self._server_url)
            version = connection.get_server_version()
            await connection.close()
            return f"{version.major}.{version.minor}"

        return self.run(ask)

    def environment(self, url: str, **settings: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TRUNKLINE_")}
        name = url.rpartition("/")[2].partition("?")[0]
        directory = str(self.directory / f"data-{name}")  # where the key and the heads of the audit go
        ours = {"PYTHONUNBUFFERED": "1", "TRUNKLINE_DATABASE_URL": url, "TRUNKLINE_DATA_DIR": directory}
        return kept | ours | settings

    def serve(self, url: str, *words: str, through: Sequence[str] = (), **settings: str) -> Server:
        """``trunkline serve`` over a database, started by the command ``through``."""
        command = [*through, sys.executable, "-m", "trunkline", "serve", *words]
        if "carrier" not in words:
            command += ["--port", "0"]
        return self.start(command, self.environment(url, **settings))

    def noop(self) -> Server:
        """The least that could answer."""
        return self.start([sys.executable, "-m", "bench.noop"], dict(os.environ))

    def start(self, command: Sequence[str], environment: dict[str, str]) -> Server:
        """A process that prints its URL, or ``ready``, once it is up."""
        log = self.directory / f"process-{next(self._names)}.log"
        with open(log, "wb") as errors:
            process = subprocess.Popen(
                command,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=Path(__file__).parents[1],
            )
        self._stack.callback(stop, process)
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://\S+:(\d+)", line)
        if not found and line != "ready\n":
            raise RuntimeError(f"it did not start: {' '.join(command)}: {log.read_text()}")
        return Server(int(found[1]) if found else 0, process)

    def postmaster(self) -> int:
        return int((self.directory / "postgres" / "data" / "postmaster.pid").read_text().split()[0])


def stop(process: "subprocess.Popen[str]") -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def _stop_postgres(server: embedded.EmbeddedServer, directory: Path) -> None:
    """Its keeper stops it once we let go; the data directory can be removed after that."""
    server.release()
    deadline = time.monotonic() + STOP_SECONDS
    while (directory / "postgres" / "data" / "postmaster.pid").exists() and time.monotonic() < deadline:
        time.sleep(0.05)


async def customers(connection: Any, count: int) -> list[Customer]:
    """Accounts that may call as often and buy as much as they like; their ids follow one another."""
    made = []
    for number in range(count):
        account = await accounts.create(
            connection, Actor("operator:bench"), f"bench-{number}@example.com", currency="USD", per_minute=PER_MINUTE
        )
        await journal.credit(connection, Actor("operator:bench"), account.account_id, CREDIT_MICROS)
        made.append(Customer(account.account_id, account.live_key))
    return made


async def leases(connection: Any, owners: Sequence[Customer], service: str, count: int) -> list[Lease]:
    """New live leases of one service, each on a number of its own from ``SQL.numbers``."""
    rows = await connection.fetch(
        *bind(SQL.leases, accounts=[owner.account_id for owner in owners], service=service, limit=count)
    )
    assert len(rows) == count, "there are not enough free numbers"
    return [Lease(*row) for row in rows]


def socket_of(url: str) -> tuple[str, str]:
    """Folder of the Unix socket, and database, of a URL of the embedded server."""
    parts = urlsplit(url)
    return parse_qs(parts.query)["host"][0], parts.path[1:]


@contextlib.contextmanager
def pinned(cores: set[int] | None) -> Iterator[None]:
    """What is started within runs on these cores; anywhere where there is but one, or the platform cannot pin."""
    if not cores or not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def halves() -> tuple[set[int] | None, set[int] | None]:
    """One core for what is measured, and the others for everybody else."""
    if not hasattr(os, "sched_getaffinity"):
        return None, None
    cores = sorted(os.sched_getaffinity(0))
    return ({cores[0]}, set(cores[1:])) if len(cores) > 1 else (None, None)
