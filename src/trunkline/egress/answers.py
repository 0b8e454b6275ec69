"""HTTP/1.1 answers (RFC 9112), read as generously as the standard lets a user agent: the head decides.

Once the status line and the head are here there is an answer, whatever becomes of its body: a connection that is reset,
a body that never ends or is longer than is read, a framing that cannot be followed. What the body lacks is said.
"""

import asyncio
import re
from typing import NamedTuple

from trunkline.egress.errors import NoAnswer

MOST_READ = 64 * 1024  # bytes of an answer, its head included

LONG = f"is longer than {MOST_READ // 1024} KiB"
EARLY = "ended too early"
LATE = "had no end in time"
BROKEN = "is framed in a way that cannot be followed"

_BEGIN = b"HTTP/"
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")  # a line may end with LF alone (§2.2)
_STATUS_LINE = re.compile(rb"HTTP/[0-9](?:\.[0-9])?[ \t]+([1-9][0-9]{2})(?:[ \t].*)?", re.DOTALL)
_FOLD = re.compile(rb"[ \t]*\r?\n[ \t]+")  # §5.2: a user agent takes it for a space
_LENGTH = re.compile(r"[0-9]{1,18}")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?", re.DOTALL)
_WITHOUT_BODY = (204, 304)


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]  # names in lower case; of those sent twice the last
    body: bytes  # as it came, also where it is packed; the beginning of it where it is not whole
    lacks: str | None  # why it is not whole, as in "Its answer ended too early."
    address: str  # that answered

    @property
    def whole(self) -> bool:
        return self.lacks is None


class Exchange(asyncio.Protocol):
    """One request on one connection, and the answer to it; what comes after that is nobody's."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self._head = bytearray()
        self._looked_at = 0  # of the head, where no end is
        self._status = 0
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._length: int | None = None  # of the body, where the head says it
        self._chunks: _Chunks | None = None
        self._left = MOST_READ
        self._came: asyncio.Future[None] = loop.create_future()  # the head, or why there is none
        self._ended: asyncio.Future[str | None] = loop.create_future()  # what the body lacks

    async def ask(self, request: bytes) -> None:
        """Until the answer's head is here. Raises OSError and NoAnswer."""
        self.transport.write(request)
        await self._came

    async def answer(self, address: str, seconds: float) -> Answer:
        """After ``ask``: with as much of the body as comes within that time."""
        if not self._ended.done():
            await asyncio.wait((self._ended,), timeout=seconds)
        lacks = self._ended.result() if self._ended.done() else LATE
        return Answer(self._status, self._headers, bytes(self._body), lacks, address)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment] # a stream's

    def data_received(self, data: bytes) -> None:
        if self._ended.done():
            return
        self._left -= len(data)
        if self._left < 0:
            data = data[: self._left]
        if not self._status:
            self._head += data
            data = self._read_head()
        if self._status and not self._ended.done():
            self._read_body(data)
        if self._left <= 0:
            self._end(LONG, NoAnswer("The answer's head has no end."))

    def eof_received(self) -> None:
        # a body of which no length is said ends with the connection (RFC 9112 §6.3)
        self._end(None if self._length is None and self._chunks is None else EARLY, _ended_before())

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(EARLY, exc or _ended_before())

    def _end(self, lacks: str | None, failed: Exception) -> None:
        if not self._came.done():
            self._came.set_exception(failed)
            self._came.exception()  # whoever waits may have left
            self._ended.set_result(EARLY)
        elif not self._ended.done():
            self._ended.set_result(lacks)

    def _read_head(self) -> bytes:
        """What follows it. Answers before the last one (RFC 9110 §15.2) are passed over."""
        while not self._status:
            while self._head.startswith((b"\r", b"\n")):
                del self._head[:1]
            if not _BEGIN.startswith(bytes(self._head[: len(_BEGIN)])):
                self._end(None, OSError("what came is not HTTP/1.1"))
                return b""
            end = _END_OF_HEAD.search(self._head, max(self._looked_at - 3, 0))
            if end is None:
                self._looked_at = len(self._head)
                return b""
            head, self._looked_at = bytes(self._head[: end.start()]), 0
            del self._head[: end.end()]
            line, *lines = _FOLD.sub(b" ", head).split(b"\n")
            status = _STATUS_LINE.fullmatch(line.rstrip(b"\r"))
            if status is None or status[1] == b"101":  # nobody asked for another protocol
                self._end(None, OSError("what came is not HTTP/1.1"))
                return b""
            if int(status[1]) >= 200:
                self._begin_body(int(status[1]), lines)
        return bytes(self._head)

    def _begin_body(self, status: int, lines: list[bytes]) -> None:
        lengths: set[str] = set()
        for line in lines:
            name, colon, value = line.decode("latin-1").partition(":")
            name, value = name.strip().lower(), value.strip(" \t\r").replace("\r", " ")
            if colon and name:
                self._headers[name] = value
                if name == "content-length":
                    lengths.update(each.strip() for each in value.split(","))
        self._status = status
        self._came.set_result(None)
        coding = self._headers.get("transfer-encoding")
        if status in _WITHOUT_BODY:
            self._ended.set_result(None)
        elif coding is not None:  # which counts more than a length (RFC 9112 §6.3)
            if coding.lower().split(",")[-1].strip() == "chunked":
                self._chunks = _Chunks(self._body)
        elif lengths:
            length = lengths.pop()
            if lengths or not _LENGTH.fullmatch(length):
                self._ended.set_result(BROKEN)
            else:
                self._length = int(length)

    def _read_body(self, data: bytes) -> None:
        if self._chunks is not None:
            try:
                whole = self._chunks.read(data)
            except ValueError:
                self._ended.set_result(BROKEN)
                return
        else:
            self._body += data if self._length is None else data[: self._length - len(self._body)]
            whole = len(self._body) == self._length
        if whole:
            self._ended.set_result(None)


def _ended_before() -> NoAnswer:
    return NoAnswer("The connection ended before an answer.")


class _Chunks:
    """The chunked coding (RFC 9112 §7.1); trailers are read and forgotten."""

    def __init__(self, body: bytearray) -> None:
        self._body = body
        self._buffer = bytearray()
        self._left = 0  # of a chunk
        self._after = False  # a chunk, before the end of its line
        self._last = False  # the last chunk was there: trailers

    def read(self, data: bytes) -> bool:
        """Whether that was all. Raises ValueError for what is no chunk."""
        self._buffer += data
        while True:
            if self._left:
                piece = self._buffer[: self._left]
                self._body += piece
                del self._buffer[: len(piece)]
                self._left -= len(piece)
                if self._left:
                    return False
                self._after = True
            end = self._buffer.find(b"\n")
            if end < 0:
                return False
            line = bytes(self._buffer[:end]).strip(b" \t\r")
            del self._buffer[: end + 1]
            if self._last:
                if not line:
                    return True
            elif self._after:
                self._after = False
                if line:
                    raise ValueError("a chunk is longer than it says")
            else:
                size = _CHUNK_SIZE.fullmatch(line)
                if size is None:
                    raise ValueError("no size of a chunk")
                self._left = int(size[1], 16)
                self._last = not self._left
