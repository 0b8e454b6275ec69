"""One SMPP 3.4 session as the ESME: from the connection to its loss (SMPP 3.4 §2.2, §2.7, §2.9)."""

import asyncio
import datetime
import functools
import logging
from collections.abc import Callable
from typing import cast

from trunkline.carriers.carrier import Identity, StoreAway
from trunkline.carriers.smpp import pdu
from trunkline.carriers.smpp.identities import Identities
from trunkline.carriers.smpp.message import ShortMessage, read_data_sm, read_short_message, short_message_body
from trunkline.carriers.smpp.requests import (
    TIMER_RECHECK_SECONDS,
    TIMER_SLACK_SECONDS,
    ListeningClock,
    NoAnswer,
    RequestFailed,
    Requests,
)

log = logging.getLogger("trunkline.smpp")

Receive = Callable[[ShortMessage, Identity], "asyncio.Future[None]"]
"""Takes what a deliver_sm or data_sm says and is known by; the future is done once the peer may hear ESME_ROK."""

_DRAIN_SECONDS = 3.0  # for texts in hand to be committed before a goodbye
_GOODBYE_SECONDS = 2.0  # for the peer to take what we still have to say


class Session(asyncio.Protocol):
    """Receives, acknowledges, submits. ``lost`` is done when the connection is gone; its result says why.

    Of the peer's texts at most ``window`` are in hand at a time; beyond that nothing more is read from the connection,
    and the clock by which the peer is judged stands still.
    """

    def __init__(
        self,
        name: str,
        receive: Receive,
        identities: Identities,
        *,
        window: int,
        enquire_link_seconds: float,
        response_timeout_seconds: float,
    ) -> None:
        self._name = name
        self._receive = receive
        self._identities = identities
        self._window = window
        self._enquire_link_seconds = enquire_link_seconds
        self._loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[str] = self._loop.create_future()
        self._transport: asyncio.Transport
        self._clock = ListeningClock(self._loop)
        self._requests = Requests(name, self._write, self._clock, self._loop, response_timeout_seconds)
        self._submits = asyncio.Semaphore(window)
        self._splitter = pdu.Splitter()
        self._last_heard = self._clock.now()
        self._heard_at = self._loop.time()

        self._bound = False
        self._leaving = False  # no more texts: the peer is to send them again on the next session
        self._reason = ""  # why we close; empty while we do not

        self._in_hand = 0  # texts received and not yet answered
        self._drained: asyncio.Future[None] | None = None
        self._refusing = False  # the last text could not be taken; said once in the log, not for each
        self._outgoing: list[bytes] = []  # answers that leave in one write
        self._flush_is_due = False
        self._peer_reads = True

        self._enquire_timer: asyncio.TimerHandle | None = None
        self._abort_timer: asyncio.TimerHandle | None = None
        self._errand: asyncio.Task[None] | None = None  # an enquiry or a farewell; the loop itself keeps no hold of it

    # What the link asks for

    async def bind(self, command_id: int, system_id: str, password: str, system_type: str, address_range: str) -> None:
        """Binds as receiver, transmitter or transceiver (SMPP 3.4 §4.1). Raises RequestFailed."""
        await self._requests.ask(command_id, pdu.bind_body(system_id, password, system_type, address_range))

    async def room(self) -> None:
        """Waits for a place in the window, which the next ``submit`` takes."""
        await self._submits.acquire()

    async def submit(self, message: ShortMessage) -> str:
        """Sends a submit_sm in the place that ``room`` gave; the peer's message id. Raises RequestFailed."""
        try:
            response = await self._requests.ask(pdu.SUBMIT_SM, short_message_body(message))
        finally:
            self._submits.release()
        return pdu.readable(response[pdu.HEADER_OCTETS :].partition(b"\0")[0].decode("latin-1"))

    async def leave(self) -> None:
        """Takes no more texts, answers those in hand as they are committed, unbinds and closes (SMPP 3.4 §4.2)."""
        self._leaving = True
        try:
            await self._wait_until_drained()
            async with asyncio.timeout(_GOODBYE_SECONDS):
                await self._requests.ask(pdu.UNBIND)
        except (RequestFailed, TimeoutError):
            pass  # the peer was told; whether it answers makes no difference to what follows
        finally:
            self.close("unbound")

    def close(self, reason: str) -> None:
        """Sends what is due and closes the connection."""
        if not self._reason:
            self._reason = reason
            self._flush()
            self._transport.close()
            # A peer that no longer reads would keep the rest, and us, for ever.
            self._abort_timer = self._loop.call_later(_GOODBYE_SECONDS, self._transport.abort)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one without being a subclass
        self._enquire_timer = self._loop.call_later(self._enquire_link_seconds, self._enquire_if_idle)

    def data_received(self, data: bytes) -> None:
        self._last_heard = self._clock.now()
        self._heard_at = self._loop.time()
        self._splitter.feed(data)
        self._read_on()
        self._flush()

    def pause_writing(self) -> None:
        # A peer that does not read its answers gets no more of its requests read.
        self._peer_reads = False

    def resume_writing(self) -> None:
        self._peer_reads = True
        self._read_on()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._reason = self._reason or (str(exc) if exc else "closed by the peer")
        silent_seconds = self._loop.time() - self._heard_at
        self._identities.interrupted(datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=silent_seconds))
        for timer in (self._enquire_timer, self._abort_timer):
            if timer:
                timer.cancel()
        self._requests.fail(self._reason)
        if self._drained and not self._drained.done():
            self._drained.set_result(None)
        self.lost.set_result(self._reason)

    # Reading and writing

    def _read_on(self) -> None:
        take = self._splitter.take
        try:
            while self._in_hand < self._window and self._peer_reads and not self._reason:
                octets = take()
                if octets is None:
                    break
                self._handle(octets)
        except pdu.MalformedPdu as error:
            log.warning("%s: %s; closing", self._name, error.detail)
            self._outgoing.append(pdu.write_pdu(pdu.GENERIC_NACK, error.sequence, command_status=error.command_status))
            self.close(f"the peer sent {error.detail}")
        if self._reason:
            return
        listen = self._in_hand < self._window and self._peer_reads
        if listen and self._clock.stopped:
            self._clock.go_on()
            self._transport.resume_reading()
        elif not listen and not self._clock.stopped:
            self._clock.stop()
            self._transport.pause_reading()

    def _write(self, octets: bytes) -> None:
        self._transport.write(octets)

    def _flush(self) -> None:
        if self._outgoing:
            self._transport.write(b"".join(self._outgoing))
            self._outgoing.clear()

    def _flush_and_read_on(self) -> None:
        self._flush_is_due = False
        if self._reason:
            return
        if self._clock.stopped:
            self._read_on()
        self._flush()

    def _handle(self, octets: bytes) -> None:
        _, command_id, command_status, sequence = pdu.HEADER.unpack_from(octets)
        if command_id in (pdu.DELIVER_SM, pdu.DATA_SM):
            self._handle_text(octets, command_id, sequence)
        elif command_id & pdu.RESPONSE:
            if self._requests.answered(octets, command_id, command_status, sequence) in pdu.BINDS:
                self._bound = True  # here, not where it is awaited: the first text may stand right behind
        elif command_id == pdu.ENQUIRE_LINK:
            self._outgoing.append(pdu.write_pdu(pdu.ENQUIRE_LINK | pdu.RESPONSE, sequence))
        elif command_id == pdu.UNBIND:
            self._leaving = True
            self._errand = self._loop.create_task(self._answer_unbind(sequence))
        elif command_id in (pdu.ALERT_NOTIFICATION, pdu.OUTBIND):
            # Neither has a response (§4.12.1, §4.1.7), and neither says anything that we act on.
            log.info("%s: %s ignored", self._name, pdu.command_name(command_id))
        else:
            log.warning("%s: %s is not ours to answer", self._name, pdu.command_name(command_id))
            self._outgoing.append(pdu.write_pdu(pdu.GENERIC_NACK, sequence, command_status=pdu.ESME_RINVCMDID))

    # Texts, and their acknowledgements

    def _handle_text(self, octets: bytes, command_id: int, sequence: int) -> None:
        if self._leaving or not self._bound:
            status = pdu.ESME_RX_T_APPN if self._bound else pdu.ESME_RINVBNDSTS
            self._outgoing.append(pdu.write_message_response(command_id, sequence, status))
            return
        try:
            message = read_short_message(octets) if command_id == pdu.DELIVER_SM else read_data_sm(octets)
        except pdu.MalformedPdu as error:
            log.warning("%s: %s %d: %s", self._name, pdu.command_name(command_id), sequence, error.detail)
            self._outgoing.append(pdu.write_message_response(command_id, sequence, error.command_status))
            return
        body = octets[pdu.HEADER_OCTETS :]
        try:
            committed = self._receive(message, self._identities.identify(body, sequence))
        except Exception as error:
            self._refuse(command_id, sequence, error)
            return
        if committed.done():
            self._acknowledge(command_id, sequence, body, committed)
        else:
            self._in_hand += 1
            committed.add_done_callback(functools.partial(self._acknowledge_later, command_id, sequence, body))

    def _acknowledge_later(
        self, command_id: int, sequence: int, body: bytes, committed: "asyncio.Future[None]"
    ) -> None:
        self._in_hand -= 1
        self._acknowledge(command_id, sequence, body, committed)
        if self._in_hand == 0 and self._drained and not self._drained.done():
            self._drained.set_result(None)
        if not (self._flush_is_due or self._reason):
            # Texts are committed in groups: the answers of one group leave in one write.
            self._flush_is_due = True
            self._loop.call_soon(self._flush_and_read_on)

    def _acknowledge(self, command_id: int, sequence: int, body: bytes, committed: "asyncio.Future[None]") -> None:
        error = asyncio.CancelledError() if committed.cancelled() else committed.exception()
        if error is not None:
            self._refuse(command_id, sequence, error)
            return
        self._refusing = False
        if not self._reason:
            self._identities.answered(body)
        self._outgoing.append(pdu.write_message_response(command_id, sequence, pdu.ESME_ROK))

    def _refuse(self, command_id: int, sequence: int, error: BaseException) -> None:
        # "Temporary application error" (§5.1.3): the peer keeps the text and sends it again.
        if not self._refusing or not isinstance(error, StoreAway):
            self._refusing = True
            # Only the kind of error: its words may hold the text.
            log.warning(
                "%s: texts refused from %d on, to be sent again: %s", self._name, sequence, type(error).__name__
            )
        if not self._reason:
            self._identities.interrupted()
        self._outgoing.append(pdu.write_message_response(command_id, sequence, pdu.ESME_RX_T_APPN))

    # Idleness and farewells

    def _enquire_if_idle(self) -> None:
        left = self._last_heard + self._enquire_link_seconds - self._clock.now()
        if left > TIMER_SLACK_SECONDS:
            self._enquire_timer = self._loop.call_later(max(left, TIMER_RECHECK_SECONDS), self._enquire_if_idle)
        else:
            self._errand = self._loop.create_task(self._enquire())

    async def _enquire(self) -> None:
        try:
            await self._requests.ask(pdu.ENQUIRE_LINK)
        except NoAnswer as error:
            if not self._reason:
                log.warning("%s: %s; closing", self._name, error.detail)
                self._reason = error.detail
                self._transport.abort()  # a peer that does not answer may not read either
        except RequestFailed:
            pass  # refused or gone: a peer that refuses is alive, and a loss is handled where it is seen
        if not self._reason:
            self._enquire_timer = self._loop.call_later(self._enquire_link_seconds, self._enquire_if_idle)

    async def _answer_unbind(self, sequence: int) -> None:
        await self._wait_until_drained()
        if not self._reason:
            self._outgoing.append(pdu.write_pdu(pdu.UNBIND | pdu.RESPONSE, sequence))
            self.close("unbound by the peer")

    async def _wait_until_drained(self) -> None:
        if self._in_hand and not self.lost.done():
            self._drained = self._drained or self._loop.create_future()
            await asyncio.wait((self._drained,), timeout=_DRAIN_SECONDS)
