"""An SMPP link as a carrier: keeps one session up, and translates between its messages and the platform's texts."""

import asyncio
import logging
import random

from trunkline.carriers import alphabets
from trunkline.carriers.carrier import (
    Alphabet,
    Deliver,
    Health,
    Identity,
    InboundText,
    LinkState,
    OutboundText,
    Part,
    Report,
    SubmitRefused,
)
from trunkline.carriers.smpp import addresses, machines
from trunkline.carriers.smpp.backoff import Backoff
from trunkline.carriers.smpp.data_coding import alphabet_table
from trunkline.carriers.smpp.identities import Identities
from trunkline.carriers.smpp.message import ESM_UDHI, TON_SUBSCRIBER, ShortMessage
from trunkline.carriers.smpp.options import SmppOptions
from trunkline.carriers.smpp.parts import concatenation_header, cut_header, sar_part
from trunkline.carriers.smpp.receipts import read_receipt
from trunkline.carriers.smpp.requests import RequestFailed
from trunkline.carriers.smpp.session import Receive, Session
from trunkline.egress import NoAnswer, dialling, names

log = logging.getLogger("trunkline.smpp")

_LONGEST_ADDRESS = 20  # SMPP 3.4 §4.4.1, without the NUL
_MOST_PARTS = 255
_DATA_CODING = {Alphabet.GSM7: 0, Alphabet.UCS2: 8}
_NO_TLVS: dict[int, bytes] = {}


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
        """Submits a text and asks for receipts; the peer's message id for each part. Raises SubmitRefused.

        Waits while the window is full. Where one part of several fails the others may have gone out.
        """
        session = self._session
        if session is None:
            raise SubmitRefused(f"{self.name} is down: {self._health.detail}")
        if self._options.bind == "receiver":
            raise SubmitRefused(f"{self.name} is bound as a receiver")
        submits = (session.submit(message) for message in self._messages(text))
        outcomes = await asyncio.gather(*submits, return_exceptions=True)
        message_ids = []
        for outcome in outcomes:
            if isinstance(outcome, RequestFailed):
                raise SubmitRefused(f"{self.name}: {outcome.detail}") from outcome
            if isinstance(outcome, BaseException):
                raise outcome
            message_ids.append(outcome)
        return message_ids

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
        payloads, alphabet = alphabets.split(text.text)
        if len(payloads) > _MOST_PARTS:
            raise SubmitRefused(f"the text needs {len(payloads)} parts, and {_MOST_PARTS} is the most")
        esm_class = 0
        if len(payloads) > 1:
            esm_class = ESM_UDHI
            self._reference = (self._reference + 1) % 256
            payloads = [
                concatenation_header(Part(self._reference, len(payloads), number)) + payload
                for number, payload in enumerate(payloads, 1)
            ]
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
                _NO_TLVS,
            )
            for payload in payloads
        ]


def _octets(address: str) -> bytes:
    octets = address.encode("latin-1", "replace")
    if len(octets) > _LONGEST_ADDRESS or 0 in octets:
        raise SubmitRefused(f"an address has at most {_LONGEST_ADDRESS} characters, none of them NUL")
    return octets
