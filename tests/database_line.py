"""A line to the database that can be cut and mended, or be made to swallow what the database answers."""

import asyncio
import contextlib
import pathlib
import urllib.parse
from collections.abc import AsyncIterator


class Line:
    """Carries connections from a port of its own to the database's socket."""

    def __init__(self, url: str) -> None:
        parts = urllib.parse.urlsplit(url)
        self._parts = parts
        self._folder = dict(urllib.parse.parse_qsl(parts.query)).get("host")
        self._whole = True
        self._heard: int | None = None  # answers that may still be heard
        self._swallowed = asyncio.Event()
        self.refused = 0  # connections that broke at once
        self._writers: set[asyncio.StreamWriter] = set()
        self.url = ""
        self._open: set[asyncio.StreamReader] = set()
        self._hushed: set[asyncio.StreamReader] = set()

    @classmethod
    @contextlib.asynccontextmanager
    async def laid(cls, url: str) -> AsyncIterator["Line"]:
        line = cls(url)
        server = await asyncio.start_server(line._carry, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        credentials = line._parts.netloc.rpartition("@")[0]
        netloc = f"{credentials}@127.0.0.1:{port}" if credentials else f"127.0.0.1:{port}"
        line.url = urllib.parse.urlunsplit(line._parts._replace(netloc=netloc, query=""))
        try:
            yield line
        finally:
            line.cut()
            server.close()

    def cut(self) -> None:
        """Every connection breaks, and new ones break at once."""
        self._whole = False
        self._heard = None
        for writer in self._writers:
            writer.transport.abort()

    def mend(self) -> None:
        self._whole = True

    def hush(self) -> None:
        """The connections that are open carry nothing any more, without an end; new ones do."""
        self._hushed |= self._open
        self._open.clear()

    def swallow_answers(self, after: int) -> None:
        """After so many answers more, the database hears everything and nobody hears the database."""
        self._swallowed.clear()
        self._heard = after

    async def answer_swallowed(self) -> None:
        await self._swallowed.wait()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._whole:
            self.refused += 1
            writer.transport.abort()
            return
        if self._folder:
            path = pathlib.Path(self._folder) / f".s.PGSQL.{self._parts.port or 5432}"
            database_reader, database_writer = await asyncio.open_unix_connection(path)
        else:
            host, port = self._parts.hostname, self._parts.port or 5432
            database_reader, database_writer = await asyncio.open_connection(host, port)
        if not self._whole:  # it was cut meanwhile
            writer.transport.abort()
            database_writer.transport.abort()
            return
        self._writers |= {writer, database_writer}
        self._open |= {reader, database_reader}
        with contextlib.suppress(ConnectionError):
            await asyncio.gather(
                self._pump(reader, database_writer), self._pump(database_reader, writer, from_database=True)
            )
        self._writers -= {writer, database_writer}
        self._open -= {reader, database_reader}

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, from_database: bool = False
    ) -> None:
        while octets := await reader.read(65536):
            if reader in self._hushed:
                continue
            if from_database and self._heard is not None:
                if self._heard == 0:
                    self._swallowed.set()
                    continue
                self._heard -= 1
            writer.write(octets)
            await writer.drain()
        if reader not in self._hushed:
            writer.close()
