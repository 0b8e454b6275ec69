"""Settings of events: their retention, and the streams of them (server-sent events)."""

import msgspec


class EventOptions(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    days: int
    streams_per_key: int
    streams_per_account: int
    heartbeat_seconds: float

    def __post_init__(self) -> None:
        if not 4 <= self.days <= 3650:
            raise ValueError("days is 4 to 3650: a webhook may be tried for more than three")
        if min(self.streams_per_key, self.streams_per_account) < 1 or not 0 < self.heartbeat_seconds <= 3600:
            raise ValueError("streams_per_key and streams_per_account are 1 or more, heartbeat_seconds more than 0")
