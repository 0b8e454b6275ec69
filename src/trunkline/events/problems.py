"""Streams of events that are not opened."""

from trunkline.errors import RateLimited


class TooManyStreams(RateLimited):
    code, title = "too_many_streams", "Too many open streams"
    example = {
        "detail": "The key has 100 streams open, and may have no more; close one.",
        "limit": 100, "retry_at": "2026-04-19T14:32:00Z",
    }  # fmt: skip
