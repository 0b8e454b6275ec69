"""Settings of the audit: the key that signs the chain, and where its ends are written."""

import pathlib

import msgspec


class AuditOptions(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    signing_key: str
    heads_file: str
    export_seconds: float

    def __post_init__(self) -> None:
        if self.export_seconds < 1:
            raise ValueError("export_seconds is 1 or more")

    def key_path(self, directory: pathlib.Path) -> pathlib.Path:
        return pathlib.Path(self.signing_key).expanduser() if self.signing_key else directory / "audit-signing-key.pem"

    def heads_path(self, directory: pathlib.Path) -> pathlib.Path:
        return pathlib.Path(self.heads_file).expanduser() if self.heads_file else directory / "audit-heads.jsonl"
