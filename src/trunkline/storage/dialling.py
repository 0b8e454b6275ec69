"""Connects to the first of a database's addresses that answers and may be written: Happy Eyeballs (RFC 8305).

A URL may name several hosts, and a name may have several addresses, of which one may be silent. Each gets a time of its
own, the next begins before that is over, and the one that was good is the first to be asked the next time.
"""

import asyncio
import contextlib
import dataclasses
import ipaddress
import random
import socket
from typing import Any, TypeAlias

import asyncpg

from trunkline.storage import trouble
from trunkline.storage.url import Host, Keepalive, Target

NEXT_SECONDS = 0.5  # from one address to the next, as long as nobody has answered
RESOLVE_SECONDS = 2.0  # for the name server

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@dataclasses.dataclass(frozen=True, slots=True)
class Address:
    """Of a host. ``at`` None: the host itself is one."""

    host: Host | None  # None: what asyncpg tries by itself
    at: str | None = None


class Dialler:
    """Makes connections to one database; remembers which of its addresses was good."""

    def __init__(self, target: Target, settings: dict[str, str]) -> None:
        self._target = target
        self._settings = {**settings, **target.settings}
        self._good: Address | None = None

    async def connect(self, **more: Any) -> Connection:
        """A connection to a server that may be written; ``more`` is for asyncpg.

        Raises what the address that says most about the matter has raised (asyncpg.PostgresError, OSError).
        """
        good = self._good
        left = [good] if good is not None else await self._addresses()
        knows_all = good is None
        errors: list[Exception] = []
        trying: dict[asyncio.Task[Connection], Address] = {}
        try:
            while True:
                if not left and not knows_all:
                    knows_all = True
                    left = [address for address in await self._addresses() if address != good]
                if left:
                    address = left.pop(0)
                    trying[asyncio.create_task(self._attempt(address, more))] = address
                elif not trying:
                    raise max(errors, key=_telling)
                rest = NEXT_SECONDS if left or not knows_all else None
                done, _ = await asyncio.wait(trying, timeout=rest, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    address = trying.pop(task)
                    error = task.exception()
                    if error is None:
                        self._good = address
                        return task.result()
                    if not isinstance(error, Exception):
                        raise error
                    errors.append(error)
        finally:
            for task in trying:
                task.add_done_callback(_drop)
                task.cancel()

    async def _attempt(self, address: Address, more: dict[str, Any]) -> Connection:
        loop = asyncio.get_running_loop()
        where: dict[str, Any] = {}
        if address.host is not None:
            # Whether it may be written is looked at below, whatever PGTARGETSESSIONATTRS says.
            where = {"host": address.host.name, "port": address.host.port, "target_session_attrs": "any"}
        if self._target.tls is not None:
            where["ssl"] = self._target.tls
        async with asyncio.timeout(self._target.connect_seconds):
            connection: Connection = await asyncpg.connect(
                self._target.dsn,
                **{**more, **where, "loop": _Way(loop, address.at) if address.at else loop},
                server_settings=self._settings,
            )
        try:
            _must_be_writable(connection)
            _keep_alive(connection, self._target.keepalive)
        except BaseException:
            connection.terminate()
            raise
        return connection

    async def _addresses(self) -> list[Address]:
        hosts = self._target.hosts
        if not hosts:
            return [Address(None)]
        found = [address for each in await asyncio.gather(*map(_resolve, hosts)) for address in each]
        if self._target.in_any_order:
            random.shuffle(found)
        return found


async def _resolve(host: Host) -> list[Address]:
    """The families of its addresses alternate (RFC 8305 §4). What is wrong with a name is asyncpg's to say."""
    if host.address is not None:
        return [Address(host, host.address)]
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(host.name)
        return [Address(host)]
    if host.name.startswith("/"):
        return [Address(host)]
    try:
        async with asyncio.timeout(RESOLVE_SECONDS):
            answers = await asyncio.get_running_loop().getaddrinfo(host.name, host.port, type=socket.SOCK_STREAM)
    except OSError:  # a TimeoutError too
        return [Address(host)]
    families: dict[int, list[Address]] = {}
    for family, _, _, _, where in answers:
        families.setdefault(family, []).append(Address(host, str(where[0])))
    turns = max(map(len, families.values()), default=0)
    return [each[turn] for turn in range(turns) for each in families.values() if turn < len(each)]


class _Way:
    """An event loop that connects to one address whatever name it is given: TLS goes on to check the name.

    asyncpg resolves a name itself and stays with the first address; it takes a loop, and no socket.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, at: str) -> None:
        self._loop = loop
        self._at = at
        # what each statement calls, without a detour
        self.create_future, self.call_later, self.call_soon = loop.create_future, loop.call_later, loop.call_soon

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    async def create_connection(self, factory: Any, host: str, port: int, **more: Any) -> Any:
        if more.get("ssl"):
            more["server_hostname"] = host
        return await self._loop.create_connection(factory, self._at, port, **more)


def _must_be_writable(connection: Connection) -> None:
    """By what the server tells of itself at the start of every connection."""
    settings: Any = connection.get_settings()
    if "on" in (getattr(settings, "in_hot_standby", ""), getattr(settings, "default_transaction_read_only", "")):
        raise asyncpg.ReadOnlySQLTransactionError("the server is a standby, or may only be read")


def _keep_alive(connection: Connection, options: Keepalive) -> None:
    """So that the system notices a peer that is gone, where nothing is being asked. asyncpg has no option for it."""
    inner: Any = connection
    opened = inner._transport.get_extra_info("socket")
    if opened is None or opened.family == socket.AF_UNIX:
        return
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, int(options.is_on))
    if not options.is_on:
        return
    for name, value in (
        ("TCP_KEEPIDLE", options.idle),
        ("TCP_KEEPALIVE", options.idle),  # the same on macOS
        ("TCP_KEEPINTVL", options.interval),
        ("TCP_KEEPCNT", options.count),
        ("TCP_USER_TIMEOUT", options.user_timeout_ms),
    ):
        option = getattr(socket, name, None)
        if option is not None and value:
            opened.setsockopt(socket.IPPROTO_TCP, option, value)


def _telling(error: Exception) -> int:
    """A server's own words tell more than a system's, those more than silence."""
    if isinstance(error, asyncpg.PostgresError):
        return 1 if trouble.is_away(error) else 3
    return 0 if isinstance(error, TimeoutError) else 2


def _drop(task: "asyncio.Task[Connection]") -> None:
    """A connection that nobody needs any more."""
    if not task.cancelled() and task.exception() is None:
        task.result().terminate()
