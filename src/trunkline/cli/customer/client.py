"""What the commands of a customer share: where the server is, with which key, and how it is asked.

They need the API alone, no data directory and no database, and so run on any machine. The key comes from a variable or
a file: arguments are seen in the list of processes.
"""

import asyncio
import contextlib
import os
import pathlib
import ssl
import urllib.parse
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from typing import Any, TypeVar

import click
import httptools
import msgspec

from trunkline import config, egress
from trunkline.egress import NoAnswer
from trunkline.errors import OperatorError
from trunkline.surfaces import BASE
from trunkline.surfaces.http import wire

KEY, URL = "TRUNKLINE_API_KEY", "TRUNKLINE_URL"
EVERYWHERE = egress.networks(["0.0.0.0/0", "::/0"])  # it is the user's own machine that dials
CONNECT_SECONDS = 15.0
CALL_SECONDS = 40.0  # longer than the longest held call
MOST_HEAD = 64 * 1024  # bytes until an answer's head, or a refusal, must be whole

Function = TypeVar("Function", bound=Callable[..., Any])


def customer(function: Function) -> Function:
    """Adds ``--server``, ``--key-file`` and ``--json``; ``--data-dir``, which every command takes, is not needed."""
    for option in (
        click.option("--data-dir", hidden=True, expose_value=False, help="Not needed here."),
        click.option("--json", "as_json", is_flag=True, help="Machine-readable output, nothing else on stdout."),
        click.option(
            "--key-file", type=click.Path(path_type=pathlib.Path), help=f"Holds the API key, instead of {KEY}."
        ),
        click.option("--server", help=f"The server's base URL, instead of {URL}; this machine's unless one says."),
    ):
        function = option(function)
    return function


def client(server: str | None, key_file: pathlib.Path | None) -> "Client":
    """Raises OperatorError where there is no key, or what is named is no URL."""
    return Client(server or os.environ.get(URL) or _here(), _key(key_file))


def _here() -> str:
    options = config.load().server
    return f"http://{f'[{options.host}]' if ':' in options.host else options.host}:{options.port}"


def _key(file: pathlib.Path | None) -> str:
    try:
        key = (file.read_text("utf-8") if file else os.environ.get(KEY, "")).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise OperatorError(f"The key file {file} cannot be read: {getattr(error, 'strerror', 'no text')}.") from None
    if not key:
        raise OperatorError(f"There is no API key: set {KEY}, or name a file with --key-file.")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise OperatorError("That is no API key: it holds a space, or a character that no key has.")
    return key


class Client:
    """The API as a customer sees it. TLS is verified, no redirect followed and no proxy variable read."""

    def __init__(self, server: str, key: str) -> None:
        self.server = server.rstrip("/")
        self.key = key
        try:
            parts = urllib.parse.urlsplit(self.server)
            self._port = parts.port or (443 if parts.scheme == "https" else 80)
            (parts.hostname or "").encode("idna")  # as every resolver does
        except ValueError:
            raise OperatorError("The server's URL is no URL.") from None
        odd = "@" in parts.netloc or parts.query or parts.fragment or " " in server or not server.isprintable()
        if parts.scheme not in ("http", "https") or not parts.hostname or odd:
            raise OperatorError("That is no server's URL, as http://127.0.0.1:8600 is one.")
        self._host, self._netloc, self._path = parts.hostname, parts.netloc, parts.path
        self._secure = parts.scheme == "https"

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The ``data`` of the answer. Raises NoAnswer, and OperatorError with the problem's detail or for another
        server's answer."""
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        sent = wire.encode(body) if body is not None else b""
        url = self.server + BASE + path
        asked = egress.fetch(method, url, headers, sent, allow=EVERYWHERE, seconds=CALL_SECONDS)
        try:
            answer = asyncio.run(asked)
        except NoAnswer as error:
            raise NoAnswer(f"{self.server}: {error.detail}") from None
        if answer.status != 200:
            raise OperatorError(f"{method} {path}: {_detail(answer.status, answer.body)}")
        if not answer.whole:
            raise NoAnswer(f"{method} {path}: the answer of {self.server} did not come whole.")
        told = _object(answer.body)
        if "data" not in told:
            raise OperatorError(f"{method} {path}: {self.server} does not answer as Trunkline does.")
        return told["data"]

    @contextlib.asynccontextmanager
    async def stream(
        self, path: str, headers: Mapping[str, str], *, silent_seconds: float
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """The pieces of a long answer, as they come. Ends where the answer does.

        Raises NoAnswer for what another try may mend: a connection that fails or is silent for ``silent_seconds``, a
        server that is busy or away. Raises OperatorError for every other refusal.
        """
        tls = ssl.create_default_context() if self._secure else None
        lines = {"Host": self._netloc, "Authorization": f"Bearer {self.key}", "Accept": "text/event-stream", **headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        writer, reading = None, _Reading()
        try:
            with _failures():
                async with asyncio.timeout(CONNECT_SECONDS):
                    reader, writer = await asyncio.open_connection(self._host, self._port, ssl=tls)
                    writer.write(f"GET {self._path}{BASE}{path} HTTP/1.1\r\n{head}\r\n".encode())
                    while not reading.status or (reading.status != 200 and not reading.done):
                        if reading.size > MOST_HEAD or not await reading.more(reader):
                            break
            if reading.status != 200:
                detail = _detail(reading.status, b"".join(reading.pieces))
                if reading.status in (0, 408, 429) or reading.status >= 500:
                    raise NoAnswer(detail)
                raise OperatorError(detail)
            if not reading.is_stream:
                raise OperatorError(f"{self.server} does not answer as Trunkline does.")
            async with contextlib.aclosing(reading.rest(reader, silent_seconds)) as pieces:
                yield pieces
        finally:
            if writer is not None:
                writer.transport.abort()


@contextlib.contextmanager
def _failures() -> Iterator[None]:
    """Raises NoAnswer for what goes wrong on a connection."""
    try:
        yield
    except TimeoutError:
        raise NoAnswer("The server was silent for too long.") from None
    except OSError as error:
        raise NoAnswer(f"The connection failed: {egress.reason(error)}.") from None
    except httptools.HttpParserError:
        raise NoAnswer("The connection failed: what came is not HTTP/1.1.") from None


class _Reading:
    """An answer while it is read; httptools calls the ``on_`` methods."""

    def __init__(self) -> None:
        self.status = 0  # once the head is whole
        self.is_stream = False  # of events
        self.size = 0
        self.pieces: list[bytes] = []
        self.done = False
        self._parser = httptools.HttpResponseParser(self)

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"content-type":
            self.is_stream = value.lower().startswith(b"text/event-stream")

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        self.pieces.append(body)

    def on_message_complete(self) -> None:
        self.done = True

    async def more(self, reader: asyncio.StreamReader) -> bool:
        """Whether there was more to read."""
        piece = await reader.read(64 * 1024)
        self.size += len(piece)
        if piece:
            self._parser.feed_data(piece)
        return bool(piece)

    async def rest(self, reader: asyncio.StreamReader, silent_seconds: float) -> AsyncGenerator[bytes, None]:
        while True:
            pieces, self.pieces = self.pieces, []
            for piece in pieces:
                yield piece
            if self.done:
                return
            with _failures():
                async with asyncio.timeout(silent_seconds):
                    if not await self.more(reader):
                        return


def _detail(status: int, body: bytes) -> str:
    detail = _object(body).get("detail")
    return str(detail) if detail else (f"The server answered {status}." if status else "The server did not answer.")


def _object(body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
