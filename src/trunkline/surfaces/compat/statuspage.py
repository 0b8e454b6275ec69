"""Atlassian Statuspage's public ``summary.json``: the status in the shape that monitors of status pages read."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from trunkline import clock, fields
from trunkline.monitoring import components, incidents
from trunkline.monitoring.components import Impact, State
from trunkline.monitoring.incidents import Stage
from trunkline.monitoring.page import Board, Page
from trunkline.monitoring.views import Indicator, indicator
from trunkline.surfaces.http import wire
from trunkline.surfaces.http.documents import Latest
from trunkline.surfaces.http.route import Document, Route
from trunkline.surfaces.http.surface import Surface

PAGE_ID = "trunkline"


class SummaryPage(msgspec.Struct, frozen=True):
    id: Annotated[str, Meta(description="The page's id.", examples=["trunkline"])]
    name: Annotated[str, Meta(description="The page's name, as the operator has set it.", examples=["Trunkline"])]
    url: Annotated[
        str,
        Meta(
            description="The page's address; empty where the operator has set none.",
            examples=["https://status.example.com"],
        ),
    ]
    time_zone: Annotated[Literal["Etc/UTC"], Meta(description="Days and times are UTC.", examples=["Etc/UTC"])]
    updated_at: Annotated[
        str, Meta(description="When something on the page last changed.", examples=["2026-04-19T14:31:00Z"])
    ]


class SummaryComponent(msgspec.Struct, frozen=True):
    id: Annotated[str, Meta(description="The component's name in `/status`.", examples=["carrier:north"])]
    name: Annotated[str, Meta(description="Its name for people.", examples=["Carrier north"])]
    status: Annotated[State, Meta(description="How it is.", examples=["operational"])]
    created_at: fields.CreatedAt
    updated_at: Annotated[str, Meta(description="Since when it is so.", examples=["2026-04-19T14:30:00Z"])]
    position: Annotated[int, Meta(description="Its place on the page, from 1.", examples=[4])]
    description: Annotated[str, Meta(description="Always null.")] | None
    showcase: Annotated[bool, Meta(description="Always true.", examples=[True])]
    start_date: Annotated[
        str, Meta(description="The day on which it was first looked at, UTC.", examples=["2026-04-01"])
    ]
    group_id: Annotated[str, Meta(description="Always null.")] | None
    page_id: Annotated[str, Meta(description="The page's id.", examples=["trunkline"])]
    group: Annotated[bool, Meta(description="Always false: there are no groups.", examples=[False])]
    only_show_if_degraded: Annotated[bool, Meta(description="Always false.", examples=[False])]


class AffectedComponent(msgspec.Struct, frozen=True):
    code: Annotated[str, Meta(description="The component's id.", examples=["carrier:north"])]
    name: Annotated[str, Meta(description="Its title.", examples=["Carrier north"])]
    old_status: Annotated[State, Meta(description="What it was.", examples=["operational"])]
    new_status: Annotated[State, Meta(description="What it became.", examples=["major_outage"])]


class SummaryUpdate(msgspec.Struct, frozen=True):
    id: Annotated[str, Meta(description="The update's id.", examples=["1"])]
    status: Annotated[Stage, Meta(description="How far the mending was.", examples=["investigating"])]
    body: Annotated[
        str,
        Meta(description="What was said.", examples=["Carrier north has not been working since 2026-04-19T14:30:00Z."]),
    ]
    incident_id: Annotated[str, Meta(description="The incident's id.", examples=["1001"])]
    created_at: Annotated[str, Meta(description="When it was said.", examples=["2026-04-19T14:31:00Z"])]
    updated_at: Annotated[str, Meta(description="When it was said.", examples=["2026-04-19T14:31:00Z"])]
    display_at: Annotated[str, Meta(description="When it was said.", examples=["2026-04-19T14:31:00Z"])]
    affected_components: Annotated[list[AffectedComponent], Meta(description="What a health check has seen change.")]
    deliver_notifications: Annotated[bool, Meta(description="Always false.", examples=[False])]
    custom_tweet: Annotated[str, Meta(description="Always null.")] | None
    tweet_id: Annotated[str, Meta(description="Always null.")] | None


class SummaryIncident(msgspec.Struct, frozen=True):
    id: Annotated[str, Meta(description="The incident's id.", examples=["1001"])]
    name: Annotated[str, Meta(description="What happened, in a few words.", examples=["Carrier north: outage"])]
    status: Annotated[Stage, Meta(description="How far its mending is.", examples=["investigating"])]
    created_at: fields.CreatedAt
    updated_at: Annotated[
        str, Meta(description="When something was last said about it.", examples=["2026-04-19T14:31:00Z"])
    ]
    monitoring_at: (
        Annotated[str, Meta(description="When it was last said to be mended and watched; null: it was not.")] | None
    )
    resolved_at: Annotated[str, Meta(description="Always null: it is open.")] | None
    impact: Annotated[Impact, Meta(description="How bad it is.", examples=["major"])]
    shortlink: Annotated[str, Meta(description="The page's address.", examples=["https://status.example.com"])]
    started_at: Annotated[str, Meta(description="When it began.", examples=["2026-04-19T14:30:00Z"])]
    page_id: Annotated[str, Meta(description="The page's id.", examples=["trunkline"])]
    incident_updates: Annotated[list[SummaryUpdate], Meta(description="What was said about it, newest first.")]
    components: Annotated[list[SummaryComponent], Meta(description="The components that it affects.")]


class Summary(msgspec.Struct, frozen=True):
    page: Annotated[SummaryPage, Meta(description="The page that people look at.")]
    components: Annotated[list[SummaryComponent], Meta(description="How each part of the platform is.")]
    incidents: Annotated[list[SummaryIncident], Meta(description="Open incidents, newest first.")]
    scheduled_maintenances: Annotated[list[SummaryIncident], Meta(description="Always empty.", examples=[[]])]
    status: Annotated[Indicator, Meta(description="The whole in a word.")]


class Statuspage(Surface):
    """Stands beside the API; its answers have no envelope. ``name`` and ``url``: of the page that people look at."""

    enveloped = False

    def __init__(self, base: str, board: Board, *, name: str, url: str) -> None:
        self._summary = Latest(
            board.current, lambda current: wire.encode(summarised(current, name, url)), max_age_seconds=10
        )
        super().__init__(base, [self._route()])

    async def summary(self, _: None) -> Document:
        return await self._summary.document()

    def _route(self) -> Route:
        return Route(
            method="GET",
            path="/status/summary.json",
            scope=None,
            handler=self.summary,
            tag="Status",
            summary="The same for monitors of status pages",
            description="As Atlassian Statuspage's public `summary.json`: without our envelope, open incidents alone.",
            answer=Summary,
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
        indicator(current),
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
