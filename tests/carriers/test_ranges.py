from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.carriers import ranges
from trunkline.carriers.ranges import SimulatedNumber, is_reserved, simulated_numbers
from trunkline.catalog.countries import countries
from trunkline.phone import parse_e164, region_of

Network = list[SimulatedNumber]


@pytest.fixture(scope="module")
def network() -> Network:
    return list(simulated_numbers(seed=1))


def test_the_same_seed_gives_the_same_numbers_in_the_same_order(network: Network) -> None:
    assert list(simulated_numbers(seed=1)) == network


def test_another_seed_gives_another_order(network: Network) -> None:
    assert list(simulated_numbers(seed=2)) != network


def test_no_number_comes_twice(network: Network) -> None:
    assert len({number.e164 for number in network}) == len(network)


def test_a_country_gets_no_more_numbers_than_the_cap(network: Network) -> None:
    stock = Counter(number.country for number in network)
    assert max(stock.values()) == 2000
    assert {country for country, count in stock.items() if count == 2000} == {"au", "ca", "de", "fr", "gb", "ie", "us"}


@given(st.integers(), st.integers(min_value=0, max_value=40))
def test_the_cap_can_be_any_number(seed: int, cap: int) -> None:
    stock = Counter(number.country for number in simulated_numbers(seed, cap))
    assert set(stock.values()) <= {cap}


def test_every_country_with_a_published_range_has_numbers(network: Network) -> None:
    stocked = {number.country for number in network}
    assert {"us", "ca", "bs", "jm", "pr", "tt", "gb", "au", "fr", "de", "se", "ie"} <= stocked
    assert stocked <= set(countries())


def test_no_range_is_invented_where_the_regulator_published_none(network: Network) -> None:
    unknown = {"nz", "no", "fi", "dk", "kr", "be", "ch", "es", "pl", "hu", "nl"}
    assert unknown.isdisjoint(number.country for number in network)


def test_every_simulated_number_is_reserved_so_no_real_carrier_may_reach_it(network: Network) -> None:
    assert [number for number in network if not is_reserved(number.e164)] == []


def test_every_simulated_number_reads_as_a_number_of_its_country(network: Network) -> None:
    assert [number for number in network if region_of(parse_e164(number.e164)) != number.country] == []


def test_every_simulated_number_names_its_operator(network: Network) -> None:
    assert {number.operator for number in network} == {"simulated"}


def test_mobile_ranges_are_used_up_before_fixed_ones(network: Network) -> None:
    of = {code: {n.e164 for n in network if n.country == code} for code in ("gb", "au", "se", "fr")}
    assert sum(number.startswith("+447700900") for number in of["gb"]) == 1000
    assert sum(number.startswith("+614") for number in of["au"]) == 30
    assert sum(number.startswith("+4670") for number in of["se"]) == 95
    assert all(number.startswith("+3363998") for number in of["fr"])


def test_american_numbers_come_from_many_area_codes(network: Network) -> None:
    share = Counter(number.e164[2:5] for number in network if number.country == "us")
    assert len(share) > 300
    assert max(share.values()) <= 6


def test_toll_free_and_premium_area_codes_are_not_on_the_network(network: Network) -> None:
    area_codes = {number.e164[2:5] for number in network if number.e164.startswith("+1")}
    assert area_codes.isdisjoint(
        {"500", "521", "600", "622", "700", "800", "833", "844", "855", "866", "877", "888", "900"}
    )


def test_a_change_of_one_country_leaves_the_others_as_they_were(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranges, "_BLOCKS", {code: blocks for code, blocks in ranges._BLOCKS.items() if code != "gb"})
    assert list(simulated_numbers(seed=1)) == [number for number in network if number.country != "gb"]


@pytest.mark.parametrize(
    "number",
    [
        *("+14155550100", "+14155550199", "+12425550150", "+18005550199"),
        *("+447700900000", "+447700900999", "+441632960500", "+442079460999", "+441134960000", "+442896496123"),
        *("+448081570000", "+449098790999", "+443069990123"),
        *("+61491570006", "+61491579455", "+61255501234", "+61870109999"),
        *("+33639980000", "+33199009999", "+33536490000"),
        *("+491713920000", "+491713920099", "+4917604069050", "+4915254599371", "+493023125000", "+492214710999"),
        *("+46701740605", "+46701740699", "+46313900600", "+46980319299", "+46846500400"),
        *("+353209100000", "+353209199999"),
    ],
)
def test_a_number_kept_for_fiction_is_known(number: str) -> None:
    assert is_reserved(number)


@pytest.mark.parametrize(
    "number",
    [
        *(
            "+14155550099",
            "+14155550200",
            "+14155560100",
            "+141555501001",
            "+1415555010",
            "+18005550100",
            "+18885550150",
        ),
        *("+447700899999", "+447700901000", "+44770090012", "+4477009001234", "+442079461000"),
        *("+61491570005", "+61491570007", "+61491579456", "+61255511234"),
        *("+33639970000", "+33639990000"),
        *("+491713920100", "+491713919999", "+4915254599372", "+491729925905"),
        *("+46701740604", "+46701740700", "+46313900599", "+46313900700"),
        *("+353209000000", "+353209200000"),
    ],
)
def test_a_neighbour_of_a_range_may_be_somebodys_number(number: str) -> None:
    assert not is_reserved(number)


@given(st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True))
def test_outside_the_countries_with_a_range_no_number_is_reserved(number: str) -> None:
    assert number.startswith(("+1", "+33", "+353", "+44", "+46", "+49", "+61")) or not is_reserved(number)
