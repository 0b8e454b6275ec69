"""Numbers change their carrier, are retired or leave the pool, and nobody who leases one notices."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from tests.conftest import Trunkline
from tests.house import NORTH, Buyer, House, data, problem

from trunkline.audit.acts import Actor
from trunkline.catalog import moving, numbers
from trunkline.catalog.numbers import Row
from trunkline.cli.operator.moving_numbers import bring

TWO = NORTH | {
    "TRUNKLINE_CARRIERS__SOUTH__KIND": "smpp",
    "TRUNKLINE_CARRIERS__SOUTH__URL": "smpp://user:secret@127.0.0.1:1",
    "TRUNKLINE_POLICY__MAX_ACTIVE": "100000",
    "TRUNKLINE_POLICY__PURCHASES_PER_HOUR": "100000",
    "TRUNKLINE_POLICY__SUCCESS_FLOOR": "0",
}


pytestmark = pytest.mark.settings(**TWO)


@pytest_asyncio.fixture
async def house(house: House) -> AsyncIterator[House]:
    await house.platform.database.execute(
        "INSERT INTO service_switch (service_id, enabled)"
        " SELECT service_id, true FROM service WHERE slug IN ('whatsapp', 'telegram', 'any')"
    )
    yield house
    await counts_are_true(house)


async def counts_are_true(house: House) -> None:
    """Every shelf's count is what a recount finds, and no number stands beyond the places that were given."""
    wrong = await house.platform.database.fetch(
        "SELECT shelf.*, recount.* FROM shelf, LATERAL ("
        " SELECT count(*) FILTER (WHERE frozen_number.number_id IS NULL) AS there,"
        "        coalesce(max((place - 1) * 64 + stripe), 0) AS last"
        "   FROM number LEFT JOIN frozen_number USING (number_id) WHERE number.shelf_id = shelf.shelf_id) AS recount"
        " WHERE there <> numbers OR last > places"
    )
    assert wrong == []


async def move(house: House, e164: list[str], to: str) -> int:
    return await bring(house.platform.database, [Row(0, each, "", "") for each in e164], to)


async def until_none(buyer: Buyer, service: str) -> list[str]:
    taken = []
    while (answer := await buyer.order(service)).status_code == 200:
        taken.append(data(answer)["phone_number"])
    problem(answer, 404, "no_numbers_available")
    return taken


@pytest.mark.asyncio
async def test_a_lease_goes_on_while_its_number_moves_and_the_number_rests_afterwards(house: House) -> None:
    [e164] = await house.stock(1, carrier="north")
    await house.stock(130, carrier="south")
    buyer, other = await house.buyer("500.00"), await house.buyer("500.00")
    leases = {lease["phone_number"]: lease for lease in [await buyer.lease() for _ in range(131)]}
    assert await move(house, [e164], "south") == 1
    await house.text(e164, "Your WhatsApp code: 847291", carrier="south")
    assert (await buyer.status(leases[e164]))["sms"]["code"] == "847291"
    await buyer.complete(leases[e164])
    problem(await other.order(), 404, "no_numbers_available")  # it rests
    for _ in range(2):  # the others expire, and then rest as well
        await house.later(3_600)
    assert sorted(await until_none(other, "whatsapp")) == sorted(leases)


@pytest.mark.asyncio
async def test_every_number_is_leased_once_for_each_service_whatever_was_moved_before(house: House) -> None:
    pool = await house.stock(70, carrier="north") + await house.stock(150, carrier="south")
    early = await house.buyer("500.00")
    held = {service: [(await early.lease(service))["phone_number"] for _ in range(20)] for service in ("telegram",)}
    for _ in range(4):
        await move(house, random.sample(pool, 40), random.choice(("north", "south")))
        await counts_are_true(house)
    late = await house.buyer("500.00")
    assert sorted(await until_none(late, "whatsapp")) == sorted(pool)
    assert sorted(await until_none(late, "telegram") + held["telegram"]) == sorted(pool)


@pytest.mark.asyncio
async def test_buyers_and_operators_at_once_give_no_number_twice_and_lose_none(house: House) -> None:
    pool = await house.stock(120, carrier="north") + await house.stock(20, carrier="south")
    leased: Counter[str] = Counter()

    async def buy() -> None:
        buyer = await house.buyer("500.00")
        leased.update(await until_none(buyer, "whatsapp"))

    async def shuffle() -> None:
        for _ in range(6):
            await move(house, random.sample(pool, 15), random.choice(("north", "south")))

    await asyncio.gather(*(buy() for _ in range(6)), shuffle(), shuffle())
    leased.update(await until_none(await house.buyer("500.00"), "whatsapp"))
    await house.later(3)  # numbers that were locked were passed by for a second
    leased.update(await until_none(await house.buyer("500.00"), "whatsapp"))
    assert leased == Counter(dict.fromkeys(pool, 1))


@pytest.mark.asyncio
async def test_a_retired_number_is_leased_no_more_and_its_lease_gets_its_text(house: House) -> None:
    e164 = await house.stock(3, carrier="north")
    buyer = await house.buyer("50.00")
    lease = await buyer.lease()
    assert await moving.retire(house.platform.database, Actor("operator:test"), e164, "returned to the carrier") == 3
    assert await moving.retire(house.platform.database, Actor("operator:test"), e164, "again") == 0
    problem(await buyer.order("telegram"), 404, "no_numbers_available")
    await house.text(lease["phone_number"], "Your WhatsApp code: 847291", carrier="north")
    assert (await buyer.status(lease))["sms"]["code"] == "847291"
    async with house.platform.database.transaction() as connection:
        await numbers.unfreeze(connection, Actor("operator:test"), e164[0])
    assert (await buyer.lease("telegram"))["phone_number"] == e164[0]


@pytest.mark.asyncio
async def test_a_number_is_removed_once_nothing_hangs_on_it(house: House) -> None:
    e164 = await house.stock(2, carrier="north")
    buyer = await house.buyer("50.00")
    lease = await buyer.lease()
    [other] = set(e164) - {lease["phone_number"]}
    database = house.platform.database
    assert await moving.remove(database, Actor("operator:test"), e164) == {
        lease["phone_number"]: "is leased at the moment",
        other: None,
    }
    await house.text(lease["phone_number"], "Your WhatsApp code: 847291", carrier="north")
    await buyer.complete(lease)
    stays = await moving.remove(database, Actor("operator:test"), [lease["phone_number"]])
    assert stays == {lease["phone_number"]: "rests after a lease, whose texts could still come"}
    await house.later(3_600)
    assert await moving.remove(database, Actor("operator:test"), [lease["phone_number"]]) == {
        lease["phone_number"]: None
    }
    assert (await house.text(other, "Your code: 123456", carrier="north")).what == "unmatched"
    problem(await buyer.order(), 404, "no_numbers_available")
    [again] = await house.stock(1, carrier="north")
    assert (await buyer.lease())["phone_number"] == again


class Operator(Trunkline):
    """Whoever has one carrier in the settings."""

    def __init__(self, trunkline: Trunkline, carrier: str) -> None:
        settings = {key.replace("NORTH", carrier): value for key, value in NORTH.items()}
        super().__init__(trunkline.environment | settings)

    def given(self, rows: str, *words: str) -> Any:
        """The JSON of a command that reads rows from its standard input and must succeed."""
        done = self.run(*words, "--json", input=rows)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


def test_a_carrier_that_left_the_settings_is_named_and_its_numbers_go_to_another(trunkline: Trunkline) -> None:
    rows = "+12025551000,us\n+12025551001,us,Blue\n+12025551002,us\n"
    Operator(trunkline, "NORTH").given(rows, "numbers", "import", "-", "--carrier", "north")
    south = Operator(trunkline, "SOUTH")
    shown = south("carriers")
    assert shown["not_configured"] == [{"carrier": "north", "numbers": 3, "live": 0}]
    assert "not in the settings; 3 numbers" in south.run("carriers").stdout
    assert "its carrier is not in the settings" in south.run("numbers", "list", "--carrier", "north").stdout

    refused = south.run("numbers", "import", "-", "--carrier", "south", input=rows[:16])
    assert refused.returncode == 1
    assert "line 1: +12025551000 is in the pool already, with the carrier north; --move brings it" in refused.stderr
    moved = south.given("+12025551000,us\n+12025551009,us\n", "numbers", "import", "-", "--carrier", "south", "--move")
    assert moved == {"imported": 1, "moved": 1, "bad": []}
    assert south("numbers", "move", "+12025551002", "--to", "south") == {"moved": 1, "carrier": "south"}
    assert south("numbers", "move", "--carrier", "north", "--to", "south") == {"moved": 1, "carrier": "south"}
    listed = south("numbers", "list", "--carrier", "south")["numbers"]
    assert sorted((each["e164"], each["operator"]) for each in listed) == [
        ("+12025551000", ""),
        ("+12025551001", "Blue"),
        ("+12025551002", ""),
        ("+12025551009", ""),
    ]
    assert south("carriers")["not_configured"] == []
    acts = trunkline("audit", "verify")
    assert acts["ok"]


def test_numbers_are_retired_and_removed_by_file_and_what_is_not_there_is_named(trunkline: Trunkline) -> None:
    north = Operator(trunkline, "NORTH")
    north.given("+12025551000,us\n+12025551001,us\n", "numbers", "import", "-", "--carrier", "north")
    retired = north.given("e164\n+1 202 555-1000\n", "numbers", "retire", "--file", "-", "--reason", "ported")
    assert retired == {"retired": 1}
    assert "retired, 0 live: ported" in north.run("numbers", "list", "--carrier", "north").stdout
    unknown = north.run("numbers", "remove", "+12025551999")
    assert (unknown.returncode, unknown.stderr) == (1, "trunkline: The pool has no number +12025551999 of yours.\n")
    assert north.run("numbers", "remove").returncode == 2
    assert north("numbers", "remove", "--carrier", "north") == {"removed": 2, "stay": []}
    assert north("numbers", "list", "--carrier", "north")["numbers"] == []
    assert north.run("numbers", "move", "--carrier", "north", "--to", "west").returncode == 1
