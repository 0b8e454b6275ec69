"""A link that drops is back within seconds however often it does; only one that is dead is left alone for longer."""

from hypothesis import given
from hypothesis import strategies as st

from trunkline.carriers.smpp.backoff import Backoff


@given(st.lists(st.floats(0.001, 10), min_size=1, max_size=50), st.integers(0, 20))
def test_a_link_that_was_bound_is_tried_again_within_five_seconds(lived: list[float], failures: int) -> None:
    backoff = Backoff(60)
    for _ in range(failures):
        backoff.after(0)
    assert all(backoff.after(seconds) <= 5 for seconds in lived)


def test_a_link_that_lives_some_seconds_is_never_left_alone_for_longer() -> None:
    backoff = Backoff(60)
    assert max(backoff.after(3 + n % 6) for n in range(100)) <= 0.5


def test_the_pauses_of_a_dead_link_grow_to_a_minute_and_differ() -> None:
    backoff = Backoff(60)
    pauses = [backoff.after(0) for _ in range(200)]
    assert max(pauses[:3]) <= 2
    assert 30 < max(pauses) <= 60
    assert min(pauses) >= 0.1
    assert len(set(pauses)) > 190
    assert backoff.after(3) <= 0.5
