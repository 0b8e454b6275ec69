"""Delivery receipts, told apart from texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.carriers.carrier import Alphabet, DeliveryReceipt
from trunkline.carriers.smpp.message import ShortMessage
from trunkline.carriers.smpp.pdu import TLV_MESSAGE_STATE, TLV_NETWORK_ERROR_CODE, TLV_RECEIPTED_MESSAGE_ID
from trunkline.carriers.smpp.receipts import read_receipt

APPENDIX_B = b"id:%s sub:001 dlvrd:001 submit date:2601011200 done date:2601011201 stat:%s err:%s text:Your code"
RECEIPT = 0x04
NOTIFICATION = 0x20


def read(
    payload: bytes,
    tlvs: dict[int, bytes] | None = None,
    esm_class: int = RECEIPT,
    alphabet: Alphabet = Alphabet.GSM7,
) -> DeliveryReceipt | None:
    message = ShortMessage(1, 1, b"491511234567", 5, 0, b"Acme", esm_class, 0, 0, payload, tlvs or {})
    return read_receipt(message, alphabet, "acme")


@pytest.mark.parametrize(
    ("stat", "state"),
    [
        (b"DELIVRD", "delivered"),
        (b"delivered", "delivered"),
        (b"EXPIRED", "expired"),
        (b"DELETED", "deleted"),
        (b"UNDELIV", "undeliverable"),
        (b"FAILED", "undeliverable"),
        (b"ACCEPTD", "accepted"),
        (b"UNKNOWN", "unknown"),
        (b"REJECTD", "rejected"),
        (b"ENROUTE", "enroute"),
        (b"BUFFERED", "enroute"),
        (b"SOMETHING", "unknown"),
    ],
)
def test_the_text_form_tells_what_became_of_a_text(stat: bytes, state: str) -> None:
    assert read(APPENDIX_B % (b"4A1F_x", stat, b"000")) == DeliveryReceipt("acme", "4A1F_x", state, None)


@pytest.mark.parametrize(
    ("payload", "found"),
    [
        (APPENDIX_B % (b"77", b"UNDELIV", b"069"), ("77", "undeliverable", "069")),
        (b"ID:77 STAT:EXPIRED ERR:1a", ("77", "expired", "1a")),
        (b"stat:DELIVRD id: 77", ("77", "delivered", None)),
        (b"id:77 err: stat:DELIVRD", ("77", "delivered", None)),
        (b"id:77", ("77", "unknown", None)),
        (b"id:77 stat:DELIVRD err:000 text:id:88 stat:REJECTD err:5", ("77", "delivered", None)),
        (b"id:77 stat:DELIVRD err:000 text: paid:99", ("77", "delivered", None)),
        (b"id:" + b"7" * 90 + b" stat:DELIVRD", ("7" * 64, "delivered", None)),
        (b"id:7\x077 stat:DELIVRD", ("77", "delivered", None)),
    ],
)
def test_the_text_form_is_read_in_any_order_and_with_fields_missing(
    payload: bytes, found: tuple[str, str, str | None]
) -> None:
    assert read(payload) == DeliveryReceipt("acme", *found)


def test_a_text_form_in_ucs2_is_read() -> None:
    payload = (APPENDIX_B % (b"77", b"DELIVRD", b"000")).decode().encode("utf-16-be")
    assert read(payload, alphabet=Alphabet.UCS2) == DeliveryReceipt("acme", "77", "delivered", None)


@pytest.mark.parametrize(
    ("number", "state"),
    [
        *((1, "enroute"), (2, "delivered"), (3, "expired"), (4, "deleted"), (5, "undeliverable")),
        *((6, "accepted"), (7, "unknown"), (8, "rejected"), (200, "unknown")),
    ],
)
@pytest.mark.parametrize("esm_class", [RECEIPT, NOTIFICATION, 0])
def test_optional_parameters_count_before_the_text(number: int, state: str, esm_class: int) -> None:
    tlvs = {
        TLV_RECEIPTED_MESSAGE_ID: b"88\0",
        TLV_MESSAGE_STATE: bytes([number]),
        TLV_NETWORK_ERROR_CODE: b"\x03\x00\x22",
    }
    payload = APPENDIX_B % (b"77", b"DELIVRD", b"001")
    assert read(payload, tlvs, esm_class) == DeliveryReceipt("acme", "88", state, "34")
    assert read(b"", tlvs, esm_class) == DeliveryReceipt("acme", "88", state, "34")


def test_what_the_optional_parameters_leave_out_is_taken_from_the_text() -> None:
    payload = APPENDIX_B % (b"77", b"UNDELIV", b"012")
    assert read(payload, {TLV_RECEIPTED_MESSAGE_ID: b"4d"}) == DeliveryReceipt("acme", "4d", "undeliverable", "012")
    assert read(payload, {TLV_MESSAGE_STATE: b"\x02"}) == DeliveryReceipt("acme", "77", "delivered", "012")
    assert read(b"id:77", esm_class=NOTIFICATION) == DeliveryReceipt("acme", "77", "enroute", None)


def test_a_text_that_only_looks_like_a_receipt_is_a_text() -> None:
    assert read(APPENDIX_B % (b"77", b"DELIVRD", b"000"), esm_class=0) is None
    assert read(APPENDIX_B % (b"77", b"DELIVRD", b"000"), {TLV_MESSAGE_STATE: b"\x02"}, esm_class=0) is None


def test_a_receipt_that_names_no_message_is_kept_as_a_text() -> None:
    assert read(b"Your code is 482913") is None


@given(st.binary(max_size=200), st.dictionaries(st.sampled_from([0x1E, 0x423, 0x427]), st.binary(max_size=70)))
def test_no_receipt_is_too_odd_to_be_stored(payload: bytes, tlvs: dict[int, bytes]) -> None:
    receipt = read(b"id:7 err:" + payload, tlvs)
    assert receipt is not None
    assert receipt.message_id.isprintable()
    assert receipt.error is None or receipt.error.isprintable()
