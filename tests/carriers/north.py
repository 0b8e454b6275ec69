"""A carrier of the house over a raw socket: what its SMSC sends goes all the way to leases."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Mapping
from typing import Any

from tests.carriers.raw_peer import RawPeer, RawServer
from tests.carriers.smpp_peer import running
from tests.house import House

from trunkline.carriers.carrier import DeliveryReceipt
from trunkline.carriers.smpp import pdu
from trunkline.carriers.smpp.carrier import SmppCarrier
from trunkline.carriers.smpp.options import SmppOptions


class North:
    """The SMSC of the carrier ``north``, bound to the house."""

    def __init__(self, peer: RawPeer, house: House) -> None:
        self._peer = peer
        self._house = house
        self._sequence = itertools.count(1)
        self.receipts: list[DeliveryReceipt] = []

    async def deliver(
        self,
        to: bytes,
        text: bytes = b"Your code is 482913",
        *,
        ton: int = 1,
        esm_class: int = 0,
        protocol_id: int = 0,
        data_coding: int = 0,
        tlvs: Mapping[int, bytes] | None = None,
        data_sm: bool = False,
    ) -> int:
        """One deliver_sm (or data_sm), octet by octet; the status of its answer."""
        head = b"\0\x05\0INFO\0" + bytes((ton, 1)) + to + b"\0"
        if data_sm:
            command, body = pdu.DATA_SM, head + bytes((esm_class, 0, data_coding))
        else:
            command = pdu.DELIVER_SM
            body = head + bytes((esm_class, protocol_id, 0, 0, 0, 0, 0, data_coding, 0, len(text))) + text
        self._peer.send(pdu.write_pdu(command, next(self._sequence), body + pdu.write_tlvs(tlvs or {})))
        command_id, status, _ = await self._peer.header()
        assert command_id == command | pdu.RESPONSE
        return status

    async def kept(self) -> list[tuple[str, int | None, str | None]]:
        """Recipient, revision and reason of every text, oldest first."""
        return [(kept.row["recipient"], kept.row["revision"], kept.row["reason"]) for kept in await self._house.kept()]


class _Platform:
    """Gives a link the house's inbox, and notes receipts as a running server does."""

    def __init__(self, house: House, receipts: list[DeliveryReceipt]) -> None:
        self.deliver = house.platform.inbox.put
        self._receipts = receipts

    def report(self, receipt: DeliveryReceipt) -> Any:
        self._receipts.append(receipt)
        done = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    def commit_all(self) -> None:
        """Nothing is held."""


@contextlib.asynccontextmanager
async def bound_to(house: House, **options: Any) -> AsyncIterator[North]:
    async with RawServer.started() as server:
        link = SmppCarrier("north", SmppOptions(url=f"smpp://us:secret@127.0.0.1:{server.port}", **options))
        receipts: list[DeliveryReceipt] = []
        async with running(link, _Platform(house, receipts)):  # type: ignore[arg-type] # what it asks of its own
            peer = await server.peer()
            await peer.accept_bind()
            north = North(peer, house)
            north.receipts = receipts
            yield north
            server.hang_up()
