"""The frame of SMPP 3.4: header, commands, statuses, optional parameters, and cutting a stream into PDUs."""

import struct
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from trunkline.errors import TrunklineError

# SMPP 3.4 §5.1.2.1; a response is its request with the top bit set.
RESPONSE: Final = 0x80000000
GENERIC_NACK: Final = 0x80000000
BIND_RECEIVER: Final = 0x00000001
BIND_TRANSMITTER: Final = 0x00000002
SUBMIT_SM: Final = 0x00000004
DELIVER_SM: Final = 0x00000005
UNBIND: Final = 0x00000006
BIND_TRANSCEIVER: Final = 0x00000009
OUTBIND: Final = 0x0000000B
ENQUIRE_LINK: Final = 0x00000015
ALERT_NOTIFICATION: Final = 0x00000102
DATA_SM: Final = 0x00000103

BINDS: Final = frozenset((BIND_RECEIVER, BIND_TRANSMITTER, BIND_TRANSCEIVER))
_COMMAND_NAMES: Final[Mapping[int, str]] = {
    BIND_RECEIVER: "bind_receiver",
    BIND_TRANSMITTER: "bind_transmitter",
    SUBMIT_SM: "submit_sm",
    DELIVER_SM: "deliver_sm",
    UNBIND: "unbind",
    BIND_TRANSCEIVER: "bind_transceiver",
    OUTBIND: "outbind",
    ENQUIRE_LINK: "enquire_link",
    ALERT_NOTIFICATION: "alert_notification",
    DATA_SM: "data_sm",
}

# SMPP 3.4 §5.1.3
ESME_ROK: Final = 0x00000000
ESME_RINVMSGLEN: Final = 0x00000001
ESME_RINVCMDLEN: Final = 0x00000002
ESME_RINVCMDID: Final = 0x00000003
ESME_RINVBNDSTS: Final = 0x00000004
ESME_RMSGQFUL: Final = 0x00000014
ESME_RTHROTTLED: Final = 0x00000058
ESME_RX_T_APPN: Final = 0x00000064
ESME_RINVOPTPARSTREAM: Final = 0x000000C0

# Those of §5.1.3 that a peer answers a bind or a submit with, so that the operator reads a name.
_STATUS_NAMES: Final[Mapping[int, str]] = {
    0x00000001: "ESME_RINVMSGLEN",
    0x00000002: "ESME_RINVCMDLEN",
    0x00000003: "ESME_RINVCMDID",
    0x00000004: "ESME_RINVBNDSTS",
    0x00000005: "ESME_RALYBND",
    0x00000008: "ESME_RSYSERR",
    0x0000000A: "ESME_RINVSRCADR",
    0x0000000B: "ESME_RINVDSTADR",
    0x0000000D: "ESME_RBINDFAIL",
    0x0000000E: "ESME_RINVPASWD",
    0x0000000F: "ESME_RINVSYSID",
    0x00000014: "ESME_RMSGQFUL",
    0x00000043: "ESME_RINVESMCLASS",
    0x00000045: "ESME_RSUBMITFAIL",
    0x00000048: "ESME_RINVSRCTON",
    0x00000049: "ESME_RINVSRCNPI",
    0x00000050: "ESME_RINVDSTTON",
    0x00000051: "ESME_RINVDSTNPI",
    0x00000053: "ESME_RINVSYSTYP",
    0x00000058: "ESME_RTHROTTLED",
    0x00000061: "ESME_RINVSCHED",
    0x00000062: "ESME_RINVEXPIRY",
    0x00000064: "ESME_RX_T_APPN",
    0x00000065: "ESME_RX_P_APPN",
    0x00000066: "ESME_RX_R_APPN",
    0x000000C0: "ESME_RINVOPTPARSTREAM",
    0x000000FF: "ESME_RUNKNOWNERR",
}

# Optional parameters, SMPP 3.4 §5.3.2
TLV_RECEIPTED_MESSAGE_ID: Final = 0x001E
TLV_DESTINATION_PORT: Final = 0x020B
TLV_SAR_MSG_REF_NUM: Final = 0x020C
TLV_SAR_TOTAL_SEGMENTS: Final = 0x020E
TLV_SAR_SEGMENT_SEQNUM: Final = 0x020F
TLV_NETWORK_ERROR_CODE: Final = 0x0423
TLV_MESSAGE_PAYLOAD: Final = 0x0424
TLV_MESSAGE_STATE: Final = 0x0427

HEADER: Final = struct.Struct(">IIII")  # command_length, command_id, command_status, sequence_number
HEADER_OCTETS: Final = 16
LONGEST_PDU: Final = 65536
LONGEST_CREDENTIAL: Final = 64
LONGEST_READABLE: Final = 64
INTERFACE_VERSION: Final = 0x34

_COMMAND_LENGTH: Final = struct.Struct(">I")
_TLV_HEADER: Final = struct.Struct(">HH")
_RESPONSE_WITH_EMPTY_ID: Final = struct.Struct(">IIIIx")
_NO_TLVS: Final[Mapping[int, bytes]] = MappingProxyType({})


class MalformedPdu(TrunklineError):
    """Octets that SMPP 3.4 does not allow; ``command_status`` is what to answer them with."""

    code = "malformed_pdu"
    status = 502

    def __init__(self, detail: str, command_status: int, sequence: int = 0) -> None:
        super().__init__(detail)
        self.command_status = command_status
        self.sequence = sequence


def status_name(command_status: int) -> str:
    """A status as an operator looks it up: ``ESME_RINVPASWD (0x0E)``."""
    return f"{_STATUS_NAMES.get(command_status, 'status')} (0x{command_status:02X})"


def command_name(command_id: int) -> str:
    """A command as the specification spells it: ``submit_sm_resp``."""
    if command_id == GENERIC_NACK:
        return "generic_nack"
    name = _COMMAND_NAMES.get(command_id & ~RESPONSE, f"command 0x{command_id:08X}")
    return f"{name}_resp" if command_id & RESPONSE else name


def readable(text: str) -> str:
    """An address or id of a peer's without what has no place in one: at most 64 printable characters."""
    if not text.isprintable():
        text = "".join(character for character in text if character.isprintable())
    return text[:LONGEST_READABLE].strip()


class Splitter:
    """Cuts a stream of octets into PDUs, in time linear in its length however it is chunked.

    Octets wait in two places: ``_chunk``, which PDUs are cut from, and ``_tail``, which arrived while a PDU was
    incomplete. They are joined only when that completes one, so no octet is copied more than a few times.
    """

    __slots__ = ("_at", "_chunk", "_tail")

    def __init__(self) -> None:
        self._chunk = b""
        self._at = 0
        self._tail = bytearray()

    def feed(self, octets: bytes) -> None:
        """Adds what arrived."""
        if self._at == len(self._chunk) and not self._tail:
            self._chunk = octets
            self._at = 0
        else:
            self._tail += octets

    def take(self) -> bytes | None:
        """The next whole PDU, None where it is not all here. Raises MalformedPdu for a command_length out of bounds.

        After MalformedPdu the stream has no frame any more: nothing that follows can be read.
        """
        at = self._at
        chunk = self._chunk
        there = len(chunk) - at
        if there < 4:
            if there + len(self._tail) < 4:
                return None
            chunk, at, there = self._join()
        (length,) = _COMMAND_LENGTH.unpack_from(chunk, at)
        if not HEADER_OCTETS <= length <= LONGEST_PDU:
            raise self._bad_length(length)
        if there < length:
            if there + len(self._tail) < length:
                return None
            chunk, at, there = self._join()
        end = at + length
        self._at = end
        return chunk[at:end]

    def _join(self) -> tuple[bytes, int, int]:
        self._chunk = self._chunk[self._at :] + self._tail
        self._at = 0
        self._tail = bytearray()
        return self._chunk, 0, len(self._chunk)

    def _bad_length(self, length: int) -> MalformedPdu:
        header = (self._chunk[self._at :] + self._tail)[:HEADER_OCTETS]
        sequence = HEADER.unpack(header)[3] if length > LONGEST_PDU and len(header) == HEADER_OCTETS else 0
        return MalformedPdu(f"command_length {length}", ESME_RINVCMDLEN, sequence)


def read_tlvs(pdu: bytes, at: int) -> Mapping[int, bytes]:
    """The optional parameters from ``at`` to the end, the last where a tag repeats (SMPP 3.4 §3.2.4).

    Raises MalformedPdu where a length runs over the end.
    """
    end = len(pdu)
    if at == end:
        return _NO_TLVS
    tlvs = {}
    while at < end:
        if end - at < 4:
            raise MalformedPdu("octets after the last optional parameter", ESME_RINVOPTPARSTREAM)
        tag, length = _TLV_HEADER.unpack_from(pdu, at)
        at += 4 + length
        if at > end:
            raise MalformedPdu(f"optional parameter 0x{tag:04X} runs over the end", ESME_RINVOPTPARSTREAM)
        tlvs[tag] = pdu[at - length : at]
    return tlvs


def write_tlvs(tlvs: Mapping[int, bytes]) -> bytes:
    """Optional parameters as octets (SMPP 3.4 §3.2.4)."""
    return b"".join(_TLV_HEADER.pack(tag, len(value)) + value for tag, value in tlvs.items())


def c_octets(value: str, longest: int) -> bytes:
    """A C-Octet String (SMPP 3.4 §3.1). Raises ValueError beyond ``longest`` octets without the NUL, or with one."""
    octets = value.encode("latin-1", "replace")
    if len(octets) > longest or 0 in octets:
        raise ValueError(f"longer than {longest} octets, or with a NUL in it")
    return octets + b"\0"


def write_pdu(command_id: int, sequence: int, body: bytes = b"", command_status: int = ESME_ROK) -> bytes:
    """One PDU (SMPP 3.4 §3.2)."""
    return HEADER.pack(HEADER_OCTETS + len(body), command_id, command_status, sequence) + body


def write_message_response(command_id: int, sequence: int, command_status: int) -> bytes:
    """deliver_sm_resp or data_sm_resp (SMPP 3.4 §4.6.2, §4.7.2): an empty message_id, and no body with an error."""
    if command_status:
        return HEADER.pack(HEADER_OCTETS, command_id | RESPONSE, command_status, sequence)
    return _RESPONSE_WITH_EMPTY_ID.pack(HEADER_OCTETS + 1, command_id | RESPONSE, ESME_ROK, sequence)


def bind_body(system_id: str, password: str, system_type: str, address_range: str) -> bytes:
    """The body of all three binds (SMPP 3.4 §4.1). Raises ValueError for a field that is too long.

    A field may have 64 octets although §4.1 says 8 for the password, 15 for the name: carriers hand out longer ones.
    """
    return b"".join(
        (
            c_octets(system_id, LONGEST_CREDENTIAL),
            c_octets(password, LONGEST_CREDENTIAL),
            c_octets(system_type, LONGEST_CREDENTIAL),
            bytes((INTERFACE_VERSION, 0, 0)),  # addr_ton and addr_npi: as the peer has it in its own records
            c_octets(address_range, LONGEST_CREDENTIAL),
        )
    )
