"""Server-sent events out of a stream of bytes, as WHATWG HTML §9.2.6 reads them. Pure.

One thing is Trunkline's own: the comment ``: from evt_1041`` names the id to come back with before there was an event.
"""

import dataclasses
import re

from trunkline.errors import OperatorError

MOST_BYTES = 4 * 1024 * 1024  # of one event; what is longer is none of ours

_LINE_END = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"
_FROM = re.compile(r"from (evt_\d+)")


@dataclasses.dataclass(frozen=True, slots=True)
class ServerEvent:
    type: str  # "message" where the stream names none
    data: str
    event_id: str  # the last one named, by this event or one before


class ServerEvents:
    """Takes the bytes however they are cut, and gives each event once it is whole."""

    def __init__(self, last_id: str = "") -> None:
        self.last_id = last_id  # of the last whole event, also of one without data: what Last-Event-ID says
        self.retry_ms: int | None = None  # how long the server asks to wait before the next connection
        self._rest = b""  # the line that has not ended yet
        self._after_cr = False  # a line feed that follows is the same line's end
        self._first = True
        self._size = 0  # of the data so far, in bytes
        self._id = last_id
        self._type = ""
        self._data: list[str] = []

    def feed(self, piece: bytes) -> list[ServerEvent]:
        """Raises OperatorError for an event that is longer than any of ours."""
        if not piece:
            return []
        if self._after_cr:
            piece = piece.removeprefix(b"\n")
        *lines, self._rest = _LINE_END.split(self._rest + piece)
        self._after_cr = piece.endswith(b"\r")
        found = [event for line in lines if (event := self._take(line)) is not None]
        if self._size + len(self._rest) > MOST_BYTES:
            raise OperatorError("The server sent an event that is longer than any may be.")
        return found

    def _take(self, line: bytes) -> ServerEvent | None:
        if self._first:
            line, self._first = line.removeprefix(_BOM), False
        if not line:
            return self._dispatch()
        name, _, value = line.decode("utf-8", "replace").partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
            self._size += len(line)
        elif name == "event":
            self._type = value
        elif name == "id" and "\0" not in value:
            self._id = value
        elif not name and not self.last_id and (beginning := _FROM.fullmatch(value)):
            self.last_id = self._id = beginning[1]
        elif name == "retry" and value.isascii() and value.isdigit():
            self.retry_ms = int(value[:9])
        return None

    def _dispatch(self) -> ServerEvent | None:
        self.last_id = self._id
        event = ServerEvent(self._type or "message", "\n".join(self._data), self._id) if self._data else None
        self._size, self._type, self._data = 0, "", []
        return event
