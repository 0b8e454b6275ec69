"""What the tests of verifications share: starting one, looking at its code, checking it."""

import re
from typing import Any

from tests.house import Buyer, House, data

NUMBER = "+12025550142"  # of the simulated network


async def started(buyer: Buyer, number: str = NUMBER, **more: Any) -> Any:
    return data(await buyer.post("/verifications", {"phone_number": number, **more}))


async def check(buyer: Buyer, verification: dict[str, Any], code: str, **more: Any) -> Any:
    return await buyer.post(f"/verifications/{verification['verification_id']}/check", {"code": code, **more})


async def code_of(house: House, verification: dict[str, Any]) -> str:
    """The code that was sent, as the text that the network got has it."""
    number = int(verification["verification_id"].removeprefix("ver_"))
    sealed = await house.platform.database.fetchval(
        "SELECT sealed FROM verification WHERE verification_id = $1", number
    )
    text = house.platform.verify.seals.unseal(number, sealed)
    assert text is not None
    found = re.search(r"\b[0-9A-Z]*[0-9][0-9A-Z]*\b", text)
    assert found is not None
    return found[0]


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 10 ** len(code):0{len(code)}d}"
