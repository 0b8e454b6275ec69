"""Which lease a text belongs to, and why. Pure.

A number can serve several services at once. The sender, the text and the filters of the leases decide; where they do
not, the only lease that could be meant gets the text, and otherwise nobody does. Never two.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Literal

from trunkline.activations.caseless import as_read, pattern_as_read
from trunkline.catalog.services import ANY, Service
from trunkline.codes import Brands

# What made a text a lease's; "alone": nothing but that no other could be meant.
By = Literal["name", "sender", "filter", "any", "alone", "nobody"]


@dataclasses.dataclass(frozen=True, slots=True)
class Candidate:
    """A live lease on the number that a text came to."""

    activation_id: int
    service: Service
    sender_filter: str | None
    contains_filter: str | None
    named_only: bool = False  # beyond its account's caps, by a proof: a text must name the service or come from it


@dataclasses.dataclass(frozen=True, slots=True)
class Match:
    """The lease that gets the text, or nobody; and why, as the end of a sentence that begins with "because"."""

    activation_id: int | None
    reason: str
    by: By = dataclasses.field(default="nobody", compare=False)


KEPT_BACK = "the sender or contains filter of the lease does not let it through"
UNNAMED = "beyond the account's caps, a lease for its own service gets only texts that name it or come from its senders"


def sender_fits(pattern: str, sender: str) -> bool:
    """Whether a sender is one that the pattern names, as a person reads both; * stands at the start or the end."""
    return _fits(pattern_as_read(pattern), as_read(sender))


def _fits(pattern: str, sender: str) -> bool:
    inner = pattern.strip("* ")
    if pattern.startswith("*") and pattern.endswith("*"):
        return inner in sender
    if pattern.startswith("*"):
        return sender.endswith(inner)
    if pattern.endswith("*"):
        return sender.startswith(inner)
    return sender == pattern


class Senders:
    """Finds the service of a sender ID among thousands: one look-up for plain IDs, a scan for patterns.

    ``patterns``: for each slug the sender IDs of its service. An ID that none fits may still be a service's name.
    """

    def __init__(self, patterns: Mapping[str, Sequence[str]], brands: Brands) -> None:
        self._brands = brands
        self._plain: dict[str, str] = {}
        self._open: list[tuple[str, str]] = []
        for slug, senders in patterns.items():
            for sender in senders:
                if "*" in sender:
                    self._open.append((as_read(sender), slug))
                else:
                    self._plain.setdefault(as_read(sender), slug)

    def service(self, sender: str) -> str | None:
        """The slug of the service that sends under this ID, or None."""
        read = as_read(sender)
        plain = self._plain.get(read)
        if plain is not None:
            return plain
        fitting = (slug for pattern, slug in self._open if _fits(pattern, read))
        return next(fitting, None) or self._brands.of_sender(sender)


def match(
    text: str,
    sender: str,
    named: Sequence[str],
    sent_by: str | None,
    leases: Sequence[Candidate],
    *,
    signed: bool = True,
) -> Match:
    """The lease that a text is for.

    ``named``: the services that go by the name in the text, its own first (Gmail texts say Google); ``signed``: whether
    the text gives that name as its sender's, or only speaks of it; ``sent_by``: the service whose sender ID it came
    from, or None.
    """
    if sent_by is not None and not signed:
        named = ()
    if not leases:
        return Match(None, "no lease was live on the number")
    open_to = [lease for lease in leases if _filters_pass(lease, text, sender)]
    if not open_to:
        return Match(None, KEPT_BACK)
    for lease in open_to:
        if lease.service.slug == ANY:
            return Match(lease.activation_id, "the lease takes every text on its number", "any")
    # The words of the text weigh more than a sender ID, which carriers rewrite.
    grounds: tuple[tuple[Sequence[str | None], str, By], ...] = (
        (named[:1], "the text names its service", "name"),
        (named[1:], "the text names {}, in whose name its service sends", "name"),
        ((sent_by,), "the sender ID is one of its service", "sender"),
    )
    for slugs, reason, by in grounds:
        wanted = [lease for lease in open_to if lease.service.slug in slugs]
        if len(wanted) == 1:
            return Match(wanted[0].activation_id, reason.format(*named[:1]), by)
    is_unnamed = all(lease.named_only for lease in open_to)
    open_to = [lease for lease in open_to if not lease.named_only]
    filtered = [lease for lease in open_to if lease.sender_filter or lease.contains_filter]
    if len(filtered) == 1:
        return Match(filtered[0].activation_id, "it passes the sender or contains filter of the lease", "filter")
    if filtered:
        return Match(None, f"it passes the filters of {len(filtered)} leases")
    other = named[0] if named else sent_by
    if other is not None:
        return Match(None, f"it is meant for {other}, which is not leased")
    if is_unnamed:
        return Match(None, UNNAMED)
    if len(open_to) > 1:
        return Match(None, f"it names no service and could be meant for any of {len(open_to)} leases")
    return Match(open_to[0].activation_id, "it names no other service, and no other lease could be meant", "alone")


def _filters_pass(lease: Candidate, text: str, sender: str) -> bool:
    if lease.sender_filter is not None and not sender_fits(lease.sender_filter, sender):
        return False
    return lease.contains_filter is None or pattern_as_read(lease.contains_filter) in as_read(text)
