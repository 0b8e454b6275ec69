"""Happy Eyeballs (RFC 8305 §4–§5): of a name's addresses the first that connects wins, and is the first next time.

Attempts begin a quarter of a second apart, the families by turns; an address that refuses gives way at once, and each
has a time of its own. Only the addresses that are handed in are dialled, so whoever checks them first has checked all.
"""

import asyncio
import itertools
import socket
import ssl
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from trunkline.egress.public import Address

STAGGER_SECONDS = 0.25  # the Connection Attempt Delay
MOST_ADDRESSES = 8  # of a name, that are tried
MOST_REMEMBERED = 4096  # names with their ports

Spoken = TypeVar("Spoken", bound=asyncio.BaseProtocol)


class Connected(NamedTuple):
    socket: socket.socket
    address: Address


# Of a name and port: the address that answered last (-1), and those that did not since, the last of them highest.
_ranks: OrderedDict[tuple[str, int], dict[Address, int]] = OrderedDict()


def prefer(host: str, port: int, address: Address) -> None:
    """It has the first turn next time."""
    ranks = _ranks.get((host, port), {})
    if ranks.get(address) != -1:
        _remember(host, port, _failed(ranks, address) | {address: -1})


def avoid(host: str, port: int, address: Address) -> None:
    """It has the last turn next time."""
    ranks = _failed(_ranks.get((host, port), {}), address)
    _remember(host, port, ranks | {address: max(ranks.values(), default=0) + 1})


def _failed(ranks: dict[Address, int], but: Address) -> dict[Address, int]:
    failed = {each: rank for each, rank in ranks.items() if rank > 0 and each != but}
    return failed if len(failed) < 2 * MOST_ADDRESSES else {}  # of a name that leads elsewhere each time


def _remember(host: str, port: int, ranks: dict[Address, int]) -> None:
    _ranks[host, port] = ranks
    _ranks.move_to_end((host, port))
    if len(_ranks) > MOST_REMEMBERED:
        _ranks.popitem(last=False)


async def dial(
    factory: Callable[[], Spoken],
    host: str,
    port: int,
    addresses: Sequence[Address],
    *,
    tls: ssl.SSLContext | None = None,
    seconds: float,
) -> tuple[Spoken, Address]:
    """A protocol that is connected, and the address that it is connected to. With ``tls`` the name is ``host``.

    ``seconds``: for one address, and as long for its TLS; where that fails too, the others have their turn. Raises
    OSError.
    """
    loop = asyncio.get_running_loop()
    name = host.removesuffix(".") if tls else None
    left = list(addresses) if len(addresses) == 1 else _in_order(host, port, addresses)
    failed: OSError = OSError("the name has no address")
    while left:
        address = left[0]
        try:
            if len(left) == 1:  # as of most names, and quicker
                async with asyncio.timeout(seconds):
                    _, protocol = await loop.create_connection(
                        factory, str(address), port, ssl=tls, server_hostname=name
                    )
            else:
                found, address = await connect(host, port, left, seconds=seconds)
                async with asyncio.timeout(seconds):
                    _, protocol = await _speak(factory, found, tls, name)
        except AllFailed:
            raise
        except OSError as error:
            failed = _in_words(error, address, seconds)
            left.remove(address)
            if len(addresses) > 1:
                avoid(host, port, address)
        else:
            if len(addresses) > 1:
                prefer(host, port, address)
            return protocol, address
    raise failed


class AllFailed(OSError):
    """No address was connected to."""


async def connect(host: str, port: int, addresses: Sequence[Address], *, seconds: float) -> Connected:
    """The first that connects; ``seconds`` for each. Raises AllFailed, with what the last of them said."""
    waiting = _in_order(host, port, addresses)
    trying: dict[asyncio.Task[socket.socket], Address] = {}
    begun: list[Address] = []
    failed = OSError("the name has no address")
    won = False
    try:
        while waiting or trying:
            if waiting:
                address = waiting.pop(0)
                begun.append(address)
                trying[asyncio.create_task(_connect(address, port, seconds))] = address
            timeout = STAGGER_SECONDS if waiting else None
            done, _ = await asyncio.wait(trying, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                error = task.exception()
                if error is None:
                    won = True
                    return Connected(task.result(), trying.pop(task))
                del trying[task]
                if not isinstance(error, OSError):
                    raise error
                failed = error
        raise AllFailed(failed.errno, failed.strerror) if failed.errno else AllFailed(str(failed))
    finally:
        for task in trying:
            task.cancel()
            task.add_done_callback(_hang_up)
        if not won:
            for address in begun:
                avoid(host, port, address)


def _hang_up(task: "asyncio.Task[socket.socket]") -> None:
    """Of one that came too late."""
    if not task.cancelled() and task.exception() is None:
        task.result().close()


async def _connect(address: Address, port: int, seconds: float) -> socket.socket:
    found = socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6, socket.SOCK_STREAM)
    try:
        found.setblocking(False)
        async with asyncio.timeout(seconds):
            await asyncio.get_running_loop().sock_connect(found, (str(address), port))
    except OSError as error:
        found.close()
        raise _in_words(error, address, seconds) from None
    except BaseException:
        found.close()
        raise
    return found


def _in_words(error: OSError, address: Address, seconds: float) -> OSError:
    """A time that is over, ours or the kernel's, is no TimeoutError, which is the caller's own."""
    return OSError(f"{address} took more than {seconds:g} seconds") if isinstance(error, TimeoutError) else error


async def _speak(
    factory: Callable[[], Spoken], found: socket.socket, tls: ssl.SSLContext | None, name: str | None
) -> tuple[asyncio.BaseTransport, Spoken]:
    try:
        return await asyncio.get_running_loop().create_connection(factory, sock=found, ssl=tls, server_hostname=name)
    except BaseException:
        found.close()
        raise


def _in_order(host: str, port: int, addresses: Sequence[Address]) -> list[Address]:
    """At most MOST_ADDRESSES: those that answered last first, the families by turns (§4)."""
    ranks = _ranks.get((host, port), {})
    ordered = sorted(dict.fromkeys(addresses), key=lambda each: ranks.get(each, 0))
    if len({each.version for each in ordered}) > 1:
        first = [each for each in ordered if each.version == ordered[0].version]
        other = [each for each in ordered if each.version != ordered[0].version]
        ordered = [each for pair in itertools.zip_longest(first, other) for each in pair if each is not None]
    return ordered[:MOST_ADDRESSES]
