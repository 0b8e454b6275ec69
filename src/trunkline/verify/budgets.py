"""The budgets of a number and of an address: sliding windows over what was sent, which outlive resends and restarts."""

import datetime

from trunkline.clock import iso
from trunkline.storage.database import Row
from trunkline.verify.policy import VerifyPolicy
from trunkline.verify.problems import TooManyChecks, TooManyFromAddress, TooManySends

TEN_MINUTES = datetime.timedelta(minutes=10)
DAY = datetime.timedelta(days=1)


def check(facts: Row, policy: VerifyPolicy) -> None:
    """Raises TooManySends, TooManyFromAddress or TooManyChecks, with the rule, its value and its threshold."""
    options, now = policy.options, facts["clock"]
    sends = facts["sends"] or []
    for rule, most, window in (
        ("sends_per_day", options.sends_per_day, DAY),
        ("sends_per_ten_minutes", options.sends_per_ten_minutes, TEN_MINUTES),
    ):
        within = [each for each in sends if each > now - window]
        if len(within) >= most:
            raise TooManySends(
                f"{len(within)} texts went to this number within {'24 hours' if window is DAY else '10 minutes'}; "
                f"{most} may.",
                rule=rule, value=len(within), threshold=most, retry_at=_again(within[most - 1], window),
            )  # fmt: skip
    starts = facts["starts_of_address"] or []
    if len(starts) >= options.starts_per_address:
        window = datetime.timedelta(seconds=options.address_seconds)
        raise TooManyFromAddress(
            f"{len(starts)} verifications began from this address within {options.address_seconds} s; "
            f"{options.starts_per_address} may.",
            rule="starts_per_address", value=len(starts), threshold=options.starts_per_address,
            retry_at=_again(starts[options.starts_per_address - 1], window),
        )  # fmt: skip
    failed = sum(facts["failed"] or [])
    if failed >= options.checks_per_day:
        raise too_many_checks(failed, options.checks_per_day, _again(facts["failed_at"][0], DAY))


def too_many_checks(failed: int, most: int, retry_at: str) -> TooManyChecks:
    return TooManyChecks(
        f"{failed} wrong codes were checked for this number within 24 hours; {most} may.",
        rule="failed_checks_per_day", value=failed, threshold=most, retry_at=retry_at,
    )  # fmt: skip


def _again(since: datetime.datetime, window: datetime.timedelta) -> str:
    return iso(since + window + datetime.timedelta(microseconds=999_999))
