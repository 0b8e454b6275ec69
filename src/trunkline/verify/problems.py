"""Why a code is not sent, or not checked."""

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from trunkline.errors import (
    Conflict,
    Forbidden,
    InvalidRequest,
    NotFound,
    RateLimited,
    RetryAt,
    TrunklineError,
    Unavailable,
    members,
)


class Reason(msgspec.Struct, frozen=True):
    """A rule of the guard that refuses."""

    rule: Annotated[str, Meta(description="The rule.", examples=["prefix_volume"])]
    value: Annotated[float | str | None, Meta(description="What it saw.", examples=[61])]
    threshold: Annotated[float | str | None, Meta(description="What it lets through.", examples=[60])]


Rule = Annotated[str, Meta(description="The rule that refuses.", examples=["sends_per_ten_minutes"])]
Value = Annotated[int, Meta(description="What it counts, as it stands.", examples=[5])]
Threshold = Annotated[int, Meta(description="What it lets through.", examples=[5])]


class InvalidPhoneNumber(InvalidRequest):
    """No E.164 number that could be dialled: too short, too long, of no country, or not written as one."""

    code, title = "invalid_phone_number", "Invalid phone number"
    example = {"detail": "A phone number must be a plus sign and 7 to 15 digits.", "field": "phone_number"}


class UnknownTemplate(InvalidRequest):
    code, title = "unknown_template", "Unknown template"
    example = {"detail": "There is no template 'sort'; there are default, short, warning.", "field": "template"}


class UnknownProfile(NotFound):
    code, title = "unknown_profile", "Unknown profile"
    example = {"detail": "There is no profile 'shop'.", "field": "profile"}


@members
class CountryNotAllowed(Forbidden):
    code, title = "country_not_allowed", "Country not allowed"
    example = {"detail": "The profile 'default' does not send to 'kp'. Add it to its countries.", "country": "kp"}
    country: Annotated[str, Meta(description="The number's country.", examples=["kp"])]


@members
class LineTypeNotAllowed(Forbidden):
    code, title = "line_type_not_allowed", "Line type not allowed"
    example = {"detail": "A code is not sent to a premium-rate number.", "line_type": "premium_rate"}
    line_type: Annotated[str, Meta(description="What kind of line it is.", examples=["premium_rate"])]


@members
class BlockedByGuard(Forbidden):
    """The guard against SMS pumping holds this start back. The verification is kept, with its decisions."""

    code, title = "blocked_by_guard", "Blocked by the guard"
    example = {
        "detail": "Texts to this range of numbers are stopped for now.", "verification_id": "ver_20000001",
        "reasons": [Reason("prefix_volume", 61, 60)], "retry_at": "2026-04-19T15:00:00Z",
    }  # fmt: skip
    verification_id: Annotated[str, Meta(description="The verification's id.", examples=["ver_20000001"])]
    reasons: Annotated[list[Reason], Meta(description="Each rule that refuses, its value and its threshold.")]
    retry_at: RetryAt | UnsetType = UNSET


@members
class BudgetSpent(RateLimited):
    """A number or an address has had as much as it gets within a time."""

    example = {"detail": "5 may.", "rule": "sends_per_ten_minutes", "value": 5, "threshold": 5}
    rule: Rule
    value: Value
    threshold: Threshold


class TooManySends(BudgetSpent):
    code, title = "too_many_sends", "Too many texts to this number"
    example = {
        "detail": "5 texts went to this number within 10 minutes.", "rule": "sends_per_ten_minutes", "value": 5,
        "threshold": 5, "retry_at": "2026-04-19T14:40:00Z",
    }  # fmt: skip


class TooManyFromAddress(BudgetSpent):
    code, title = "too_many_from_address", "Too many verifications from this address"
    example = {
        "detail": "10 verifications began from this address within 3600 s.", "rule": "starts_per_address", "value": 10,
        "threshold": 10, "retry_at": "2026-04-19T15:30:00Z",
    }  # fmt: skip


class TooManyChecks(BudgetSpent):
    """Too many wrong codes for this number, over all of its verifications: a fresh code changes nothing."""

    code, title = "too_many_checks", "Too many wrong codes for this number"
    example = {
        "detail": "20 wrong codes were checked for this number within 24 hours.", "rule": "failed_checks_per_day",
        "value": 20, "threshold": 20, "retry_at": "2026-04-20T14:30:00Z",
    }  # fmt: skip


class MaxChecksReached(RateLimited):
    """All checks of this verification are used up. It has failed: start a new one."""

    code, title = "max_checks_reached", "No checks left"
    example = {"detail": "All checks of this verification are used up."}


class MaxSendsReached(RateLimited):
    code, title = "max_sends_reached", "No texts left"
    example = {"detail": "All texts of this verification are sent; start a new one."}


class ResendTooEarly(RateLimited):
    code, title = "resend_too_early", "Too early to send again"
    example = {"detail": "The next text can be sent at 14:30:30 UTC.", "retry_at": "2026-04-19T14:30:30Z"}


class VerificationExpired(TrunklineError):
    code, status, title = "verification_expired", 410, "Verification expired"
    example = {"detail": "The code was good until 14:35:00 UTC."}


class VerificationFinished(Conflict):
    code, title = "verification_finished", "Verification finished"
    example = {"detail": "The verification is already approved."}


class ProfileExists(Conflict):
    code, title = "profile_exists", "Profile exists"
    example = {"detail": "There is a profile 'shop' already."}


class TooManyProfiles(Conflict):
    code, title = "too_many_profiles", "Too many profiles"
    example = {"detail": "An account has at most 100 profiles."}


class NoRoute(Unavailable):
    """No carrier that is configured takes texts to this number."""

    code, title = "no_route", "No route"
    example = {"detail": "No route leads to numbers that begin as this one does."}
