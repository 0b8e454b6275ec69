"""Time as the outside sees it: UTC, ISO 8601, whole seconds, with Z."""

import datetime


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def iso(moment: datetime.datetime) -> str:
    """``2026-04-19T15:30:00Z``; fractions of a second are cut, never rounded up into the future."""
    if moment.tzinfo is not datetime.UTC:  # what the database answers is
        moment = moment.astimezone(datetime.UTC)
    return moment.isoformat()[:19] + "Z"
