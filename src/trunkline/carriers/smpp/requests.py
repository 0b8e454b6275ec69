"""What we ask of a peer, and its answers: sequence numbers, time limits, refusals (SMPP 3.4 §2.9, §3.2, §4.3)."""

import asyncio
import dataclasses
import logging
from collections.abc import Callable

from trunkline.carriers.smpp import pdu
from trunkline.errors import TrunklineError

log = logging.getLogger("trunkline.smpp")

_LAST_SEQUENCE = 0x7FFFFFFF  # SMPP 3.4 §3.2
TIMER_SLACK_SECONDS = 0.001
TIMER_RECHECK_SECONDS = 0.1  # while the listening clock stands still


class RequestFailed(TrunklineError):
    """The peer refused a request of ours, did not answer it in time, or is gone."""

    code = "smpp_request_failed"
    status = 502


class Refused(RequestFailed):
    """The peer answered with another status than ESME_ROK."""

    code = "smpp_refused"
    command_status = 0


class NotWritten(RequestFailed):
    """The link was gone before the request was written."""

    code = "smpp_not_written"


class NoAnswer(RequestFailed):
    """The peer did not answer in time, or the link was gone before it did; what became of the request is not known."""

    code = "smpp_no_answer"


class ListeningClock:
    """Stands still while we do not read from the connection: that silence is not the peer's."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._stopped_at: float | None = None
        self._stopped_seconds = 0.0

    @property
    def stopped(self) -> bool:
        """Whether it stands still."""
        return self._stopped_at is not None

    def now(self) -> float:
        """Seconds, comparable with each other only."""
        return (self._loop.time() if self._stopped_at is None else self._stopped_at) - self._stopped_seconds

    def stop(self) -> None:
        """We stop reading; the peer's time limits stand still until we go on."""
        self._stopped_at = self._loop.time()

    def go_on(self) -> None:
        """We read again."""
        if self._stopped_at is not None:
            self._stopped_seconds += self._loop.time() - self._stopped_at
            self._stopped_at = None


@dataclasses.dataclass(slots=True)
class _Request:
    command_id: int
    answer: "asyncio.Future[bytes]"
    deadline: float  # on the listening clock
    timer: asyncio.TimerHandle


class Requests:
    """The requests of one session that have no answer yet."""

    def __init__(
        self,
        name: str,
        write: Callable[[bytes], None],
        clock: ListeningClock,
        loop: asyncio.AbstractEventLoop,
        timeout_seconds: float,
    ) -> None:
        self._name = name
        self._write = write
        self._clock = clock
        self._loop = loop
        self._timeout_seconds = timeout_seconds
        self._sequence = 0
        self._waiting: dict[int, _Request] = {}
        self._gone = ""  # why there will be no more answers

    async def ask(self, command_id: int, body: bytes = b"") -> bytes:
        """Sends a request; the whole response, whose status is ESME_ROK. Raises RequestFailed."""
        if self._gone:
            raise NotWritten(f"the link is gone: {self._gone}")
        sequence = self._sequence = self._sequence % _LAST_SEQUENCE + 1
        answer: asyncio.Future[bytes] = self._loop.create_future()
        timer = self._loop.call_later(self._timeout_seconds, self._expire, sequence)
        self._waiting[sequence] = _Request(command_id, answer, self._clock.now() + self._timeout_seconds, timer)
        self._write(pdu.write_pdu(command_id, sequence, body))
        return await answer

    def answered(self, octets: bytes, command_id: int, command_status: int, sequence: int) -> int | None:
        """Hands a response to whom it is for; which request it granted, None where none or refused."""
        request = self._waiting.get(sequence)
        if request is None or command_id not in (request.command_id | pdu.RESPONSE, pdu.GENERIC_NACK):
            log.warning("%s: %s for %d, which was not asked", self._name, pdu.command_name(command_id), sequence)
            return None
        del self._waiting[sequence]
        request.timer.cancel()
        if request.answer.done():  # whoever asked was cancelled
            return None
        if command_status or command_id == pdu.GENERIC_NACK:
            name = pdu.command_name(request.command_id)
            refused = Refused(f"{name} refused: {pdu.status_name(command_status)}")
            refused.command_status = command_status
            request.answer.set_exception(refused)
            return None
        request.answer.set_result(octets)
        return request.command_id

    def fail(self, reason: str) -> None:
        """The connection is gone: nobody will answer, neither what waits nor what is asked later."""
        self._gone = reason
        for request in self._waiting.values():
            request.timer.cancel()
            if not request.answer.done():
                request.answer.set_exception(NoAnswer(f"the link is gone: {reason}"))
        self._waiting.clear()

    def _expire(self, sequence: int) -> None:
        request = self._waiting[sequence]
        left = request.deadline - self._clock.now()
        if left > TIMER_SLACK_SECONDS:
            request.timer = self._loop.call_later(max(left, TIMER_RECHECK_SECONDS), self._expire, sequence)
            return
        del self._waiting[sequence]
        if not request.answer.done():
            name = pdu.command_name(request.command_id)
            request.answer.set_exception(NoAnswer(f"{name}: no answer within {self._timeout_seconds:g} s"))
