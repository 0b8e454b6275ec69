"""What the texts say: every language, every template, and words of an app's own."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.carriers import alphabets
from trunkline.catalog.countries import countries
from trunkline.codes import extract
from trunkline.codes.webotp import bound_code
from trunkline.errors import InvalidRequest
from trunkline.verify import messages
from trunkline.verify.messages import languages
from trunkline.verify.messages.lint import lint
from trunkline.verify.messages.segments import segments

LANGUAGES = sorted(languages.templates())
BRANDS = ("", "ACME", "Blue Bird", "Marta's")
CODES = st.text("0123456789", min_size=4, max_size=10)


def rendered(language: str, template: str, code: str, brand: str = "ACME", seconds: int = 300) -> str:
    return messages.render(brand=brand, code=code, seconds=seconds, locale=language, country="", template=template).text


@given(st.sampled_from(LANGUAGES), st.sampled_from(sorted(messages.TEMPLATES)), st.sampled_from(BRANDS), CODES)
def test_the_code_of_every_text_is_read_back(language: str, template: str, brand: str, code: str) -> None:
    text = rendered(language, template, code, brand)
    assert extract(text).code == code, text


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_text_fits_into_one_part(language: str) -> None:
    assert segments(rendered(language, "default", "482913", "Elf letters", 600)).parts == 1


def test_there_are_the_languages_of_most_people() -> None:
    assert len(LANGUAGES) >= 60
    assert all(re.fullmatch(r"[a-z]{2,3}(-[A-Z][a-z]{3}|-[A-Z]{2})?", language) for language in LANGUAGES)
    assert all(set(words) == {"code", "minutes", "warning", "payment"} for words in languages.templates().values())


def test_every_country_gets_a_language_that_there_is() -> None:
    for country in countries():
        language, is_found = languages.choose(None, country)
        assert language in LANGUAGES
        assert is_found
    assert set(languages.OF_COUNTRY) - set(countries()) <= {"xk"}


@pytest.mark.parametrize(
    ("locale", "country", "language", "is_found"),
    [
        ("de", "us", "de", True),
        ("de-AT", "us", "de", True),
        ("pt_BR", "pt", "pt-BR", True),
        ("pt-AO", "us", "pt", True),
        ("zh-TW", "us", "zh-Hant", True),
        ("zh", "us", "zh-Hans", True),
        ("no", "us", "nb", True),
        ("EN-gb", "de", "en", True),
        ("tlh", "de", "de", False),
        ("tlh", "us", "en", False),
        (None, "at", "de", True),
        (None, "br", "pt-BR", True),
        (None, "", "en", True),
    ],
)
def test_the_language_is_the_locales_else_the_countrys(
    locale: str | None, country: str, language: str, is_found: bool
) -> None:
    assert languages.choose(locale, country) == (language, is_found)


def test_a_language_that_there_is_not_is_said() -> None:
    message = messages.render(brand="", code="482913", seconds=300, locale="tlh", country="at", template="default")
    assert message.locale == "de"
    assert message.notes == ("There are no texts in 'tlh': it is sent in 'de'.",)


def test_minutes_are_never_fewer_than_none_and_never_too_few() -> None:
    assert "2 min" in rendered("en", "default", "482913", seconds=61)
    assert "1 min" in rendered("en", "default", "482913", seconds=60)


def test_the_last_line_binds_the_code_to_a_site() -> None:
    message = messages.render(
        brand="ACME", code="482913", seconds=300, locale="en", country="", template="default",
        web_otp_domain="Example.com",
    )  # fmt: skip
    assert bound_code(message.text) == ("example.com", "482913")
    assert message.text.endswith("\n\n@example.com #482913")


def test_the_last_line_names_the_app_or_the_site_and_never_both() -> None:
    def text(**more: str) -> str:
        return messages.render(
            brand="ACME", code="482913", seconds=300, locale="en", country="", template="short", **more
        ).text

    assert text(app_hash="FA+9qCX9VSu").endswith("\nFA+9qCX9VSu")
    for wrong in (
        {"app_hash": "FA+9qCX9VSu", "web_otp_domain": "example.com"},
        {"app_hash": "short"},
        {"web_otp_domain": "https://example.com"},
        {"web_otp_domain": "localhost"},
        {"web_otp_domain": "exa mple.com"},
    ):
        with pytest.raises(InvalidRequest):
            text(**wrong)


def test_a_payment_is_named_in_every_language() -> None:
    for language in LANGUAGES:
        text = messages.render(
            brand="ACME", code="482913", seconds=300, locale=language, country="", template="default",
            amount="25.00 EUR", payee="ACME Books",
        ).text  # fmt: skip
        assert "25.00 EUR" in text
        assert "ACME Books" in text


@pytest.mark.parametrize(
    "brand",
    [
        "x" * 31,
        "x" * 10_000,
        "acme.com",
        "https://acme",
        "ACME\nCorp",
        "AC{code}ME",
        "call +14155550123",
        "a\u202eb",
        " ",
    ],
)
def test_what_is_no_name_is_refused_as_a_brand(brand: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        messages.check_brand(brand)
    assert refused.value.field == "brand"


@pytest.mark.parametrize("brand", ["ACME", "Dr. Müller & Co", "大众点评", "A.B.C.", "7-Eleven", "Toys'R'Us"])
def test_a_name_may_be_any_name(brand: str) -> None:
    messages.check_brand(brand)


@pytest.mark.parametrize(
    "text", ["", "no code", "{code} {code}", "{code} {name}", "{code", "{code} {}", "x" * 300 + "{code}", "{code}\0"]
)
def test_words_that_are_no_text_for_a_code_are_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        messages.check_text(text)


@pytest.mark.parametrize(
    ("text", "needs"),
    [
        ("{brand}: {code} is your code.", False),
        ("{code} is good for {minutes} min. Call nobody.", False),
        ("{code} https://acme.example/x", True),
        ("{code} acme.com/verify", True),
        ("{code} or see www.acme.example", True),
        ("{code}. Call 0800 123 456 7", True),
    ],
)
def test_words_that_lead_somewhere_need_the_operators_approval(text: str, needs: bool) -> None:
    messages.check_text(text)
    assert messages.needs_approval(text) is needs


@given(st.text(min_size=1, max_size=400))
def test_segments_are_those_that_the_links_send(text: str) -> None:
    cut = segments(text)
    payloads, alphabet = alphabets.split(text)
    assert cut.parts == len(payloads)
    assert (cut.encoding == "GSM-7") is (alphabet.value == "gsm7")
    assert bool(cut.forced_by) is (cut.encoding == "UCS-2")
    assert cut.left >= 0
    for forced in cut.forced_by:
        assert text[forced.position] == forced.character


def test_lint_says_which_character_makes_a_text_dear() -> None:
    report = lint("{brand}: {code} is your code – it’s good for {minutes} min.")
    assert report.ok
    assert [(each.code, each.instead) for each in report.findings] == [("ucs2", "-"), ("ucs2", "'")]
    assert report.encoding == "UCS-2"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{brand} {name}: {code}", "refused"),
        ("{code} is your code. " * 2, "refused"),
        ("482913 is your code. " * 9, "parts"),
        ("Welcome to the shop.", "unread"),
        ("482913 is your code: acme.example/login", "link"),
        ("482913 IS YOUR VERIFICATION CODE FOR ACME.", "capitals"),
        ("482913 is your code.\n\n@example.com#482913", "web_otp"),
    ],
)
def test_lint_finds_what_is_wrong(text: str, code: str) -> None:
    assert code in {finding.code for finding in lint(text).findings}


def test_lint_has_nothing_to_say_of_our_own_texts() -> None:
    for language in LANGUAGES:
        report = lint(rendered(language, "default", "482913"))
        assert {finding.code for finding in report.findings} <= {"ucs2"}, report
