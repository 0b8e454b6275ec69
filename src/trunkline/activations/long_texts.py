"""Concatenated short messages: the parts of a long text put together again, also where some are missing. Pure."""

import re
from collections.abc import Iterable

from trunkline.carriers import alphabets
from trunkline.carriers.carrier import Alphabet
from trunkline.storage.database import Row
from trunkline.storage.vault import unseal_part

GAP = "[…]"  # stands where parts are missing
_CUT_OFF = re.compile(rf"(?<!\d)\d{{1,5}}(?={re.escape(GAP)})|(?<={re.escape(GAP)})\d{{1,5}}(?!\d)")


def joined(rows: Iterable[Row], total: int) -> str:
    """The text of these parts, which are in order and sealed; GAP where parts of ``total`` are missing."""
    pieces: list[str] = []
    run, run_alphabet, last = b"", "", 0
    for row in rows:
        number, alphabet = row["number"], row["alphabet"]
        # Joined before they are decoded: a surrogate pair or an escape may be split between two parts.
        if run and (number != last + 1 or alphabet != run_alphabet):
            pieces.append(alphabets.decode(run, Alphabet(run_alphabet)))
            run = b""
        if number != last + 1:
            pieces.append(GAP)
        run, run_alphabet, last = run + _payload(row), alphabet, number
    if run:
        pieces.append(alphabets.decode(run, Alphabet(run_alphabet)))
    if last < total:
        pieces.append(GAP)
    return "".join(pieces)


def legible(text: str) -> str:
    """What of an incomplete text a code may be read from: a short number at a gap may be a part of one."""
    return _CUT_OFF.sub("", text)


def _payload(row: Row) -> bytes:
    payload: bytes = row["payload"]
    return payload if row["key_id"] is None else unseal_part(row["key"], payload)
