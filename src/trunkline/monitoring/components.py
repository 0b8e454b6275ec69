"""The parts of the platform that the public is told about, and what it means when one is out."""

from typing import Literal, get_args

from trunkline.carriers.carrier import SIMULATED, Carrier
from trunkline.carriers.registry import Registry

State = Literal["operational", "degraded_performance", "partial_outage", "major_outage"]
Impact = Literal["none", "minor", "major", "critical"]

IMPACTS: tuple[Impact, ...] = get_args(Impact)
OUTAGES: tuple[State, ...] = ("partial_outage", "major_outage")  # a component that is slow is not down

API = "api"
DATABASE = "database"
WEBHOOKS = "webhooks"
CARRIER = "carrier:"

_TITLES = {API: "API", DATABASE: "Database", WEBHOOKS: "Webhooks"}
_IMPACTS: dict[str, Impact] = {API: "critical", DATABASE: "critical", WEBHOOKS: "minor"}


def watched_carriers(registry: Registry) -> list[Carrier]:
    """Those that carry customers' texts: the simulated one too where live keys see it, or there is no other."""
    others = len(registry.carriers) > 1
    return [
        carrier
        for name, carrier in registry.carriers.items()
        if name != SIMULATED or registry.simulated_is_live or not others
    ]


def names(registry: Registry) -> list[str]:
    """Every component, in the order in which it is shown."""
    return [API, DATABASE, WEBHOOKS, *(CARRIER + carrier.name for carrier in watched_carriers(registry))]


def title(name: str) -> str:
    return _TITLES.get(name) or f"Carrier {name.removeprefix(CARRIER)}"


def is_down(state: State) -> bool:
    return state in OUTAGES


def impact(name: str, state: State) -> Impact:
    """What a component's state means for the whole."""
    if state == "operational":
        return "none"
    return _IMPACTS.get(name, "major") if is_down(state) else "minor"


def outage(name: str) -> State:
    """How a component is shown that is down."""
    return "partial_outage" if name == WEBHOOKS else "major_outage"


def affected(name: str) -> list[str]:
    """The components that are out when one is: without the database the API answers nobody."""
    return [DATABASE, API] if name == DATABASE else [name]
