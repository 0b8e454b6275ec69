"""Limits over several processes: exact with a Valkey or Redis, bounded while that is away. A real server is used."""

import asyncio
import contextlib
import dataclasses
import itertools
import logging
import pathlib
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, TypeVar

import httpx
import pytest
import pytest_asyncio
import redis
import trustme
from tests.conftest import Serve, Server, Trunkline
from tests.outside import lasting_port

from trunkline.accounts import accounts, shared_limits
from trunkline.accounts.keys import Key
from trunkline.accounts.limits import Limiter
from trunkline.accounts.shared_limits import SharedLimiter
from trunkline.app import Platform
from trunkline.audit.acts import Actor
from trunkline.errors import OperatorError

PROGRAM = shutil.which("valkey-server") or shutil.which("redis-server")
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="there is no valkey-server and no redis-server here")

LONGEST_SECONDS = 30  # for any request, whatever the Valkey does: one that it keeps waiting would wait for ever
BACK_SECONDS = 60
DEADLINE_SECONDS = shared_limits.DEADLINE_SECONDS

Answer = TypeVar("Answer")


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process a Valkey that is there may take its time, but where a test says how long."""
    monkeypatch.setattr(shared_limits, "DEADLINE_SECONDS", 60)
    monkeypatch.setattr(shared_limits, "CONNECT_SECONDS", 60)


# What a server does as its Python starts, to be as patient. Hanging Valkeys are told apart from slow ones after 3 s.
PATIENCE = """
from trunkline.accounts import shared_limits
shared_limits.DEADLINE_SECONDS, shared_limits.CONNECT_SECONDS = 3, 10
"""


@dataclasses.dataclass
class Clock:
    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Valkey:
    """A server of the test's own, on a port of its own."""

    def __init__(self, directory: pathlib.Path, *options: str) -> None:
        self._directory = directory
        self._options = options
        self.port = lasting_port()
        self.start()

    def start(self) -> None:
        port = [] if "--tls-port" in self._options else ["--port", str(self.port)]
        options = [each.replace("PORT", str(self.port)) for each in self._options]
        assert PROGRAM is not None
        self.process = subprocess.Popen(
            [PROGRAM, *port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", *options],
            cwd=self._directory, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=30):
                return
            assert self.process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(60)


Start = Callable[..., Valkey]


@pytest.fixture
def start_valkey(tmp_path: pathlib.Path) -> Iterator[Start]:
    with contextlib.ExitStack() as stack:

        def start(*options: str) -> Valkey:
            valkey = Valkey(tmp_path, *options)
            stack.callback(lambda: valkey.kill())
            return valkey

        yield start


@pytest.fixture
def valkey(start_valkey: Start) -> Valkey:
    return start_valkey()


Share = Callable[..., "contextlib.AbstractAsyncContextManager[SharedLimiter]"]


@contextlib.asynccontextmanager
async def sharing(url: str, parts: int = 2) -> AsyncIterator[SharedLimiter]:
    limiter = SharedLimiter(url, parts=parts, account_per_minute=600)
    await limiter.open()
    try:
        yield limiter
    finally:
        await limiter.close()


@pytest_asyncio.fixture
async def pair(valkey: Valkey) -> AsyncIterator[tuple[SharedLimiter, SharedLimiter]]:
    """The limiters of two processes."""
    async with sharing(valkey.url) as one, sharing(valkey.url) as other:
        yield one, other


def key(key_id: int = 1, per_minute: int = 1, burst: int | None = 60, of_account: int | None = None) -> Key:
    """Its share flows back so slowly that what passes in a test is exactly its burst."""
    return Key(
        key_id=key_id, account_id=7, test=False, scopes=frozenset(), per_minute=per_minute,
        account_per_minute=of_account, burst=burst,
    )  # fmt: skip


async def passed(requests: int, caller: Key, *limiters: SharedLimiter) -> int:
    """How many of requests sent at one instant, to all limiters in turn, are let through."""
    turns = itertools.islice(itertools.cycle(limiters), requests)
    return sum(each.refused_by is None for each in await asyncio.gather(*(each.take(caller) for each in turns)))


def at_once(answering: Coroutine[Any, Any, Answer]) -> Answer:
    """What a coroutine answers that waits for nothing."""
    try:
        answering.send(None)
    except StopIteration as done:
        answer: Answer = done.value
        return answer
    raise AssertionError("it waits")


async def until_shared(valkey: Valkey, *limiters: SharedLimiter) -> None:
    """A stranger's request is counted in the Valkey by each."""
    async with asyncio.timeout(BACK_SECONDS):
        for number, limiter in enumerate(limiters):
            with redis.Redis(port=valkey.port) as client:
                while not client.exists(name := f"trunkline:limit:{{{1000 + number}}}"):
                    await limiter.take(Key(1, 1000 + number, False, frozenset(), 1, burst=10_000))
                    await asyncio.sleep(0.02)
                client.delete(name)


@pytest.mark.asyncio
async def test_a_hundred_requests_at_one_instant_to_two_processes_pass_exactly_as_many_as_documented(
    pair: tuple[SharedLimiter, SharedLimiter],
) -> None:
    assert await passed(100, key(1), *pair) == 60
    assert await passed(100, key(2, burst=7), *pair) == 7
    started = time.monotonic()
    count = await passed(100, key(3, per_minute=60, burst=None), *pair)
    assert 60 <= count <= 60 + (time.monotonic() - started) + 1


@pytest.mark.asyncio
async def test_all_keys_of_an_account_share_its_limit_over_all_processes(
    pair: tuple[SharedLimiter, SharedLimiter],
) -> None:
    started = time.monotonic()
    assert [await passed(60, key(number, burst=50, of_account=1), *pair) for number in (1, 2)] == [50, 0]
    refused = await pair[0].take(key(3, burst=50, of_account=1))
    assert (refused.refused_by, refused.key.remaining, refused.account.remaining) == ("account", 50, 0)
    assert 60 - (time.monotonic() - started) <= refused.retry_seconds <= 60
    assert await passed(20, key(1, burst=50, of_account=1), *pair) == 0


@pytest.mark.asyncio
async def test_the_server_counts_as_a_process_does(valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
    # Both go by a clock that the test turns, and so that a slow machine forgets nothing, nothing is forgotten.
    script = shared_limits.SCRIPT
    for part, instead in (
        ("redis.call('TIME')", "{redis.call('GET', 'now'), 0}"),
        ("math.ceil(owes[each] / 1000)", "1000000"),
    ):
        assert script.count(part) == 1
        script = script.replace(part, instead)
    monkeypatch.setattr(shared_limits, "SCRIPT", script)
    clock = Clock()
    with redis.Redis(port=valkey.port) as client:
        client.set("now", int(clock.now))
        async with sharing(valkey.url) as one, sharing(valkey.url) as other:
            for burst, per_minute, of_account in (5, 1, 3), (3, 2, 1), (None, 4, 6), (10, 7, None):
                alone = Limiter(account_per_minute=600, clock=clock)
                client.flushdb()
                for number in range(28):
                    clock.now += number % 5  # from request to request 0 to 4 seconds
                    client.set("now", int(clock.now))
                    caller = key(number % 2, per_minute, burst, of_account)
                    assert await (one, other)[number % 3 % 2].take(caller) == alone.take(caller)


@pytest.mark.asyncio
async def test_what_owes_nothing_any_more_is_forgotten_and_stands_on_one_node_of_a_cluster(
    pair: tuple[SharedLimiter, SharedLimiter], valkey: Valkey
) -> None:
    await pair[0].take(key(12, of_account=1))
    with redis.Redis(port=valkey.port, decode_responses=True) as client:
        names = sorted(name for name in client.scan_iter() if "{0}" not in name)
        assert names == ["trunkline:limit:{7}", "trunkline:limit:{7}:12"]
        assert all(0 < client.pttl(name) <= 60_000 for name in names), "a minute is owed"
        client.flushdb()
        await pair[0].take(key(12, per_minute=600, burst=None))
        deadline = time.monotonic() + 60
        while client.dbsize():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)


@pytest.mark.asyncio
async def test_a_server_that_forgets_the_script_is_told_it_again(
    pair: tuple[SharedLimiter, SharedLimiter], valkey: Valkey
) -> None:
    with redis.Redis(port=valkey.port) as client:
        for _ in range(3):
            client.script_flush()
            assert await passed(10, key(), *pair) == 10
    assert await passed(100, key(), *pair) == 30


@pytest.mark.asyncio
async def test_while_the_server_is_gone_each_process_gives_its_part_and_afterwards_they_share_again(
    pair: tuple[SharedLimiter, SharedLimiter], valkey: Valkey, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "trunkline.limits")
    assert await passed(10, key(), *pair) == 10
    valkey.kill()
    assert await passed(200, key(), *pair) == 50  # 30 each, with what had passed
    assert await passed(100, key(), *pair) == 0
    assert [record.message.count("is away") for record in caplog.records] == [1, 1]
    valkey.start()
    await until_shared(valkey, *pair)
    assert await passed(100, key(), *pair) == 60
    assert [record.message.count("is back") for record in caplog.records] == [0, 0, 1, 1]


@pytest.mark.asyncio
async def test_a_server_that_hangs_keeps_nobody_waiting(
    pair: tuple[SharedLimiter, SharedLimiter],
    valkey: Valkey,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert DEADLINE_SECONDS < 0.5
    caplog.set_level(logging.WARNING, "trunkline.limits")
    assert await passed(10, key(), *pair) == 10
    valkey.send(signal.SIGSTOP)
    monkeypatch.setattr(shared_limits, "DEADLINE_SECONDS", DEADLINE_SECONDS)
    monkeypatch.setattr(shared_limits, "CONNECT_SECONDS", 0.5)
    async with asyncio.timeout(LONGEST_SECONDS):
        assert await passed(100, key(), *pair) == 50  # 30 each, with what had passed
    until = time.monotonic() + 3  # long enough for each to look again twice
    while time.monotonic() < until:
        assert [at_once(each.take(key())).refused_by for each in pair] == ["key", "key"]
        await asyncio.sleep(0.01)
    assert len(caplog.records) == 2
    monkeypatch.setattr(shared_limits, "DEADLINE_SECONDS", 60)
    monkeypatch.setattr(shared_limits, "CONNECT_SECONDS", 60)
    valkey.send(signal.SIGCONT)
    await until_shared(valkey, *pair)
    assert await passed(100, key(2), *pair) == 60


@pytest.mark.asyncio
async def test_a_replica_that_cannot_count_is_as_good_as_none(
    pair: tuple[SharedLimiter, SharedLimiter], valkey: Valkey, caplog: pytest.LogCaptureFixture
) -> None:
    with redis.Redis(port=valkey.port) as client:
        client.replicaof("127.0.0.1", "1")
        assert await passed(200, key(), *pair) == 60
        await asyncio.sleep(1.2)  # one look at it does not make it good
        assert len(caplog.records) == 2
        client.replicaof("NO", "ONE")
    await until_shared(valkey, *pair)


@pytest.mark.asyncio
async def test_a_process_that_is_held_up_itself_does_not_think_that_the_server_is_away(
    pair: tuple[SharedLimiter, SharedLimiter],
    valkey: Valkey,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shared_limits, "DEADLINE_SECONDS", 2)
    with redis.Redis(port=valkey.port) as client:
        taking = asyncio.create_task(pair[0].take(key()))
        while not client.exists("trunkline:limit:{7}:1"):  # asked without letting go of this thread
            await asyncio.sleep(0)
    time.sleep(2)
    assert not taking.done()
    assert (await taking).key.remaining == 59
    assert caplog.records == []


@pytest.mark.parametrize(
    "url",
    ["valkey.example:6379", "http://127.0.0.1:6379", "redis://127.0.0.1:port", "redis://:pa/ss@127.0.0.1", "redis://h?x=1",
     "redis://h?health_check_interval=often"],
)  # fmt: skip
def test_a_url_that_is_none_is_refused_without_showing_its_password(url: str) -> None:
    with pytest.raises(OperatorError, match="valkey_url") as refusal:
        SharedLimiter(url, parts=1, account_per_minute=600)
    assert "pa" not in refusal.value.detail.replace("password", "").replace("parts", "")


@pytest.mark.asyncio
async def test_a_wrong_password_is_refused_and_a_right_one_is_not(start_valkey: Start) -> None:
    valkey = start_valkey("--requirepass", "right")
    for wrong in (valkey.url, valkey.url.replace("//", "//:wrong@")):
        with pytest.raises(OperatorError, match="refuses"):
            async with sharing(wrong):
                pass
    async with sharing(valkey.url.replace("redis://", "valkey://:right@")) as limiter:
        assert await passed(100, key(), limiter) == 60


@pytest.mark.asyncio
async def test_a_server_that_is_not_there_yet_is_only_a_warning(
    valkey: Valkey, caplog: pytest.LogCaptureFixture
) -> None:
    valkey.kill()
    async with sharing(valkey.url) as limiter:
        assert await passed(100, key(), limiter) == 30
        assert "is away" in caplog.text
        valkey.start()
        await until_shared(valkey, limiter)


@pytest.mark.asyncio
async def test_the_server_may_be_reached_over_tls_and_must_be_the_one_that_it_says(
    start_valkey: Start, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    stranger.cert_pem.write_to_path(str(tmp_path / "stranger.pem"))
    leaf = authority.issue_cert("127.0.0.1")
    leaf.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    valkey = start_valkey(
        "--port", "0", "--tls-port", "PORT", "--tls-cert-file", "server.pem", "--tls-key-file", "server.pem",
        "--tls-ca-cert-file", "ca.pem", "--tls-auth-clients", "no",
    )  # fmt: skip
    url = valkey.url.replace("redis://", "rediss://")
    async with sharing(f"{url}?ssl_ca_certs={tmp_path}/ca.pem") as limiter:
        assert await passed(100, key(), limiter) == 60
    assert caplog.records == []
    async with sharing(f"{url}?ssl_ca_certs={tmp_path}/stranger.pem") as limiter:
        assert await passed(100, key(), limiter) == 30
        assert "is away" in caplog.text


# Two real servers


_emails = itertools.count(1)


async def customer(platform: Platform, *, per_minute: int, burst: int | None = None) -> str:
    """The key of a new one."""
    async with platform.database.transaction() as connection:
        email = f"customer-{next(_emails)}@example.com"
        made = await accounts.create(connection, Actor("operator:test"), email, currency="USD", per_minute=per_minute)
        await accounts.set_limits(connection, Actor("operator:test"), made.account_id, burst=burst)
    return made.live_key


async def statuses(requests: int, caller: str, *servers: Server) -> list[int]:
    """Of requests sent at once, to all servers in turn."""
    headers = {"Authorization": f"Bearer {caller}"}
    async with httpx.AsyncClient(headers=headers, trust_env=False, timeout=120) as client:
        turns = itertools.islice(itertools.cycle(servers), requests)
        answers = await asyncio.gather(*(client.get(f"{server.api}/numbers") for server in turns))
    found = [answer.status_code for answer in answers]
    assert set(found) <= {200, 429}, answers[0].text
    return found


async def longest(requests: int, caller: str, *servers: Server) -> float:
    """Seconds that the slowest of requests sent one after another takes."""
    headers = {"Authorization": f"Bearer {caller}"}
    seconds = []
    async with httpx.AsyncClient(headers=headers, trust_env=False, timeout=120) as client:
        for server in itertools.islice(itertools.cycle(servers), requests):
            started = time.monotonic()
            assert (await client.get(f"{server.api}/numbers")).status_code in (200, 429)
            seconds.append(time.monotonic() - started)
    return max(seconds)


async def said(what: str, times: int, *servers: Server) -> None:
    async with asyncio.timeout(BACK_SECONDS):
        while any(server.log.read_text().count(what) < times for server in servers):
            await asyncio.sleep(0.02)


@pytest.mark.asyncio
async def test_two_servers_share_limits_whatever_becomes_of_the_valkey(
    serve: Serve, platform: Platform, start_valkey: Start, tmp_path: pathlib.Path
) -> None:
    valkey = start_valkey()
    (tmp_path / "patience").mkdir()
    (tmp_path / "patience" / "sitecustomize.py").write_text(PATIENCE)
    settings = {
        "TRUNKLINE_VALKEY_URL": valkey.url, "TRUNKLINE_SERVER__NODES": "2", "PYTHONPATH": str(tmp_path / "patience")
    }  # fmt: skip
    pair = [serve("--role", "api", **settings) for _ in range(2)]

    ordinary = await customer(platform, per_minute=60)
    started = time.monotonic()
    count = (await statuses(100, ordinary, *pair)).count(200)
    assert 60 <= count <= 60 + (time.monotonic() - started) + 1

    # Of these, what flows back is too little to be seen.
    customers = [await customer(platform, per_minute=1, burst=60) for _ in range(3)]
    answers = await statuses(100, customers[0], *pair)
    assert (answers.count(200), answers.count(429)) == (60, 40)

    valkey.kill()
    answers = await statuses(100, customers[1], *pair)
    assert (answers.count(200), answers.count(429)) == (60, 40)  # 30 by each
    assert await longest(10, customers[1], *pair) < LONGEST_SECONDS

    valkey.start()
    await said("is back", 1, *pair)
    started = time.monotonic()
    answers = await statuses(100, customers[2], *pair)
    assert (answers.count(200), answers.count(429)) == (60, 40)

    valkey.send(signal.SIGSTOP)
    assert await longest(40, customers[0], *pair) < LONGEST_SECONDS
    await said("is away", 2, *pair)
    valkey.send(signal.SIGCONT)
    await said("is back", 2, *pair)
    assert (await statuses(20, customers[2], *pair)).count(200) <= (time.monotonic() - started) / 60
    for server in pair:
        assert server.log.read_text().count("is away") == 2
        assert "Traceback" not in server.log.read_text()


@pytest.mark.asyncio
async def test_what_a_process_let_through_counts_when_it_is_on_its_own(start_valkey: Start) -> None:
    valkey = start_valkey()
    limiter = SharedLimiter(valkey.url, parts=2, account_per_minute=600)
    await limiter.open()
    try:
        assert [(await limiter.take(key())).refused_by for _ in range(40)] == [None] * 40
        valkey.kill()
        assert [(await limiter.take(key())).refused_by for _ in range(10)] == ["key"] * 10  # 30 is its part
        assert (await limiter.take(key(2))).refused_by is None
    finally:
        await limiter.close()


def test_a_server_does_not_start_with_a_url_that_is_none(trunkline: Trunkline) -> None:
    trunkline.environment["TRUNKLINE_VALKEY_URL"] = "localhost:6379"
    done = trunkline.run("serve", "--port", "0")
    assert (done.returncode, "valkey_url" in done.stderr, "Traceback" in done.stderr) == (1, True, False)
