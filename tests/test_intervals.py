"""How sure a figure is: against published values, exact arithmetic, and samples whose true figure is known."""

import collections
import itertools
import math
import random
from collections.abc import Sequence
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline import intervals
from trunkline.intervals import LEAST, edge, quantile, share

PERCENTS = (50, 95)
HAIR = 1e-9  # of floating point

counts = st.integers(LEAST, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
times = st.lists(st.floats(0, 3600), min_size=LEAST, max_size=300)


def bucket(seconds: float) -> int:
    return math.floor(math.log(1 + seconds) / math.log(1.05))


def counted(samples: Sequence[float]) -> collections.Counter[int]:
    return collections.Counter(map(bucket, samples))


@given(counts)
def test_a_share_lies_in_its_interval_and_that_between_0_and_1(found: tuple[int, int]) -> None:
    estimate = share(*found)
    assert estimate is not None
    assert estimate.high is not None
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1


@pytest.mark.parametrize(
    ("count", "of", "low", "high"), [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 30, 0, 0.1135)]
)
def test_shares_have_the_intervals_that_are_published(count: int, of: int, low: float, high: float) -> None:
    """The first two: Newcombe 1998, Statistics in Medicine 17:857-872, table I. At 0 of n: 0 and z² / (n + z²)."""
    assert share(count, of) == pytest.approx((count / of, low, high), abs=5e-5)


@given(counts)
def test_more_of_the_same_is_surer(found: tuple[int, int]) -> None:
    some, more = share(*found), share(found[0] * 4, found[1] * 4)
    assert some is not None
    assert more is not None
    assert some.high is not None
    assert more.high is not None
    assert more.high - more.low < some.high - some.low


@given(counts)
def test_one_text_more_never_lowers_a_share(found: tuple[int, int]) -> None:
    count, of = found
    if count < of:
        fewer, more = share(count, of), share(count + 1, of)
        assert fewer is not None
        assert more is not None
        assert fewer.value < more.value
        assert fewer.low <= more.low
        assert (fewer.high or 0) <= (more.high or 0)


@given(st.integers(0, LEAST - 1), st.sampled_from(PERCENTS))
def test_fewer_than_30_samples_tell_nothing(n: int, percent: int) -> None:
    assert share(n, n) is None
    assert quantile({40: n, -1: 1000}, percent) is None


@given(times, st.sampled_from(PERCENTS))
def test_a_quantile_is_within_a_buckets_width_of_that_of_the_samples(samples: list[float], percent: int) -> None:
    estimate = quantile(counted(samples), percent)
    assert estimate is not None
    exact = sorted(samples)[-(-len(samples) * percent // 100) - 1]
    width = edge(bucket(exact) + 1) - edge(bucket(exact))
    assert abs(estimate.value - exact) <= width + HAIR


@given(times, st.sampled_from(PERCENTS))
def test_its_interval_holds_it_and_the_samples_between_which_the_true_one_is(
    samples: list[float], percent: int
) -> None:
    estimate = quantile(counted(samples), percent)
    assert estimate is not None
    lowest, highest = intervals._ranks(len(samples), percent)
    ranked = sorted(samples)
    assert 0 <= estimate.low <= estimate.value
    assert estimate.low <= ranked[lowest - 1] + HAIR
    if estimate.high is None:
        assert highest > len(samples)
    else:
        assert estimate.value <= estimate.high
        assert ranked[highest - 1] <= estimate.high + HAIR


@given(times, times, st.sampled_from(PERCENTS))
def test_adding_histograms_is_counting_together(some: list[float], others: list[float], percent: int) -> None:
    assert quantile(counted(some) + counted(others), percent) == quantile(counted([*some, *others]), percent)


@given(times)
def test_95_percent_take_no_less_than_half_does_and_leases_without_a_text_change_neither(samples: list[float]) -> None:
    histogram = dict(counted(samples))
    median, p95 = quantile(histogram, 50), quantile(histogram, 95)
    assert median is not None
    assert p95 is not None
    assert median.value <= p95.value
    assert median.low <= p95.low
    assert p95.high is None or (median.high or 0) <= p95.high
    assert quantile(histogram | {-1: 500}, 50) == median


@given(times, st.sampled_from(PERCENTS))
def test_when_all_texts_come_later_the_quantile_is_later(samples: list[float], percent: int) -> None:
    sooner = quantile(counted(samples), percent)
    later = quantile({each + 1: count for each, count in counted(samples).items()}, percent)
    assert sooner is not None
    assert later is not None
    assert later.value > sooner.value


@pytest.mark.parametrize("percent", PERCENTS)
@pytest.mark.parametrize("n", [30, 31, 59, 71, 72, 100, 401])
def test_the_ranks_are_those_of_the_binomial_distribution(n: int, percent: int) -> None:
    p, tail = Fraction(percent, 100), Fraction(25, 1000)
    chances = (math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n))
    below = list(itertools.accumulate(chances, initial=Fraction(0)))  # at rank k: P(K < k)
    lowest = max(rank for rank in range(n + 1) if below[rank] <= tail)
    highest = min((rank for rank in range(n + 1) if below[rank] >= 1 - tail), default=n + 1)
    assert intervals._ranks(n, percent) == (lowest, highest)


def test_many_samples_are_ranked_as_the_normal_distribution_says() -> None:
    for n, percent in ((10**6, 50), (10**8, 95)):
        p = percent / 100
        reach = intervals.Z * math.sqrt(n * p * (1 - p))
        assert intervals._ranks(n, percent) == pytest.approx((n * p - reach, n * p + reach), abs=3)


def test_the_95th_percentile_has_an_upper_end_from_72_texts_on() -> None:
    for n in (71, 72):
        estimate = quantile({40: n}, 95)
        assert estimate is not None
        assert (estimate.high is None) == (n < 72)


def test_95_of_100_intervals_hold_the_true_figure() -> None:
    dice = random.Random(20260419)
    held: collections.Counter[str] = collections.Counter()
    rounds = 1000
    for _ in range(rounds):
        samples = [dice.lognormvariate(2.5, 0.8) for _ in range(120)]
        for percent, true in ((50, math.exp(2.5)), (95, math.exp(2.5 + 0.8 * 1.6448536269514722))):
            estimate = quantile(counted(samples), percent)
            assert estimate is not None
            assert estimate.high is not None
            held[f"p{percent}"] += estimate.low <= true <= estimate.high
        came = share(sum(dice.random() < 0.93 for _ in range(120)), 120)
        assert came is not None
        held["share"] += came.low <= 0.93 <= (came.high or 0)
    assert all(count >= 0.935 * rounds for count in held.values()), held
