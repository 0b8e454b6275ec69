"""The listening socket: who is let in, for how long a connection may wait, and how everybody is seen out.

Descriptors are what strangers can use up, so there is a bound on connections, in all and for each address, below the
number of files that the process may open: the database, the log and the carriers always find one. Where all are taken,
those that have waited longest for their caller make room (docs/decisions/0018).
"""

import asyncio
import contextlib
import ctypes
import fcntl
import logging
import os
import socket
import struct
import sys
import termios
import time
from collections import Counter
from email.utils import formatdate
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from trunkline import metrics
from trunkline.errors import TrunklineError, Unavailable
from trunkline.refusals import Refusals
from trunkline.surfaces.http import addresses
from trunkline.surfaces.http.addresses import Addresses
from trunkline.surfaces.http.exchange import Application, Exchange
from trunkline.surfaces.http.problems import TooManyConnections
from trunkline.surfaces.http.protocol import HttpProtocol, refusal

try:
    import resource
except ImportError:  # there is none on Windows
    resource = None  # type: ignore[assignment]

log = logging.getLogger("trunkline.api")

SO_ATTACH_FILTER = 26  # of Linux; Python's socket has no name for it
MOST_FILES = 65_536  # that are asked for
BACKLOG = 1024  # connections that wait to be taken in
AT_A_TIME = 32  # connections taken in before others have their turn
REST_SECONDS = 0.2  # without a descriptor for a connection; for those turned away to hear why
SAY_SECONDS = 60.0  # between two lines about descriptors
MOST_TURNED_AWAY = 64  # of whom so much is waited for


def raise_file_limit() -> int | None:
    """Lets this process, and those that it starts, open as many files as the system allows; how many that is.

    A login shell and systemd give 1,024 and allow far more.
    """
    if resource is None:
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):  # macOS has a bound of its own besides
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return None if soft == resource.RLIM_INFINITY else soft


class Door:
    """``most`` connections in all, and ``most_of_address`` of one address (0: as many), proxies not counted.

    Once ``stop`` is set, every answer is the last one of its connection: from the same moment on from which probes say
    that the process is being stopped.
    """

    def __init__(
        self,
        application: Application,
        *,
        most: int,
        most_of_address: int,
        proxies: Addresses,
        refusals: Refusals,
        stop: asyncio.Event | None = None,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.cached = getattr(application, "cached", None)
        self.date = b""
        self._stop = stop or asyncio.Event()
        self._application = application
        self._most = most
        self._most_of_address = min(most_of_address or most, most)
        self._proxies = proxies
        self._connections: set[HttpProtocol] = set()
        self._of_address: Counter[str] = Counter()
        self._inside = 0  # with those who are on their way in
        self._turned_away = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._refusals = refusals
        self._may_say_at = 0.0  # that descriptors are wanting
        self._listener: socket.socket | None = None
        self._keeping: asyncio.Task[None] | None = None

    @property
    def is_leaving(self) -> bool:
        return self._stop.is_set()

    def open(self, listener: socket.socket) -> None:
        listener.setblocking(False)
        self._listener = listener
        log.info("Started server process [%d]", os.getpid())
        self._tell_date()
        self._keeping = asyncio.create_task(self._keep())
        self.loop.add_reader(listener.fileno(), self._let_in)

    async def close(self, *, seconds: float) -> None:
        """Lets nobody in any more, and waits for those inside; after so many seconds they are sent away."""
        self._stop.set()
        if self._listener is not None:
            self.loop.remove_reader(self._listener.fileno())
            _turn_deaf(self._listener)
            for _ in range(BACKLOG // AT_A_TIME):  # who has knocked is heard
                if self._let_in() < AT_A_TIME:
                    break
            self._listener.close()
            self._listener = None
        try:
            async with asyncio.timeout(seconds):
                while self._connections or self._tasks:
                    for connection in list(self._connections):
                        connection.leave(_has_unread(connection))
                    await asyncio.sleep(0.05)
        except TimeoutError:
            log.warning("%d connections are cut off: they have not ended in %d s", len(self._connections), seconds)
            for connection in list(self._connections):
                connection.abort()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._keeping is not None:
            self._keeping.cancel()

    # Coming in

    def _let_in(self) -> int:
        """Takes in those who wait at the door; how many."""
        assert self._listener is not None
        for count in range(AT_A_TIME):
            try:
                accepted, peer = self._listener.accept()
            except (BlockingIOError, InterruptedError):
                return count
            except ConnectionError:  # gone already
                continue
            except OSError as error:
                self._go_without(error)
                return count
            address = _plain(peer)
            by = counted(address) if address and not self._proxies.is_proxy(address) else ""
            reason = self._refusal(address, by)
            if reason is None:
                self._inside += 1
                self._of_address[by] += 1
                self._run(self._enter(accepted, HttpProtocol(self, address, by)))
            else:
                self._turn_away(accepted, reason)
        return AT_A_TIME

    async def _enter(self, accepted: socket.socket, connection: HttpProtocol) -> None:
        try:
            accepted.setblocking(False)
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self.loop.connect_accepted_socket(lambda: connection, accepted)
        except OSError:  # gone already
            accepted.close()
            self.left(connection)

    def _refusal(self, address: str, by: str) -> TrunklineError | None:
        """Why somebody is not let in; None: they are, and room is made for them."""
        if by and self._of_address[by] >= self._most_of_address and not self._make_room(by):
            reason: TrunklineError = TooManyConnections("There are too many connections from this address already.")
        elif self._inside >= self._most and not self._make_room():
            reason = Unavailable("There are too many connections at the moment.")
        else:
            return None
        metrics.CONNECTIONS_REFUSED.add(1, reason.code)
        self._refusals.note(by or address, reason.code)
        return reason

    def _turn_away(self, accepted: socket.socket, reason: TrunklineError) -> None:
        """With a word, which is not waited for."""
        with contextlib.suppress(OSError):
            accepted.setblocking(False)
            accepted.send(refusal(reason, self.date))
            accepted.shutdown(socket.SHUT_WR)
        if self._turned_away >= MOST_TURNED_AWAY:
            accepted.close()
            return

        def forget() -> None:
            self._turned_away -= 1
            accepted.close()

        self._turned_away += 1  # closed at once, with what they have sent unread, it would be taken back
        self.loop.call_later(REST_SECONDS, forget)

    def _make_room(self, of: str | None = None) -> bool:
        """Ends some of the connections that wait for their callers: those that have waited longest, of one address or
        of all."""
        waiting = sorted(
            (
                each
                for each in self._connections
                if of in (None, each.counted) and each.is_waiting and not each.transport.is_closing()
            ),
            key=lambda each: each.since,
        )
        chosen = waiting[: max(1, (self._most if of is None else self._most_of_address) // 20)]
        for each in chosen:
            each.abort()
            self.left(each)  # its descriptor is free within this turn of the loop
            self._refusals.note(each.counted or each.address, "idle connection, closed for others")
        metrics.CONNECTIONS_REFUSED.add(len(chosen), "made_room")
        return bool(chosen)

    def _go_without(self, error: OSError) -> None:
        """No descriptor is left, in this process or on this machine."""
        assert self._listener is not None
        metrics.CONNECTIONS_REFUSED.add(1, "files")
        if self.loop.time() >= self._may_say_at:
            self._may_say_at = self.loop.time() + SAY_SECONDS
            log.error("a connection cannot be accepted: %s", error.strerror or error)
        self._make_room()
        self.loop.remove_reader(self._listener.fileno())
        self.loop.call_later(REST_SECONDS, self._look_again)

    def _look_again(self) -> None:
        if self._listener is not None:
            self.loop.add_reader(self._listener.fileno(), self._let_in)

    # Inside

    def entered(self, connection: HttpProtocol) -> None:
        self._connections.add(connection)
        metrics.HTTP_CONNECTIONS.set(len(self._connections))

    def left(self, connection: HttpProtocol) -> None:
        """Does nothing for one who has left before."""
        if connection.has_left:
            return
        connection.has_left = True
        self._connections.discard(connection)
        metrics.HTTP_CONNECTIONS.set(len(self._connections))
        self._inside -= 1
        self._of_address[connection.counted] -= 1
        if not self._of_address[connection.counted]:
            del self._of_address[connection.counted]

    def work(self, exchange: Exchange) -> None:
        self._run(exchange.run(self._application))

    def malformed(self, address: str) -> None:
        self._refusals.note(address, "malformed request")

    def _run(self, work: Any) -> None:
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _keep(self) -> None:
        """Looks once a second whose time is up: a timer for each connection and request would cost more."""
        while True:
            await asyncio.sleep(1)
            self._tell_date()
            now = self.loop.time()
            for connection in [each for each in self._connections if each.due <= now]:
                connection.overdue(now)

    def _tell_date(self) -> None:
        self.date = b"date: " + formatdate(time.time(), usegmt=True).encode() + b"\r\n"


def counted(address: str) -> str:
    """What connections are counted by. Of IPv6 it is the network of 64 bits: one customer has all of its addresses."""
    found = ip_address(address)
    return str(ip_network((int(found) >> 64 << 64, 64))) if isinstance(found, IPv6Address) else address


def _plain(peer: Any) -> str:
    """The address of a peer; "" where it has none."""
    return addresses.plain(str(peer[0])) or "" if isinstance(peer, tuple) else ""


def _turn_deaf(listener: socket.socket) -> None:
    """A socket filter (socket(7), SO_ATTACH_FILTER) that drops every packet: nobody joins the queue any more.

    Closing the listener resets whoever is in its queue, and between the last look and that there would be a moment to
    join it. Whoever knocks now hears nothing, and a second later that nobody is there.
    """
    if sys.platform != "linux":
        return
    drop = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))  # BPF_RET | BPF_K, 0 octets
    with contextlib.suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", 1, ctypes.addressof(drop)))


def _has_unread(connection: HttpProtocol) -> bool:
    """Whether octets have come that the loop has not looked at yet."""
    found = connection.transport.get_extra_info("socket")
    if found is None or connection.transport.is_closing():
        return False
    count = fcntl.ioctl(found.fileno(), termios.FIONREAD, struct.pack("i", 0))
    return bool(struct.unpack("i", count)[0])
