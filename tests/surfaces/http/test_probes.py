"""/healthz, /readyz and /metrics, asked as supervisors and Prometheus ask them."""

import asyncio
import dataclasses
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.conftest import END_SECONDS, Serve, Server, Trunkline
from tests.database_line import Line
from tests.house import House, data, opened, problem

from trunkline import asgi, config, metrics, roles
from trunkline.accounts.keys import Keyring
from trunkline.accounts.limits import Limiter
from trunkline.events import tail as outbox
from trunkline.events.fan_out import FanOut
from trunkline.events.tail import Tail
from trunkline.monitoring.exposition import Exposition
from trunkline.monitoring.gauges import Gauges
from trunkline.storage import breaker
from trunkline.storage import database as storage
from trunkline.storage.database import Database
from trunkline.surfaces.http import probes
from trunkline.surfaces.http.application import Application
from trunkline.surfaces.http.probes import Probes

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def read(text: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def get(url: str, headers: dict[str, str] | None = None) -> httpx.Response:
    return httpx.get(url, headers=headers, timeout=60, trust_env=False)  # on a connection of its own


def scrape(server: Server) -> Samples:
    answer = get(f"{server.base}/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return read(answer.text)


def stands(server: Server) -> Samples | None:
    """What is shown, once it is seen how the database and the carriers stand and the tail is at work."""
    samples = scrape(server)
    is_seen = value(samples, "database_up") == 1 and value(samples, "carrier_link_up", carrier="simulated") == 1
    return samples if is_seen and (value(samples, "tail_lag_seconds") or 9) < 5 else None


def value(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((f"trunkline_{name}", frozenset(labels.items())))


def until(met: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := met()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def probing(house: House, **settings: str) -> Application:
    """The application over a house, with its probes, as other settings would have it."""
    loaded = config.load(settings)
    asked = roles.probes(loaded, house.platform, house.pushed, None)
    keyring, limiter = Keyring(house.platform.database), Limiter(account_per_minute=600)
    return asgi.application(loaded, house.platform, house.pushed, keyring, limiter, asked)


def over(house: House, database: Database, tail: Tail | None = None) -> Probes:
    """Probes that ask a database, and need to know what a tail tells."""
    behind = tail.behind_seconds if tail is not None else None
    gauges = Gauges(database, house.platform.inbox, house.pushed.live, [], behind)
    return Probes(
        ping=database.ping, lying=gauges.lying, exposition=Exposition(gauges.look, version="1"), behind=behind
    )


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probes in this process wait for the database however long it takes."""
    monkeypatch.setattr(probes, "DEADLINE_SECONDS", 60)
    monkeypatch.setattr(probes, "LATE_SECONDS", 60)


def caller(api: Application, address: str) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(api, client=(address, 1))  # type: ignore[arg-type]
    return httpx.AsyncClient(transport=transport, base_url="http://trunkline")


def test_what_is_counted_is_what_was_done(serve: Serve, trunkline: Trunkline) -> None:
    customer = trunkline.customer(per_minute=1000)
    limited = trunkline.customer(per_minute=2)
    server = serve(TRUNKLINE_WEBHOOKS__ALLOW="127.0.0.0/8")
    with httpx.Client(base_url=server.api, trust_env=False, timeout=60) as client:
        client.headers["Authorization"] = f"Bearer {customer.live_key}"
        nobody = {"url": "http://127.0.0.1:1/hook", "events": ["*"]}
        assert client.post("/webhooks", json=nobody).status_code == 200

        def buy(service: str, **more: Any) -> httpx.Response:
            return client.post("/numbers/purchase", json={"country": "us", "service": service, **more})

        lease = buy("whatsapp").json()["data"]
        problem(buy("nosuchservice"), 404, "unknown_service")
        assert buy("whatsapp", dry_run=True).status_code == 200
        test = {"Authorization": f"Bearer {customer.test_key}"}
        order = {"country": "us", "service": "test_success"}
        soon = client.post("/numbers/purchase", json=order, headers=test).json()["data"]
        status = f"/numbers/status/{soon['activation_id']}"
        assert client.get(status, params={"wait": 30}, headers=test).json()["data"]["status"] == "received"
        polls = 0

        def is_remembered() -> bool:
            nonlocal polls
            polls += 1
            client.get(f"/numbers/status/{lease['activation_id']}")
            samples = scrape(server)
            from_memory = value(samples, "polls_total", source="memory") or 0
            return from_memory >= 5 and bool(value(samples, "leases_remembered"))

        until(is_remembered)
        for expected in (200, 200, 429):
            small = {"Authorization": f"Bearer {limited.live_key}"}
            assert client.get("/account", headers=small).status_code == expected
        with ThreadPoolExecutor() as threads:
            held = threads.submit(client.get, f"/numbers/status/{lease['activation_id']}", params={"wait": 30})
            until(lambda: value(scrape(server), "held_calls") == 1)
            assert client.post(f"/numbers/finish/{lease['activation_id']}", json={"status": "cancelled"}).is_success
            assert held.result().is_success
        with client.stream("GET", "/events") as stream:
            assert stream.status_code == 200
            assert until(lambda: value(scrape(server), "streams_open") == 1)
        until(lambda: value(scrape(server), "streams_open") == 0)
        client.get(f"/nothing/{lease['phone_number']}")
        client.delete("/account")
        counted = until(lambda: stands(server))
    expected_counts = [
        (3, "http_requests_total", {"route": "/numbers/purchase", "method": "POST", "status": "200"}),
        (1, "http_requests_total", {"route": "/numbers/purchase", "method": "POST", "status": "404"}),
        (polls + 2, "http_requests_total",
            {"route": "/numbers/status/{activation_id}", "method": "GET", "status": "200"}),
        (1, "http_requests_total", {"route": "/account", "method": "GET", "status": "429"}),
        (1, "http_requests_total", {"route": "unmatched", "method": "GET", "status": "404"}),
        (1, "http_requests_total", {"route": "unmatched", "method": "DELETE", "status": "405"}),
        (3, "http_request_duration_seconds_count", {"route": "/numbers/purchase", "method": "POST", "status": "2xx"}),
        (polls, "http_request_duration_seconds_count",
            {"route": "/numbers/status/{activation_id}", "method": "GET", "status": "2xx"}),
        (1, "http_refused_total", {"code": "rate_limited"}),
        (0, "http_errors_total", {"code": "internal_error"}),
        (1, "purchases_total", {"mode": "live", "result": "leased"}),
        (1, "purchases_total", {"mode": "live", "result": "unknown_service"}),
        (1, "purchases_total", {"mode": "test", "result": "leased"}),
        (1, "texts_total", {"carrier": "simulated", "outcome": "delivered"}),
        (1, "carrier_link_up", {"carrier": "simulated"}),
        (1, "processes", {}),
        (0, "streams_open", {}),
        (0, "held_calls", {}),
        (0, "texts_waiting", {}),
        (1, "database_up", {}),
        (16, "database_connections_max", {}),
    ]  # fmt: skip
    for count, name, labels in expected_counts:
        assert value(counted, name, **labels) == count, (name, labels)
    until(lambda: (value(scrape(server), "webhook_attempts_total", result="retried") or 0) >= 1)
    assert (value(scrape(server), "webhook_attempt_duration_seconds_count") or 0) >= 1
    assert (value(counted, "polls_total", source="database") or 0) >= 2
    assert until(lambda: (value(scrape(server), "fan_out_events_total") or 0) >= 3)
    assert value(counted, "fan_out_lag_seconds") is not None
    assert counted["process_cpu_seconds_total", frozenset()] > 0
    for name, labelled in counted:  # nothing that a caller chose, and nothing that grows with use
        for label, shown in labelled:
            assert label == "le" or not re.search(r"\d{4}|@", shown), (name, label, shown)


def test_two_workers_and_what_runs_beside_them_are_scraped_as_one(serve: Serve, trunkline: Trunkline) -> None:
    customer = trunkline.customer(per_minute=100_000)
    server = serve("--workers", "2", TRUNKLINE_SERVER__ACCOUNT_REQUESTS_PER_MINUTE="100000")
    key = {"Authorization": f"Bearer {customer.live_key}"}
    labels = {"route": "/account", "method": "GET", "status": "200"}
    answered = set()
    last, total = 0.0, 0

    def asked() -> float:
        return value(scrape(server), "http_requests_total", **labels) or 0

    def ask(times: int) -> None:
        nonlocal last, total
        for _ in range(times):
            answer = get(f"{server.api}/account", key)
            answered.add(answer.headers["x-request-id"][4:16])  # which process it was
            total += 1
            seen = asked()
            assert last <= seen <= total  # it never goes back, whoever is asked
            last = seen

    ask(10)
    while len(answered) < 2:
        ask(1)
    until(lambda: asked() == total)
    until(lambda: value(scrape(server), "processes") == 4)
    process_ids = re.findall(r"Started server process \[(\d+)\]", server.log.read_text())
    assert len(process_ids) == 2  # and what both have counted is written down, or the other could not have told it
    os.kill(int(process_ids[0]), signal.SIGKILL)
    until(lambda: len(re.findall(r"Started server process", server.log.read_text())) == 3)
    until(lambda: value(scrape(server), "processes") == 4)
    assert asked() == total
    order = {"country": "us", "service": "test_success"}
    test = {"Authorization": f"Bearer {customer.test_key}"}
    bought = httpx.post(f"{server.api}/numbers/purchase", json=order, headers=test, timeout=60, trust_env=False)
    assert bought.status_code == 200
    texts = {"carrier": "simulated", "outcome": "delivered"}
    until(lambda: value(scrape(server), "texts_total", **texts) == 1)  # counted where the carriers run
    until(lambda: (value(scrape(server), "fan_out_events_total") or 0) >= 2)  # and where the worker does
    assert server.stop() == 0


@pytest.mark.parametrize("role", ["carrier", "worker"])
def test_a_carrier_or_worker_that_is_given_a_port_answers_probes_and_nothing_else(serve: Serve, role: str) -> None:
    server = serve("--role", role, TRUNKLINE_LOG__LEVEL="error")
    until(lambda: get(f"{server.base}/readyz").status_code == 200)
    samples = scrape(server)
    assert value(samples, "processes") == 1
    assert value(samples, "tail_lag_seconds") is not None
    for path in ("/api/v1/countries", "/docs", "/", "/healthz/"):
        answer = get(f"{server.base}{path}")
        assert problem(answer, 404, "not_found")["request_id"] == answer.headers["x-request-id"]
    assert server.stop() == 0
    assert server.log.read_text() == ""  # what is below the level is not written


def test_a_worker_that_is_given_no_port_does_not_listen(trunkline: Trunkline) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "trunkline", "serve", "--role", "worker"],
        env=trunkline.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.terminate()
    assert process.wait(END_SECONDS) == 0
    process.stdout.close()


@pytest.mark.asyncio
@pytest.mark.usefixtures("patient")
async def test_probes_take_get_and_head_alone(url: str) -> None:
    async with opened(url) as house, caller(probing(house), "127.0.0.1") as client:
        while (await client.get("/readyz")).status_code != 200:
            await asyncio.sleep(0.05)
        for path in ("/healthz", "/readyz", "/metrics"):
            got, head = await client.get(path), await client.head(path)
            assert (got.status_code, head.status_code) == (200, 200)
            assert (head.content, head.headers["content-type"]) == (b"", got.headers["content-type"])
            assert got.headers["x-request-id"] != head.headers["x-request-id"]
            assert got.headers["cache-control"] == "no-store"
            for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
                refused = await client.request(method, path)
                assert refused.headers["allow"] == "GET"
                assert problem(refused, 405, "method_not_allowed")["request_id"] == refused.headers["x-request-id"]
        assert (await client.get("/healthz")).text == "ok"
        assert (await client.get("/readyz")).json() == {"ready": True, "amiss": {}}


@pytest.mark.asyncio
async def test_metrics_are_for_those_whom_the_operator_names_and_nobody_else_learns_of_them(url: str) -> None:
    async with opened(url) as house:
        nothing = {"nothing"}

        async def seen(api: Application, address: str, forwarded: str | None = None, method: str = "GET") -> int:
            headers = {"X-Forwarded-For": forwarded} if forwarded else {}
            async with caller(api, address) as client:
                answer = await client.request(method, "/metrics", headers=headers)
                if answer.status_code == 404:
                    ordinary = await client.request(method, "/nothing", headers=headers)
                    shown = [{k: v for k, v in each.json().items() if k != "request_id"} for each in (answer, ordinary)]
                    assert shown[0] == shown[1]
                    assert answer.headers.keys() == ordinary.headers.keys()
                    nothing.discard("nothing")
                return answer.status_code

        alone = probing(house)
        assert await seen(alone, "127.0.0.1") == 200
        assert await seen(alone, "::1") == 200
        assert await seen(alone, "::ffff:127.0.0.1") == 200
        assert await seen(alone, "198.51.100.7") == 404
        assert await seen(alone, "198.51.100.7", method="POST") == 404
        assert await seen(alone, "198.51.100.7", "127.0.0.1") == 404  # nobody vouches for that
        assert await seen(alone, "not an address") == 404
        assert await seen(alone, "127.0.0.1", "203.0.113.9") == 404  # a proxy on this machine that nobody trusts
        named = probing(
            house,
            TRUNKLINE_SERVER__METRICS_FROM="203.0.113.0/24",
            TRUNKLINE_SERVER__TRUSTED_PROXIES="10.0.0.0/8",
        )
        assert await seen(named, "203.0.113.9") == 200
        assert await seen(named, "127.0.0.1") == 404
        assert await seen(named, "10.0.0.1", "203.0.113.9") == 200
        assert await seen(named, "10.0.0.1", "203.0.113.9, 198.51.100.7") == 404
        assert await seen(named, "10.0.0.1") == 404
        assert await seen(probing(house, TRUNKLINE_SERVER__METRICS_FROM=""), "127.0.0.1") == 404
        assert not nothing


@pytest.mark.asyncio
async def test_while_the_database_is_away_a_server_is_alive_and_not_ready(url: str, serve: Serve) -> None:
    async with Line.laid(url) as line, httpx.AsyncClient(trust_env=False, timeout=60) as client:
        server = await asyncio.to_thread(serve, TRUNKLINE_DATABASE_URL=line.url)

        async def ready(*amiss: str) -> Any:
            """What is said once these are amiss at least."""
            async with asyncio.timeout(60):
                while True:
                    answer = await client.get(f"{server.base}/readyz")
                    said = answer.json()
                    assert (answer.status_code, said["ready"]) == ((503, False) if said["amiss"] else (200, True))
                    if set(amiss) <= set(said["amiss"]) if amiss else said["ready"]:
                        return said["amiss"]
                    await asyncio.sleep(0.1)

        async def metrics() -> Samples:
            return read((await client.get(f"{server.base}/metrics")).text)

        assert await ready() == {}
        line.cut()
        assert (await ready("database"))["database"] == "It cannot be reached, or may not be written."
        assert (await client.get(f"{server.base}/healthz")).text == "ok"
        async with asyncio.timeout(60):
            while value(away := await metrics(), "database_up") != 0:
                await asyncio.sleep(0.2)
        for name in ("fan_out_lag_seconds", "webhook_deliveries_due", "webhook_oldest_due_seconds"):
            assert value(away, name) is None
        assert value(away, "carrier_link_up", carrier="simulated") is None
        assert value(away, "processes") == 1
        line.mend()
        await ready()
        async with asyncio.timeout(60):
            while value(await metrics(), "database_up") != 1:
                await asyncio.sleep(0.2)


@pytest.mark.asyncio
@pytest.mark.usefixtures("patient")
async def test_what_waits_in_the_database_is_shown_with_its_age(url: str) -> None:
    async with opened(url, TRUNKLINE_WEBHOOKS__ALLOW="127.0.0.0/8") as house:
        database = house.platform.database

        async def waits() -> tuple[float | None, float | None, float | None]:
            async with caller(probing(house), "127.0.0.1") as client:  # made anew: it remembers nothing
                samples = read((await client.get("/metrics")).text)
            names = ("fan_out_lag_seconds", "webhook_deliveries_due", "webhook_oldest_due_seconds")
            lag, due, oldest = (value(samples, name) for name in names)
            return lag, due, oldest

        await FanOut(database, lambda _: None, keep_days=30).take()
        assert await waits() == (0, 0, 0)
        buyer = await house.buyer()
        data(await buyer.post("/webhooks", {"url": "http://127.0.0.1:1/", "events": ["activation.cancelled"]}))
        await house.stock(2)
        leases = [await buyer.lease() for _ in range(2)]
        for lease in leases:
            await buyer.cancel(lease)
        await database.execute("UPDATE webhook_endpoint SET created_at = created_at - interval '1 hour'")
        await database.execute("UPDATE event SET created_at = created_at - interval '90 seconds'")
        lag, due, oldest = await waits()
        assert (due, oldest) == (0, 0)
        assert 90 <= (lag or 0) < 300
        for _ in range(3):  # one after the other: on its way, what is taken is left out
            await database.fetchrow(outbox.SQL.fan_out, 1)
        assert 90 <= ((await waits())[0] or 0) < 300
        await FanOut(database, lambda _: None, keep_days=30).take()
        await database.execute("UPDATE webhook_delivery SET next_at = next_at - interval '90 seconds'")
        lag, due, oldest = await waits()
        assert (lag, due) == (0, 2)
        assert 90 <= (oldest or 0) < 300
        await database.execute("UPDATE webhook_endpoint SET paused_until = now() + interval '1 hour'")
        assert await waits() == (0, 0, 0)


@pytest.mark.asyncio
async def test_an_order_is_counted_once_it_is_committed_and_not_again_when_its_answer_is(url: str) -> None:
    async with opened(url) as house:
        database, buyer = house.platform.database, await house.buyer()
        await house.stock(3)
        before = metrics.PURCHASES.series()

        def counted() -> dict[tuple[str, ...], float]:
            now = {labels: value - before.get(labels, [0])[0] for labels, [value] in metrics.PURCHASES.series().items()}
            return {labels: value for labels, value in now.items() if value}

        one = {"country": "ad", "service": "whatsapp"}
        batch = {"items": [one, {"country": "ad", "service": "nosuchservice"}]}
        await database.execute("ALTER TABLE idempotent_answer ADD CONSTRAINT nothing CHECK (false) NOT VALID")
        for path, order in (("/numbers/purchase", one), ("/numbers/purchase/batch", batch)):
            problem(await buyer.post(path, order, **{"Idempotency-Key": path}), 500, "internal_error")
        assert counted() == {}
        await database.execute("ALTER TABLE idempotent_answer DROP CONSTRAINT nothing")
        for path, order in (("/numbers/purchase", one), ("/numbers/purchase/batch", batch)) * 2:
            data(await buyer.post(path, order, **{"Idempotency-Key": path}))
        assert counted() == {("live", "leased"): 2, ("live", "unknown_service"): 1}
        refused = {"country": "ad", "service": "nosuchservice"}
        for headers in ({}, {"Idempotency-Key": "another"}):
            problem(await buyer.post("/numbers/purchase", refused, **headers), 404, "unknown_service")
        await buyer.lease()
        assert data(await buyer.post("/numbers/purchase", one | {"country": "us", "dry_run": True}))["dry_run"]
        assert counted() == {("live", "leased"): 3, ("live", "unknown_service"): 3}


@pytest.mark.asyncio
async def test_many_probes_at_once_ask_the_database_once_and_wait_two_seconds_at_most(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breaker, "SILENT_SECONDS", 200)  # the question would wait so long for its answer,
    patient = dataclasses.replace(storage.SERVING, seconds=200)  # and the pool too
    async with Line.laid(url) as line, opened(url) as house:
        database = await Database.open(line.url, budget=patient)
        asked = over(house, database)
        while await asked.amiss():
            await asyncio.sleep(0.1)
        await asyncio.sleep(1.1)  # until that answer is too old
        line.swallow_answers(0)
        began = time.monotonic()
        asking = [asyncio.create_task(asked.amiss()) for _ in range(200)]
        await line.answer_swallowed()
        assert database.connections()[1] == 1
        assert {*map(tuple, await asyncio.gather(*asking))} == {("database",)}
        assert time.monotonic() - began < 60
        assert set(await asked.amiss()) == {"database"}  # the question is still out: no other is asked
        assert database.connections()[1] == 1
        line.cut()
        line.mend()
        async with asyncio.timeout(60):
            while await asked.amiss():
                await asyncio.sleep(0.1)
        await database.close()


@pytest.mark.asyncio
@pytest.mark.usefixtures("patient")
async def test_who_does_not_hear_what_happens_is_not_ready(url: str) -> None:
    async with opened(url) as house:
        database = house.platform.database
        tail = Tail(database)
        asked = over(house, database, tail)
        assert set(await asked.amiss()) == {"tail"}
        await tail.look()
        assert await asked.amiss() == {}
