"""data_coding to alphabet (SMPP 3.4 §5.2.19, 3GPP TS 23.038 §4)."""

from collections.abc import Mapping

from trunkline.carriers.carrier import Alphabet

_BY_ALPHABET_BITS = (Alphabet.GSM7, Alphabet.BINARY, Alphabet.UCS2, Alphabet.GSM7)
_SMPP = {
    0: Alphabet.GSM7,  # "SMSC default alphabet": GSM 03.38 almost everywhere; a link can say otherwise
    1: Alphabet.ASCII,
    2: Alphabet.BINARY,
    3: Alphabet.LATIN1,
    4: Alphabet.BINARY,
    8: Alphabet.UCS2,
    9: Alphabet.BINARY,  # pictograms
    # JIS, ISO 8859-5 and -8, ISO 2022-JP, extended Kanji, KS C 5601: no alphabet here has them, but ASCII is half of
    # each, so a code in digits is read all the same.
    5: Alphabet.LATIN1,
    6: Alphabet.LATIN1,
    7: Alphabet.LATIN1,
    10: Alphabet.LATIN1,
    13: Alphabet.LATIN1,
    14: Alphabet.LATIN1,
}


def alphabet_table(overrides: Mapping[int, Alphabet]) -> tuple[Alphabet, ...]:
    """The alphabet of each of the 256 data codings, with what one link's peer means instead."""
    return tuple(overrides.get(coding, _alphabet(coding)) for coding in range(256))


def _alphabet(coding: int) -> Alphabet:
    if coding < 0x10:
        return _SMPP.get(coding, Alphabet.GSM7)
    if coding < 0x80:  # general data coding, with and without message class or automatic deletion
        return Alphabet.BINARY if coding & 0x20 else _BY_ALPHABET_BITS[coding >> 2 & 3]
    if coding < 0xF0:  # reserved, read as the default alphabet; message waiting, of which 0xEx is UCS-2
        return Alphabet.UCS2 if coding >= 0xE0 else Alphabet.GSM7
    return Alphabet.BINARY if coding & 0x04 else Alphabet.GSM7  # data coding and message class
