"""What the public sees of it: over HTTP, while the database is away too, and never anything of the inside."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import httpx
import jsonschema  # type: ignore[import-untyped]
import pytest
import pytest_asyncio
from tests.conftest import Serve
from tests.database_line import Line
from tests.house import NORTH, House, data, opened
from tests.monitoring.watching import OPERATOR, announced, later, link, look, watched

from trunkline.monitoring import incidents, page
from trunkline.storage.database import SERVING
from trunkline.surfaces import BASE
from trunkline.surfaces.api.openapi import document

NAMED = NORTH | {"TRUNKLINE_STATUS__NAME": "Acme SMS", "TRUNKLINE_STATUS__URL": "https://status.acme.example"}
pytestmark = [pytest.mark.asyncio, pytest.mark.settings(**NAMED)]

TIME = {"type": "string", "format": "date-time"}
MAYBE_TIME = {"type": ["string", "null"], "format": "date-time"}
COMPONENT_STATES = ["operational", "degraded_performance", "partial_outage", "major_outage", "under_maintenance"]


def exactly(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


# As https://www.atlassianstatus.com/api and the pages that run on Statuspage show it.
STATUSPAGE_COMPONENT = exactly(
    id={"type": "string", "minLength": 1}, name={"type": "string", "minLength": 1},
    status={"enum": COMPONENT_STATES}, created_at=TIME, updated_at=TIME, position={"type": "integer", "minimum": 1},
    description={"type": ["string", "null"]}, showcase={"type": "boolean"},
    start_date={"type": ["string", "null"], "format": "date"}, group_id={"type": ["string", "null"]},
    page_id={"type": "string"}, group={"type": "boolean"}, only_show_if_degraded={"type": "boolean"},
)  # fmt: skip
STATUSPAGE_UPDATE = exactly(
    id={"type": "string"},
    status={"enum": ["investigating", "identified", "monitoring", "resolved", "postmortem"]},
    body={"type": "string"}, incident_id={"type": "string"}, created_at=TIME, updated_at=TIME, display_at=TIME,
    affected_components={
        "type": ["array", "null"],
        "items": exactly(
            code={"type": "string"}, name={"type": "string"},
            old_status={"enum": COMPONENT_STATES}, new_status={"enum": COMPONENT_STATES},
        ),
    },
    deliver_notifications={"type": "boolean"}, custom_tweet={"type": ["string", "null"]},
    tweet_id={"type": ["string", "integer", "null"]},
)  # fmt: skip
STATUSPAGE_INCIDENT = exactly(
    id={"type": "string"}, name={"type": "string"},
    status={"enum": ["investigating", "identified", "monitoring"]},  # the summary has unresolved ones alone
    created_at=TIME, updated_at=TIME, monitoring_at=MAYBE_TIME, resolved_at={"type": "null"},
    impact={"enum": ["none", "minor", "major", "critical"]}, shortlink={"type": "string"}, started_at=TIME,
    page_id={"type": "string"}, incident_updates={"type": "array", "minItems": 1, "items": STATUSPAGE_UPDATE},
    components={"type": "array", "items": STATUSPAGE_COMPONENT},
)  # fmt: skip
STATUSPAGE_SUMMARY = exactly(
    page=exactly(
        id={"type": "string"}, name={"type": "string"}, url={"type": "string"}, time_zone={"type": "string"},
        updated_at=TIME,
    ),
    components={"type": "array", "items": STATUSPAGE_COMPONENT},
    incidents={"type": "array", "items": STATUSPAGE_INCIDENT},
    scheduled_maintenances={"type": "array", "maxItems": 0},
    status=exactly(
        indicator={"enum": ["none", "minor", "major", "critical"]}, description={"type": "string", "minLength": 1}
    ),
)  # fmt: skip


@pytest_asyncio.fixture
async def house(house: House, monkeypatch: pytest.MonkeyPatch) -> House:
    """Whose page waits for the database: what it shows without it has tests of its own."""
    monkeypatch.setattr(page, "PATIENCE_SECONDS", 60.0)
    return house


class Public:
    """Somebody without a key."""

    def __init__(self, house: House) -> None:
        self._routes = {BASE + route.path: route for route in house.routes}
        self._document = document.document(house.surfaces, version="1")
        self._http = httpx.AsyncClient(transport=httpx.ASGITransport(house.api), base_url="http://trunkline")  # type: ignore[arg-type]

    async def get(self, path: str = "/status", **headers: str) -> httpx.Response:
        """An answer that the document describes."""
        answer = await self._http.get(BASE + path, headers=headers)
        if answer.status_code == 200:
            operation = self._document["paths"][BASE + path]["get"]
            schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
            jsonschema.Draft202012Validator(
                schema | {"components": self._document["components"]}, format_checker=jsonschema.FormatChecker()
            ).validate(answer.json())
        return answer

    async def status(self, wanted: Callable[[Any], bool] = lambda _: True) -> Any:
        """The status, once it is as wanted: a page is kept for a second."""
        async with asyncio.timeout(60):
            while not wanted(found := data(await self.get())):
                await asyncio.sleep(0.05)
        return found


def states(status: Any) -> dict[str, str]:
    return {each["name"]: each["state"] for each in status["components"]}


# The status


async def test_before_anybody_has_looked_all_is_well_as_far_as_is_known(house: House) -> None:
    status = await Public(house).status()
    assert (status["components"], status["incidents"]) == ([], [])
    assert status["status"] == {"indicator": "none", "description": "All Systems Operational"}
    assert (await Public(house).get("/status/summary.json")).json()["components"] == []


async def test_everybody_sees_components_with_90_days_of_up_time(house: House) -> None:
    await link(house, "up")
    await link(house, "up", "simulated")
    await look(house)
    await watched(house, 60)
    await house.platform.database.execute(
        "INSERT INTO component_day VALUES ('carrier:north', (now() AT TIME ZONE 'UTC')::date - 89, 86400 * 0.9, 8640),"
        " ('carrier:north', (now() AT TIME ZONE 'UTC')::date - 90, 0, 86400)"
    )
    status = await Public(house).status()
    assert list(states(status)) == ["api", "database", "webhooks", "carrier:simulated", "carrier:north"]
    assert set(states(status).values()) == {"operational"}
    assert status["status"]["indicator"] == "none"
    api, *_, north = status["components"]
    assert (api["title"], north["title"]) == ("API", "Carrier north")
    assert len(north["days"]) == 90
    assert [day["day"] for day in north["days"]] == sorted(day["day"] for day in north["days"])
    assert north["days"][0] | {"day": ""} == {"day": "", "uptime": 0.9, "down_seconds": 8640}
    assert north["days"][1]["uptime"] is None
    assert api["uptime_90d"] == 1
    assert 0.9 <= north["uptime_90d"] < 0.901


async def test_what_is_out_decides_the_indicator(house: House) -> None:
    everybody = Public(house)
    await link(house, "up", "simulated")
    await link(house, "up")
    await look(house)
    await everybody.status(lambda status: status["status"]["indicator"] == "none")
    await link(house, "down")
    await watched(house, 10)
    status = await everybody.status(lambda status: states(status)["carrier:north"] == "major_outage")
    assert status["status"] == {"indicator": "major", "description": "Partial System Outage"}
    await link(house, "up")
    await watched(house, 10)
    await house.platform.database.execute("UPDATE component SET state = 'degraded_performance' WHERE name = 'webhooks'")
    assert await everybody.status(lambda status: status["status"]["indicator"] == "minor")
    await announced(house, "All slow", impact="critical")
    status = await everybody.status(lambda status: status["status"]["indicator"] == "critical")
    assert status["incidents"][0]["title"] == "All slow"


async def test_open_incidents_come_first_and_old_ones_not_at_all(house: House) -> None:
    database = house.platform.database
    numbers = {}
    for title in ("old", "recent", "open"):
        numbers[title] = await announced(house, title, "First.")
        await incidents.tell(database, OPERATOR, numbers[title], "Second.", "identified")
        if title != "open":
            await incidents.close(database, OPERATOR, numbers[title], "Third.")
    await database.execute("UPDATE incident SET closed_at = now() - interval '15 days' WHERE title = 'old'")
    await database.execute("UPDATE incident SET opened_at = now() - interval '3 days' WHERE title = 'open'")
    told = (await Public(house).status())["incidents"]
    assert [each["title"] for each in told] == ["open", "recent"]
    assert [update["state"] for update in told[1]["updates"]] == ["resolved", "identified", "investigating"]
    assert [update["body"] for update in told[1]["updates"]] == ["Third.", "Second.", "First."]


async def test_webhooks_that_no_worker_looks_after_are_out(house: House) -> None:
    await look(house)
    await later(house, 120)
    assert states(await Public(house).status())["webhooks"] == "partial_outage"


async def test_nothing_of_the_inside_is_shown(house: House) -> None:
    await link(house, "down")
    await look(house)
    await watched(house, 70)
    for path in ("/status", "/status/summary.json"):
        answer = await Public(house).get(path)
        assert "north" in answer.text
        for inside in ("10.1.2.3", "127.0.0.1", "secret", "smpp", "no process", "health"):
            assert inside not in answer.text, inside


async def test_a_copy_may_be_kept_for_ten_seconds(house: House) -> None:
    await look(house)
    everybody = Public(house)
    first = await everybody.get()
    assert first.headers["cache-control"] == "public, max-age=10"
    again = await everybody.get(**{"if-none-match": first.headers["etag"]})
    assert again.status_code == 304 or again.headers["etag"] != first.headers["etag"]  # a second may have gone by


# In the shape of Statuspage


async def test_the_summary_is_what_a_monitor_of_statuspage_expects(house: House) -> None:
    await link(house, "up", "simulated")
    await look(house)
    await watched(house, 70)
    number = await announced(house)
    await incidents.tell(house.platform.database, OPERATOR, number, "Mended.", "monitoring")
    closed = await announced(house, "Over")
    await incidents.close(house.platform.database, OPERATOR, closed, "Over.")
    answer = await Public(house).get("/status/summary.json")
    assert answer.headers["content-type"] == "application/json"
    summary = answer.json()
    jsonschema.Draft202012Validator.check_schema(STATUSPAGE_SUMMARY)
    jsonschema.Draft202012Validator(STATUSPAGE_SUMMARY, format_checker=jsonschema.FormatChecker()).validate(summary)
    assert (summary["page"]["name"], summary["page"]["url"]) == ("Acme SMS", "https://status.acme.example")
    assert summary["status"] == {"indicator": "major", "description": "Partial System Outage"}
    slow, north = summary["incidents"]
    assert (slow["name"], slow["status"]) == ("Slow", "monitoring")
    assert slow["monitoring_at"]
    assert [update["status"] for update in slow["incident_updates"]] == ["monitoring", "investigating"]
    assert north["components"] == [each for each in summary["components"] if each["id"] == "carrier:north"]
    assert north["incident_updates"][0]["affected_components"] == [
        {"code": "carrier:north", "name": "Carrier north", "old_status": "operational", "new_status": "major_outage"}
    ]


# While the database is away


async def test_while_the_database_is_away_the_last_page_is_shown_with_what_is_out(url: str) -> None:
    async with Line.laid(url) as line, opened(line.url, **NAMED) as house:
        everybody = Public(house)
        await link(house, "up")
        await look(house)
        assert await everybody.status(lambda status: states(status).get("database") == "operational")
        line.cut()
        away = await everybody.status(lambda status: states(status)["database"] == "major_outage")
        assert states(away)["api"] == "major_outage"
        assert states(away)["carrier:north"] == "operational"
        assert away["status"] == {"indicator": "critical", "description": "Major Service Outage"}
        summary = (await everybody.get("/status/summary.json")).json()
        jsonschema.Draft202012Validator(STATUSPAGE_SUMMARY, format_checker=jsonschema.FormatChecker()).validate(summary)
        line.mend()
        assert await everybody.status(lambda status: states(status)["database"] == "operational")


async def test_a_database_that_does_not_answer_holds_nobody_up(url: str) -> None:
    async with Line.laid(url) as line, opened(line.url, **NAMED) as house:
        everybody = Public(house)
        line.swallow_answers(after=0)
        began = time.monotonic()
        status = await everybody.status()
        assert time.monotonic() - began < 4 * SERVING.seconds
        assert states(status) == {"api": "major_outage", "database": "major_outage"}
        assert all(day["uptime"] is None for day in status["components"][0]["days"])
        took = []
        for _ in range(5):
            began = time.monotonic()
            assert states(await everybody.status()) == states(status)
            took.append(time.monotonic() - began)
        assert min(took) < page.PATIENCE_SECONDS, "who comes later does not wait again"
        line.cut()


# The server


async def test_a_server_looks_after_itself(serve: Serve) -> None:
    server = serve()
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client, asyncio.timeout(90):
        while True:
            status = (await client.get(f"{server.api}/status")).json()["data"]
            is_well = status["status"]["indicator"] == "none"
            if is_well and states(status).get("carrier:simulated") == "operational":
                break
            await asyncio.sleep(0.2)
    assert set(states(status)) == {"api", "database", "webhooks", "carrier:simulated"}
