"""Settings of Verify: prices, the budgets of a number, and the routes that texts take."""

import pathlib
from decimal import Decimal
from typing import Literal

import msgspec

from trunkline import money
from trunkline.errors import InvalidRequest
from trunkline.verify.guard import GuardOptions


class RouteOptions(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Numbers that begin with ``prefix`` may go over ``carrier``; the longest prefix counts, then what a text costs."""

    carrier: str
    prefix: str = "+"
    sender: str = ""  # where a profile names none
    cost: str = "0"  # of a text, to the operator

    def __post_init__(self) -> None:
        if not (self.prefix.startswith("+") and (self.prefix[1:].isdigit() or self.prefix == "+")):
            raise ValueError("a prefix begins as the number does: +49, or + for every number")
        _amount(self.cost, "cost")

    @property
    def cost_micros(self) -> int:
        return money.parse(self.cost)


class VerifyOptions(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    secret: str
    price: str
    prices: dict[str, str]
    charge: Literal["approved", "sent"]
    countries: list[str]
    sender: str
    live_test_numbers: bool
    checks_per_day: int
    sends_per_ten_minutes: int
    sends_per_day: int
    starts_per_address: int
    address_seconds: int
    resend_seconds: list[int]
    route_seconds: float
    routes: list[RouteOptions]
    guard: GuardOptions

    def __post_init__(self) -> None:
        _amount(self.price, "price")
        for country, price in self.prices.items():
            _amount(price, f"prices.{country}")
        if not self.resend_seconds or min(self.resend_seconds) < 1:
            raise ValueError("resend_seconds has a pause of 1 second or more for each resend")
        if min(self.checks_per_day, self.sends_per_ten_minutes, self.sends_per_day, self.starts_per_address) < 1:
            raise ValueError("a budget is 1 or more")
        if max(self.sends_per_ten_minutes, self.sends_per_day) > 100 or self.starts_per_address > 1000:
            raise ValueError("a number has a budget of at most 100 texts, an address of at most 1,000 starts")
        if not 60 <= self.address_seconds <= 86_400:
            raise ValueError("address_seconds is 60 to 86400")
        if not 5 <= self.route_seconds <= 600:
            raise ValueError("route_seconds is 5 to 600")

    def secret_path(self, directory: pathlib.Path) -> pathlib.Path:
        return pathlib.Path(self.secret).expanduser() if self.secret else directory / "verify-secret"

    def price_micros(self, country: str) -> int:
        """What a verification costs there, before any discount."""
        return money.parse(self.prices.get(country, self.price))


def _amount(text: str, name: str) -> None:
    try:
        if money.parse(Decimal(text)) < 0:
            raise ValueError
    except (InvalidRequest, ArithmeticError, ValueError):
        raise ValueError(f"{name} is an amount of money, 0 or more") from None
