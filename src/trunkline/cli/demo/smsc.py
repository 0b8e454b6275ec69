"""A carrier's side of SMPP, as small as the demo needs it: it takes one bind and sends one text."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

from trunkline.carriers import alphabets
from trunkline.carriers.smpp import pdu
from trunkline.carriers.smpp.message import ShortMessage, short_message_body
from trunkline.errors import OperatorError

CARRIER = "demo"
NUMBER = "+18005550199"  # the one toll-free number kept for fiction, so nobody's
ANSWER_SECONDS = 20
TON_INTERNATIONAL, TON_ALPHANUMERIC, NPI_E164 = 1, 5, 1


class Smsc:
    """Listens on a free loopback port, answers one ESME in a thread of its own."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._bound = threading.Event()
        self._answered = threading.Event()
        self._status: int | None = None
        self._peer: socket.socket | None = None
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        for each in (self._peer, self._socket):
            if each is not None:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                each.close()

    def wait_for_bind(self, seconds: float) -> None:
        if not self._bound.wait(seconds):
            raise OperatorError("The server did not bind to the demo's SMSC.")

    def send(self, sender: str, recipient: str, text: str) -> None:
        """Sends one deliver_sm (SMPP 3.4 §4.6.1). Returns once the ESME has acknowledged it."""
        payload, _ = alphabets.encode(text)
        message = ShortMessage(
            source_ton=TON_ALPHANUMERIC,
            source_npi=0,
            source=sender.encode("ascii"),
            destination_ton=TON_INTERNATIONAL,
            destination_npi=NPI_E164,
            destination=recipient.lstrip("+").encode("ascii"),
            esm_class=0,
            registered_delivery=0,
            data_coding=0,
            payload=payload,
            tlvs={},
        )
        assert self._peer is not None
        self._peer.sendall(pdu.write_pdu(pdu.DELIVER_SM, 1, short_message_body(message)))
        if not self._answered.wait(ANSWER_SECONDS) or self._status != pdu.ESME_ROK:
            raise OperatorError(f"The text was not acknowledged: {self._status}.")

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            self._peer, _ = self._socket.accept()
            splitter = pdu.Splitter()
            while octets := self._peer.recv(65536):
                splitter.feed(octets)
                while (one := splitter.take()) is not None:
                    self._handle(self._peer, one)

    def _handle(self, peer: socket.socket, octets: bytes) -> None:
        _, command_id, command_status, sequence = pdu.HEADER.unpack_from(octets)
        if command_id in pdu.BINDS:
            peer.sendall(pdu.write_pdu(command_id | pdu.RESPONSE, sequence, b"demo\0"))
            self._bound.set()
        elif command_id in (pdu.ENQUIRE_LINK, pdu.UNBIND):
            peer.sendall(pdu.write_pdu(command_id | pdu.RESPONSE, sequence))
        elif command_id == pdu.DELIVER_SM | pdu.RESPONSE:
            self._status = command_status
            self._answered.set()


@contextlib.contextmanager
def listening() -> Iterator[Smsc]:
    smsc = Smsc()
    try:
        yield smsc
    finally:
        smsc.close()


def settings(smsc: Smsc) -> dict[str, str]:
    """What the demo's server must know of its carrier."""
    return {
        "TRUNKLINE_CARRIERS__DEMO__KIND": "smpp",
        "TRUNKLINE_CARRIERS__DEMO__URL": f"smpp://demo:demo@127.0.0.1:{smsc.port}",
        "TRUNKLINE_CARRIERS__DEMO__CHARGES": "false",
        "TRUNKLINE_CARRIERS__DEMO__QUARANTINE_SECONDS": "0",
    }


def prepare(command: Callable[..., dict[str, Any]], service: str, country: str) -> None:
    """What an operator does once: open the service on real carriers, import the numbers."""
    command("service", "enable", service)
    if not command("numbers", "list", "--carrier", CARRIER)["numbers"]:
        command("numbers", "import", "-", "--carrier", CARRIER, stdin=f"{NUMBER},{country}\n")
