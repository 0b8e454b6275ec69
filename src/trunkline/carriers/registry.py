"""The carriers that an operator has configured, built by kind, and the rules of leasing that follow from each.

A kind is a folder with ``options.py`` (what its ``[carriers.NAME]`` may say, a struct that checks itself) and
``carrier.py``, an adapter of the port in ``carriers/carrier.py``. It is named in ``KINDS``, and nowhere else.
"""

import dataclasses
import difflib
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from trunkline.carriers.carrier import SIMULATED, Carrier
from trunkline.carriers.simulated.carrier import SimulatedCarrier
from trunkline.carriers.smpp.carrier import SmppCarrier
from trunkline.carriers.smpp.options import SmppOptions
from trunkline.errors import OperatorError


@dataclasses.dataclass(frozen=True, slots=True)
class Kind:
    """How a carrier is described, and made of its name and that; making it raises ValueError or OSError."""

    options: type[msgspec.Struct]
    make: Callable[[str, Any], Carrier]


KINDS: Mapping[str, Kind] = {"smpp": Kind(SmppOptions, SmppCarrier)}


class _Lease(msgspec.Struct, frozen=True):
    """What ``[carriers.NAME]`` says of leasing, whatever the kind."""

    charges: bool = True  # whether it is paid for a number that got no text
    quarantine_seconds: int | None = None  # of a number after a lease; None: the pool's


@dataclasses.dataclass(frozen=True, slots=True)
class Terms:
    """What leasing a number of a carrier means."""

    cancel_wait_seconds: int  # after the purchase
    rest_seconds: int  # after the lease's end


@dataclasses.dataclass(frozen=True)
class Registry:
    """Every carrier by name with its terms, the simulated one included; and whether live keys see that one."""

    simulated: SimulatedCarrier
    carriers: Mapping[str, Carrier]
    terms: Mapping[str, Terms]
    simulated_is_live: bool

    def visible(self, *, test: bool) -> dict[str, Terms]:
        """The carriers whose numbers a key can lease, with their terms."""
        if test:
            return {SIMULATED: self.terms[SIMULATED]}
        return {name: terms for name, terms in self.terms.items() if name != SIMULATED or self.simulated_is_live}


def registry(tables: Mapping[str, Mapping[str, Any]], usual: Terms, *, simulated: str) -> Registry:
    """The carriers of the settings' tables by name; ``usual``: the terms where a table says nothing of them.

    ``simulated``: "auto" shows live keys the simulated network while no real carrier is configured. Raises
    OperatorError, naming carrier and setting.
    """
    network = SimulatedCarrier()
    carriers: dict[str, Carrier] = {SIMULATED: network}
    terms = {SIMULATED: Terms(cancel_wait_seconds=0, rest_seconds=0)}
    for name, table in tables.items():
        if name == table.get("kind") == SIMULATED:
            continue  # it is always there, named or not
        carriers[name], terms[name] = _made(name, dict(table), usual)
    is_live = simulated == "always" or (simulated == "auto" and len(carriers) == 1)
    return Registry(network, carriers, terms, is_live)


def _made(name: str, table: dict[str, Any], usual: Terms) -> tuple[Carrier, Terms]:
    kind = table.pop("kind", None)
    if SIMULATED in (name, kind):
        raise _refused(name, "the simulated network is always there, as 'simulated' alone")
    if not isinstance(kind, str) or kind not in KINDS:
        raise _refused(name, f"its kind is {', '.join(KINDS)}, not {kind!r}" if kind else "it lacks a kind")
    options = KINDS[kind].options
    known = (*options.__struct_fields__, *_Lease.__struct_fields__)
    for setting in table:
        if setting not in known:
            near = difflib.get_close_matches(setting, known, n=1)
            raise _refused(name, f"there is no setting {setting!r}" + (f"; {near[0]} is one" if near else ""))
    of_lease = {setting: table.pop(setting) for setting in _Lease.__struct_fields__ if setting in table}
    try:
        lease = msgspec.convert(of_lease, _Lease, strict=False)
        carrier = KINDS[kind].make(name, msgspec.convert(table, options, strict=False, str_keys=True))
    except (ValueError, OSError) as error:  # a ValidationError among them
        words, _, place = str(error).partition(" - at `$")
        raise _refused(name, f"{place.strip('.`')}: {words}" if place.strip(".`") else words) from None
    rest = lease.quarantine_seconds if lease.quarantine_seconds is not None else usual.rest_seconds
    return carrier, Terms(usual.cancel_wait_seconds if lease.charges else 0, rest)


def _refused(name: str, why: str) -> OperatorError:
    return OperatorError(f"The carrier {name!r} cannot be used: {why}.")
