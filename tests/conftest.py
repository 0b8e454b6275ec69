"""A real PostgreSQL for every test: one server for the run, one database for each test, cloned from a template.

The server is the embedded one, or the one that TRUNKLINE_TEST_DATABASE_URL names (a role that may create databases).
"""

import asyncio
import contextlib
import dataclasses
import fcntl
import itertools
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import urllib.parse
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import asyncpg
import hypothesis
import pytest
import pytest_asyncio

from tests.house import House, opened
from trunkline import app, config
from trunkline.app import Platform
from trunkline.storage import embedded
from trunkline.storage.database import Database

END_SECONDS = 90  # for a server that was told to end, which lets held calls run their time

_names = itertools.count()

# An example may take as long as the machine needs; whatever else a profile says stays.
hypothesis.settings.register_profile("untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("untimed")


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server; its database ``template_trunkline`` is migrated and seeded, ready to be cloned."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    url = os.environ.get("TRUNKLINE_TEST_DATABASE_URL")
    server = None
    if url is None:
        server = embedded.start(shared / "postgres")
        url = server.url
    with open(shared / "template.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        asyncio.run(_make_template(url, fresh=not (shared / "template.made").exists()))
        (shared / "template.made").touch()
    yield url
    if server:
        server.release()


async def _make_template(url: str, *, fresh: bool) -> None:
    if not fresh:
        return
    connection = await asyncpg.connect(url)
    await connection.execute("DROP DATABASE IF EXISTS template_trunkline")
    await connection.execute("CREATE DATABASE template_trunkline")
    await connection.close()
    settings = config.load(served(database_url(url, "template_trunkline")))
    async with app.platform(settings, pathlib.Path(tempfile.gettempdir(), "trunkline-tests")):
        pass


def database_url(server: str, name: str) -> str:
    parts = urllib.parse.urlsplit(server)
    return urllib.parse.urlunsplit(parts._replace(path="/" + name))


def served(owner_url: str) -> dict[str, str]:
    """The settings of a product that serves with a role of its own, where there is one: on the embedded server."""
    serving_url = owner_url.replace("://trunkline@", "://trunkline_server@")
    return {"TRUNKLINE_DATABASE_URL": serving_url, "TRUNKLINE_DATABASE_OWNER_URL": owner_url}


@pytest.fixture
def url(postgres: str) -> Iterator[str]:
    """The URL of a database of the test's own: migrated, seeded, empty otherwise."""
    name = f"test_{os.getpid()}_{next(_names)}"
    asyncio.run(_administer(postgres, f"CREATE DATABASE {name} TEMPLATE template_trunkline STRATEGY file_copy"))
    yield database_url(postgres, name)
    asyncio.run(_administer(postgres, f"DROP DATABASE {name} WITH (FORCE)"))


async def _administer(url: str, statement: str) -> None:
    """PostgreSQL waits 5 seconds for those who are still in a database (autovacuum, or who has just left): no more."""
    connection = await asyncpg.connect(url)
    async with asyncio.timeout(60):
        while True:
            try:
                await connection.execute(statement)
                break
            except asyncpg.ObjectInUseError:
                await asyncio.sleep(0.1)
    await connection.close()


@pytest_asyncio.fixture
async def database(url: str) -> AsyncIterator[Database]:
    opened = await Database.open(url)
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def platform(url: str) -> AsyncIterator[Platform]:
    """The product in this process, without its sockets."""
    folder = pathlib.Path(tempfile.gettempdir(), "trunkline-tests")
    async with app.platform(config.load(served(url)), folder) as built:
        yield built


@pytest_asyncio.fixture
async def house(url: str, request: pytest.FixtureRequest) -> AsyncIterator[House]:
    """The whole product in this process, with the settings of ``pytest.mark.settings``; its books must balance."""
    marked = request.node.get_closest_marker("settings")
    async with opened(url, **(marked.kwargs if marked else {})) as house:
        yield house
        if not request.node.get_closest_marker("unbalanced"):
            await house.books_balance()


@dataclasses.dataclass(frozen=True, slots=True)
class Customer:
    account_id: str
    email: str
    live_key: str
    test_key: str


class Trunkline:
    """The ``trunkline`` command over one database, as an operator would use it."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment

    def run(self, *words: str, input: str | None = None) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "trunkline", *words],
            env=self.environment, input=input, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip

    def __call__(self, *words: str) -> Any:
        """The JSON of a command that must succeed."""
        done = self.run(*words, "--json")
        assert done.returncode == 0, f"{words}: {done.stderr}"
        return json.loads(done.stdout)

    def customer(self, credit: str = "5.00", email: str | None = None, per_minute: int | None = None) -> Customer:
        email = email or f"customer-{next(_names)}@example.com"
        made = self("account", "create", email, "--credit", credit)
        if per_minute:
            self("account", "limit", email, "--per-minute", str(per_minute))
        return Customer(made["account_id"], email, made["live_key"], made["test_key"])

    def sms(self, to: str, text: str, sender: str = "WhatsApp") -> Any:
        return self("simulate", "sms", "--to", to, "--from", sender, "--text", text)


@dataclasses.dataclass
class Server:
    """A running ``trunkline serve``."""

    base: str
    process: "subprocess.Popen[str]"
    log: pathlib.Path

    @property
    def api(self) -> str:
        return self.base + "/api/v1"

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(60)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(END_SECONDS)


def _environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TRUNKLINE_")}
    # All tests come from one address, and none waits for balancers; both have tests of their own.
    ours = {
        "PYTHONUNBUFFERED": "1",
        "TRUNKLINE_SERVER__PUBLIC_REQUESTS_PER_MINUTE": "0",
        "TRUNKLINE_SERVER__LAME_DUCK_SECONDS": "0",
    }
    return kept | ours | more


@pytest.fixture
def trunkline(url: str, tmp_path: pathlib.Path) -> Trunkline:
    return Trunkline(_environment(**served(url), TRUNKLINE_DATA_DIR=str(tmp_path / "data")))


Serve = Callable[..., Server]


@pytest.fixture
def serve(trunkline: Trunkline, tmp_path: pathlib.Path) -> Iterator[Serve]:
    """Starts servers over the test's database: ``serve("--role", "api", TRUNKLINE_POOL__SIMULATED="always")``."""
    with contextlib.ExitStack() as stack:

        def start(*words: str, preexec_fn: Callable[[], None] | None = None, **settings: str) -> Server:
            log = tmp_path / f"serve-{next(_names)}.log"
            out = stack.enter_context(open(log, "wb"))
            process = subprocess.Popen(
                [sys.executable, "-m", "trunkline", "serve", "--port", "0", *words],
                env=trunkline.environment | settings, stdout=subprocess.PIPE, stderr=out, text=True,
                preexec_fn=preexec_fn,
            )  # fmt: skip
            stack.callback(_end, process)
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"http://\S+", line)
            assert found or line == "ready\n", f"the server did not start: {log.read_text()}"
            return Server(found.group() if found else "", process, log)

        yield start


def _end(process: "subprocess.Popen[str]") -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(60)
    if process.stdout is not None:
        process.stdout.close()


@pytest.fixture
def server(serve: Serve) -> Server:
    return serve()
