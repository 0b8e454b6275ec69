"""Settings of the pool of numbers, and of the proofs of control over a domain."""

from typing import Literal

import msgspec

from trunkline.egress import names


class PoolOptions(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    simulated: Literal["auto", "always", "test"]
    simulated_seed: int
    quarantine_seconds: int
    cancel_wait_seconds: int
    ttl_seconds: int

    def __post_init__(self) -> None:
        if self.quarantine_seconds < 0 or self.cancel_wait_seconds < 0:
            raise ValueError("a duration is 0 or more seconds")
        if not 60 <= self.ttl_seconds <= 3600:
            raise ValueError("ttl_seconds is 60 to 3600")


class ControlOptions(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    nameservers: list[str]

    def __post_init__(self) -> None:
        self.addresses()

    def addresses(self) -> list[tuple[str, int]]:
        return names.name_servers(self.nameservers)
