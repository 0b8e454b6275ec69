"""What customers and a carrier were told stays true whatever breaks while they are at work."""

import shutil

import pytest

from tests.faults.faults import FAULTS
from tests.faults.rounds import play

PURCHASES = 20

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed; the SMSC is node-smpp"),
]


@pytest.mark.parametrize("name", FAULTS)
def test_nothing_acknowledged_is_lost_or_takes_effect_twice_when(name: str) -> None:
    if why := FAULTS[name].impossible():
        pytest.skip(why)
    seen = play(FAULTS[name], purchases=PURCHASES)
    assert seen.orders >= 2 * PURCHASES
