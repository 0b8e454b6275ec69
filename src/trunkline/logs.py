"""What the server writes about itself: a line for each thing, as text or as JSON, with the request that it belongs to.

Whoever logs, phone numbers are masked, and the rows and values that the database quotes in its errors are left out.
"""

import datetime
import logging
import sys
from contextvars import ContextVar
from typing import Any, Literal

import asyncpg
import msgspec

from trunkline import phone

_encode = msgspec.json.Encoder().encode


class Request:
    """The request that is being answered, as far as it is known yet."""

    __slots__ = ("held", "key_id", "request_id", "route")

    def __init__(self, request_id: str, route: str) -> None:
        self.request_id = request_id
        self.route = route  # a pattern
        self.key_id: int | None = None
        self.held = False  # the caller wants to wait


_request: ContextVar[Request | None] = ContextVar("request", default=None)


def begin(request_id: str, route: str) -> Request:
    """From here on, what this task and the tasks that it starts log is about this request, until ``end``."""
    request = Request(request_id, route)
    _request.set(request)
    return request


def end(request: Request) -> None:
    """A task that outlives the request that started it is nobody's."""
    request.request_id = ""


def _note_request(record: logging.LogRecord) -> bool:
    request = _request.get()
    record.request_id = request.request_id if request is not None else ""
    return True


def _make_discreet(error: BaseException | None) -> None:
    left: list[BaseException | None] = [error]
    seen = set()
    while left:
        error = left.pop()
        if error is None or id(error) in seen:
            continue
        seen.add(id(error))
        if isinstance(error, asyncpg.PostgresError):
            error.detail = None
        if isinstance(error, asyncpg.DataError):  # what is wrong with a value: after a colon comes the value
            error.args = (str(error).partition(":")[0],)
        left += [error.__cause__, error.__context__]
        if isinstance(error, BaseExceptionGroup):
            left += error.exceptions


class TextFormatter(logging.Formatter):
    """``2026-04-19 14:35:22,120 WARNING trunkline.api: [req_…] message``."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        request_id = getattr(record, "request_id", "")
        if request_id:
            record.message = f"[{request_id}] {record.message}"
        return super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        _make_discreet(record.exc_info[1] if record.exc_info else None)
        return phone.mask_all(super().format(record))


class JsonFormatter(logging.Formatter):
    """An object on each line; what a record has in ``facts`` stands beside its message."""

    def format(self, record: logging.LogRecord) -> str:
        _make_discreet(record.exc_info[1] if record.exc_info else None)
        at = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        line: dict[str, Any] = {
            "time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _masked(record.getMessage()),
            "request_id": getattr(record, "request_id", "") or None,
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            line["exception"] = _masked(self.formatException(record.exc_info))
        return _encode(line).decode()


def _masked(text: str) -> str:
    return phone.mask_all(text).encode(errors="backslashreplace").decode()


def configure(form: Literal["text", "json"], level: str) -> None:
    """Everything that is logged in this process goes to stderr, warnings of Python's too."""
    output = logging.StreamHandler(sys.stderr)
    output.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    output.addFilter(_note_request)
    logging.basicConfig(level=level.upper(), handlers=[output], force=True)
    logging.captureWarnings(True)
