"""Handlers of the public status: how the components are, what became of them in 90 days, and what is told of outages.

``/status/summary.json`` says the same in the shape of Atlassian Statuspage's public API, which monitors read already.
"""

import datetime
from collections.abc import Callable
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from trunkline import clock
from trunkline.monitoring import components, incidents, page, uptime
from trunkline.monitoring.components import Impact, State
from trunkline.monitoring.incidents import Stage
from trunkline.monitoring.page import Board, Page
from trunkline.surfaces.http import wire
from trunkline.surfaces.http.documents import document
from trunkline.surfaces.http.route import Document, Route

MAX_AGE_SECONDS = 10
PAGE_ID = "trunkline"

DESCRIPTIONS: dict[Impact, str] = {
    "none": "All Systems Operational",
    "minor": "Minor Service Outage",
    "major": "Partial System Outage",
    "critical": "Major Service Outage",
}

Share = Annotated[float, Meta(ge=0, le=1)]


class Indicator(msgspec.Struct, frozen=True):
    """The whole in a word: the worst of what components and open incidents mean."""

    indicator: Impact
    description: str


class ComponentDay(msgspec.Struct, frozen=True):
    """A day (UTC) of a component. Seconds that nobody watched are neither up nor down."""

    day: str
    uptime: Share | None
    down_seconds: int


class ComponentStatus(msgspec.Struct, frozen=True):
    name: str
    title: str
    state: State
    since: str
    uptime_90d: Share | None
    days: list[ComponentDay]


class IncidentUpdate(msgspec.Struct, frozen=True):
    state: Stage
    body: str
    at: str


class Incident(msgspec.Struct, frozen=True):
    incident_id: str
    title: str
    impact: Impact
    state: Stage
    components: list[str]
    opened_at: str
    closed_at: str | None
    updates: list[IncidentUpdate]


class ServiceStatus(msgspec.Struct, frozen=True):
    status: Indicator
    components: list[ComponentStatus]
    incidents: list[Incident]
    generated_at: str


class SummaryPage(msgspec.Struct, frozen=True):
    id: str
    name: str
    url: str
    time_zone: Literal["Etc/UTC"]
    updated_at: str


class SummaryComponent(msgspec.Struct, frozen=True):
    id: str
    name: str
    status: State
    created_at: str
    updated_at: str
    position: int
    description: str | None
    showcase: bool
    start_date: str
    group_id: str | None
    page_id: str
    group: bool
    only_show_if_degraded: bool


class AffectedComponent(msgspec.Struct, frozen=True):
    code: str
    name: str
    old_status: State
    new_status: State


class SummaryUpdate(msgspec.Struct, frozen=True):
    id: str
    status: Stage
    body: str
    incident_id: str
    created_at: str
    updated_at: str
    display_at: str
    affected_components: list[AffectedComponent]
    deliver_notifications: bool
    custom_tweet: str | None
    tweet_id: str | None


class SummaryIncident(msgspec.Struct, frozen=True):
    id: str
    name: str
    status: Stage
    created_at: str
    updated_at: str
    monitoring_at: str | None
    resolved_at: str | None
    impact: Impact
    shortlink: str
    started_at: str
    page_id: str
    incident_updates: list[SummaryUpdate]
    components: list[SummaryComponent]


class Summary(msgspec.Struct, frozen=True):
    page: SummaryPage
    components: list[SummaryComponent]
    incidents: list[SummaryIncident]
    scheduled_maintenances: list[SummaryIncident]
    status: Indicator


def routes(*, board: Board, name: str, url: str) -> list[Route]:
    """The table's lines. ``name`` and ``url`` are those of the page that the operator shows to people."""
    made: dict[str, tuple[Page, Document]] = {}

    async def remember(what: str, make: Callable[[Page], bytes]) -> Document:
        current = await board.current()
        if what not in made or made[what][0] is not current:
            made[what] = current, document(make(current), MAX_AGE_SECONDS)
        return made[what][1]

    async def show(_: None) -> Document:
        return await remember("status", lambda current: wire.success(shown(current)))

    async def summary(_: None) -> Document:
        return await remember("summary", lambda current: wire.encode(summarised(current, name, url)))

    return [
        Route(
            method="GET",
            path="/status",
            scope=None,
            handler=show,
            tag="Status",
            summary="How the platform is",
            description="Components with 90 days of their up time, open incidents, and those of the last 14 days.",
            answer=ServiceStatus,
        ),
        Route(
            method="GET",
            path="/status/summary.json",
            scope=None,
            handler=summary,
            tag="Status",
            summary="The same for monitors of status pages",
            description="As Atlassian Statuspage's public `summary.json`: without our envelope, open incidents alone.",
            answer=Summary,
            bare=True,
        ),
    ]


def shown(current: Page) -> ServiceStatus:
    today = current.made_at.date()
    days = [today - datetime.timedelta(days=back) for back in reversed(range(page.DAYS))]
    return ServiceStatus(
        _indicator(current),
        [_component(each, days) for each in current.components],
        [incident(each) for each in current.incidents],
        clock.iso(current.made_at),
    )


def _indicator(current: Page) -> Indicator:
    return Indicator(current.indicator, DESCRIPTIONS[current.indicator])


def _component(component: page.Component, days: list[datetime.date]) -> ComponentStatus:
    seconds = [component.days.get(day, (0.0, 0.0)) for day in days]
    return ComponentStatus(
        component.name,
        component.title,
        component.state,
        clock.iso(component.since),
        uptime.share(seconds),
        [
            ComponentDay(day.isoformat(), uptime.share([each]), round(each[1]))
            for day, each in zip(days, seconds, strict=True)
        ],
    )


def incident(told: incidents.Incident) -> Incident:
    """An incident as the public sees it."""
    return Incident(
        str(told.incident_id),
        told.title,
        told.impact,
        told.state,
        list(told.components),
        clock.iso(told.opened_at),
        clock.iso(told.closed_at) if told.closed_at is not None else None,
        [IncidentUpdate(update.state, update.body, clock.iso(update.at)) for update in told.updates],
    )


def summarised(current: Page, name: str, url: str) -> Summary:
    """As developer documentation of Statuspage and the pages that run on it show it."""
    parts = {
        each.name: SummaryComponent(
            id=each.name,
            name=each.title,
            status=each.state,
            created_at=clock.iso(each.created_at),
            updated_at=clock.iso(each.since),
            position=position,
            description=None,
            showcase=True,
            start_date=each.created_at.date().isoformat(),
            group_id=None,
            page_id=PAGE_ID,
            group=False,
            only_show_if_degraded=False,
        )
        for position, each in enumerate(current.components, 1)
    }
    changes = [each.since for each in current.components] + [each.updates[0].at for each in current.incidents]
    return Summary(
        SummaryPage(PAGE_ID, name, url, "Etc/UTC", clock.iso(max(changes, default=current.made_at))),
        list(parts.values()),
        [_summarised(each, parts, url) for each in current.incidents if each.closed_at is None],
        [],
        _indicator(current),
    )


def _summarised(told: incidents.Incident, parts: dict[str, SummaryComponent], url: str) -> SummaryIncident:
    number = str(told.incident_id)
    first = told.updates[-1]
    monitored = [update.at for update in told.updates if update.state == "monitoring"]
    updates = [
        SummaryUpdate(
            id=str(update.update_id),
            status=update.state,
            body=update.body,
            incident_id=number,
            created_at=clock.iso(update.at),
            updated_at=clock.iso(update.at),
            display_at=clock.iso(update.at),
            affected_components=_affected(told) if update is first else [],
            deliver_notifications=False,
            custom_tweet=None,
            tweet_id=None,
        )
        for update in told.updates
    ]
    return SummaryIncident(
        id=number,
        name=told.title,
        status=told.state,
        created_at=clock.iso(first.at),
        updated_at=clock.iso(told.updates[0].at),
        monitoring_at=clock.iso(max(monitored)) if monitored else None,
        resolved_at=None,
        impact=told.impact,
        shortlink=url,
        started_at=clock.iso(told.opened_at),
        page_id=PAGE_ID,
        incident_updates=updates,
        components=[parts[each] for each in told.components if each in parts],
    )


def _affected(told: incidents.Incident) -> list[AffectedComponent]:
    """What a health check has seen; an operator says it in words."""
    if told.opened_by == "operator":
        return []
    return [
        AffectedComponent(each, components.title(each), "operational", components.outage(each))
        for each in told.components
    ]
