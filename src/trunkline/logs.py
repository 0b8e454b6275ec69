"""What the server writes about itself: a line for each thing, as text or as JSON, with the request that it belongs to.

Whoever logs, phone numbers are masked, and the rows and values that the database quotes in its errors are left out.
Whoever reads may stand still: the lines wait in ``log_queue``, and nobody who logs waits.
"""

import datetime
import json
import logging
import re
import time
import unicodedata
from contextvars import ContextVar
from typing import Any, Literal

import asyncpg
import msgspec

from trunkline import log_queue, phone

_encode = msgspec.json.Encoder().encode

INDENT = "    "  # before each line of a traceback, so that none can be taken for an entry
STDERR = 2  # not sys.stderr: its lock is held by whoever waits for the reader
AGAIN_SECONDS = 10.0  # between two of the same warning
_UNUSUAL = re.compile(r"[^ -~]")


class LogOptions(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    format: Literal["text", "json"]
    level: Literal["debug", "info", "warning", "error"]


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


def escaped(text: str) -> str:
    """The text as one line that no terminal acts upon: line ends, control and format characters as escapes."""
    return _UNUSUAL.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    character = found.group()
    return character.encode("unicode_escape").decode() if _acts(character) else character


def _escape_json(found: re.Match[str]) -> str:
    character = found.group()
    return json.dumps(character)[1:-1] if _acts(character) else character


def _acts(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")


def _time(record: logging.LogRecord) -> str:
    at = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Repetitions(logging.Filter):
    """Of a warning that the same file of code repeats, and no request has caused, one in a while is written.

    What runs in the background tries again and again: while the database is away each would say so at every try. What
    changes is always written: a file's other words in between ("is back") begin anew.
    """

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, tuple[str, float, int]] = {}  # by file: its words, until when, how many are left out

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        words = record.getMessage()
        last, until, left_out = self._last.get(record.pathname, ("", 0.0, 0))
        now = time.monotonic()
        if words != last:
            self._last[record.pathname] = (words, now + AGAIN_SECONDS, 0)
        elif getattr(record, "request_id", "") == "":
            if now < until:
                self._last[record.pathname] = (words, until, left_out + 1)
                return False
            self._last[record.pathname] = (words, now + AGAIN_SECONDS, 0)
            if left_out:
                record.msg, record.args = f"{words} ({left_out} more since the last line)", None
        return True


class TextFormatter(logging.Formatter):
    """``2026-04-19T14:35:22.120Z WARNING trunkline.api: [req_…] message``; a traceback follows, indented."""

    def format(self, record: logging.LogRecord) -> str:
        _make_discreet(record.exc_info[1] if record.exc_info else None)
        request_id = getattr(record, "request_id", "")
        about = f"[{request_id}] " if request_id else ""
        lines = [f"{_time(record)} {record.levelname} {record.name}: {about}{escaped(record.getMessage())}"]
        if record.exc_info:
            lines += [INDENT + escaped(line) for line in self.formatException(record.exc_info).split("\n")]
        return phone.mask_all("\n".join(lines))


class JsonFormatter(logging.Formatter):
    """An object on each line; what a record has in ``facts`` stands beside its message."""

    def format(self, record: logging.LogRecord) -> str:
        _make_discreet(record.exc_info[1] if record.exc_info else None)
        line: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _masked(record.getMessage()),
            "request_id": getattr(record, "request_id", "") or None,
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            line["exception"] = _masked(self.formatException(record.exc_info))
        return _UNUSUAL.sub(_escape_json, _encode(line).decode())


def _masked(text: str) -> str:
    return phone.mask_all(text).encode(errors="backslashreplace").decode()


def configure(form: Literal["text", "json"], level: str) -> None:
    """Everything that is logged in this process goes to stderr, warnings of Python's too."""
    output = log_queue.LogQueue(STDERR)
    output.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    output.addFilter(_note_request)
    output.addFilter(Repetitions())
    logging.basicConfig(level=level.upper(), handlers=[output], force=True)
    logging.captureWarnings(True)
