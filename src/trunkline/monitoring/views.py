"""What the outside sees of components and incidents, each field with its meaning; and the way from a page to it."""

import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from trunkline import clock
from trunkline.monitoring import incidents, page, uptime
from trunkline.monitoring.components import Impact, State
from trunkline.monitoring.incidents import Stage
from trunkline.monitoring.page import Page

DESCRIPTIONS: dict[Impact, str] = {
    "none": "All Systems Operational",
    "minor": "Minor Service Outage",
    "major": "Partial System Outage",
    "critical": "Major Service Outage",
}

Share = Annotated[float, Meta(ge=0, le=1)]


class Indicator(msgspec.Struct, frozen=True):
    """The whole in a word: the worst of what components and open incidents mean."""

    indicator: Annotated[Impact, Meta(description="`none`: all is well.", examples=["none"])]
    description: Annotated[str, Meta(description="The same for people.", examples=["All Systems Operational"])]


class ComponentDay(msgspec.Struct, frozen=True):
    """A day (UTC) of a component. Seconds that nobody watched are neither up nor down."""

    day: Annotated[str, Meta(description="The day, UTC.", examples=["2026-04-19"])]
    uptime: (
        Annotated[
            Share,
            Meta(
                description="The share of the watched time in which it was up; null: nobody watched.", examples=[0.9989]
            ),
        ]
        | None
    )
    down_seconds: Annotated[int, Meta(description="For how long it was down.", examples=[95])]


class ComponentStatus(msgspec.Struct, frozen=True):
    name: Annotated[
        str,
        Meta(
            description="`api`, `database`, `webhooks`, or `carrier:` and a carrier's name.", examples=["carrier:north"]
        ),
    ]
    title: Annotated[str, Meta(description="Its name for people.", examples=["Carrier north"])]
    state: Annotated[State, Meta(description="How it is.", examples=["operational"])]
    since: Annotated[str, Meta(description="Since when it is in this state.", examples=["2026-04-19T14:30:00Z"])]
    uptime_90d: (
        Annotated[
            Share, Meta(description="The share of 90 days in which it was up; null: nobody watched.", examples=[0.9998])
        ]
        | None
    )
    days: Annotated[list[ComponentDay], Meta(description="The last 90 days, oldest first.")]


class IncidentUpdate(msgspec.Struct, frozen=True):
    state: Annotated[Stage, Meta(description="How far the mending was.", examples=["investigating"])]
    body: Annotated[
        str,
        Meta(description="What was said.", examples=["Carrier north has not been working since 2026-04-19T14:30:00Z."]),
    ]
    at: Annotated[str, Meta(description="When it was said.", examples=["2026-04-19T14:31:00Z"])]


class Incident(msgspec.Struct, frozen=True):
    incident_id: Annotated[str, Meta(description="Its id.", examples=["1001"])]
    title: Annotated[str, Meta(description="What happened, in a few words.", examples=["Carrier north: outage"])]
    impact: Annotated[Impact, Meta(description="How bad it is.", examples=["major"])]
    state: Annotated[
        Stage, Meta(description="How far its mending is: the newest update's state.", examples=["investigating"])
    ]
    components: Annotated[
        list[str], Meta(description="The names of the components that it affects.", examples=[["carrier:north"]])
    ]
    opened_at: Annotated[str, Meta(description="When it began.", examples=["2026-04-19T14:30:00Z"])]
    closed_at: Annotated[str, Meta(description="When it was over; null while it is not.")] | None
    updates: Annotated[list[IncidentUpdate], Meta(description="What was said about it, newest first.")]


class ServiceStatus(msgspec.Struct, frozen=True):
    status: Annotated[Indicator, Meta(description="The whole in a word.")]
    components: Annotated[list[ComponentStatus], Meta(description="How each part of the platform is.")]
    incidents: Annotated[
        list[Incident], Meta(description="Open ones first, then those that ended in the last 14 days.")
    ]
    generated_at: Annotated[str, Meta(description="As of when this is.", examples=["2026-04-19T14:32:00Z"])]


def status(current: Page) -> ServiceStatus:
    today = current.made_at.date()
    days = [today - datetime.timedelta(days=back) for back in reversed(range(page.DAYS))]
    return ServiceStatus(
        indicator(current),
        [_component(each, days) for each in current.components],
        [incident(each) for each in current.incidents],
        clock.iso(current.made_at),
    )


def indicator(current: Page) -> Indicator:
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
