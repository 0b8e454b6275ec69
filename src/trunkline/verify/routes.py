"""Least-cost routing of MT texts: the longest prefix counts, then the price; what comes after is the fallback."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from trunkline.carriers.carrier import SIMULATED
from trunkline.errors import OperatorError
from trunkline.verify.options import RouteOptions

SENDER = "TRUNKLINE"  # on the simulated network, where nobody names another


class Route(msgspec.Struct, frozen=True):
    """A carrier, and whom a text over it comes from."""

    carrier: str
    sender: str


class Routes:
    """The operator's routes by prefix, each list in the order in which they are tried."""

    def __init__(self, options: Iterable[RouteOptions], carriers: Iterable[str], sender: str) -> None:
        """``sender``: where neither profile nor route names one. Raises OperatorError for an unknown carrier."""
        known = set(carriers)
        self._sender = sender
        by_prefix: dict[str, list[RouteOptions]] = {}
        for route in options:
            if route.carrier not in known:
                raise OperatorError(f"verify.routes names the carrier {route.carrier!r}, which there is not.")
            by_prefix.setdefault(route.prefix, []).append(route)
        self._by_prefix: Mapping[str, Sequence[RouteOptions]] = {
            prefix: sorted(routes, key=lambda route: route.cost_micros) for prefix, routes in by_prefix.items()
        }
        self._lengths = sorted({len(prefix) for prefix in by_prefix}, reverse=True)

    def to(self, e164: str, sender: str, *, simulated: bool) -> list[Route]:
        """The routes that a text takes, one after the other; none: nobody carries it there."""
        if simulated:
            return [Route(SIMULATED, sender or self._sender or SENDER)]
        for length in self._lengths:
            found = self._by_prefix.get(e164[:length])
            if found:
                return [Route(route.carrier, sender or route.sender or self._sender or SENDER) for route in found]
        return []
