"""Beyond an account's caps, a lease for a service of its own is shown what names that service, and nothing else."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests import house as houses
from tests.house import NORTH, Buyer, House, data, problem

from trunkline import metrics
from trunkline.activations.matching import UNNAMED
from trunkline.catalog.services import starter_set
from trunkline.codes import Brands, extract

CAP = 2


@pytest_asyncio.fixture
async def home(url: str) -> AsyncIterator[House]:
    async with houses.opened(
        url, **(NORTH | {"TRUNKLINE_POOL__SIMULATED": "test"}), TRUNKLINE_POLICY__MAX_ACTIVE=str(CAP)
    ) as opened:
        await opened.stock(10, carrier="north")
        await opened.platform.database.execute(
            "INSERT INTO service (slug, name, domain, senders) VALUES ('acme', 'Acme', 'acme.example', '{ACMEOTP}')"
        )
        await opened.platform.database.execute(
            "INSERT INTO service_switch (service_id, enabled)"
            " SELECT service_id, true FROM service WHERE slug = 'signal'"
        )
        yield opened


async def owner(home: House) -> Buyer:
    buyer = await home.buyer()
    await home.platform.database.execute(
        "INSERT INTO service_control (account_id, service_id, domain, method, token, proved_at)"
        " SELECT $1, service_id, domain, 'dns', 'token', now() FROM service WHERE slug = 'acme'",
        buyer.account_id,
    )
    return buyer


async def got(home: House, buyer: Buyer, lease: dict[str, str], text: str, sender: str = "INFO") -> bool:
    outcome = await home.text(lease["phone_number"], text, sender=sender, carrier="north")
    return outcome.what == "delivered"


@pytest.mark.asyncio
async def test_beyond_the_caps_an_owner_gets_texts_that_name_the_service_or_come_from_it_alone(home: House) -> None:
    buyer = await owner(home)
    within = [await buyer.lease("acme") for _ in range(CAP)]
    beyond = [await buyer.lease("acme", contains="code", sender="*") for _ in range(2)]
    text = "482913 is your verification code"
    assert await got(home, buyer, within[0], text)
    for unnamed in (text, "Votre code est 482913", "Use 482913 as your login code for TG"):
        assert not await got(home, buyer, beyond[0], unnamed)
    said = data(await buyer.get(f"/numbers/{beyond[0]['activation_id']}"))
    assert f"3 of them were kept back: {UNNAMED}." in str(said["timeline"])
    assert await got(home, buyer, beyond[0], "482913 is your Acme code")
    assert await got(home, buyer, beyond[1], "482913 is your code", sender="ACMEOTP")


@pytest.mark.asyncio
async def test_leases_of_a_service_of_ones_own_take_nothing_of_the_caps_for_others(home: House) -> None:
    buyer = await owner(home)
    for _ in range(CAP + 1):
        await buyer.lease("acme")
    for _ in range(CAP):
        await buyer.lease("signal")
    problem(await buyer.order("signal"), 429, "too_many_active")
    await buyer.lease("acme")


@pytest.mark.asyncio
async def test_a_lease_without_a_proof_is_as_it_was(home: House) -> None:
    buyer = await home.buyer()
    lease = await buyer.lease("signal")
    before = metrics.TEXTS_SHOWN.series().get(("alone",), [0])[0]
    assert await got(home, buyer, lease, "482913 is your verification code")
    assert metrics.TEXTS_SHOWN.series()[("alone",)][0] == before + 1


BRANDS = Brands(
    (row["slug"], row["name"], row["domain"], [each for each in row["aliases"].split(";") if each])
    for row in starter_set()
)


@pytest.mark.parametrize(
    ("text", "slug"),
    [
        ("Your WhatѕApp code: 482913", "whatsapp"),  # Cyrillic dze
        ("WhаtsАpp: 482913 is your code", "whatsapp"),
        ("Your Τelegram code 482913", "telegram"),  # Greek tau
        ("Ѕignаl: 482913 is your code", "signal"),
        ("Your Ѕignаl code: 482913", "signal"),  # what follows the last look-alike is no word of its own
        ("Votre code Теlеgrаm est 482913", "telegram"),
        ("whats app code 482913", "whatsapp"),
        ("482913 is your Tik Tok code", "tiktok"),
        ("pay pal: your code is 482913", "paypal"),
        ("Ваш код ВКонтакте: 482913", "vk"),  # all of one script: that is how it is written
    ],
)
def test_a_name_in_letters_that_look_alike_or_in_two_words_is_that_name(text: str, slug: str) -> None:
    assert extract(text, BRANDS).services[:1] == (slug,)


@pytest.mark.parametrize(
    "text",
    [
        "I will pay pal back, the code is 482913",
        "Text now to win. Code: 482913",
        "Код 482913 для входа в wi-fi",
        "Your account was linked in the app, code 482913",
    ],
)
def test_words_that_only_sound_like_a_name_are_none(text: str) -> None:
    assert extract(text, BRANDS).services == ()
