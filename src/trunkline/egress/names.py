"""A stub resolver (RFC 1035 §5.3.1) for names that customers choose, which no thread and nobody else waits for.

Look-ups have a deadline, a bound for the process and a share for each account. Answers are kept as long as they say,
within bounds; what did not answer is kept too (RFC 2308), for seconds, twice as long each time. The file of hosts comes
first, then the name servers and search list of resolv.conf. ``of_system`` is the system's own resolver, for names that
the operator or the user of this machine chooses.
"""

import asyncio
import contextlib
import dataclasses
import ipaddress
import os
import socket
import time
import urllib.parse
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from trunkline.egress.errors import NoAnswer
from trunkline.egress.public import Address
from trunkline.egress.shares import Shares

if TYPE_CHECKING:
    import dns.asyncresolver
    import dns.name

HOSTS, RESOLV_CONF = "/etc/hosts", "/etc/resolv.conf"
LOOKUP_SECONDS = 5.0
OTHER_FAMILY_SECONDS = 0.3  # that the addresses of one family are waited for when those of the other are there
MOST_AT_A_TIME, SHARE = 128, 8  # look-ups in work: of the process, and of one account
SHORTEST_KEPT_SECONDS, LONGEST_KEPT_SECONDS = 1.0, 300.0
# What failed is kept for less than the second attempt of a delivery is away, and longer if it fails again.
FIRST_FAILED_SECONDS, LONGEST_FAILED_SECONDS = 4.0, 60.0
MOST_KEPT = 4096
MOST_SEARCHED = 6  # entries of a search list, as in the C library

Resolve = Callable[[str], Awaitable[Sequence[Address]]]


def name_servers(written: Sequence[str]) -> list[tuple[str, int]]:
    """Address and port of each, of ``9.9.9.9``, ``127.0.0.1:5353`` or ``[::1]:5353``. Raises ValueError."""
    parts = [urllib.parse.urlsplit(f"//{each}") for each in written]
    return [(str(ipaddress.ip_address(each.hostname or "")), each.port or 53) for each in parts]


@dataclasses.dataclass(frozen=True, slots=True)
class _Known:
    addresses: tuple[Address, ...]
    why: str  # there is none
    until: float  # time.monotonic()
    failures: int = 0  # in a row


class Names:
    """What one kind of work knows of names: the API and deliveries have one each."""

    def __init__(self, nameservers: Sequence[tuple[str, int]] = ()) -> None:
        """``nameservers``: addresses and ports; none: the system's."""
        import dns.asyncresolver  # here, as it takes as long to load as a whole command and hardly any command asks

        self._nameservers = nameservers
        self._shares = Shares(MOST_AT_A_TIME, SHARE)
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._under_way: dict[str, asyncio.Task[_Known]] = {}
        self._resolver: dns.asyncresolver.Resolver | None = None
        self._read_at: float | None = None  # when resolv.conf was written, as it was read
        self._hosts = _Hosts()

    def of(self, account_id: int) -> Resolve:
        """Looks up within an account's share."""

        async def resolve(host: str) -> Sequence[Address]:
            return await self.addresses(host, account_id)

        return resolve

    async def addresses(self, host: str, account_id: int) -> Sequence[Address]:
        """Raises NoAnswer where there are none, or none in time."""
        if local := self._hosts.find(host):
            return local
        known = self._kept(host)
        if known is None and host not in self._under_way:
            await self._shares.take(account_id)
            known = self._kept(host)
            if known is not None or host in self._under_way:  # somebody else has asked meanwhile
                self._shares.give_back(account_id)
            else:
                self._ask(host, account_id)
        if known is None:
            known = await asyncio.shield(self._under_way[host])  # others wait for it too
        if not known.addresses:
            raise NoAnswer(f"The name {host} cannot be resolved: {known.why}.")
        return known.addresses

    async def texts(self, name: str, account_id: int, *, seconds: float = LOOKUP_SECONDS) -> list[str]:
        """The TXT records of a name as they are now. Raises NoAnswer where the name servers do not tell in time."""
        import dns.exception
        import dns.resolver

        try:
            async with asyncio.timeout(seconds), self._shares.hold(account_id):
                answer = await self._configured().resolve(name, "TXT", lifetime=seconds)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        except (dns.exception.DNSException, OSError) as error:  # TimeoutError is one
            raise NoAnswer(f"The name servers did not answer for {name} ({type(error).__name__}).") from None
        return [b"".join(record.strings).decode("utf-8", "replace") for record in answer]

    def _kept(self, host: str) -> _Known | None:
        known = self._known.get(host)
        return known if known is not None and time.monotonic() < known.until else None

    def _ask(self, host: str, account_id: int) -> None:
        asking = self._under_way[host] = asyncio.create_task(self._look_up(host))

        def asked(_: "asyncio.Task[_Known]") -> None:
            del self._under_way[host]
            self._shares.give_back(account_id)
            if not asking.cancelled() and asking.exception() is None:
                self._known[host] = asking.result()
                self._known.move_to_end(host)
                if len(self._known) > MOST_KEPT:
                    self._known.popitem(last=False)

        asking.add_done_callback(asked)

    async def _look_up(self, host: str) -> _Known:
        import dns.exception
        import dns.resolver

        why = "its name servers do not answer"
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                resolver = self._configured()
                for name in _candidates(host, resolver):
                    addresses, seconds, why = await _both_families(resolver, name)
                    if addresses:
                        kept = min(max(seconds, SHORTEST_KEPT_SECONDS), LONGEST_KEPT_SECONDS)
                        return _Known(addresses, "", time.monotonic() + kept)
        except TimeoutError:
            pass
        except dns.resolver.NoResolverConfiguration:
            why = "no name server is configured"
        except (dns.exception.DNSException, UnicodeError):
            why = "it is none"
        before = self._known.get(host)
        failures = min(before.failures + 1 if before is not None else 1, 16)
        kept = min(FIRST_FAILED_SECONDS * 2 ** (failures - 1), LONGEST_FAILED_SECONDS)
        return _Known((), why, time.monotonic() + kept, failures)

    def _configured(self) -> "dns.asyncresolver.Resolver":
        """Raises dns.resolver.NoResolverConfiguration. Reads resolv.conf again once it has changed."""
        import dns.asyncresolver
        import dns.nameserver

        written_at = None if self._nameservers else _written_at(RESOLV_CONF)
        if self._resolver is None or written_at != self._read_at:
            resolver = dns.asyncresolver.Resolver(RESOLV_CONF, configure=not self._nameservers)
            if self._nameservers:
                resolver.nameservers = [dns.nameserver.Do53Nameserver(*each) for each in self._nameservers]
            self._resolver, self._read_at = resolver, written_at
        return self._resolver


def _candidates(host: str, resolver: "dns.asyncresolver.Resolver") -> "list[dns.name.Name]":
    """A name with a dot is looked up as it stands first, one without in the search list; with a dot at its end only as
    it stands."""
    import dns.name

    name = dns.name.from_text(host)
    if host.endswith("."):
        return [name]
    domains = resolver.search or ([resolver.domain] if resolver.domain not in (None, dns.name.root) else [])
    searched = []
    for domain in domains[:MOST_SEARCHED]:
        with contextlib.suppress(dns.name.NameTooLong):
            searched.append(name.relativize(dns.name.root).concatenate(domain).derelativize(dns.name.root))
    return [name, *searched] if "." in host or resolver.ndots == 0 else [*searched, name]


async def _both_families(
    resolver: "dns.asyncresolver.Resolver", name: "dns.name.Name"
) -> tuple[tuple[Address, ...], float, str]:
    """Addresses, for how many seconds they hold, and why there are none."""
    import dns.resolver

    asking = [
        asyncio.create_task(
            resolver.resolve(name, kind, lifetime=LOOKUP_SECONDS, search=False, raise_on_no_answer=False)
        )
        for kind in ("AAAA", "A")
    ]
    try:
        done, left = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
        if left:
            is_there = any(each.exception() is None and each.result().rrset for each in done)
            await asyncio.wait(left, timeout=OTHER_FAMILY_SECONDS if is_there else None)
        addresses: list[Address] = []
        seconds, why = LONGEST_KEPT_SECONDS, "it has no address"
        for each in asking:
            if not each.done():
                continue
            error = each.exception()
            if error is None:
                answer = each.result()
                if answer.rrset:
                    addresses += [ipaddress.ip_address(record.address) for record in answer.rrset]
                    seconds = min(seconds, answer.expiration - time.time())
            elif isinstance(error, dns.resolver.NXDOMAIN):
                why = "there is no such name"
            elif isinstance(error, dns.resolver.LifetimeTimeout):
                why = "its name servers do not answer"
            else:
                why = "its name servers do not tell"
        return tuple(dict.fromkeys(addresses)), seconds, why
    finally:
        for each in asking:
            each.cancel()
            each.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # nobody waits for it


class _Hosts:
    """The file of hosts (hosts(5)), read again once it has changed."""

    def __init__(self) -> None:
        self._read_at: float | None = None
        self._addresses: dict[str, list[Address]] = {}

    def find(self, host: str) -> list[Address]:
        name = host.removesuffix(".")
        written_at = _written_at(HOSTS)
        if written_at != self._read_at:
            self._addresses, self._read_at = _read_hosts(HOSTS), written_at
        found = self._addresses.get(name, [])
        if not found and (name == "localhost" or name.endswith(".localhost")):  # RFC 6761 §6.3
            return [ipaddress.IPv6Address("::1"), ipaddress.IPv4Address("127.0.0.1")]
        return found


def _written_at(file: str) -> float | None:
    try:
        return os.stat(file).st_mtime
    except OSError:
        return None


def _read_hosts(file: str) -> dict[str, list[Address]]:
    found: dict[str, list[Address]] = {}
    try:
        with open(file, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                address, *names = line.partition("#")[0].split() or [""]
                with contextlib.suppress(ValueError):
                    for name in dict.fromkeys(names):
                        found.setdefault(name.lower(), []).append(ipaddress.ip_address(address))
    except OSError:
        return {}
    return found


_threads = ThreadPoolExecutor(16, thread_name_prefix="resolve")
_asked_of_system: dict[tuple[asyncio.AbstractEventLoop, str], "asyncio.Future[list[Address]]"] = {}


async def of_system(host: str) -> Sequence[Address]:
    """What the C library says, in a thread: with all that nsswitch.conf asks for, and in no time that it promises.

    Raises NoAnswer.
    """
    with contextlib.suppress(ValueError):
        return [ipaddress.ip_address(host)]
    loop = asyncio.get_running_loop()
    asking = _asked_of_system.get((loop, host))
    if asking is None:
        asking = _asked_of_system[loop, host] = loop.run_in_executor(_threads, _look_up, host)

        def asked(ended: "asyncio.Future[list[Address]]") -> None:
            del _asked_of_system[loop, host]
            if not ended.cancelled():
                ended.exception()  # whoever waited may have left

        asking.add_done_callback(asked)
    try:
        return await asyncio.shield(asking)
    except (socket.gaierror, UnicodeError):
        raise NoAnswer(f"The name {host} cannot be resolved.") from None


def _look_up(host: str) -> list[Address]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(ipaddress.ip_address(each[4][0]) for each in found))
