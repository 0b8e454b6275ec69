"""Special-purpose addresses (RFC 6890), and everything else that is no ordinary address of the internet."""

import functools
import ipaddress
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# Everything that IANA's registry of special-purpose IPv4 addresses does not call an ordinary public one. The last is
# public on paper, and on Azure the virtual machine's own host.
_NOT_PUBLIC_4 = tuple(
    IPv4Network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16"),
        *("192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        "168.63.129.16/32",
    )
)
# IPv6 is public where it is global unicast (RFC 4291 §2.5.4, as far as it is given out) and for no special purpose:
# that leaves out IPv4-mapped, NAT64, site-local, unique local, link-local and multicast addresses as a whole. Teredo
# and IANA's other protocol assignments are the first of these, 6to4 the third.
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NOT_PUBLIC_6 = tuple(
    IPv6Network(network)
    for network in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3ffe::/16", "3fff::/20")
)


@functools.lru_cache(maxsize=4096)
def is_public(address: Address) -> bool:
    """Whether an address is an ordinary one of the internet. Stricter than ``ipaddress.is_global``, which lets NAT64,
    6to4, site-local and multicast addresses through on some versions of Python."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_4)
    return address in _GLOBAL_UNICAST and not any(address in network for network in _NOT_PUBLIC_6)


def networks(cidrs: Iterable[str]) -> tuple[Network, ...]:
    """Raises ValueError for what is no network, as in 10.0.0.0/8."""
    return tuple(ipaddress.ip_network(cidr) for cidr in cidrs)
