"""Limits that are exact over several processes and nodes: one script in Valkey or Redis counts for all of them.

Requests that come while one call is under way gather and go out together with the next, on one connection. While the
server is away or hangs, every process gives its own part of each limit, without a wait, and a task of its own looks
once a second whether the server is back (docs/decisions/0012).
"""

import asyncio
import importlib.resources
import logging
import re
from collections.abc import Coroutine
from typing import Any, NamedTuple, TypeVar

from redis.asyncio import Connection, Redis, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, NoScriptError, RedisError

from trunkline.accounts.keys import Key
from trunkline.accounts.limits import ROUNDING, Decision, Limiter, Rate, decision, rates
from trunkline.egress import NoAnswer, dialling, names
from trunkline.errors import OperatorError

log = logging.getLogger("trunkline.limits")

SCRIPT = importlib.resources.files(__package__).joinpath("limit.lua").read_text("utf-8")
DEADLINE_SECONDS = 0.2  # for an answer that a request waits for
CONNECT_SECONDS = 1.0  # for a connection and a first answer, which none waits for
LOOK_AGAIN_SECONDS = 1.0
LARGEST_GROUP = 200
MICROSECONDS = 1_000_000

Answer = TypeVar("Answer")

AWAY = (RedisError, OSError, TimeoutError)


class _Request(NamedTuple):
    key: Key
    of_key: Rate
    of_account: Rate
    decided: "asyncio.Future[Decision]"

    def arguments(self) -> tuple[Any, ...]:
        """The script's. The braces put a key and its account on one node of a cluster."""
        account = f"trunkline:limit:{{{self.key.account_id}}}"
        return (
            f"{account}:{self.key.key_id}", account,
            self.of_key.step * MICROSECONDS, self.of_key.capacity * MICROSECONDS,
            self.of_account.step * MICROSECONDS, self.of_account.capacity * MICROSECONDS,
            ROUNDING,
        )  # fmt: skip


class _Dialled(Connection):
    """Connects to the first of a name's addresses that answers."""

    _found: dialling.Connected | None = None

    async def _connect(self) -> None:
        try:
            addresses = await names.of_system(self.host)
        except NoAnswer as error:
            raise OSError(error.detail) from None
        self._found = await dialling.connect(self.host, self.port, addresses, seconds=CONNECT_SECONDS)
        try:
            await super()._connect()  # type: ignore[no-untyped-call]
        except BaseException:
            self._found.socket.close()
            dialling.avoid(self.host, self.port, self._found.address)
            raise
        dialling.prefer(self.host, self.port, self._found.address)

    def _connection_arguments(self) -> dict[str, Any]:
        assert self._found is not None
        asked = dict(super()._connection_arguments())
        del asked["host"], asked["port"]
        return asked | {"sock": self._found.socket} | ({"server_hostname": self.host} if "ssl" in asked else {})


class _DialledOverTls(_Dialled, SSLConnection):
    """And speaks TLS to it, which is to the name."""


_DIALLED: dict[type, type] = {Connection: _Dialled, SSLConnection: _DialledOverTls}


class SharedLimiter:
    """Asks the server at ``url``; while that is away, one of ``parts`` processes that each give their part.

    Raises OperatorError for a URL that is none.
    """

    def __init__(self, url: str, *, parts: int, account_per_minute: int) -> None:
        try:
            self._client = Redis.from_url(
                re.sub("^valkey(s?)://", r"redis\1://", url),
                protocol=2,
                socket_timeout=None,
                socket_connect_timeout=CONNECT_SECONDS,
                retry=Retry(NoBackoff(), 0),
            )
            pool = self._client.connection_pool
            pool.connection_class = _DIALLED.get(pool.connection_class, pool.connection_class)
            pool.connection_class(**pool.connection_kwargs)  # finds what is wrong in its options
        except (ValueError, TypeError):
            raise OperatorError(
                "The setting valkey_url is not a URL such as redis://user:secret@host:6379/0 (rediss:// for TLS; what "
                "is special in a password is percent-encoded)."
            ) from None
        where = pool.connection_kwargs
        self._name = where.get("path") or f"{where.get('host', 'localhost')}:{where.get('port', 6379)}"
        self._account_per_minute = account_per_minute
        self._alone = Limiter(parts, account_per_minute=account_per_minute)
        self._waiting: list[_Request] = []
        self._asking: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None  # while the server is away
        self._sha = ""

    async def open(self) -> None:
        """Raises OperatorError where the server turns us down; one that is not there yet is only logged."""
        try:
            await self._greet()
        except (AuthenticationError, NoPermissionError) as error:
            await self.close()
            raise OperatorError(
                f"The Valkey at {self._name} refuses the connection: {str(error).rstrip('.')}."
            ) from None
        except AWAY as error:
            self._lose(error)

    async def close(self) -> None:
        for task in (self._asking, self._looking):
            if task is not None:
                task.cancel()
        await self._client.aclose()

    async def take(self, key: Key) -> Decision:
        """Counts one request of a key, or says when it may come again."""
        if self._looking is not None:
            return self._alone.take(key)
        request = self._request(key)
        self._waiting.append(request)
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask_groups())
        return await request.decided

    def _request(self, key: Key) -> _Request:
        of_key, of_account = rates(key.per_minute, key.account_per_minute, key.burst, self._account_per_minute, 1)
        return _Request(key, of_key, of_account, asyncio.get_running_loop().create_future())

    async def _ask_groups(self) -> None:
        group: list[_Request] = []
        try:
            while self._waiting:
                group, self._waiting = self._waiting[:LARGEST_GROUP], self._waiting[LARGEST_GROUP:]
                for request, answer in zip(group, await _in_time(self._run_script(group)), strict=True):
                    passed, key_owes, account_owes = map(int, answer.split())
                    if passed:  # so that alone, this process goes on from here
                        self._alone.take(request.key, passed_elsewhere=True)
                    if not request.decided.done():
                        request.decided.set_result(
                            decision(
                                passed == 1,
                                request.of_key,
                                request.of_account,
                                key_owes / MICROSECONDS,
                                account_owes / MICROSECONDS,
                            )
                        )
        except Exception as error:  # whatever it was, nobody waits for ever
            self._lose(error)
            for request in group + self._waiting:
                if not request.decided.done():
                    request.decided.set_result(self._alone.take(request.key))
            self._waiting = []
        finally:
            self._asking = None

    async def _run_script(self, group: list[_Request]) -> list[bytes]:
        pipeline = self._client.pipeline(transaction=False)
        for request in group:
            pipeline.evalsha(self._sha, 2, *request.arguments())
        answers: list[Any] = await pipeline.execute(raise_on_error=False)
        for at, answer in enumerate(answers):
            if isinstance(answer, NoScriptError):  # forgotten by the server, and so nothing was counted
                answers[at] = await self._client.eval(SCRIPT, 2, *group[at].arguments())
            elif isinstance(answer, Exception):
                raise answer
        return answers

    async def _greet(self) -> None:
        """Does what requests will do, on a key that is nobody's: connect, be let in, count, and all that in time."""
        nobody = Key(key_id=0, account_id=0, test=False, scopes=frozenset(), per_minute=1_000_000)
        request = self._request(nobody)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                self._sha = await self._client.script_load(SCRIPT)
            await _in_time(self._run_script([request]))
        except Exception:
            await self._client.connection_pool.disconnect()
            raise

    def _lose(self, error: Exception) -> None:
        if self._looking is None:
            why = str(error) or type(error).__name__
            log.warning("the Valkey at %s is away (%s): this process gives its part of the limits", self._name, why)
            self._looking = asyncio.create_task(self._look_again())

    async def _look_again(self) -> None:
        while True:
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
            try:
                await self._greet()
            except Exception as error:
                log.debug("the Valkey at %s is still away: %s", self._name, error)
                continue
            log.warning("the Valkey at %s is back: the limits are shared again", self._name)
            self._looking = None
            return


async def _in_time(answering: Coroutine[Any, Any, Answer]) -> Answer:
    """Raises TimeoutError after the deadline."""
    asking = asyncio.create_task(answering)
    try:
        for _ in range(2):  # in halves, lest a process that was held up itself thinks that the server was
            done, _ = await asyncio.wait((asking,), timeout=DEADLINE_SECONDS / 2)
            if done:
                return asking.result()
        raise TimeoutError(f"no answer within {DEADLINE_SECONDS * 1000:.0f} ms")
    finally:
        asking.cancel()
