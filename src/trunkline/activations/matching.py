"""Which lease a text belongs to. Pure.

A number can serve several services at once. The sender, the text and the filters of the leases decide; where they do
not, the only lease that could be meant gets the text, and otherwise nobody does. Never two.
"""

import dataclasses
from collections.abc import Mapping, Sequence

from trunkline.catalog.services import ANY, Service


@dataclasses.dataclass(frozen=True, slots=True)
class Candidate:
    """A live lease on the number that a text came to."""

    activation_id: int
    service: Service
    sender_filter: str | None
    contains_filter: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class Match:
    """The lease that gets the text, or why nobody does."""

    activation_id: int | None
    reason: str | None


def sender_fits(pattern: str, sender: str) -> bool:
    """Whether a sender is one that the pattern names: case does not matter, * stands at the start or the end."""
    pattern, sender = pattern.casefold(), sender.casefold()
    inner = pattern.strip("*")
    if pattern.startswith("*") and pattern.endswith("*"):
        return inner in sender
    if pattern.startswith("*"):
        return sender.endswith(inner)
    if pattern.endswith("*"):
        return sender.startswith(inner)
    return sender == pattern


class Senders:
    """Finds the service of a sender ID among thousands: one look-up for plain IDs, a scan for patterns."""

    def __init__(self, services: Mapping[str, Service]) -> None:
        self._plain = {
            sender.casefold(): slug
            for slug, service in services.items()
            for sender in service.senders
            if "*" not in sender
        }
        self._patterns = [
            (sender, slug) for slug, service in services.items() for sender in service.senders if "*" in sender
        ]

    def service(self, sender: str) -> str | None:
        plain = self._plain.get(sender.casefold())
        if plain is not None:
            return plain
        return next((slug for pattern, slug in self._patterns if sender_fits(pattern, sender)), None)


def match(text: str, sender: str, named: str | None, sent_by: str | None, leases: Sequence[Candidate]) -> Match:
    """``named``: the service that the text names; ``sent_by``: the service whose sender ID it came from; or None."""
    if not leases:
        return Match(None, "no lease was live on the number")
    open_to = [lease for lease in leases if _filters_pass(lease, text, sender)]
    if not open_to:
        return Match(None, "the sender or contains filter of the lease does not let it through")
    wanted = [lease for lease in open_to if lease.service.slug == ANY]
    if not wanted:
        wanted = [lease for lease in open_to if lease.service.slug in (named, sent_by)]
    if len(wanted) > 1:  # the words of the text weigh more than a sender ID, which carriers rewrite
        wanted = [lease for lease in wanted if lease.service.slug == named]
    if not wanted:
        wanted = [lease for lease in open_to if lease.sender_filter or lease.contains_filter]
    if not wanted:
        other = named or sent_by
        if other is not None:
            return Match(None, f"it is meant for {other}, which is not leased")
        wanted = open_to
    if len(wanted) > 1:
        return Match(None, f"it could be meant for any of {len(wanted)} leases")
    return Match(wanted[0].activation_id, None)


def _filters_pass(lease: Candidate, text: str, sender: str) -> bool:
    if lease.sender_filter is not None and not sender_fits(lease.sender_filter, sender):
        return False
    return lease.contains_filter is None or lease.contains_filter.casefold() in text.casefold()
