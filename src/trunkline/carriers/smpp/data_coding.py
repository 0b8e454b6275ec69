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
    5: Alphabet.JIS,
    6: Alphabet.CYRILLIC,
    7: Alphabet.HEBREW,
    9: Alphabet.JIS,  # with pictograms, which are shown as U+FFFD
    10: Alphabet.JIS,
    13: Alphabet.JIS,
    14: Alphabet.KOREAN,
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
