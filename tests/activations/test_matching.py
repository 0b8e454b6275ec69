"""Which lease a text belongs to: one at most, and none rather than the wrong one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from trunkline.activations.matching import Candidate, Senders, match, sender_fits
from trunkline.catalog.services import ANY, Service

SLUGS = (ANY, "whatsapp", "telegram", "uber")


def service(slug: str, *senders: str) -> Service:
    return Service(SLUGS.index(slug), slug, slug.title(), None, senders, ())


def lease(activation_id: int, slug: str, *, sender: str | None = None, contains: str | None = None) -> Candidate:
    return Candidate(activation_id, service(slug), sender, contains)


WHATSAPP, TELEGRAM, ALONE = lease(1, "whatsapp"), lease(2, "telegram"), lease(3, ANY)


@pytest.mark.parametrize(
    ("named", "sent_by", "leases", "owner"),
    [
        ("whatsapp", None, [WHATSAPP, TELEGRAM], 1),
        (None, "telegram", [WHATSAPP, TELEGRAM], 2),
        ("whatsapp", "telegram", [WHATSAPP, TELEGRAM], 1),  # the words weigh more than the sender ID
        ("uber", "telegram", [WHATSAPP, TELEGRAM], 2),
        (None, None, [WHATSAPP], 1),
        (None, None, [WHATSAPP, TELEGRAM], None),
        ("uber", None, [WHATSAPP], None),
        (None, "uber", [WHATSAPP], None),
        ("uber", None, [ALONE], 3),
        (None, None, [], None),
    ],
)
def test_the_text_and_its_sender_decide_between_services(
    named: str | None, sent_by: str | None, leases: list[Candidate], owner: int | None
) -> None:
    found = match("Your code is 847291", "INFO", named, sent_by, leases)
    assert found.activation_id == owner
    assert (found.reason is None) == (owner is not None)


@pytest.mark.parametrize(
    ("filtered", "text", "sender", "owner"),
    [
        (lease(1, "whatsapp", sender="acme"), "847291", "ACME", 1),
        (lease(1, "whatsapp", sender="acme"), "847291", "Other", None),
        (lease(1, "whatsapp", contains="berlin"), "847291 for BERLIN", "x", 1),
        (lease(1, "whatsapp", contains="berlin"), "847291", "x", None),
        (lease(1, "whatsapp", sender="acme", contains="berlin"), "berlin", "Other", None),
        (lease(1, ANY, contains="berlin"), "847291", "x", None),
    ],
)
def test_a_lease_gets_only_what_its_filters_let_through(
    filtered: Candidate, text: str, sender: str, owner: int | None
) -> None:
    assert match(text, sender, None, None, [filtered]).activation_id == owner


def test_a_filter_that_fits_claims_a_text_that_names_a_service_nobody_leases() -> None:
    claimed = lease(1, "whatsapp", sender="acme*")
    assert match("Uber code 847291", "ACME-1", "uber", None, [claimed, TELEGRAM]).activation_id == 1
    assert match("Telegram code 84729", "ACME-1", "telegram", None, [claimed, TELEGRAM]).activation_id == 2


@pytest.mark.parametrize(
    ("pattern", "sender", "fits"),
    [
        ("WhatsApp", "whatsapp", True),
        ("WhatsApp", "WhatsApp2", False),
        ("What*", "WHATSAPP", True),
        ("*app", "WhatsApp", True),
        ("*ats*", "WhatsApp", True),
        ("*ats*", "Telegram", False),
        ("app*", "WhatsApp", False),
        ("*", "anything", True),
    ],
)
def test_a_sender_pattern_may_be_open_at_either_end(pattern: str, sender: str, fits: bool) -> None:
    assert sender_fits(pattern, sender) is fits


def test_a_sender_id_names_its_service_by_the_plain_id_before_a_pattern() -> None:
    catalog = [service("whatsapp", "WhatsApp", "WA*"), service("telegram", "Telegram", "WAX"), service("uber")]
    senders = Senders({each.slug: each for each in catalog})
    found = [senders.service(sender) for sender in ("WHATSAPP", "wax", "WAXY", "Nobody", "")]
    assert found == ["whatsapp", "telegram", "whatsapp", None, None]


words: SearchStrategy[str] = st.text("aBc *+1", max_size=6)
filters: SearchStrategy[str | None] = st.none() | st.text("aBc *+1", min_size=1, max_size=4)
slugs: SearchStrategy[str | None] = st.none() | st.sampled_from(SLUGS[1:])
others = st.dictionaries(st.sampled_from(SLUGS[1:]), st.tuples(filters, filters))  # at most one lease for each service
alone = st.tuples(filters, filters).map(lambda pair: {ANY: pair})


@given(text=words, sender=words, named=slugs, sent_by=slugs, live=others | alone)
def test_a_text_goes_to_one_lease_that_lets_it_through_or_to_nobody_with_a_reason(
    text: str,
    sender: str,
    named: str | None,
    sent_by: str | None,
    live: dict[str, tuple[str | None, str | None]],
) -> None:
    leases = [
        Candidate(number, service(slug), sender_filter, contains)
        for number, (slug, (sender_filter, contains)) in enumerate(live.items(), 1)
    ]
    found = match(text, sender, named, sent_by, leases)
    assert match(text, sender, named, sent_by, leases[::-1]) == found, "the order of the leases decides nothing"
    if found.activation_id is None:
        assert found.reason
        return
    assert found.reason is None
    owner = leases[found.activation_id - 1]
    assert owner.sender_filter is None or sender_fits(owner.sender_filter, sender)
    assert owner.contains_filter is None or owner.contains_filter.casefold() in text.casefold()
    plainly_for = owner.service.slug in (ANY, named, sent_by) or owner.sender_filter or owner.contains_filter
    assert plainly_for or (named is None and sent_by is None)
