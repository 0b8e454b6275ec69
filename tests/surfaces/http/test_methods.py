"""Every method: a body may be left out where it has nothing to say, and is refused where it would be ignored."""

import msgspec
import pytest
from tests.house import Buyer, data, opened, problem

from trunkline.accounts.keys import Keyring
from trunkline.accounts.limits import Limiter
from trunkline.surfaces.http.addresses import Addresses
from trunkline.surfaces.http.application import Application
from trunkline.surfaces.http.route import Call, Route
from trunkline.surfaces.http.surface import Surface


class Change(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    name: str = "as it was"


class Order(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    name: str


async def echo(call: Call) -> str:
    return call.body.name if call.body is not None else "nothing"


def route(method: str, path: str, body: type | None) -> Route:
    return Route(method=method, path=path, scope="numbers", handler=echo, summary="", tag="", answer=str, body=body)


@pytest.mark.asyncio
async def test_a_body_may_be_left_out_where_every_field_has_a_default(url: str) -> None:
    async with opened(url) as house:
        database = house.platform.database
        table = [
            *(route(method, "/change", Change) for method in ("POST", "PATCH", "PUT")),
            route("DELETE", "/change", None), route("POST", "/order", Order), route("PATCH", "/order", Order),
        ]  # fmt: skip
        api = Application(
            [Surface("/api/v1", table)],
            database=database, keyring=Keyring(database), limiter=Limiter(account_per_minute=600),
            addresses=Addresses([]), appeal="", files={},
        )  # fmt: skip
        made = (await house.buyer()).account
        buyer = Buyer(made, made.live_key, api)
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        for method in ("POST", "PATCH", "PUT"):
            assert data(await buyer.ask(method, "/change")) == "as it was"
            assert data(await buyer.ask(method, "/change", headers=form)) == "as it was"
            assert data(await buyer.ask(method, "/change", json={"name": "new"})) == "new"
            problem(await buyer.ask(method, "/change", content=b"{"), 400, "malformed_body")
            problem(await buyer.ask(method, "/change", content=b"name=x", headers=form), 415, "unsupported_media_type")
        assert data(await buyer.ask("DELETE", "/change")) == "nothing"
        assert data(await buyer.ask("DELETE", "/change", json={})) == "nothing"
        problem(await buyer.ask("DELETE", "/change", json={"name": "new"}), 422, "invalid_request")
        refused = await buyer.ask("DELETE", "/order")
        problem(refused, 405, "method_not_allowed")
        assert refused.headers["allow"] == "PATCH, POST"
        problem(await buyer.ask("POST", "/order"), 400, "malformed_body")
        assert data(await buyer.ask("PATCH", "/order", json={"name": "x"})) == "x"
