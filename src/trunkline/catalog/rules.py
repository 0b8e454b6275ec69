"""Price rules as an inverted index: what is asked for a country, or for all of it at once, is found without a scan."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple


class Rule(NamedTuple):
    """Of a service, a country, both, or neither."""

    service_id: int | None
    country: str | None
    currency: str
    micros: int


class Prices(NamedTuple):
    """What leases in one country cost, in micros."""

    here: Mapping[int, int]  # by service, of rules for service and country
    everywhere: Mapping[int, int]  # by service, of rules for every country
    other: int | None  # of a service without a rule of its own

    def of(self, service_id: int) -> int | None:
        """By the same order of rules as the database's ``price_of``; None where no rule fits."""
        return self.here.get(service_id, self.everywhere.get(service_id, self.other))


class Rules:
    """The rules of all currencies. Built in one pass, read-only."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._by_service: dict[tuple[str, str | None], dict[int, int]] = {}
        self._others: dict[tuple[str, str | None], int] = {}
        for rule in rules:
            place = (rule.currency, rule.country)
            if rule.service_id is None:
                self._others[place] = rule.micros
            else:
                self._by_service.setdefault(place, {})[rule.service_id] = rule.micros

    def prices(self, country: str, currency: str) -> Prices:
        return Prices(
            self._by_service.get((currency, country), {}),
            self._by_service.get((currency, None), {}),
            self._others.get((currency, country), self._others.get((currency, None))),
        )

    def lowest(self, countries: Sequence[str], currency: str, services: int) -> dict[str, int | None]:
        """Country → the price of the cheapest of so many ``services`` there."""
        everywhere = self._by_service.get((currency, None), {})
        cheapest_first = sorted(everywhere, key=everywhere.__getitem__)
        found = {}
        for country in countries:
            here, _, other = self.prices(country, currency)
            candidates = list(here.values())
            cheapest = next((each for each in cheapest_first if each not in here), None)
            if cheapest is not None:
                candidates.append(everywhere[cheapest])
            own = len(everywhere) + sum(each not in everywhere for each in here)
            if other is not None and own < services:
                candidates.append(other)
            found[country] = min(candidates, default=None)
        return found
