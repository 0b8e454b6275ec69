"""The carriers that an operator has configured, and the rules of leasing that follow from each."""

import dataclasses
from collections.abc import Mapping

from trunkline.carriers.carrier import Carrier
from trunkline.carriers.simulated import carrier as simulator
from trunkline.carriers.simulated.carrier import SimulatedCarrier


@dataclasses.dataclass(frozen=True, slots=True)
class Terms:
    """What leasing a number of a carrier means."""

    cancel_wait_seconds: int  # after the purchase
    rest_seconds: int  # after the lease's end


@dataclasses.dataclass(frozen=True)
class Registry:
    """Every carrier by name with its terms, the simulated one included; and whether live keys see that one."""

    carriers: Mapping[str, Carrier]
    terms: Mapping[str, Terms]
    simulated_is_live: bool

    def visible(self, *, test: bool) -> dict[str, Terms]:
        """The carriers whose numbers a key can lease, with their terms."""
        if test:
            return {simulator.NAME: self.terms[simulator.NAME]}
        return {name: terms for name, terms in self.terms.items() if name != simulator.NAME or self.simulated_is_live}


def registry(real: Mapping[str, tuple[Carrier, Terms]], *, simulated: str) -> Registry:
    """``simulated``: "auto" shows live keys the simulated network while no real carrier is configured."""
    carriers: dict[str, Carrier] = {simulator.NAME: SimulatedCarrier()}
    terms = {simulator.NAME: Terms(cancel_wait_seconds=0, rest_seconds=0)}
    for name, (carrier, its_terms) in real.items():
        carriers[name] = carrier
        terms[name] = its_terms
    return Registry(carriers, terms, simulated == "always" or (simulated == "auto" and not real))
