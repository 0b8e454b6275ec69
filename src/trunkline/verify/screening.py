"""The guard at a start: countries and lines that no code is sent to, then the rules over the account's traffic."""

import msgspec

from trunkline.storage.database import Row
from trunkline.verify import guard
from trunkline.verify.guard import Traffic
from trunkline.verify.policy import VerifyPolicy
from trunkline.verify.problems import CountryNotAllowed, LineTypeNotAllowed
from trunkline.verify.views import Decision, Profile

BLOCKED_NUMBER = "+443069990005"  # of the simulated network: the guard blocks every start to it

_traffic = msgspec.json.Decoder(dict[str, Traffic])


def admit(e164: str, country: str, profile: Profile, policy: VerifyPolicy, *, is_simulated: bool) -> None:
    """Raises CountryNotAllowed for a country that neither profile nor operator names, LineTypeNotAllowed."""
    allowed = profile.countries
    if allowed is None:
        allowed = None if is_simulated else policy.options.countries
    if allowed is not None and country not in allowed:
        raise CountryNotAllowed(
            f"Codes are not sent to {country or 'numbers of no country'!r}: name it in the profile's countries.",
            country=country,
        )
    if not is_simulated and (kind := guard.line_type(e164)) in guard.REFUSED:
        raise LineTypeNotAllowed(f"A code is not sent to this kind of line: {kind}.", line_type=kind)


def decide(e164: str, facts: Row, policy: VerifyPolicy, *, is_simulated: bool) -> tuple[Decision, ...]:
    """What each rule says. Over the simulated network no text costs anybody anything: there is nothing to judge."""
    if e164 == BLOCKED_NUMBER:
        return (Decision("magic_number", "blocked", e164, "", "Every start to this number is blocked."),)
    if is_simulated:
        return ()
    return guard.judge(_traffic.decode(facts["traffic"]), facts["cost_micros"], facts["clock"], policy.options.guard)
