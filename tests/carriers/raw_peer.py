"""The other end of a link on a raw socket, which sends whatever octets a test wants."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator

from tests.carriers.smpp_peer import PATIENCE_SECONDS

from trunkline.carriers.smpp import pdu


class RawPeer:
    """The other end of one accepted connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    def send(self, octets: bytes) -> None:
        self.writer.write(octets)

    async def header(self) -> tuple[int, int, int]:
        """Command, status and sequence of the next PDU."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            length, command_id, status, sequence = struct.unpack(">IIII", await self._reader.readexactly(16))
            await self._reader.readexactly(length - 16)
        return command_id, status, sequence

    async def skip(self, octets: int) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self._reader.readexactly(octets)

    async def accept_bind(self) -> None:
        command_id, _, sequence = await self.header()
        self.send(pdu.write_pdu(command_id | pdu.RESPONSE, sequence, b"peer\0"))

    async def closed(self) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            with contextlib.suppress(ConnectionError):
                await self._reader.read()


class RawServer:
    def __init__(self) -> None:
        self.port = 0
        self._accepted: asyncio.Queue[RawPeer] = asyncio.Queue()
        self._peers: list[RawPeer] = []
        self._is_over = False

    @classmethod
    @contextlib.asynccontextmanager
    async def started(cls) -> AsyncIterator["RawServer"]:
        raw = cls()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if raw._is_over:  # it came as everybody left
                writer.transport.abort()
                return
            raw._peers.append(RawPeer(reader, writer))
            raw._accepted.put_nowait(raw._peers[-1])

        listener = socket.create_server(("127.0.0.1", 0))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)  # little is kept by the kernel
        server = await asyncio.start_server(accept, sock=listener)
        raw.port = server.sockets[0].getsockname()[1]
        try:
            yield raw
        finally:
            server.close()
            raw._is_over = True
            raw.hang_up()
            await server.wait_closed()

    def hang_up(self) -> None:
        for peer in self._peers:
            peer.writer.transport.abort()

    async def peer(self) -> RawPeer:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self._accepted.get()
