"""What the operator rules for verifications: prices, budgets, routes, and the keys of macs and seals."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

from trunkline.carriers import ranges
from trunkline.verify.options import VerifyOptions
from trunkline.verify.passcodes import Seals
from trunkline.verify.routes import Routes


@dataclasses.dataclass(frozen=True, slots=True)
class VerifyPolicy:
    options: VerifyOptions
    seals: Seals
    routes: Routes

    @property
    def charge(self) -> Literal["approved", "sent"]:
        return "sent" if self.options.charge == "sent" else "approved"

    @property
    def live_test_numbers(self) -> bool:
        return self.options.live_test_numbers

    @property
    def address_seconds(self) -> int:
        return self.options.address_seconds

    @property
    def resend_seconds(self) -> Sequence[int]:
        return self.options.resend_seconds

    def price_micros(self, country: str) -> int:
        return self.options.price_micros(country)

    def is_reserved(self, e164: str) -> bool:
        """Whether regulators keep the number free for fiction and tests: no real carrier ever gets it."""
        return ranges.is_reserved(e164)
