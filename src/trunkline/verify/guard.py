"""The guard against SMS pumping (artificially inflated traffic): rules over an account's own traffic. Pure.

Whoever pumps texts to numbers of theirs earns a share of what each costs. Such traffic is fast, lies in few prefixes,
and nearly nobody types the code. Each rule says what it saw and what it lets through; one in shadow stops nothing and
says the same.
"""

import datetime
import enum
import functools
import math
from collections.abc import Mapping
from decimal import Decimal

import msgspec
import phonenumbers
from phonenumbers import PhoneNumberType

from trunkline import money
from trunkline.clock import iso
from trunkline.errors import InvalidRequest
from trunkline.verify.views import Decision

HOUR = datetime.timedelta(hours=1)
DAYS = 28  # of history
_Z = 1.96  # of a 95 % interval

RULES = (
    "prefix_volume", "prefix_conversion", "velocity", "spend_prefix", "spend_country", "spend_profile", "spend_account",
)  # fmt: skip


class GuardOptions(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Thresholds of the rules. Amounts are those of an hour (UTC), in the account's currency."""

    shadow: list[str]
    prefix_starts: int
    prefix_growth: float
    conversion: float
    conversion_of: int
    account_starts: int
    account_growth: float
    spend_prefix: str
    spend_country: str
    spend_profile: str
    spend_account: str

    def __post_init__(self) -> None:
        for rule in self.shadow:
            if rule not in RULES:
                raise ValueError(f"shadow names rules: {', '.join(RULES)}")
        if min(self.prefix_starts, self.conversion_of, self.account_starts) < 1:
            raise ValueError("prefix_starts, conversion_of and account_starts are 1 or more")
        if not 0 <= self.conversion <= 1 or min(self.prefix_growth, self.account_growth) < 1:
            raise ValueError("conversion is 0 to 1, and a growth 1 or more")
        for name in ("spend_prefix", "spend_country", "spend_profile", "spend_account"):
            try:
                money.parse(Decimal(getattr(self, name)))
            except (InvalidRequest, ArithmeticError):
                raise ValueError(f"{name} is an amount of money") from None

    def cap_micros(self, dimension: str) -> int:
        """What may be spent in an hour."""
        return _micros(getattr(self, f"spend_{dimension}"))


class Traffic(msgspec.Struct):
    """What went to a prefix, a country, or over a profile or an account, before this start; money in micros."""

    starts_this_hour: int = 0  # hours and days are calendar ones, UTC
    starts_hour_before: int = 0
    micros_this_hour: int = 0
    decided_24h: int = 0  # approved, failed or expired
    approved_24h: int = 0
    days: int = 0  # of the last 28, on which there was any
    starts_28d: int = 0
    busiest_28d: int = 0  # starts in the busiest hour

    def starts_within_an_hour(self, into_the_hour: float) -> float:
        """A sliding window over two counters: the hour before counts as far as it is still within."""
        return self.starts_this_hour + self.starts_hour_before * (1 - into_the_hour)


class LineType(enum.StrEnum):
    """What kind of line a number is, as the numbering plans say."""

    MOBILE = "mobile"
    FIXED_LINE = "fixed_line"
    PREMIUM_RATE = "premium_rate"
    SHARED_COST = "shared_cost"
    TOLL_FREE = "toll_free"
    PAGER = "pager"
    UAN = "uan"
    VOICEMAIL = "voicemail"
    OTHER = "other"  # VoIP, personal, devices, or nothing that the plans know


REFUSED = frozenset(LineType) - {LineType.MOBILE, LineType.OTHER}
_LINE_TYPES = {
    PhoneNumberType.MOBILE: LineType.MOBILE,
    PhoneNumberType.FIXED_LINE_OR_MOBILE: LineType.MOBILE,
    PhoneNumberType.FIXED_LINE: LineType.FIXED_LINE,
    PhoneNumberType.PREMIUM_RATE: LineType.PREMIUM_RATE,
    PhoneNumberType.SHARED_COST: LineType.SHARED_COST,
    PhoneNumberType.TOLL_FREE: LineType.TOLL_FREE,
    PhoneNumberType.PAGER: LineType.PAGER,
    PhoneNumberType.UAN: LineType.UAN,
    PhoneNumberType.VOICEMAIL: LineType.VOICEMAIL,
}


def line_type(e164: str) -> LineType:
    """What the numbering plan of its country says of a number."""
    return _LINE_TYPES.get(phonenumbers.number_type(phonenumbers.parse(e164)), LineType.OTHER)


def judge(
    traffic: Mapping[str, Traffic], micros: int, now: datetime.datetime, options: GuardOptions
) -> tuple[Decision, ...]:
    """What each rule says of a start that costs ``micros``; ``traffic``: of account, profile, country and prefix."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    into = (now - hour) / HOUR
    prefix, account = traffic["prefix"], traffic["account"]

    usual = prefix.starts_28d / (24 * DAYS)
    most = max(options.prefix_starts, math.ceil(options.prefix_growth * usual))
    seen = prefix.starts_within_an_hour(into)
    decisions = [
        _decided(
            "prefix_volume", options, seen + 1 > most, round(seen + 1), most, hour + HOUR,
            "starts to this range of numbers within an hour",
        )
    ]  # fmt: skip

    best = _highest(prefix.approved_24h, prefix.decided_24h)
    is_low = prefix.decided_24h >= options.conversion_of and best < options.conversion
    share = round(prefix.approved_24h / prefix.decided_24h, 3) if prefix.decided_24h else 1.0
    decisions.append(
        _decided(
            "prefix_conversion", options, is_low, share, options.conversion, hour + 24 * HOUR,
            "of the codes to this range were typed within 24 hours",
        )
    )  # fmt: skip

    most = max(options.account_starts, math.ceil(options.account_growth * account.busiest_28d))
    seen = account.starts_within_an_hour(into)
    decisions.append(
        _decided(
            "velocity", options, seen + 1 > most, round(seen + 1), most, hour + HOUR,
            "starts of the account within an hour",
        )
    )  # fmt: skip

    for dimension in ("prefix", "country", "profile", "account"):
        cap, spent = options.cap_micros(dimension), traffic[dimension].micros_this_hour + micros
        decisions.append(
            _decided(
                f"spend_{dimension}", options, micros > 0 and spent > cap, spent / money.MICROS, cap / money.MICROS,
                hour + HOUR, f"of money for this {dimension} in this hour",
            )
        )  # fmt: skip
    return tuple(decisions)


def _decided(
    rule: str,
    options: GuardOptions,
    is_broken: bool,
    value: float,
    threshold: float,
    until: datetime.datetime,
    what: str,
) -> Decision:
    if not is_broken:
        return Decision(rule, "allowed", value, threshold)
    reason = f"{value:g} {what}; {threshold:g} is the limit."
    return Decision(rule, "shadow" if rule in options.shadow else "blocked", value, threshold, reason, iso(until))


@functools.lru_cache
def _micros(amount: str) -> int:
    return money.parse(amount)


def _highest(approved: int, decided: int) -> float:
    """The upper end of Wilson's interval for a share, so that few observations never look sure."""
    if not decided:
        return 1.0
    share, z2 = approved / decided, _Z * _Z
    centre = share + z2 / (2 * decided)
    spread = _Z * math.sqrt(share * (1 - share) / decided + z2 / (4 * decided * decided))
    return (centre + spread) / (1 + z2 / decided)
