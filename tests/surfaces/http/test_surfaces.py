"""Surfaces: another protocol of clients is one class beside the house's own, over the same keys, limits and sockets."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import msgspec
import pytest
import pytest_asyncio
from tests.house import Buyer, House, opened

from trunkline import roles
from trunkline.accounts.keys import Keyring
from trunkline.accounts.limits import Limiter
from trunkline.errors import NotFound, TrunklineError
from trunkline.surfaces import BASE
from trunkline.surfaces.http import wire
from trunkline.surfaces.http.addresses import Addresses
from trunkline.surfaces.http.application import Application
from trunkline.surfaces.http.problems import UnsupportedMediaType
from trunkline.surfaces.http.route import Call, Route
from trunkline.surfaces.http.surface import Surface


class Order(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    to: str
    times: int = 1


class Foreign(Surface):
    """As another product's clients speak: HTTP Basic (RFC 7617), forms, answers that stand alone, errors of its own."""

    media = b"application/vnd.foreign+json"
    challenge = b'Basic realm="foreign"'
    advice = "Send the key as password."
    enveloped = False

    def secret(self, asked: Mapping[bytes, bytes]) -> str:
        scheme, _, told = asked.get(b"authorization", b"").partition(b" ")
        with contextlib.suppress(ValueError):
            if scheme.lower() == b"basic":
                return base64.b64decode(told, validate=True).decode().partition(":")[2]
        return ""

    def check_kind(self, kind: bytes) -> None:
        if kind != b"application/x-www-form-urlencoded":
            raise UnsupportedMediaType("Send a form.")

    def decoded(self, route: Route, raw: bytes) -> Any:
        return wire.read_query(raw, route.body)

    def rendered(self, route: Route, result: Any) -> bytes:
        return wire.encode(result)

    def problem(self, error: TrunklineError, request_id: str) -> tuple[bytes, bytes]:
        return self.media, wire.encode({"error": {"number": error.status, "words": error.detail, "seen": request_id}})


async def send(call: Call) -> dict[str, Any]:
    if call.body.to == "nobody":
        raise NotFound("There is nobody.")
    return {"to": call.body.to, "times": call.body.times, "by": call.key.account_id}


def route(path: str) -> Route:
    return Route(
        method="POST", path=path, scope="numbers", handler=send, summary="", tag="", answer=dict, body=Order,
        idempotent=True,
    )  # fmt: skip


@pytest_asyncio.fixture
async def house(url: str) -> AsyncIterator[House]:
    async with opened(url) as house:
        yield house


@pytest_asyncio.fixture
async def address(house: House) -> AsyncIterator[str]:
    """Where both surfaces are served, by a real socket."""
    database = house.platform.database
    application = Application(
        [Surface(BASE, [route("/send")]), Foreign("/foreign/2026", [route("/send")])],
        database=database,
        keyring=Keyring(database),
        limiter=Limiter(account_per_minute=600),
        addresses=Addresses([]),
        appeal="",
        files={},
    )
    listener, stop = roles.bind("127.0.0.1", 0), asyncio.Event()
    listening = asyncio.create_task(roles.listen(application, house.pushed, listener, stop, "ready"))
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    stop.set()
    await listening


@pytest_asyncio.fixture
async def buyer(house: House) -> Buyer:
    return await house.buyer(per_minute=600)


@pytest.mark.asyncio
async def test_a_foreign_client_is_answered_as_it_expects_beside_the_houses_own(address: str, buyer: Buyer) -> None:
    key = buyer.account.live_key
    async with httpx.AsyncClient(base_url=address) as client:
        foreign = await client.post("/foreign/2026/send", data={"to": "ada", "times": "3"}, auth=("anybody", key))
        own = await client.post(f"{BASE}/send", json={"to": "ada"}, headers={"Authorization": f"Bearer {key}"})
    assert foreign.headers["content-type"] == "application/vnd.foreign+json"
    assert foreign.json() == {"to": "ada", "times": 3, "by": buyer.account.account_id}
    assert own.json() == {"success": True, "data": {"to": "ada", "times": 1, "by": buyer.account.account_id}}
    assert foreign.headers["ratelimit"].startswith('"default";r=599;')
    assert own.headers["ratelimit"].startswith('"default";r=598;'), "one key, one limit, whoever speaks"


@pytest.mark.asyncio
async def test_a_foreign_client_is_refused_as_it_expects(address: str, buyer: Buyer) -> None:
    async with httpx.AsyncClient(base_url=f"{address}/foreign/2026") as client:
        right = ("anybody", buyer.account.live_key)
        bearer = await client.post("/send", headers={"Authorization": f"Bearer {right[1]}"})
        wrong = await client.post("/send", data={"to": "ada"}, auth=("anybody", "tl_live_wrong"))
        body = await client.post("/send", json={"to": "ada"}, auth=right)
        field = await client.post("/send", data={"to": "ada", "times": "many"}, auth=right)
        nobody = await client.post("/send", data={"to": "nobody"}, auth=right)
        nowhere = await client.post("/elsewhere", auth=right)
    answers = [bearer, wrong, body, field, nobody, nowhere]
    assert [each.status_code for each in answers] == [401, 401, 415, 422, 404, 404]
    assert bearer.headers["www-authenticate"] == 'Basic realm="foreign"'
    for each in answers:
        assert each.headers["content-type"] == "application/vnd.foreign+json"
        assert each.json()["error"]["number"] == each.status_code
        assert each.json()["error"]["seen"] == each.headers["x-request-id"]
    assert bearer.json()["error"]["words"] == "Send the key as password."


@pytest.mark.asyncio
async def test_a_path_that_is_no_surfaces_is_answered_by_the_first(address: str) -> None:
    async with httpx.AsyncClient(base_url=address) as client:
        answer = await client.get("/nowhere")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.asyncio
async def test_an_idempotency_key_holds_on_every_surface(address: str, buyer: Buyer) -> None:
    async with httpx.AsyncClient(base_url=f"{address}/foreign/2026", auth=("", buyer.account.live_key)) as client:
        answers = [
            await client.post("/send", data={"to": name}, headers={"Idempotency-Key": "once"})
            for name in ("ada", "ada", "bob")
        ]
    assert [each.status_code for each in answers] == [200, 200, 422]
    assert answers[0].content == answers[1].content
    assert answers[1].headers["idempotent-replayed"] == "true"
