"""Phone numbers that belong to nobody: what regulators keep free for films, books and tests.

The simulated network is numbered from them, so that no text of a test can ever reach a person; and a real carrier must
refuse to send to them. A country stands here only where its regulator is known to have published a range: for NZ, NO,
FI, DK, KR, BE, CH, ES, PL, HU and NL none is known, and none may be invented.
"""

import dataclasses
import functools
import math
import random
from collections.abc import Iterator

import phonenumbers
from phonenumbers import PhoneNumber, PhoneNumberType

OPERATOR = "simulated"

# Each entry is one number, or a prefix and the first and last ending. Mobile ranges come first: the cap cuts the rest.
_RANGES: dict[str, tuple[str, ...]] = {
    # Ofcom, "Telephone numbers for use in TV and radio drama programmes": mobile, no area, London, then the cities
    # (Leeds, Sheffield, Nottingham, Leicester, Bristol, Reading, Birmingham, Edinburgh, Glasgow, Liverpool,
    # Manchester, Tyneside), Northern Ireland, Cardiff.
    "gb": (
        *("+447700900 000-999", "+441632960 000-999", "+442079460 000-999"),
        *("+441134960 000-999", "+441144960 000-999", "+441154960 000-999", "+441164960 000-999"),
        *("+441174960 000-999", "+441184960 000-999", "+441214960 000-999", "+441314960 000-999"),
        *("+441414960 000-999", "+441514960 000-999", "+441614960 000-999", "+441914980 000-999"),
        *("+442896496 000-999", "+442920180 000-999"),
    ),
    # ACMA, "Phone numbers for use in TV shows, films and creative works": thirty single mobile numbers (what lies
    # between them is in use), then 5550 and 7010 in each of the four area codes.
    "au": (
        *("+61491570006", "+61491570156", "+61491570157", "+61491570158", "+61491570159", "+61491570110"),
        *("+61491570313", "+61491570737", "+61491571266", "+61491571491", "+61491571804", "+61491572549"),
        *("+61491572665", "+61491572983", "+61491573770", "+61491573087", "+61491574118", "+61491574632"),
        *("+61491575254", "+61491575789", "+61491576398", "+61491576801", "+61491577426", "+61491577644"),
        *("+61491578957", "+61491578148", "+61491578888", "+61491579212", "+61491579760", "+61491579455"),
        *("+6125550 0000-9999", "+6135550 0000-9999", "+6175550 0000-9999", "+6185550 0000-9999"),
        *("+6127010 0000-9999", "+6137010 0000-9999", "+6177010 0000-9999", "+6187010 0000-9999"),
    ),
    # ARCEP, décision 2018-0881 (plan national de numérotation), numbers for audiovisual works.
    "fr": (
        "+3363998 0000-9999",
        *("+3319900 0000-9999", "+3326191 0000-9999", "+3335301 0000-9999"),
        *("+3346571 0000-9999", "+3353649 0000-9999"),
    ),
    # Bundesnetzagentur, Mitteilung 148/2021 ("Drama Numbers", Amtsblatt 7/2021): two mobile blocks and ten single
    # numbers given by the operators, then Berlin, Frankfurt, Hamburg, Cologne, Munich.
    "de": (
        *("+4917139200 00-99", "+49176040690 00-99"),
        *("+4915228817386", "+4915228895456", "+4915254599371"),
        *("+491729925904", "+491729968532", "+491729973185", "+491729973186", "+491729980752"),
        *("+491749091317", "+491749464308"),
        *("+493023125 000-999", "+496990009 000-999", "+494066969 000-999"),
        *("+492214710 000-999", "+498999998 000-999"),
    ),
    # PTS, "Telefonnummer till böcker och filmer": mobile, Gothenburg, Malmö, Stockholm, Kiruna.
    "se": (
        "+467017406 05-99",
        *("+46313900 600-699", "+46406280 400-499", "+46846500 400-499", "+46980319 200-299"),
    ),
    # ComReg, Numbering Conditions of Use: drama numbers, 020 91X XXXX.
    "ie": ("+3532091 00000-99999",),
}

# Reserved as well, but toll-free, premium or UK-wide: they could never be leased for texts. Ofcom, as above; and the
# one toll-free number of the North American plan that ATIS-0300115 keeps free.
_RESERVED_NOT_LEASED = ("+448081570 000-999", "+449098790 000-999", "+443069990 000-999", "+18005550199")

# North American plan: NXX 555, lines 0100 to 0199, in each area code (ATIS-0300115). In toll-free codes only the number
# above is kept free; their others have subscribers.
_NANP_LINES = "55501"
_NANP_TOLL_FREE = frozenset(("800", "822", "833", "844", "855", "866", "877", *(str(n) for n in range(880, 890))))
# UNKNOWN is an area code of an island whose own metadata does not list 555; what is left out (toll-free, premium,
# personal, VoIP) has no place.
_NANP_KINDS = frozenset((PhoneNumberType.FIXED_LINE_OR_MOBILE, PhoneNumberType.FIXED_LINE, PhoneNumberType.UNKNOWN))


@dataclasses.dataclass(frozen=True, slots=True)
class SimulatedNumber:
    e164: str
    country: str  # ISO 3166-1 alpha-2, lower case
    operator: str


@dataclasses.dataclass(frozen=True, slots=True)
class _Block:
    """Numbers that share a beginning: ``endings`` written with ``width`` digits, or the prefix alone for width 0."""

    prefix: str
    width: int
    endings: range

    def number(self, ending: int) -> str:
        return f"{self.prefix}{ending:0{self.width}d}" if self.width else self.prefix


def _block(entry: str) -> _Block:
    prefix, _, endings = entry.partition(" ")
    first, _, last = endings.partition("-")
    return _Block(prefix, len(first), range(int(first), int(last) + 1) if first else range(1))


_BLOCKS = {country: tuple(map(_block, entries)) for country, entries in _RANGES.items()}
_BLOCK_OF_PREFIX = {
    block.prefix: block for blocks in (*_BLOCKS.values(), map(_block, _RESERVED_NOT_LEASED)) for block in blocks
}
_WIDTHS = tuple(sorted({block.width for block in _BLOCK_OF_PREFIX.values()}))


def is_reserved(e164: str) -> bool:
    """Whether the number (E.164 with +) is kept free for fiction and tests: no carrier may be asked to reach it.

    About a microsecond: it reads only the tables above.
    """
    if e164.startswith("+1") and len(e164) == 12 and e164[5:10] == _NANP_LINES and e164[2:5] not in _NANP_TOLL_FREE:
        return True
    for width in _WIDTHS:
        cut = len(e164) - width
        block = _BLOCK_OF_PREFIX.get(e164[:cut])
        if block is not None and block.width == width:
            return not width or int(e164[cut:]) in block.endings
    return False


@functools.cache
def _nanp_blocks() -> dict[str, tuple[_Block, ...]]:
    """The fictional lines of each area code, by lower-case country, as libphonenumber assigns the area codes."""
    found: dict[str, list[_Block]] = {}
    for area_code in range(200, 1000):
        number = PhoneNumber(country_code=1, national_number=area_code * 10_000_000 + 555_0100)
        region = phonenumbers.region_code_for_number(number)
        if region is not None and phonenumbers.number_type(number) in _NANP_KINDS:
            found.setdefault(region.lower(), []).append(_Block(f"+1{area_code}{_NANP_LINES}", 2, range(100)))
    return {country: tuple(blocks) for country, blocks in found.items()}


def simulated_numbers(seed: int, per_country: int = 2000) -> Iterator[SimulatedNumber]:
    """Numbers for the simulated network, at most ``per_country`` for each country that has a range; none comes twice.

    The same seed gives the same numbers in the same order: countries by their code, and within each a shuffle of its
    own, so that a change of one country's ranges leaves the others as they were. Where a country has more numbers than
    the cap, its mobile ranges are used up first, and area codes of the North American plan share alike.
    """
    nanp = _nanp_blocks()
    for country in sorted(_BLOCKS.keys() | nanp.keys()):
        shuffle = random.Random(f"{seed} {country}")  # noqa: S311 repeatable, not secret
        if country in _BLOCKS:
            blocks, share = list(_BLOCKS[country]), per_country
        else:
            blocks = shuffle.sample(nanp[country], len(nanp[country]))
            share = math.ceil(per_country / len(blocks))
        numbers: list[str] = []
        for block in blocks:
            room = min(share, per_country - len(numbers), len(block.endings))
            numbers += map(block.number, shuffle.sample(block.endings, room))
        shuffle.shuffle(numbers)
        for number in numbers:
            yield SimulatedNumber(number, country, OPERATOR)
