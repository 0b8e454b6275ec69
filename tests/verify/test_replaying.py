"""Changed rules over past starts say what they would have stopped."""

import collections
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.house import House

from trunkline import config
from trunkline.errors import InvalidRequest
from trunkline.verify import replaying
from trunkline.verify.replaying import Replayed, Windows

GUARD = config.load({}).verify.guard


def start(at: float, prefix: str = "+4915123", **more: Any) -> dict[str, Any]:
    return {
        "account_id": 1, "test": False, "profile": "default", "country": "de", "prefix": prefix, "cost_micros": 50_000,
        "captured_micros": 50_000, "state": "approved", "at": at, "ended": at + 30,
    } | more  # fmt: skip


def test_what_is_stopped_is_counted_by_rule_and_so_is_what_was_approved_in_truth() -> None:
    windows, result = Windows(replaying.changed(GUARD, ["prefix_starts=5"])), Replayed()
    for n in range(20):
        windows.start(start(3600 * 1000 + n, state="approved" if n % 2 else "expired"), result)
    assert (result.starts, result.stopped, result.rules["prefix_volume"].stopped) == (20, 15, 15)
    assert result.stopped_approved == result.rules["prefix_volume"].approved == 8


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 3 * 86_400), st.integers(0, 2)), max_size=60))
def test_its_windows_are_those_that_a_start_would_have_seen(events: list[tuple[int, int]]) -> None:
    """Compared with a count of all that came before, for one prefix at a time."""
    open_to_all = replaying.changed(GUARD, ["prefix_starts=100000", "account_starts=100000", "spend_prefix=100000"])
    windows, result = Windows(open_to_all), Replayed()
    hours: collections.Counter[tuple[int, int]] = collections.Counter()
    for at, prefix in sorted(events):
        key = (1, False, "prefix", f"+{prefix}")
        traffic = windows._of(key).traffic(at // 3600)
        assert traffic.starts_this_hour == hours[prefix, at // 3600]
        assert traffic.starts_hour_before == hours[prefix, at // 3600 - 1]
        windows.start(start(at, f"+{prefix}", state="pending", ended=None), result)
        hours[prefix, at // 3600] += 1


@pytest.mark.parametrize("rule", ["prefix_starts", "colour=1", "shadow=[]", "prefix_starts=many", "conversion=2"])
def test_a_rule_that_there_is_not_is_refused(rule: str) -> None:
    with pytest.raises(InvalidRequest):
        replaying.changed(GUARD, [rule])


@pytest.mark.asyncio
async def test_it_reads_what_was(house: House) -> None:
    buyer = await house.buyer("50")
    for line in range(6):
        await buyer.post("/verifications", {"phone_number": f"+120255501{40 + line}"})
    database = house.platform.database
    found = await replaying.replay(database, replaying.changed(GUARD, ["prefix_starts=4"]), days=7)
    assert (found.starts, found.stopped) == (6, 2)
    other = await replaying.replay(database, GUARD, days=7, account_id=buyer.account_id + 1)
    assert other.starts == 0
    assert await replaying.log(database, None, 10) == []
    await buyer.post("/verifications", {"phone_number": "+443069990005"})
    [stopped] = await replaying.log(database, None, 10)
    assert (stopped["status"], stopped["decisions"][0]["rule"]) == ("blocked", "magic_number")
