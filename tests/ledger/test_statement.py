"""Statements: every transfer of the days asked for, in order, with a balance that can be followed line by line."""

import asyncio
import csv
import datetime
import io
import pathlib
import tracemalloc
from decimal import Decimal

import pytest
import pytest_asyncio
from tests.conftest import Trunkline
from tests.days import within_a_day
from tests.house import Buyer, House, problem

from trunkline.audit.acts import Actor
from trunkline.ledger import statement

MANY = """
INSERT INTO transfer (account_id, kind, debit, credit, amount_micros, currency, created_at)
SELECT $1, 'credit', 'funding', 'available', 1000000, 'USD', $3::timestamptz + n * interval '1 second'
  FROM generate_series(1, $2::integer) AS n
"""


pytestmark = pytest.mark.unbalanced  # transfers are put in without their acts


@pytest_asyncio.fixture
async def house(house: House) -> House:
    await within_a_day()
    return house


async def lines_of(buyer: Buyer, **days: str) -> list[dict[str, str]]:
    answer = await buyer.get("/account/statement", **days)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    reader = csv.DictReader(io.StringIO(answer.text, newline=""))
    rows = list(reader)
    assert tuple(reader.fieldnames or ()) == statement.COLUMNS
    return rows


def follows(rows: list[dict[str, str]], opening: str = "0") -> None:
    """Each balance is the one before it and the amount of its line."""
    balance = Decimal(opening)
    for row in rows:
        balance += Decimal(row["amount"])
        assert Decimal(row["balance_after"]) == balance, row


@pytest.mark.asyncio
async def test_a_statement_has_every_transfer_with_the_balance_after_it(house: House) -> None:
    buyer = await house.buyer("5.00")
    await house.stock(2)
    captured, released = [await buyer.lease() for _ in range(2)]
    await house.text(captured["phone_number"], "Your WhatsApp code: 847291")
    await buyer.cancel(released)
    rows = await lines_of(buyer)
    assert [(row["kind"], row["amount"], row["balance_after"]) for row in rows] == [
        ("credit", "5.00", "5.00"),
        ("hold", "-0.10", "4.90"),
        ("hold", "-0.10", "4.80"),
        ("capture", "0.00", "4.80"),
        ("release", "0.10", "4.90"),
    ]
    assert {row["activation_id"] for row in rows} == {"", captured["activation_id"], released["activation_id"]}
    assert {(row["service"], row["country"], row["currency"]) for row in rows[1:]} == {("whatsapp", "ad", "USD")}
    assert (rows[0]["service"], rows[0]["phone_number"], rows[0]["deposit_id"]) == ("", "", "")
    assert rows[1]["phone_number"] == "'" + captured["phone_number"], "no spreadsheet takes it for a formula"
    follows(rows)
    rows_of_audit = await house.platform.database.fetch(
        "SELECT actor FROM audit_entry WHERE action = 'statement.exported'"
    )
    assert [row["actor"].split(":")[0] for row in rows_of_audit] == ["key"]


@pytest.mark.asyncio
async def test_statements_of_one_month_after_the_other_follow_each_other(house: House) -> None:
    buyer = await house.buyer("0")
    database = house.platform.database
    for month in (1, 2, 3):
        await database.execute(
            MANY, buyer.account_id, 10, datetime.datetime(2026, month, 28, 23, 59, 55, tzinfo=datetime.UTC)
        )
    january = await lines_of(buyer, **{"from": "2026-01-01", "to": "2026-01-28"})
    february = await lines_of(buyer, **{"from": "2026-01-29", "to": "2026-02-28"})
    later = await lines_of(buyer, **{"from": "2026-03-01", "to": "2026-12-31"})
    assert [len(january), len(february), len(later)] == [4, 10, 16]
    follows(january + february + later)
    follows(february, opening=january[-1]["balance_after"])
    assert await lines_of(buyer, **{"from": "2025-01-01", "to": "2025-12-31"}) == []
    assert len(await lines_of(buyer, to="9999-12-31", **{"from": "9999-01-01"})) == 0
    whole_leap_year = {"from": "2028-01-01", "to": "2028-12-31"}
    assert await lines_of(buyer, **whole_leap_year) == []


@pytest.mark.asyncio
async def test_transfers_whose_times_stand_in_another_order_are_all_there(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statement, "PAGE", 2)
    monkeypatch.setattr(statement, "OPENING_PAGE", 2)
    buyer = await house.buyer("0")
    midnight = datetime.datetime(2026, 2, 1, tzinfo=datetime.UTC)
    for seconds in (-9, -5, 3, -2, 4, -1, 5, 6, 7):
        await house.platform.database.execute(
            MANY, buyer.account_id, 1, midnight + datetime.timedelta(seconds=seconds - 1)
        )
    january = await lines_of(buyer, **{"from": "2026-01-01", "to": "2026-01-31"})
    february = await lines_of(buyer, **{"from": "2026-02-01", "to": "2026-02-28"})
    assert [row["balance_after"] for row in january] == ["1.00", "2.00", "4.00", "6.00"]
    assert [row["balance_after"] for row in february] == ["3.00", "5.00", "7.00", "8.00", "9.00"]


@pytest.mark.asyncio
async def test_a_statement_that_is_written_while_money_moves_misses_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statement, "PAGE", 3)
    buyer = await house.buyer("50")
    await house.stock(40)

    async def trade() -> None:
        for _ in range(20):
            lease = await buyer.order()
            if lease.status_code == 200:
                await buyer.cancel(lease.json()["data"])

    trading = asyncio.gather(*(trade() for _ in range(8)))
    lengths = set()
    while not trading.done():
        rows = await lines_of(buyer)
        follows(rows)
        lengths.add(len(rows))
    await trading
    rows = await lines_of(buyer)
    follows(rows)
    assert len(lengths | {len(rows)}) > 1
    count = await house.platform.database.fetchval(
        "SELECT count(*) FROM transfer WHERE account_id = $1", buyer.account_id
    )
    assert len(rows) == count
    assert float(rows[-1]["balance_after"]) == (await buyer.purse())[0]


@pytest.mark.asyncio
async def test_a_test_key_gets_the_header_alone_and_nobody_anothers_lines(house: House) -> None:
    buyer, stranger = await house.buyer("5"), await house.buyer("7")
    assert await lines_of(buyer.testing()) == []
    assert [row["amount"] for row in await lines_of(stranger)] == ["7.00"]


@pytest.mark.asyncio
async def test_days_that_are_none_are_refused_before_anything_is_sent(house: House) -> None:
    buyer = await house.buyer()
    for days in (
        {"from": "2026-02-30"}, {"from": "yesterday"}, {"to": "2026-1-1"}, {"from": "2026-02-02", "to": "2026-02-01"},
        {"from": "2025-01-01", "to": "2026-01-02"}, {"since": "2026-01-01"}, {"from": ""},
    ):  # fmt: skip
        problem(await buyer.get("/account/statement", **days), 422, "invalid_request")


@pytest.mark.asyncio
async def test_texts_that_look_like_formulas_are_texts() -> None:
    for text in ("=1+1", "+14155550123", "-1", "@SUM(A1)", "\tx", "\rx", "\nx"):
        assert statement._safe(text) == "'" + text
    for text in ("whatsapp", "us", "10000001", ""):
        assert statement._safe(text) == text


@pytest.mark.asyncio
async def test_a_long_statement_takes_little_memory_and_no_long_transaction(house: House) -> None:
    buyer = await house.buyer("0")
    database = house.platform.database
    count, times = 40_000, 20
    for _ in range(times):  # all at once could take longer than a statement may
        await database.execute(
            MANY, buyer.account_id, count // times, datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
        )
    first, last = datetime.date(2026, 1, 1), datetime.date(2026, 1, 31)
    tracemalloc.start()
    lines = -1  # the header
    async for piece in await statement.export(database, Actor("operator:test"), buyer.account_id, first, last):
        lines += piece.count(b"\r\n")
        if lines == statement.PAGE:
            transactions = await database.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in %'"
            )
            assert transactions == 0
    assert lines == count
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10 * 1024 * 1024


def test_the_operator_writes_a_statement_to_a_file_or_the_screen(trunkline: Trunkline, tmp_path: pathlib.Path) -> None:
    made = trunkline.customer(credit="12.50", email="dev@example.com")
    screen = trunkline.run("account", "statement", "dev@example.com")
    assert (screen.returncode, screen.stdout.count("\n")) == (0, 2)
    file = tmp_path / "statement.csv"
    written = trunkline("account", "statement", "dev@example.com", "--output", str(file))
    assert (written["transfers"], written["output"]) == (1, str(file))
    with file.open(newline="") as text:
        (row,) = csv.DictReader(text)
    assert (row["kind"], row["amount"], row["balance_after"], row["currency"]) == ("credit", "12.50", "12.50", "USD")
    assert trunkline.run("account", "statement", "dev@example.com", "--json").returncode == 2
    missing = trunkline.run("account", "statement", "dev@example.com", "--output", str(tmp_path / "no" / "such"))
    assert (missing.returncode, "cannot be written" in missing.stderr) == (1, True)
    assert trunkline.run("account", "statement", "nobody@example.com").returncode == 1
    assert made.account_id
