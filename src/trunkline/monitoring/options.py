"""Settings of the public status page."""

import msgspec


class StatusOptions(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    name: str
    url: str
