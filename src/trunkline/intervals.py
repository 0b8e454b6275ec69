"""How sure a figure is: shares and quantiles with their 95 % confidence intervals. Pure.

A figure from fewer than ``LEAST`` samples says more about chance than about what it measures, so it is None.
"""

import functools
import math
from collections.abc import Mapping
from typing import NamedTuple

LEAST = 30
GROWTH = 1.05  # how much wider a bucket is than the one before
Z = 1.959963984540054  # the standard normal distribution has 2.5 % beyond it on either side
TAIL = 0.025


class Estimate(NamedTuple):
    """A figure, and the ends of the interval that holds the true one in 95 of 100 cases; None: no such end."""

    value: float
    low: float
    high: float | None


def share(count: int, of: int) -> Estimate | None:
    """The share ``count / of`` with its Wilson score interval.

    With p = count / of, n = of and z = 1.96 its ends are (p + z²/2n ± z √(p(1 − p)/n + z²/4n²)) / (1 + z²/n).
    They lie within [0, 1], and hold also where the share is 0 or 1 (Wilson 1927, Journal of the American Statistical
    Association 22:209–212; recommended in Brown, Cai and DasGupta 2001, Statistical Science 16:101–133).
    """
    if of < LEAST:
        return None
    p = count / of
    middle = p + Z * Z / (2 * of)
    reach = Z * math.sqrt(p * (1 - p) / of + Z * Z / (4 * of * of))
    whole = 1 + Z * Z / of
    # At 0 and 1 an end is the share itself, which floating point misses by a hair.
    return Estimate(p, max(0.0, min(p, (middle - reach) / whole)), min(1.0, max(p, (middle + reach) / whole)))


def quantile(histogram: Mapping[int, int], percent: int) -> Estimate | None:
    """The time in seconds within which ``percent`` of the texts came. ``histogram``: bucket → texts, -1 left out.

    Bucket b holds the times from 1.05^b − 1 to 1.05^(b+1) − 1 seconds. The value lies where percent/100 of the samples
    are before it, those of a bucket taken to be spread evenly over it: at most a bucket's width from the sample of rank
    ⌈n · percent/100⌉.

    The interval runs from one order statistic to another, whatever the distribution: how many of n samples lie below
    the true quantile is binomial with p = percent/100, so that it is between the samples of rank l and u with
    P(l ≤ K < u) ≥ 95 %, at most 2.5 % beyond either (Conover 1999, Practical Nonparametric Statistics, section 3.2;
    David and Nagaraja 2003, Order Statistics, section 7.1). The ends are those of the buckets in which the two lie,
    outwards. Where no sample has the rank u, as for 95 percent with fewer than 72 samples, there is no upper end.
    """
    buckets = sorted(bucket for bucket, count in histogram.items() if bucket >= 0 and count > 0)
    n = sum(histogram[bucket] for bucket in buckets)
    if n < LEAST:
        return None
    lowest, highest = _ranks(n, percent)
    rank = -(-n * percent // 100)
    value, low, high, before = 0.0, 0.0, None, 0
    for bucket in buckets:
        count = histogram[bucket]
        start, end = edge(bucket), edge(bucket + 1)
        if before < rank <= before + count:
            value = start + (end - start) * (n * percent / 100 - before) / count
        if before < lowest <= before + count:
            low = start
        if before < highest <= before + count:
            high = end
        before += count
    return Estimate(value, low, high)


def edge(bucket: int) -> float:
    """Where a bucket begins, in seconds."""
    return GROWTH**bucket - 1


@functools.lru_cache(maxsize=4096)
def _ranks(n: int, percent: int) -> tuple[int, int]:
    """The largest l with P(K < l) ≤ 2.5 % and the smallest u with P(K < u) ≥ 97.5 %, K binomial (n, percent/100).

    l may be 0 and u may be n + 1, which no sample has.
    """
    p = percent / 100
    k = max(0, math.floor(n * p - 10 * math.sqrt(n * p * (1 - p)) - 10))  # what lies below is less than 10^-16
    log_choices = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    chance = math.exp(log_choices + k * math.log(p) + (n - k) * math.log(1 - p))
    below, lowest = 0.0, 0  # below: P(K < k)
    while below < 1 - TAIL and k <= n:
        if below <= TAIL:
            lowest = k
        below += chance
        chance *= (n - k) / (k + 1) * p / (1 - p)
        k += 1
    return lowest, k if below >= 1 - TAIL else n + 1
