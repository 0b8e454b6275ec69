"""Settings of leases: the retention of texts, and the group commit that takes them in."""

import pathlib

import msgspec

LONGEST_PART_WAIT_SECONDS = 1800  # parts further apart are of different texts


class RetentionOptions(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    days: int
    longest_days: int
    test_days: int
    label_days: int
    warn_gigabytes: float

    def __post_init__(self) -> None:
        if not 0 <= self.days <= self.longest_days <= 30:
            raise ValueError("days is 0 to longest_days, and that at most 30")
        if not 4 <= self.test_days <= 3650:
            raise ValueError("test_days is 4 to 3650: a text may be repeated, and a webhook tried, for more than three")
        if not 32 <= self.label_days <= 3650:
            raise ValueError("label_days is 32 to 3650")
        if self.warn_gigabytes <= 0:
            raise ValueError("warn_gigabytes is more than 0")


class InboxOptions(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    group_size: int
    backlog: int
    part_wait_seconds: float
    repeat_secret: str

    def __post_init__(self) -> None:
        if self.group_size < 1 or self.backlog < 1:
            raise ValueError("group_size and backlog are 1 or more")
        if not 1 <= self.part_wait_seconds <= LONGEST_PART_WAIT_SECONDS:
            raise ValueError(f"part_wait_seconds is from 1 to {LONGEST_PART_WAIT_SECONDS}")

    def secret_path(self, directory: pathlib.Path) -> pathlib.Path:
        return pathlib.Path(self.repeat_secret).expanduser() if self.repeat_secret else directory / "repeat-secret"
