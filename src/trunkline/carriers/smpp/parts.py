"""Long texts: the user data header (3GPP TS 23.040 §9.2.3.24) and the sar_* parameters (SMPP 3.4 §5.3.2.22-24)."""

from collections.abc import Iterator, Mapping
from typing import Final

from trunkline.carriers.carrier import Part
from trunkline.carriers.smpp.pdu import TLV_SAR_MSG_REF_NUM, TLV_SAR_SEGMENT_SEQNUM, TLV_SAR_TOTAL_SEGMENTS

_CONCATENATED_8_BIT: Final = 0x00  # reference, total, number
_CONCATENATED_16_BIT: Final = 0x08  # reference of two octets, total, number


def cut_header(payload: bytes) -> tuple[bytes, Part | None]:
    """The text behind a user data header, and its place in a long one.

    A header that contradicts itself is not believed: where its length runs over the payload all of it is text, where
    an element inside runs over or makes no sense the text is whole.
    """
    if not payload or payload[0] >= len(payload):
        return payload, None
    part = None
    for element, value in elements(payload):
        # The last one counts where there are several (§9.2.3.24).
        if (element, len(value)) in ((_CONCATENATED_8_BIT, 3), (_CONCATENATED_16_BIT, 4)):
            kind = "8" if element == _CONCATENATED_8_BIT else "16"
            part = _part(int.from_bytes(value[:-2]), value[-2], value[-1], kind) or part
    return payload[payload[0] + 1 :], part


def elements(payload: bytes) -> Iterator[tuple[int, bytes]]:
    """The information elements of a user data header, each with its value, up to one that runs over its end."""
    if not payload or payload[0] >= len(payload):
        return
    end = payload[0] + 1
    at = 1
    while at + 2 <= end:
        element, length = payload[at], payload[at + 1]
        at += 2 + length
        if at > end:
            return
        yield element, payload[at - length : at]


def sar_part(tlvs: Mapping[int, bytes]) -> Part | None:
    """The place in a long text by the sar_* parameters; None without all three of them."""
    try:
        reference, total, number = (
            int.from_bytes(tlvs[tag]) for tag in (TLV_SAR_MSG_REF_NUM, TLV_SAR_TOTAL_SEGMENTS, TLV_SAR_SEGMENT_SEQNUM)
        )
    except KeyError:
        return None
    return _part(reference, total, number, "sar")


def concatenation_header(part: Part) -> bytes:
    """The user data header of one part of a text that we send; the reference is cut to 8 bits."""
    return bytes((5, _CONCATENATED_8_BIT, 3, part.reference & 0xFF, part.total, part.number))


def sar_tlvs(part: Part) -> dict[int, bytes]:
    """The sar_* parameters of one part of a text that we send."""
    return {
        TLV_SAR_MSG_REF_NUM: part.reference.to_bytes(2),
        TLV_SAR_TOTAL_SEGMENTS: bytes((part.total,)),
        TLV_SAR_SEGMENT_SEQNUM: bytes((part.number,)),
    }


def _part(reference: int, total: int, number: int, kind: str) -> Part | None:
    # A total or number out of range means that the element is to be ignored (§9.2.3.24.1); one of one is no long text.
    if reference <= 0xFFFF and 2 <= total <= 255 and 1 <= number <= total:
        return Part(reference, total, number, kind)
    return None
