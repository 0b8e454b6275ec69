"""The guard at a start: what a row of facts says, judged by the operator's rules."""

from trunkline.storage.database import Row
from trunkline.verify.policy import VerifyPolicy
from trunkline.verify.problems import CountryNotAllowed
from trunkline.verify.views import Decision, Profile


def decide(
    e164: str, country: str, profile: Profile, facts: Row, policy: VerifyPolicy, *, is_simulated: bool
) -> tuple[Decision, ...]:
    """Raises CountryNotAllowed, LineTypeNotAllowed."""
    allowed = profile.countries if profile.countries is not None else None if is_simulated else policy.options.countries
    if allowed is not None and country not in allowed:
        raise CountryNotAllowed(
            f"Codes are not sent to {country!r}: it is none of the profile's countries.", country=country
        )
    return ()
