"""Phone numbers: read strictly, placed in a country, and hidden in logs.

The shapes are those of ITU-T E.164 (11/2010): ``+``, a calling code, and at most fifteen digits in all.
"""

import re

import phonenumbers
from phonenumbers import PhoneNumberFormat, ValidationResult

from trunkline.errors import InvalidRequest

_SHAPE = re.compile(r"\+[1-9][0-9]{6,14}")
_NUMBERS = re.compile(r"\+[1-9][0-9]{7,}")

_LOCAL_DIGITS = 6
_FEWEST_OF_A_DEVICE = 12  # without the calling code

# What phonenumbers calls a region and ISO 3166-1 does not. Ascension and Tristan da Cunha are parts of sh; Kosovo's
# XK is a user-assigned code, so its numbers have no ISO country.
_ISO_OF_REGION: dict[str, str | None] = {"AC": "sh", "TA": "sh", "XK": None, "001": None, "ZZ": None}


def parse_e164(text: str) -> str:
    """The number as it was written, once it is sure to be E.164; raises InvalidRequest with ``field="phone_number"``.

    Asks whether the number is *possible* (right length for its calling code), never whether it is *valid* (its range
    is in use): ranges reserved for fiction and tests are invalid on purpose, and a new range is valid only after the
    next release of phonenumbers. Numbers of devices may be longer than people's, up to fifteen digits. Refused too:
    spaces and punctuation, local numbers, and a trunk prefix left in ("+44 0 7700 …"), because the same subscriber
    must have one spelling.
    """
    if not _SHAPE.fullmatch(text):
        raise InvalidRequest(
            "A phone number must be a plus sign and 7 to 15 digits, the calling code first, as in +14155550123.",
            field="phone_number",
        )
    try:
        number = phonenumbers.parse(text)
    except phonenumbers.NumberParseException:
        raise InvalidRequest(
            "The phone number does not begin with the calling code of any country.", field="phone_number"
        ) from None
    if phonenumbers.is_possible_number_with_reason(number) != ValidationResult.IS_POSSIBLE and not _is_of_a_device(
        number
    ):
        raise InvalidRequest(
            "The phone number is too short or too long for the country of its calling code.", field="phone_number"
        )
    if phonenumbers.format_number(number, PhoneNumberFormat.E164) != text:
        raise InvalidRequest(
            "The phone number must not carry a national trunk prefix (often 0) after the calling code.",
            field="phone_number",
        )
    return text


def _is_of_a_device(number: phonenumbers.PhoneNumber) -> bool:
    """Whether it can be of a range for devices (M2M, IoT), which countries open beyond the lengths of their plans; in
    North America, whose plan knows one length, there are none."""
    return number.country_code != 1 and len(str(number.national_number)) >= _FEWEST_OF_A_DEVICE


def calling_code_fits(e164: str, country: str) -> bool:
    """Whether a number's calling code is that of a country (ISO 3166-1, lower case); True where either has none of its
    own: satellites, networks of devices (+882, +883), territories without numbers."""
    code = phonenumbers.country_code_for_region(country.upper())
    try:
        number = phonenumbers.parse(e164)
    except phonenumbers.NumberParseException:
        return False
    worldwide = phonenumbers.region_code_for_country_code(number.country_code or 0) == "001"
    return (
        code == 0 or worldwide or number.country_code == code or region_of(e164) == country
    )  # Ascension is part of sh


def region_of(e164: str) -> str | None:
    """The lower-case ISO 3166-1 code of the number's country, or None where it has none (satellite, Kosovo, no number).

    A range that phonenumbers does not know (reserved for fiction, or new) counts to the main country of its calling
    code: +44 7700 900123 is ``gb``.
    """
    try:
        number = phonenumbers.parse(e164)
    except phonenumbers.NumberParseException:
        return None
    region = phonenumbers.region_code_for_number(number)
    if region is None:
        region = phonenumbers.region_code_for_country_code(number.country_code or 0)
    return _ISO_OF_REGION.get(region, region.lower())


def is_dialled_as(e164: str, digits: str, *, in_town: bool = False) -> bool:
    """Whether ``digits`` are the number as it is dialled in its own country, with or without the trunk prefix; with
    ``in_town`` also where they are its end, at least six digits of it."""
    region = region_of(e164)
    if region is None:
        return False
    bare = digits.removeprefix("+")
    for spelling in dict.fromkeys((digits, bare)):
        try:
            read = phonenumbers.parse(spelling, region.upper())
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.format_number(read, PhoneNumberFormat.E164) == e164:
            return True
    return in_town and len(bare) >= _LOCAL_DIGITS and e164.endswith(bare)


def mask(e164: str) -> str:
    """The number for a log: its first three characters and last two digits, ``+14…23``. Never raises.

    Anything shorter than a number gives ``…`` alone: its ends would be most of it.
    """
    return f"{e164[:3]}…{e164[-2:]}" if len(e164) >= 8 else "…"


def mask_all(text: str) -> str:
    """A text with every number in it that begins with a plus sign masked."""
    return _NUMBERS.sub(lambda found: mask(found.group()), text)
