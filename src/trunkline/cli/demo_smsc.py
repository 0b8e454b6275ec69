"""A carrier's side of SMPP, as small as the demo needs it."""
import contextlib
from typing import Any
@contextlib.contextmanager
def listening() -> Any:
    yield None
def settings(smsc: Any) -> dict[str, str]: return {}
def prepare(smsc: Any, command: Any, service: str) -> None: ...
