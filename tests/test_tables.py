"""Files as people have them: by RFC 4180, or as their spreadsheet wrote them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline import tables
from trunkline.catalog import services
from trunkline.catalog.countries import countries
from trunkline.catalog.numbers import BadRow, Row, read_rows
from trunkline.errors import InvalidRequest

NORWAY = Row(2, "+47580012345678", "no", "Blue, North")
AS_WRITTEN = 'E164,Country,Operator\r\n+47 5800 1234-5678,NO,"Blue, North"\r\n'


def rows(octets: bytes) -> list[Row | BadRow]:
    return list(read_rows(tables.lines(octets), countries()))


@pytest.mark.parametrize(
    "octets",
    [
        AS_WRITTEN.encode(),
        AS_WRITTEN.encode("utf-8-sig"),
        AS_WRITTEN.encode("utf-16"),
        "\ufeff".encode("utf-16-be") + AS_WRITTEN.encode("utf-16-be"),
        AS_WRITTEN.replace("\r\n", "\n").encode(),
        b'"E164";"country";"operator"\r\n+47580012345678;no;"Blue, North"\r\n',
        b"e164\tcountry\toperator\r\n+47580012345678\tno\tBlue, North\r\n",
        b'operator,country,e164\n"Blue, North",no,+47580012345678\n',
        b'e164,country,operator,,\n+47580012345678,no,"Blue, North",,,\n',
        b'e164,country,operator\n\'+47580012345678,no,"Blue, North"\n',
    ],
)
def test_a_file_is_read_however_a_spreadsheet_wrote_it(octets: bytes) -> None:
    assert rows(octets) == [NORWAY]


def test_an_embedded_line_end_belongs_to_its_cell_and_the_next_row_has_its_own_line() -> None:
    assert rows(b'+14155550123,us,"Blue\nNorth ""B"""\n\n+14155550124,us\n+1415555,us\n') == [
        Row(1, "+14155550123", "us", 'Blue\nNorth "B"'),
        Row(4, "+14155550124", "us", ""),
        BadRow(5, "The phone number is too short or too long for the country of its calling code."),
    ]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"4.915E+12,de", "4.915E+12 is a number that a spreadsheet has shortened; format the column as text."),
        (b"4,915E+12;de", "4,915E+12 is a number that a spreadsheet has shortened; format the column as text."),
        (b'+14155550124,us,"Blue\n+14155550125,us\n', "a quotation mark is never closed"),
        (b"+14155550124,de", "+14155550124 does not begin with the calling code of de"),
        (b"+14155550124,us,Blue,,more", "5 columns, expected e164,country[,operator]"),
        (b"+4758001234567890,no", "A phone number must be a plus sign and 7 to 15 digits"),
        (b"+141555501234,us", "The phone number is too short or too long"),
    ],
)
def test_a_bad_row_is_named_by_the_line_it_begins_with(row: bytes, reason: str) -> None:
    first = b"+14155550123;us\n" if b";" in row else b"+14155550123,us\n"
    good, bad = rows(first + row)
    assert isinstance(good, Row)
    assert isinstance(bad, BadRow)
    assert (bad.line, bad.reason[: len(reason)]) == (2, reason)


@pytest.mark.parametrize(
    ("number", "country"),
    [
        ("+47580012345678", "no"),
        ("+467191234567890", "se"),
        ("+861064912345678", "cn"),
        ("+33700123456789", "fr"),
        ("+337001234567890", "fr"),
        ("+24762889", "sh"),  # Ascension
        ("+883130012345678", "nl"),  # a network of devices, of no country
    ],
)
def test_numbers_of_devices_are_taken(number: str, country: str) -> None:
    assert rows(f"{number},{country}\n".encode()) == [Row(1, number, country, "")]


def test_a_catalog_is_read_as_strictly_and_in_the_same_words() -> None:
    read = services.read_csv(tables.lines("Slug;Name;Domain\r\nacme;Acme, Inc.;acme.example\r\n".encode("utf-16")))
    assert [(row["slug"], row["name"], row["domain"], row["aliases"]) for row in read] == [
        ("acme", "Acme, Inc.", "acme.example", "")
    ]
    with pytest.raises(InvalidRequest, match="Line 3: a quotation mark is never closed"):
        services.read_csv(tables.lines(b'slug,name\nacme,Acme\nnorth,"North\nsouth,South\n'))
    with pytest.raises(InvalidRequest, match="neither UTF-8 nor UTF-16"):
        services.read_csv(tables.lines(b"slug,name\nacme,\xff\n"))


@given(st.binary(max_size=200))
def test_any_file_is_rows_bad_rows_or_refused(octets: bytes) -> None:
    try:
        found = rows(octets)
    except InvalidRequest:
        return
    assert all(isinstance(row, (Row, BadRow)) for row in found)
