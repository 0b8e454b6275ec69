"""The bodies that carry texts: submit_sm, deliver_sm and data_sm (SMPP 3.4 §4.4, §4.6, §4.7)."""

import dataclasses
from collections.abc import Mapping
from typing import Final

from trunkline.carriers.smpp.pdu import (
    ESME_RINVMSGLEN,
    HEADER_OCTETS,
    TLV_MESSAGE_PAYLOAD,
    MalformedPdu,
    read_tlvs,
    write_tlvs,
)

# Type of number, SMPP 3.4 §5.2.5
TON_UNKNOWN: Final = 0
TON_INTERNATIONAL: Final = 1
TON_SUBSCRIBER: Final = 4
TON_ALPHANUMERIC: Final = 5

# esm_class, SMPP 3.4 §5.2.12
ESM_RECEIPT: Final = 0x04
ESM_INTERMEDIATE_NOTIFICATION: Final = 0x20
ESM_UDHI: Final = 0x40

_LONGEST_SHORT_MESSAGE: Final = 254


@dataclasses.dataclass(slots=True)
class ShortMessage:
    """What a submit_sm, deliver_sm or data_sm says, less the fields that nobody here reads.

    ``payload`` is short_message or message_payload, whichever has the text; its user data header is still in it.
    """

    source_ton: int
    source_npi: int
    source: bytes
    destination_ton: int
    destination_npi: int
    destination: bytes
    esm_class: int
    registered_delivery: int
    data_coding: int
    payload: bytes
    tlvs: Mapping[int, bytes]
    protocol_id: int = 0
    validity_seconds: int | None = None  # of a text that we send; None: the peer's default


def validity_period(seconds: int) -> bytes:
    """A time from now in the relative format of SMPP 3.4 §7.1.1.2, without the NUL: ``000000000500000R``."""
    minutes, second = divmod(min(seconds, 30 * 86_400), 60)
    hours, minute = divmod(minutes, 60)
    day, hour = divmod(hours, 24)
    return f"0000{day:02}{hour:02}{minute:02}{second:02}000R".encode()


def read_short_message(pdu: bytes) -> ShortMessage:
    """A deliver_sm or submit_sm, header included (SMPP 3.4 §4.6.1, §4.4.1). Raises MalformedPdu.

    Addresses longer than the 20 octets of the specification are taken: some carriers send them.
    """
    try:
        source_at = pdu.index(0, HEADER_OCTETS) + 3  # after service_type, TON and NPI
        source_end = pdu.index(0, source_at)
        destination_at = source_end + 3
        destination_end = pdu.index(0, destination_at)
        # esm_class, protocol_id and priority_flag, then schedule_delivery_time and validity_period
        schedule_end = pdu.index(0, destination_end + 4)
        flags_at = pdu.index(0, schedule_end + 1) + 1
        # registered_delivery, replace_if_present_flag, data_coding, sm_default_msg_id, sm_length
        end = flags_at + 5 + pdu[flags_at + 4]
    except (ValueError, IndexError):
        raise MalformedPdu("a mandatory field runs over the end", ESME_RINVMSGLEN) from None
    if end > len(pdu):
        raise MalformedPdu("sm_length runs over the end", ESME_RINVMSGLEN)
    payload = pdu[flags_at + 5 : end]
    tlvs = read_tlvs(pdu, end)
    return ShortMessage(
        pdu[source_at - 2],
        pdu[source_at - 1],
        pdu[source_at:source_end],
        pdu[destination_at - 2],
        pdu[destination_at - 1],
        pdu[destination_at:destination_end],
        pdu[destination_end + 1],
        pdu[flags_at],
        pdu[flags_at + 2],
        _text_of(payload, tlvs.get(TLV_MESSAGE_PAYLOAD)) if tlvs else payload,
        tlvs,
        pdu[destination_end + 2],
    )


def _text_of(short_message: bytes, message_payload: bytes | None) -> bytes:
    """Both may not be there (§5.3.2.32). Where they are the longer field counts, which nobody uses without need, unless
    it is blank."""
    if message_payload is None or (short_message and not message_payload.strip(b"\0 ")):
        return short_message
    return message_payload


def read_data_sm(pdu: bytes) -> ShortMessage:
    """A data_sm, header included (SMPP 3.4 §4.7.1): its text is in message_payload. Raises MalformedPdu."""
    try:
        source_at = pdu.index(0, HEADER_OCTETS) + 3
        source_end = pdu.index(0, source_at)
        destination_at = source_end + 3
        destination_end = pdu.index(0, destination_at)
        esm_class, registered_delivery, data_coding = pdu[destination_end + 1 : destination_end + 4]
    except ValueError:
        raise MalformedPdu("a mandatory field runs over the end", ESME_RINVMSGLEN) from None
    tlvs = read_tlvs(pdu, destination_end + 4)
    return ShortMessage(
        pdu[source_at - 2],
        pdu[source_at - 1],
        pdu[source_at:source_end],
        pdu[destination_at - 2],
        pdu[destination_at - 1],
        pdu[destination_at:destination_end],
        esm_class,
        registered_delivery,
        data_coding,
        tlvs.get(TLV_MESSAGE_PAYLOAD, b""),
        tlvs,
    )


def short_message_body(message: ShortMessage) -> bytes:
    """The body of a submit_sm or deliver_sm (SMPP 3.4 §4.4.1); message_payload has what is beyond 254 octets."""
    short_message, tlvs = message.payload, message.tlvs
    if len(short_message) > _LONGEST_SHORT_MESSAGE:
        short_message, tlvs = b"", {**tlvs, TLV_MESSAGE_PAYLOAD: short_message}
    return b"".join(
        (
            b"\0",  # service_type: the peer's default
            bytes((message.source_ton, message.source_npi)),
            message.source,
            b"\0",
            bytes((message.destination_ton, message.destination_npi)),
            message.destination,
            b"\0",
            bytes((message.esm_class, 0, 0)),  # protocol_id, priority_flag
            b"\0",  # schedule_delivery_time: at once
            b"" if message.validity_seconds is None else validity_period(message.validity_seconds),
            b"\0",
            bytes((message.registered_delivery, 0, message.data_coding, 0, len(short_message))),
            short_message,
            write_tlvs(tlvs),
        )
    )
