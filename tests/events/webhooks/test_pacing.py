"""The pace of an endpoint's attempts, whatever comes of them in whatever order."""

import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.events.webhooks import attempts
from trunkline.events.webhooks.pacing import (
    ACCOUNT_LEAST,
    AHEAD,
    FIRST_PAUSE_SECONDS,
    HUNG_SECONDS,
    LONGEST_ASKED_SECONDS,
    LONGEST_PAUSE_SECONDS,
    SPREAD,
    START,
    Lane,
    Places,
    again_in,
)

ENDS = st.sampled_from(["succeeded", "failed", "slowed"])


def run(lane: Lane, ends: list[str], now: float = 0.0) -> list[float | None]:
    """One attempt after the other; the pauses."""
    pauses = []
    for number, end in enumerate(ends):
        lane.begin(number, now)
        began = lane.end(number, now := now + 0.1)
        if end == "succeeded":
            lane.succeeded()
        else:
            pauses.append(lane.failed(began, now) if end == "failed" else lane.slowed(began, now, None))
            now += pauses[-1] or 0.0
    return pauses


@given(st.lists(ENDS, max_size=60), st.integers(1, 40))
def test_an_endpoint_never_gets_more_than_its_most_and_always_gets_one_some_time(ends: list[str], most: int) -> None:
    lane = Lane(most, 0.0)
    run(lane, ends)
    room, begun = lane.room(1e6), 0
    while lane.may_begin(1e6):
        lane.begin(begun, 1e6)
        begun += 1
    assert 1 <= begun <= most
    assert room == ((1 + AHEAD) * begun if lane.is_proven else begun)
    lane.ahead = lane.room(1e6)
    assert lane.ahead == (AHEAD * begun if lane.is_proven else 0), "the others wait, while it answers well"
    assert lane.room(1e6) == 0


@given(st.integers(0, 50))
def test_each_success_makes_room_for_one_more_up_to_the_most(successes: int) -> None:
    lane = Lane(32, 0.0)
    run(lane, ["succeeded"] * successes)
    assert lane.room(1e6) == min(START + successes, 32) * (1 + AHEAD if successes else 1)


def test_no_more_are_claimed_until_half_of_those_that_wait_have_begun() -> None:
    lane = Lane(8, 0.0)
    run(lane, ["succeeded"] * 8)
    for number in range(8):
        lane.begin(number, 1e6)
    rooms = []
    for lane.ahead in range(16, -1, -2):
        rooms.append(lane.room(1e6))
    assert rooms == [0, 0, 0, 0, 8, 10, 12, 14, 16]


def test_an_endpoint_whose_oldest_attempt_hangs_gets_no_more() -> None:
    lane = Lane(32, 0.0)
    lane.begin(1, 0.0)
    assert lane.room(HUNG_SECONDS) == START - 1
    assert lane.room(HUNG_SECONDS + 0.01) == 0
    lane.begin(2, 2.0)
    lane.end(1, 2.1)
    assert lane.room(2.2) == START - 1


@given(st.lists(ENDS, max_size=60))
def test_pauses_double_up_to_the_longest_and_a_success_forgets_them(before: list[str]) -> None:
    lane = Lane(32, 0.0)
    run(lane, [*before, "succeeded"])
    pauses = run(lane, ["failed"] * 16, now=1e6)
    assert pauses[:4] == [None] * 4
    for number, pause in enumerate(pauses[4:]):
        wanted = min(FIRST_PAUSE_SECONDS * 2**number, LONGEST_PAUSE_SECONDS)
        assert pause is not None
        assert wanted * (1 - SPREAD) <= pause <= wanted * (1 + SPREAD)
    assert lane.room(1e7) == 1


@given(st.integers(6, 32))
def test_those_that_fail_together_pause_their_endpoint_once(together: int) -> None:
    lane = Lane(32, 0.0)
    for number in range(together):
        lane.begin(number, 0.0)
    pauses = [lane.failed(lane.end(number, 1.0), 1.0) for number in range(together)]
    assert [pause is not None for pause in pauses] == [number == 4 for number in range(together)]


@given(st.floats(0, 1e9))
def test_an_endpoint_may_ask_to_be_left_alone_for_an_hour_at_most(asked: float) -> None:
    lane = Lane(32, 0.0)
    lane.begin(1, 0.0)
    pause = lane.slowed(lane.end(1, 1.0), 1.0, asked)
    assert pause == min(max(asked, 1.0), LONGEST_ASKED_SECONDS)
    assert lane.room(1e6) == 1


def test_an_endpoint_that_was_paused_before_this_process_began_is_tried_with_one() -> None:
    lane = Lane(32, 0.0)
    lane.tried_again()
    assert lane.room(0.0) == 1
    assert run(lane, ["failed"]) != [None]
    assert run(lane, ["succeeded"] * 3) == []
    assert lane.room(1e6) == (1 + AHEAD) * 4


@given(st.integers(0, 12), st.lists(st.floats(0.1, 1e5), max_size=12))
def test_the_schedule_has_an_attempt_more_than_waits(failures: int, retry_seconds: list[float]) -> None:
    wait = again_in(failures + 1, retry_seconds)
    if failures >= len(retry_seconds):
        assert wait is None
    else:
        assert wait is not None
        assert retry_seconds[failures] * 0.8 <= wait <= retry_seconds[failures] * 1.2


@given(st.integers(1, 600), st.lists(st.tuples(st.booleans(), st.booleans(), st.floats(0, 5)), max_size=300))
def test_endpoints_that_never_answer_leave_places_for_those_that_do(most: int, asked: list[Any]) -> None:
    """Each: whether the endpoint is proven, whether its attempts end, and how long after the last it asks."""
    places, now, under_way, unproven, names = Places(most), 0.0, 0, 0, iter(range(100_000))
    for account, (proven, ends, after) in enumerate(asked):
        now += after
        places.look(now)
        for delivery in [next(names) for _ in range(_room(places, account, proven=proven))]:
            places.begin(delivery, account, now, proven=proven)
            if ends:
                places.end(delivery)
            else:
                under_way += 1
                unproven += not proven
        assert under_way <= most
        if under_way == unproven and most > 1:  # nobody but strangers
            assert _room(places, 1000, proven=True) > 0


def _room(places: Places, account_id: int, *, proven: bool) -> int:
    return places.room(proven=proven, promised=0, promised_unproven=0, account_id=account_id, promised_account=0)


@given(st.integers(2, 1200), st.lists(st.tuples(st.integers(1, 3), st.booleans(), st.floats(0, 5)), max_size=300))
def test_an_account_however_many_of_its_endpoints_hang_leaves_half_of_the_places(
    most: int, asked: list[tuple[int, bool, float]]
) -> None:
    """Each: whose endpoint, whether it is proven, and how long after the last it asks. No attempt ends."""
    places, now, names = Places(most), 0.0, iter(range(100_000))
    taken = dict.fromkeys((1, 2, 3), 0)
    for account, proven, after in asked:
        now += after
        places.look(now)
        room = _room(places, account, proven=proven)
        left = most - sum(taken.values()) + taken[account]
        assert not room or taken[account] + room <= max(-(-left // 2), min(left - 1, ACCOUNT_LEAST))
        for delivery in [next(names) for _ in range(room)]:
            places.begin(delivery, account, now, proven=proven)
        taken[account] += room
    if most >= 16 * ACCOUNT_LEAST:
        assert _room(places, 4, proven=True) > 0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120.0),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("Mon, 23 Nov 2026 15:00:30 GMT", 30.0),
        ("Mon, 23 Nov 2026 14:00:30 GMT", 0.0),
        ("99999999999999999999999", 999999999.0),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("Mon, 99 Nov 99999 15:00:30 GMT", None),
        ("²", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str | None, seconds: float | None) -> None:
    now = datetime.datetime(2026, 11, 23, 15, tzinfo=datetime.UTC)
    assert attempts._seconds(text, now) == seconds


@given(st.text(max_size=60))
def test_whatever_stands_in_retry_after_is_read_or_passed_over(text: str) -> None:
    seconds: Any = attempts._seconds(text, datetime.datetime.now(datetime.UTC))
    assert seconds is None or seconds >= 0
