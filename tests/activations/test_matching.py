"""Which lease a text belongs to: one at most, and none rather than the wrong one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from trunkline.activations.caseless import as_read
from trunkline.activations.matching import KEPT_BACK, Candidate, Senders, match, sender_fits
from trunkline.catalog.services import ANY, Service
from trunkline.codes import Brands

SLUGS = (ANY, "whatsapp", "telegram", "uber")


def service(slug: str, *senders: str) -> Service:
    return Service(SLUGS.index(slug), slug, slug.title(), None, senders, ())


def slugs_of(named: str | None) -> tuple[str, ...]:
    return (named,) if named else ()


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
    found = match("Your code is 847291", "INFO", slugs_of(named), sent_by, leases)
    assert found.activation_id == owner
    assert found.reason


def test_a_service_that_sends_in_the_name_of_another_gets_the_text_unless_that_one_is_leased_too() -> None:
    named = ("telegram", "whatsapp")  # what goes by the name in the text, its own service first
    assert match("847291", "INFO", named, None, [WHATSAPP]).activation_id == 1
    assert match("847291", "INFO", named, None, [WHATSAPP, TELEGRAM]).activation_id == 2
    assert match("847291", "INFO", ("uber", "whatsapp", "telegram"), None, [WHATSAPP, TELEGRAM]).activation_id is None


def test_a_name_that_the_text_only_speaks_of_weighs_less_than_the_sender_id() -> None:
    both = [WHATSAPP, TELEGRAM]
    assert match("847291", "INFO", ("whatsapp",), "telegram", both, signed=False).activation_id == 2
    assert match("847291", "INFO", ("whatsapp",), "uber", both, signed=False).activation_id is None
    assert match("847291", "INFO", ("whatsapp",), None, both, signed=False).activation_id == 1


@pytest.mark.parametrize(
    ("text", "named", "sent_by", "leases", "reason"),
    [
        ("x", "whatsapp", None, [WHATSAPP], "the text names its service"),
        ("x", None, "whatsapp", [WHATSAPP, TELEGRAM], "the sender ID is one of its service"),
        ("x", None, None, [WHATSAPP], "it names no other service, and no other lease could be meant"),
        ("x", None, None, [WHATSAPP, TELEGRAM], "it names no service and could be meant for any of 2 leases"),
        ("x", "uber", None, [WHATSAPP], "it is meant for uber, which is not leased"),
        ("x", None, "uber", [WHATSAPP], "it is meant for uber, which is not leased"),
        ("x", "uber", None, [ALONE], "the lease takes every text on its number"),
        ("x", None, None, [], "no lease was live on the number"),
        ("x", None, None, [lease(1, "whatsapp", contains="y")], KEPT_BACK),
        ("xy", None, None, [lease(1, "whatsapp", contains="y"), TELEGRAM], "it passes the sender or contains filter"),
        (
            "xy",
            None,
            None,
            [lease(1, "whatsapp", contains="y"), lease(2, "telegram", contains="x")],
            "it passes the filters of 2 leases",
        ),
    ],
)
def test_every_decision_has_its_reason(
    text: str, named: str | None, sent_by: str | None, leases: list[Candidate], reason: str
) -> None:
    assert match(text, "INFO", slugs_of(named), sent_by, leases).reason.startswith(reason)


@pytest.mark.parametrize(
    ("filtered", "text", "sender", "owner"),
    [
        (lease(1, "whatsapp", sender="acme"), "847291", "ACME", 1),
        (lease(1, "whatsapp", sender="acme"), "847291", "Other", None),
        (lease(1, "whatsapp", contains="berlin"), "847291 for BERLIN", "x", 1),
        (lease(1, "whatsapp", contains="berlin"), "847291", "x", None),
        (lease(1, "whatsapp", sender="acme", contains="berlin"), "berlin", "Other", None),
        (lease(1, ANY, contains="berlin"), "847291", "x", None),
        (lease(1, ANY, contains="Straße 5"), "847291, STRASSE\N{NO-BREAK SPACE} \n5", "x", 1),
        (
            lease(1, ANY, contains="cafe\N{COMBINING ACUTE ACCENT}"),
            "Caf\N{LATIN SMALL LETTER E WITH ACUTE}: 84",
            "x",
            1,
        ),
        (lease(1, ANY, contains="Login code"), "Lo\N{ZERO WIDTH SPACE}gin co\N{SOFT HYPHEN}de: 847291", "x", 1),
        (lease(1, ANY, contains="１２３"), "code 123", "x", 1),
        (lease(1, ANY, contains="ＡＣＭＥ"), "\N{MATHEMATICAL BOLD CAPITAL A}cme 84", "x", 1),
        (lease(1, ANY, contains="code is"), "codeis 84", "x", None),
        (lease(1, ANY, contains="Berlin"), "Bern", "x", None),
        (lease(1, ANY, sender="My  Bank*"), "84", "MY\N{NO-BREAK SPACE}BANK-2", 1),
        (lease(1, ANY, sender="*ΣΊΣΥΦΟΣ"), "84", "at σίσυφος", 1),
    ],
)
def test_a_lease_gets_only_what_its_filters_let_through(
    filtered: Candidate, text: str, sender: str, owner: int | None
) -> None:
    assert match(text, sender, (), None, [filtered]).activation_id == owner


def test_a_filter_that_fits_claims_a_text_that_names_a_service_nobody_leases() -> None:
    claimed = lease(1, "whatsapp", sender="acme*")
    assert match("Uber code 847291", "ACME-1", ("uber",), None, [claimed, TELEGRAM]).activation_id == 1
    assert match("Telegram code 84729", "ACME-1", ("telegram",), None, [claimed, TELEGRAM]).activation_id == 2


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
    brands = Brands((each.slug, each.name, "", ()) for each in catalog)
    senders = Senders({each.slug: each.senders for each in catalog}, brands)
    found = [senders.service(sender) for sender in ("WHATSAPP", "wax", "WAXY", "Nobody", "")]
    assert found == ["whatsapp", "telegram", "whatsapp", None, None]


@pytest.mark.parametrize(
    ("sender", "slug"),
    [
        ("UBER", "uber"),
        ("Harbor Bank", "harborbank"),
        ("HARBORBANK", "harborbank"),
        ("harbor-bank", "harborbank"),
        ("VM-HARBORBANK-S", "harborbank"),
        ("Haven", None),
        ("+14155550123", None),
        ("22000", None),
    ],
)
def test_a_sender_id_that_is_the_name_of_a_service_is_that_service(sender: str, slug: str | None) -> None:
    brands = Brands([("uber", "Uber", "", ()), ("harborbank", "Harbor Bank", "", ())])
    assert Senders({}, brands).service(sender) == slug


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
    found = match(text, sender, slugs_of(named), sent_by, leases)
    assert match(text, sender, slugs_of(named), sent_by, leases[::-1]) == found, (
        "the order of the leases decides nothing"
    )
    assert found.reason
    if found.activation_id is None:
        return
    owner = leases[found.activation_id - 1]
    assert owner.sender_filter is None or sender_fits(owner.sender_filter, sender)
    assert owner.contains_filter is None or as_read(owner.contains_filter) in as_read(text)
    plainly_for = owner.service.slug in (ANY, named, sent_by) or owner.sender_filter or owner.contains_filter
    assert plainly_for or (named is None and sent_by is None)
