"""Every country and territory of ISO 3166-1, with its English name and calling code.

Nothing is typed in by hand that a maintained table already says: names come from Unicode CLDR (through Babel), calling
codes from Google's libphonenumber data (through phonenumbers). Only the differences stand here.
"""

import dataclasses
import functools
import types
from collections.abc import Mapping

from babel import Locale
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE

# Two-letter codes that CLDR names and ISO 3166-1 does not assign.
_NOT_ASSIGNED_BY_ISO = frozenset(
    (
        *("AC", "CP", "CQ", "DG", "EA", "IC", "TA"),  # exceptional reservations: parts of sh, fr, gg, io, es, es, sh
        *("EU", "EZ", "UN"),  # exceptional reservations for groupings
        *("QO", "XK", "ZZ"),  # user-assigned: outlying Oceania, Kosovo, unknown region
        *("XA", "XB"),  # user-assigned: pseudo-accents and pseudo-bidi, for testing translations
    )
)

# Territories without subscribers of their own, which libphonenumber leaves out. ITU-T, List of E.164 assigned country
# codes; where the list names no code, that of the administering country or of its nearest territory.
_CALLING_CODES_NOT_IN_LIBPHONENUMBER = {
    "AQ": 672,  # Australian external territories, 672 1
    "BV": 47,  # Norway
    "GS": 500,  # shared with the Falkland Islands
    "HM": 672,  # Australian external territories
    "PN": 64,  # New Zealand
    "TF": 262,  # French territories of the Indian Ocean
    "UM": 1,  # United States
}


@dataclasses.dataclass(frozen=True, slots=True)
class Country:
    code: str  # ISO 3166-1 alpha-2, lower case
    name: str  # English, Unicode CLDR
    calling_code: str  # with the plus: "+44"; "+1" for all of the North American plan, whatever the area code


@functools.cache
def countries() -> Mapping[str, Country]:
    """All countries by lower-case code, in the order of their codes. Built at the first call, read-only, shared."""
    calling_codes = _CALLING_CODES_NOT_IN_LIBPHONENUMBER | {
        region: calling_code for calling_code, regions in COUNTRY_CODE_TO_REGION_CODE.items() for region in regions
    }
    names = {str(code): str(name) for code, name in Locale("en").territories.items()}
    # CLDR also names groups of countries, by the three digits of UN M49.
    assigned = sorted(code for code in names if len(code) == 2 and code not in _NOT_ASSIGNED_BY_ISO)
    return types.MappingProxyType(
        {code.lower(): Country(code.lower(), names[code], f"+{calling_codes[code]}") for code in assigned}
    )
