"""The arithmetic of up time and of incidents, over every midnight and every flapping that Hypothesis can think of."""

import datetime
import itertools

from hypothesis import given
from hypothesis import strategies as st

from trunkline.monitoring import uptime
from trunkline.monitoring.uptime import HOLDS, UNWATCHED_AFTER, Act, Span, Watch

START = datetime.datetime(2026, 4, 18, 22, tzinfo=datetime.UTC)
DAY = datetime.timedelta(days=1)

seconds = st.integers(0, 3 * 86_400 * 1_000_000).map(lambda micros: datetime.timedelta(microseconds=micros))


def total(spans: list[Span]) -> datetime.timedelta:
    return sum((span.end - span.start for span in spans), datetime.timedelta())


@given(seconds, seconds, st.booleans(), st.one_of(st.none(), seconds), st.booleans())
def test_what_is_known_lies_between_the_looks_and_nothing_twice(
    begin: datetime.timedelta, gap: datetime.timedelta, was_down: bool, away: datetime.timedelta | None, always: bool
) -> None:
    last, now = START + begin, START + begin + gap
    away_from = None if away is None else now - away
    spans = uptime.spans(last, now, was_down=was_down, away_from=away_from, unwatched_is_down=always)
    edges = [edge for span in spans for edge in (span.start, span.end)]
    assert edges == sorted(edges)
    assert all(last <= edge <= now for edge in edges)
    if always or gap <= UNWATCHED_AFTER:
        assert total(spans) == gap
    up = [span for span in spans if not span.is_down]
    assert total(up) <= UNWATCHED_AFTER
    if away is not None and away_from is not None:
        assert all(span.end <= max(last, away_from) for span in up)
        assert total([span for span in spans if span.is_down]) >= min(gap, away)


@given(st.lists(st.tuples(seconds, st.booleans()), max_size=20))
def test_days_hold_every_second_once_and_none_of_another_day(pieces: list[tuple[datetime.timedelta, bool]]) -> None:
    spans, at = [], START
    for length, is_down in pieces:
        spans.append(Span(at, at + length, is_down))
        at += length
    days = uptime.by_day(spans)
    for sign, place in ((False, 0), (True, 1)):
        expected = total([span for span in spans if span.is_down is sign]).total_seconds()
        assert abs(sum(each[place] for each in days.values()) - expected) < 1e-3
    for day, (up, down) in days.items():
        begin = datetime.datetime.combine(day, datetime.time(), datetime.UTC)
        within = min(at, begin + DAY) - max(START, begin)
        assert abs(up + down - within.total_seconds()) < 1e-3


@given(st.lists(seconds, min_size=1, max_size=10))
def test_of_the_api_no_second_is_lost_over_nights_in_which_nothing_ran(lengths: list[datetime.timedelta]) -> None:
    days: dict[datetime.date, tuple[float, float]] = {}
    last = START
    for length in lengths:
        for day, (up, down) in uptime.by_day(
            uptime.spans(last, last + length, was_down=False, unwatched_is_down=True)
        ).items():
            before = days.get(day, (0.0, 0.0))
            days[day] = before[0] + up, before[1] + down
        last += length
    assert abs(sum(up + down for up, down in days.values()) - (last - START).total_seconds()) < 1e-2
    unwatched = sum(((length - UNWATCHED_AFTER).total_seconds() for length in lengths if length > UNWATCHED_AFTER), 0.0)
    assert abs(sum(down for _, down in days.values()) - unwatched) < 1e-2


def test_an_outage_over_midnight_belongs_to_both_days() -> None:
    begin = datetime.datetime(2026, 4, 18, 23, 59, 50, tzinfo=datetime.UTC)
    spans = uptime.spans(begin, begin + datetime.timedelta(seconds=100), was_down=False, unwatched_is_down=True)
    assert uptime.by_day(spans) == {
        datetime.date(2026, 4, 18): (10.0, 0.0),
        datetime.date(2026, 4, 19): (20.0, 70.0),
    }


@given(st.lists(st.tuples(st.floats(0, 86_400), st.floats(0, 86_400)), max_size=90))
def test_a_share_is_one_only_where_nothing_was_down_and_none_where_nothing_was_watched(
    days: list[tuple[float, float]],
) -> None:
    share = uptime.share(days)
    if share is None:
        assert not any(up or down for up, down in days)
    else:
        assert 0 <= share <= 1
        if sum(down for _, down in days) > 1e-6:
            assert share < 1


looks = st.lists(st.tuples(st.integers(1, 45), st.booleans()), max_size=120)


def acts(sequence: list[tuple[int, bool]]) -> list[tuple[datetime.datetime, Act, Watch]]:
    """What the watch decides on a sequence of looks: seconds after the one before, whether it is down."""
    watch, at, found = Watch(False, START, False, None), START, []
    for after, is_down in sequence:
        at += datetime.timedelta(seconds=after)
        watch, act = uptime.look(watch, at, is_down)
        if act is not None:
            found.append((at, act, watch))
    return found


@given(looks)
def test_incidents_open_and_close_in_turn_and_never_flap(sequence: list[tuple[int, bool]]) -> None:
    found = acts(sequence)
    assert [act for _, act, _ in found] == [act for act, _ in zip(itertools.cycle(("open", "close")), found)]
    for (earlier, _, _), (later, _, _) in itertools.pairwise(found):
        assert later - earlier >= HOLDS


@given(looks)
def test_each_act_stands_on_a_minute_without_a_break(sequence: list[tuple[int, bool]]) -> None:
    times = list(itertools.accumulate((after for after, _ in sequence)))
    seen = [(START + datetime.timedelta(seconds=at), down) for at, (_, down) in zip(times, sequence, strict=True)]
    for at, act, watch in acts(sequence):
        assert at - watch.turned_at >= HOLDS
        assert all(down == (act == "open") for when, down in seen if watch.turned_at <= when <= at)


@given(st.lists(st.integers(1, 11), min_size=1, max_size=50))
def test_outages_shorter_than_a_minute_open_nothing(lengths: list[int]) -> None:
    sequence = [look for length in lengths for look in [*[(5, True)] * length, (5, False)]]
    assert acts(sequence) == []


def test_an_incident_that_the_operator_closed_is_not_opened_again_for_the_same_outage() -> None:
    [(at, _, watch)] = acts([(5, True)] * 13)
    closed = Watch(watch.is_down, watch.turned_at, False, watch.told_at)
    for _ in range(100):
        at += datetime.timedelta(seconds=5)
        closed, act = uptime.look(closed, at, True)
        assert act is None
    closed, _ = uptime.look(closed, at + datetime.timedelta(seconds=5), False)
    closed, _ = uptime.look(closed, at + datetime.timedelta(seconds=10), True)
    assert uptime.look(closed, at + datetime.timedelta(seconds=70), True)[1] == "open"
