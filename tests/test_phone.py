import contextlib
import subprocess
import sys

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat

from trunkline.catalog.countries import countries
from trunkline.errors import InvalidRequest
from trunkline.phone import mask, parse_e164, region_of

E164_SHAPES = st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True)


@pytest.mark.parametrize(
    "number", ["+14155550123", "+447700900123", "+441632960999", "+33639980012", "+353209101234", "+390612345678"]
)
def test_a_number_is_taken_as_it_is_written_even_from_a_range_reserved_for_fiction(number: str) -> None:
    assert parse_e164(number) == number


@pytest.mark.parametrize("region", sorted(phonenumbers.SUPPORTED_REGIONS))
def test_a_number_of_every_region_is_taken(region: str) -> None:
    example = phonenumbers.example_number(region)
    assert example is not None
    number = phonenumbers.format_number(example, PhoneNumberFormat.E164)
    assert parse_e164(number) == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "14155550123",
        "0044 7700 900123",
        "+1 415 555 0123",
        "+1-415-555-0123",
        "+1415555012a",
        "+14155550123\n",
        " +14155550123",
        "+١٤١٥٥٥٥٠١٢٣",
        "+123456",
        "+1234567890123456",
        "+04155550123",
        "++14155550123",
        "tel:+14155550123",
        "+14155550123;ext=4",
    ],
)
def test_what_is_not_written_as_e164_is_refused_and_the_field_is_named(text: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        parse_e164(text)
    assert refusal.value.members() == {"field": "phone_number"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("+9991234567", "calling code of any country"),
        ("+1415555012", "too short or too long"),
        ("+141555501234", "too short or too long"),
        ("+15550123", "too short or too long"),  # a local number: possible only to a caller in the same area
        ("+4407700900123", "trunk prefix"),
    ],
)
def test_a_refusal_says_what_is_wrong(text: str, why: str) -> None:
    with pytest.raises(InvalidRequest, match=why):
        parse_e164(text)


@given(st.one_of(st.text(max_size=20), E164_SHAPES))
def test_any_text_is_either_returned_unchanged_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidRequest):
        assert parse_e164(text) == text


@pytest.mark.parametrize(
    ("number", "region"),
    [
        ("+14155550123", "us"),
        ("+14165550123", "ca"),
        ("+12425550123", "bs"),
        ("+77012345678", "kz"),
        ("+447700900123", "gb"),
        ("+441632960123", "gb"),
        ("+441534123456", "je"),
        ("+33639980012", "fr"),
        ("+353209101234", "ie"),
        ("+24741234", "sh"),  # Ascension
        ("+38344123456", None),  # Kosovo, not in ISO 3166-1
        ("+88213300655", None),  # satellite
        ("+9991234567", None),
        ("nonsense", None),
    ],
)
def test_a_number_belongs_to_the_country_of_its_range_or_else_of_its_calling_code(
    number: str, region: str | None
) -> None:
    assert region_of(number) == region


@given(E164_SHAPES)
def test_the_country_of_a_number_is_one_of_the_catalog(number: str) -> None:
    assert region_of(number) is None or region_of(number) in countries()


def test_a_log_shows_the_start_and_the_last_two_digits() -> None:
    assert mask("+14155550123") == "+14…23"
    assert mask("+447700900199") == "+44…99"


@given(E164_SHAPES)
def test_a_log_shows_neither_the_subscriber_nor_the_length(number: str) -> None:
    hidden = mask(number)
    assert len(hidden) == 6
    assert number[3:-2] not in hidden


@given(st.text(max_size=7))
def test_what_is_too_short_to_be_a_number_is_hidden_whole(text: str) -> None:
    assert mask(text) == "…"


def test_reading_phone_numbers_loads_nothing_heavy_but_phonenumbers() -> None:
    script = "import sys, trunkline.phone; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    third_party = set(loaded.stdout.split()) & {"babel", "asyncpg", "starlette", "uvicorn", "phonenumbers"}
    assert third_party == {"phonenumbers"}
