import pycountry
import pytest
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE

from trunkline.catalog.countries import Country, countries


def test_every_country_of_iso_3166_is_there_and_nothing_else() -> None:
    assert set(countries()) == {country.alpha_2.lower() for country in pycountry.countries}
    assert len(countries()) == 249


def test_countries_are_keyed_and_ordered_by_their_lower_case_code() -> None:
    assert [country.code for country in countries().values()] == sorted(countries())


@pytest.mark.parametrize(
    ("code", "name", "calling_code"),
    [
        ("us", "United States", "+1"),
        ("gb", "United Kingdom", "+44"),
        ("kz", "Kazakhstan", "+7"),
        ("ci", "Côte d’Ivoire", "+225"),
        ("tr", "Türkiye", "+90"),
    ],
)
def test_a_country_has_its_english_name_and_calling_code(code: str, name: str, calling_code: str) -> None:
    assert countries()[code] == Country(code, name, calling_code)


@pytest.mark.parametrize("code", ["ca", "bs", "jm", "pr", "do", "um"])
def test_the_north_american_plan_is_plus_one_without_an_area_code(code: str) -> None:
    assert countries()[code].calling_code == "+1"


def test_every_calling_code_is_one_that_phone_numbers_can_begin_with() -> None:
    assigned = {f"+{calling_code}" for calling_code in COUNTRY_CODE_TO_REGION_CODE}
    assert {country.calling_code for country in countries().values()} <= assigned


def test_the_exceptions_cover_only_what_libphonenumber_leaves_out() -> None:
    known = {region.lower() for regions in COUNTRY_CODE_TO_REGION_CODE.values() for region in regions}
    assert set(countries()) - known == {"aq", "bv", "gs", "hm", "pn", "tf", "um"}


def test_the_shared_table_cannot_be_changed_by_a_caller() -> None:
    with pytest.raises(TypeError):
        countries()["us"] = countries()["gb"]  # type: ignore[index]
