"""Whose address a request comes from: the socket's, or what proxies that the operator trusts say of it.

``X-Forwarded-For`` is read from the right: each proxy appends who it heard from, so the last entry that no trusted
proxy vouches for is the caller, and whatever stands left of it is the caller's own invention. No other header is read.
"""

import functools
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

MOST_HOPS = 20
PROXYS = frozenset((b"x-forwarded-for", b"forwarded", b"x-real-ip", b"via"))  # headers that proxies add


def plain(text: str) -> str | None:
    """An address as ``ipaddress`` writes it, without port, brackets or zone; None for what is none.

    An IPv4-mapped IPv6 address is its IPv4 address.
    """
    text = text.strip()
    if text.startswith("["):
        text, bracket, port = text[1:].partition("]")
        if not bracket or (port and not _is_port(port)):
            return None
    elif text.count(":") == 1:
        text, colon, port = text.partition(":")
        if not _is_port(colon + port):
            return None
    try:
        address: IPv4Address | IPv6Address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return str(address)


def _is_port(text: str) -> bool:
    return text[0] == ":" and text[1:].isascii() and text[1:].isdigit()


class Addresses:
    """Finds the caller's address behind trusted proxies, given as CIDRs; with none, it is always the socket's."""

    def __init__(self, trusted_proxies: Sequence[str]) -> None:
        networks = [ip_network(each) for each in trusted_proxies]

        @functools.lru_cache(maxsize=1024)
        def is_trusted(address: str) -> bool:
            return any(ip_address(address) in network for network in networks)

        self._is_trusted = is_trusted if networks else None
        self.is_proxy = functools.lru_cache(maxsize=4096)(
            lambda address: ip_address(address).is_loopback or any(ip_address(address) in each for each in networks)
        )  # callers beyond counting may stand behind it: those the operator named, and whatever is on this machine
        self._plain = functools.lru_cache(maxsize=4096)(plain)

    def vouched(self, client: Sequence[object] | None, headers: Sequence[tuple[bytes, bytes]]) -> str:
        """As ``of``; "" where a proxy that nobody trusts stands between: then it is not told who calls."""
        address = self.of(client, headers)
        if any(name in PROXYS for name, _ in headers) and client and address == self._plain(str(client[0])):
            return ""
        return address

    def of(self, client: Sequence[object] | None, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """``client`` and ``headers`` are those of an ASGI scope; "" for a socket that has no address."""
        address = self._plain(str(client[0])) if client else None
        if address is None:
            return ""
        if self._is_trusted is None or not self._is_trusted(address):
            return address
        forwarded = b",".join(value for name, value in headers if name == b"x-forwarded-for")
        entries = forwarded.decode("latin-1").rsplit(",", MOST_HOPS)[-MOST_HOPS:]
        for entry in reversed(entries):
            before = self._plain(entry)
            if before is None:
                break
            address = before
            if not self._is_trusted(address):
                break
        return address
