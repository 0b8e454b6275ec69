"""An SMPP link as a carrier: keeps one session up, and translates between its messages and the platform's texts."""

import asyncio
import logging
import random
from collections.abc import Mapping, Sequence

from trunkline.carriers import alphabets
from trunkline.carriers.carrier import (
    Alphabet,
    Deliver,
    Health,
    Identity,
    InboundText,
    LinkDown,
    LinkState,
    OutboundText,
    Part,
    Report,
    SubmitRefused,
    SubmitThrottled,
    SubmitUnknown,
)
from trunkline.carriers.smpp import addresses, machines
from trunkline.carriers.smpp.backoff import Backoff
from trunkline.carriers.smpp.data_coding import alphabet_table
from trunkline.carriers.smpp.identities import Identities
from trunkline.carriers.smpp.message import ESM_UDHI, TON_SUBSCRIBER, ShortMessage
from trunkline.carriers.smpp.options import SmppOptions
from trunkline.carriers.smpp.pacing import Pacer
from trunkline.carriers.smpp.parts import concatenation_header, cut_header, sar_part, sar_tlvs
from trunkline.carriers.smpp.pdu import ESME_RMSGQFUL, ESME_RTHROTTLED, TLV_MESSAGE_PAYLOAD
from trunkline.carriers.smpp.receipts import read_receipt
from trunkline.carriers.smpp.requests import NotWritten, Refused, RequestFailed
from trunkline.carriers.smpp.session import Receive, Session
from trunkline.egress import NoAnswer, dialling, names
from trunkline.errors import TrunklineError

log = logging.getLogger("trunkline.smpp")

_LONGEST_ADDRESS = 20  # SMPP 3.4 §4.4.1, without the NUL
_MOST_PARTS = 255
_DATA_CODING = {Alphabet.GSM7: 0, Alphabet.UCS2: 8}
_NO_TLVS: Mapping[int, bytes] = {}
THROTTLED = (ESME_RTHROTTLED, ESME_RMSGQFUL)


class SmppCarrier:
    """A carrier reached by SMPP 3.4, as its ESME."""

    kind = "smpp"

    def __init__(self, name: str, options: SmppOptions) -> None:
        self.name = name
        self._options = options
        self._alphabets = alphabet_table(options.data_codings)
        self._tls = options.tls_context()
        self._session: Session | None = None
        self._health = Health(LinkState.DOWN, "not started")
        self._reference = random.randrange(256)  # noqa: S311
        self._identities = Identities()
        self._pacer = Pacer(options.tps)

    async def run(self, deliver: Deliver, report: Report) -> None:
        """Keeps the link up until cancelled; then waits for texts in hand, unbinds and closes."""
        receive = self._receiver(deliver, report)
        peer = f"{self._options.host}:{self._options.port}"
        backoff = Backoff(self._options.reconnect_max_seconds)
        reason = ""
        try:
            while True:
                self._health = Health(
                    LinkState.CONNECTING, f"connecting to {peer}" + (f", after: {reason}" if reason else "")
                )
                reason, bound_seconds = await self._run_session(receive, peer)
                pause = backoff.after(bound_seconds)
                self._health = Health(LinkState.DOWN, f"{reason}, next try in {pause:.1f} s")
                log.warning("%s: %s: %s", self.name, peer, self._health.detail)
                await asyncio.sleep(pause)
        finally:
            self._health = Health(LinkState.DOWN, "stopped")

    async def send(self, text: OutboundText) -> list[str]:
        """Submits a text and asks for receipts; the peer's message id for each part.

        Waits while the window is full, and for its turn where the link has a rate. Raises LinkDown, SubmitThrottled,
        SubmitRefused: nothing went out; SubmitUnknown: some of it may have.
        """
        session = self._session
        if session is None:
            raise LinkDown(f"{self.name} is down: {self._health.detail}")
        if self._options.bind == "receiver":
            raise SubmitRefused(f"{self.name} is bound as a receiver")
        submits = (self._submit(session, message) for message in self._messages(text))
        outcomes = await asyncio.gather(*submits, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException) and not isinstance(outcome, RequestFailed | SubmitThrottled):
                raise outcome
        taken = [outcome for outcome in outcomes if isinstance(outcome, str)]
        failed = [outcome for outcome in outcomes if isinstance(outcome, TrunklineError)]
        if not failed:
            return taken
        if taken or any(not isinstance(each, Refused | NotWritten | SubmitThrottled) for each in failed):
            unknown = SubmitUnknown(f"{self.name}: {failed[0].detail}")
            unknown.message_ids = taken
            raise unknown from failed[0]
        raise self._refusal(failed) from failed[0]

    async def _submit(self, session: Session, message: ShortMessage) -> str:
        try:
            async with asyncio.timeout(self._options.submit_wait_seconds):
                await self._pacer.turn()
                await session.room()
        except TimeoutError:
            raise SubmitThrottled(f"{self.name} has had no room for it") from None
        try:
            message_id = await session.submit(message)
        except Refused as error:
            if error.command_status in THROTTLED:
                self._pacer.throttled()
            raise
        self._pacer.taken()
        return message_id

    def _refusal(self, failed: Sequence[TrunklineError]) -> SubmitRefused:
        """Of parts of which none went out."""
        detail = f"{self.name}: {failed[0].detail}"
        if all(isinstance(each, NotWritten) for each in failed):
            return LinkDown(detail)
        if any(isinstance(each, Refused) and each.command_status not in THROTTLED for each in failed):
            return SubmitRefused(detail)
        return SubmitThrottled(detail)

    def health(self) -> Health:
        """How the link stands, without asking the peer."""
        return self._health

    async def _run_session(self, receive: Receive, peer: str) -> tuple[str, float]:
        """One session from connection to loss: why it ended, or could not begin, and how long it was bound."""
        options = self._options
        loop = asyncio.get_running_loop()

        def begun() -> Session:
            return Session(
                self.name,
                receive,
                self._identities,
                window=options.window,
                enquire_link_seconds=options.enquire_link_seconds,
                response_timeout_seconds=options.response_timeout_seconds,
            )

        try:
            async with asyncio.timeout(options.connect_timeout_seconds):
                # asyncio sets TCP_NODELAY by itself.
                session, address = await dialling.dial(
                    begun,
                    options.host,
                    options.port,
                    await names.of_system(options.host),
                    tls=self._tls,
                    seconds=options.connect_timeout_seconds,
                )
        except TimeoutError:
            return f"no connection within {options.connect_timeout_seconds:g} s", 0
        except OSError as error:  # ssl.SSLError is one
            return error.strerror or str(error) or type(error).__name__, 0
        except NoAnswer as error:
            return error.detail.rstrip("."), 0
        try:
            await session.bind(
                options.bind_command, options.system_id, options.password, options.system_type, options.address_range
            )
        except RequestFailed as error:
            dialling.avoid(options.host, options.port, address)  # another may take it, as the backup of a pair does
            session.close(error.detail)
            return error.detail, 0
        except asyncio.CancelledError:
            session.close("stopped")
            raise
        bound_at = loop.time()
        self._session = session
        self._health = Health(LinkState.UP, f"bound to {peer} as {options.bind}")
        log.info("%s: %s", self.name, self._health.detail)
        try:
            return await asyncio.shield(session.lost), loop.time() - bound_at
        except asyncio.CancelledError:
            self._session = None  # no more submits
            self._health = Health(LinkState.DOWN, "stopping")
            await session.leave()
            raise
        finally:
            self._session = None
            await asyncio.shield(session.lost)

    def _receiver(self, deliver: Deliver, report: Report) -> Receive:
        name = self.name
        table = self._alphabets
        prefixes = self._options.destination_prefixes
        discarded = machines.DISCARDED - set(self._options.data_codings)

        def receive(message: ShortMessage, identity: Identity) -> "asyncio.Future[None]":
            alphabet = table[message.data_coding]
            if message.tlvs or message.esm_class:
                receipt = read_receipt(message, alphabet, name)
                if receipt is not None:
                    return report(receipt)
            machine = machines.reason(message, discarded)
            payload = message.payload
            part: Part | None = None
            if message.esm_class & ESM_UDHI:
                payload, part = cut_header(payload)
            if part is None and message.tlvs:
                part = sar_part(message.tlvs)
            if machine:
                part = None  # what is for nobody is kept part by part
            elif part is None:
                machine = machines.unreadable(payload, alphabet)
            destination = addresses.destination(message.destination_ton, message.destination, prefixes)
            return deliver(
                InboundText(
                    name,
                    addresses.sender(message.source_ton, message.source),
                    destination.recipient,
                    payload,
                    alphabet,
                    part,
                    None,
                    destination.others,
                    destination.written,
                    message.destination_ton == TON_SUBSCRIBER,
                    machine,
                    identity=identity,
                )
            )

        return receive

    def _messages(self, text: OutboundText) -> list[ShortMessage]:
        """One, or one for each part, as the link is set. Raises SubmitRefused for what does not fit."""
        payloads, alphabet = alphabets.split(text.text)
        if len(payloads) > _MOST_PARTS:
            raise SubmitRefused(f"the text needs {len(payloads)} parts, and {_MOST_PARTS} is the most")
        forms = [(payload, 0, _NO_TLVS) for payload in payloads]
        if len(payloads) > 1:
            self._reference = (self._reference + 1) % 256
            parts = [Part(self._reference, len(payloads), number) for number in range(1, len(payloads) + 1)]
            match self._options.long_texts:
                case "udh":
                    forms = [
                        (concatenation_header(part) + payload, ESM_UDHI, _NO_TLVS)
                        for part, payload in zip(parts, payloads, strict=True)
                    ]
                case "sar":
                    forms = [(payload, 0, sar_tlvs(part)) for part, payload in zip(parts, payloads, strict=True)]
                case "payload":
                    whole = b"".join(payloads)
                    forms = [(b"", 0, {TLV_MESSAGE_PAYLOAD: whole})]
        source_ton, source_npi, source = addresses.as_sender(text.sender)
        ton, npi, destination = addresses.as_recipient(text.recipient)
        return [
            ShortMessage(
                source_ton,
                source_npi,
                _octets(source),
                ton,
                npi,
                _octets(destination),
                esm_class,
                1,  # registered_delivery: a receipt, whatever becomes of the text (§5.2.17)
                _DATA_CODING[alphabet],
                payload,
                tlvs,
                validity_seconds=text.validity_seconds,
            )
            for payload, esm_class, tlvs in forms
        ]


def _octets(address: str) -> bytes:
    octets = address.encode("latin-1", "replace")
    if len(octets) > _LONGEST_ADDRESS or 0 in octets:
        raise SubmitRefused(f"an address has at most {_LONGEST_ADDRESS} characters, none of them NUL")
    return octets
