"""The operator's numbers come in by file: all of it or, told so, what is good of it."""

import pathlib

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import Server, Trunkline

from trunkline.catalog.numbers import BadRow, Row, read_rows

COUNTRIES = {"ad", "us"}


@pytest.fixture
def file(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "numbers.csv"


def numbers(trunkline: Trunkline) -> list[tuple[str, str]]:
    return sorted(
        (each["e164"], each["operator"]) for each in trunkline("numbers", "list", "--country", "ad")["numbers"]
    )


def test_a_file_is_imported_and_a_second_time_every_row_is_known(trunkline: Trunkline, file: pathlib.Path) -> None:
    file.write_text("\ufeffe164,country,operator\n+376300001,AD,Blue\n+376300002,ad\n", "utf-8")
    command = ("numbers", "import", str(file), "--carrier", "simulated")
    assert trunkline(*command) == {"imported": 2, "bad": []}
    assert numbers(trunkline) == [("+376300001", "Blue"), ("+376300002", "")]
    again = trunkline.run(*command)
    assert again.returncode == 1
    assert "line 2: +376300001 is in the pool already\nline 3: +376300002 is in the pool already\n" in again.stderr
    assert again.stderr.rstrip().endswith("2 bad rows; nothing was imported (--skip-bad imports the others).")
    assert "Traceback" not in again.stderr


def test_bad_rows_are_named_by_line_and_nothing_is_applied_unless_told_to_skip_them(
    trunkline: Trunkline, file: pathlib.Path
) -> None:
    file.write_text(
        "+376300001,ad\n"
        "376300002,ad\n"
        "+376300003,zz\n"
        "\n"
        "+376300001,ad\n"
        "+376300004\n"
        "+376300005,ad,Blue,more\n"
        "+376300006,ad," + "x" * 65 + "\n"
        '"+376300007","ad","Blue, North"\n',
        "utf-8",
    )
    command = ("numbers", "import", str(file), "--carrier", "simulated")
    refused = trunkline.run(*command)
    assert refused.returncode == 1
    lines = [line.partition(":")[0] for line in refused.stderr.splitlines() if line.startswith("line ")]
    assert lines == ["line 2", "line 3", "line 5", "line 6", "line 7", "line 8"]
    assert "line 5: +376300001 stands in line 1 already" in refused.stderr
    assert numbers(trunkline) == []

    skipped = trunkline(*command, "--skip-bad")
    assert skipped["imported"] == 2
    assert [row["line"] for row in skipped["bad"]] == [2, 3, 5, 6, 7, 8]
    assert numbers(trunkline) == [("+376300001", ""), ("+376300007", "Blue, North")]


def test_a_number_the_pool_has_keeps_the_rest_of_the_file_out_unless_told_to_skip_it(
    trunkline: Trunkline, file: pathlib.Path
) -> None:
    file.write_text("+376300001,ad,Blue\n")
    command = ("numbers", "import", str(file), "--carrier", "simulated")
    trunkline(*command)
    file.write_text("+376300002,ad\n+376300001,ad,Red\n")
    assert trunkline.run(*command).returncode == 1
    assert numbers(trunkline) == [("+376300001", "Blue")]
    skipped = trunkline(*command, "--skip-bad")
    assert (skipped["imported"], [row["line"] for row in skipped["bad"]]) == (1, [2])
    assert numbers(trunkline) == [("+376300001", "Blue"), ("+376300002", "")]


def test_numbers_of_a_carrier_that_is_not_configured_are_refused(trunkline: Trunkline, file: pathlib.Path) -> None:
    file.write_text("+376300001,ad\n")
    refused = trunkline.run("numbers", "import", str(file), "--carrier", "nord")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "There is no carrier 'nord' in the settings" in refused.stderr
    file.write_bytes(b"+376300001,ad,\xff\n")
    assert trunkline.run("numbers", "import", str(file), "--carrier", "simulated").returncode == 1
    assert trunkline.run("numbers", "import", str(file) + ".missing", "--carrier", "simulated").returncode == 2


good_rows = st.lists(st.integers(300_000, 699_999), unique=True, max_size=20).map(
    lambda subscribers: [f"+376{subscriber},ad" for subscriber in subscribers]
)
any_line = st.text(st.characters(exclude_characters='\r\n"', exclude_categories=["Cs"]), max_size=40)


@given(good=good_rows, strange=st.lists(st.tuples(st.integers(0, 20), any_line), max_size=5))
def test_every_line_of_any_file_is_a_row_a_bad_row_or_empty(good: list[str], strange: list[tuple[int, str]]) -> None:
    lines = list(good)
    for place, line in strange:
        lines.insert(place, line)
    rows = list(read_rows([line + "\n" for line in lines], COUNTRIES))
    taken = [row for row in rows if isinstance(row, Row)]
    assert {row.e164 for row in taken} >= {line.partition(",")[0] for line in good}
    assert len({row.e164 for row in taken}) == len(taken)
    assert all(lines[row.line - 1].startswith(row.e164) for row in taken if not strange)
    assert len({row.line for row in rows}) == len(rows)
    assert all(row.reason for row in rows if isinstance(row, BadRow))


def test_a_number_of_the_simulated_network_goes_over_to_the_operator_who_imports_it(trunkline: Trunkline) -> None:
    north = {"TRUNKLINE_CARRIERS__NORTH__KIND": "smpp", "TRUNKLINE_CARRIERS__NORTH__URL": "smpp://u:p@127.0.0.1:1"}
    operator = Trunkline(trunkline.environment | north)
    free, *_ = (each["e164"] for each in trunkline("numbers", "list", "--country", "us")["numbers"])
    command = ("numbers", "import", "-", "--carrier", "north")
    assert operator.run(*command, input=f"{free},us\n").returncode == 0
    [mine] = operator("numbers", "list", "--carrier", "north")["numbers"]
    assert (mine["e164"], mine["carrier"]) == (free, "north")
    again = operator.run(*command, input=f"{free},us\n")
    assert again.returncode == 1
    assert "is in the pool already" in again.stderr


def test_a_simulated_number_that_is_leased_stays_where_it_is(trunkline: Trunkline, server: Server) -> None:
    north = {"TRUNKLINE_CARRIERS__NORTH__KIND": "smpp", "TRUNKLINE_CARRIERS__NORTH__URL": "smpp://u:p@127.0.0.1:1"}
    lease = requests.post(
        f"{server.api}/numbers/purchase",
        json={"country": "us", "service": "whatsapp"},
        headers={"Authorization": f"Bearer {trunkline.customer().live_key}"},
        timeout=60,
    ).json()["data"]
    operator = Trunkline(trunkline.environment | north)
    refused = operator.run("numbers", "import", "-", "--carrier", "north", input=f"{lease['phone_number']},us\n")
    assert refused.returncode == 1
    assert "is in the pool already" in refused.stderr
    assert trunkline.sms(lease["phone_number"], "Your WhatsApp code: 847291")["outcome"] == "delivered"
