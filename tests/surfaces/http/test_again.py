"""Who is refused for now is told when to come again."""

import datetime
from typing import NoReturn

import httpx
import pytest
from tests.house import opened

from trunkline import clock
from trunkline.accounts.keys import Keyring
from trunkline.accounts.limits import Limiter
from trunkline.carriers.carrier import StoreAway
from trunkline.errors import TrunklineError, Unavailable
from trunkline.storage.database import DatabaseAway
from trunkline.surfaces.http import responses as said
from trunkline.surfaces.http.addresses import Addresses
from trunkline.surfaces.http.application import Application
from trunkline.surfaces.http.route import Call, Route
from trunkline.surfaces.http.surface import Surface


@pytest.mark.asyncio
async def test_every_503_says_when_to_come_again(url: str) -> None:
    raised: list[TrunklineError] = []

    async def handler(call: Call) -> NoReturn:
        raise raised[-1]

    async with opened(url) as house:
        buyer, database = await house.buyer(), house.platform.database
        route = Route(
            method="GET", path="/busy", scope="account:read", handler=handler, tag="T", summary="", answer=bytes
        )
        api = Application(
            [Surface("/api/v1", [route])],
            database=database, keyring=Keyring(database), limiter=Limiter(account_per_minute=600),
            addresses=Addresses([]), appeal="", files={},
        )  # fmt: skip
        headers = {"Authorization": f"Bearer {buyer.account.live_key}"}
        transport = httpx.ASGITransport(api)  # type: ignore[arg-type] # ours names the same types more precisely
        async with httpx.AsyncClient(transport=transport, base_url="http://t/api/v1", headers=headers) as client:
            for error in (Unavailable("later"), DatabaseAway("later"), StoreAway("later")):
                raised.append(error)
                answers = [await client.get("/busy") for _ in range(20)]
                assert {each.status_code for each in answers} == {503}
                waits = {int(each.headers["retry-after"]) for each in answers}
                assert waits <= set(range(1, said.AGAIN_SECONDS + 1))
                assert len(waits) > 1, "they do not all come back at once"
            at = clock.now() + datetime.timedelta(minutes=5)
            raised.append(Unavailable("in five minutes", retry_at=at.isoformat()))
            assert 200 < int((await client.get("/busy")).headers["retry-after"]) <= 300
