"""Quotas on leases, defined once: the operator sets them for everybody, an account may have its own."""

from typing import Generic, TypeVar

import msgspec

Count = TypeVar("Count", covariant=True)
Share = TypeVar("Share", covariant=True)


class Caps(msgspec.Struct, Generic[Count, Share], frozen=True):
    """On an account's leases of real carriers, and not on those of services that the customer has proved to be theirs;
    those of ``test_…`` on its leases by test keys. Where None may stand, it is for no such cap."""

    max_active: Count  # leases at a time
    purchases_per_hour: Count
    cancels_per_hour: Count
    success_floor: Share  # of the last leases, 0 to 1: so many must have got a text
    test_max_active: Count  # leases at a time
    test_max_any: Count  # of them for the service ``any``, each of which takes a number from everybody
    test_country_share: Share  # of a country's test numbers, 0 to 1, at a time
    test_purchases_per_day: Count


UNCAPPED: Caps[int | None, float | None] = Caps(None, None, None, None, None, None, None, None)
SHARES = ("success_floor", "test_country_share")
