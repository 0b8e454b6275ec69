import csv
import importlib.resources
import itertools
import re
from collections import Counter
from collections.abc import Iterable

import pytest

DOMAIN = re.compile(r"([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}")
SENDER = re.compile(r"\*?[A-Za-z0-9 .&_!+-]{2,11}\*?")  # 3GPP TS 23.040 §9.1.2.5: eleven characters at most
Rows = list[dict[str, str]]

SAYS_NOTHING = {"info", "sms", "verify", "code", "otp", "auth", "authmsg", "notice", "alert", "service", "msg"}


@pytest.fixture(scope="module")
def rows() -> Rows:
    file = importlib.resources.files("trunkline.catalog").joinpath("services.csv")
    with file.open(encoding="utf-8") as text:
        return list(csv.DictReader(text, strict=True))


def several(field: str) -> list[str]:
    return [part for part in field.split(";") if part]


def repeated(values: Iterable[str]) -> list[str]:
    return [value for value, times in Counter(values).items() if times > 1]


def matches(pattern: str, sender: str) -> bool:
    wanted = ".*".join(map(re.escape, pattern.split("*")))
    return re.fullmatch(wanted, sender, re.IGNORECASE) is not None


def test_the_file_has_the_five_columns_in_every_row(rows: Rows) -> None:
    assert list(rows[0]) == ["slug", "name", "domain", "senders", "aliases"]
    assert [row for row in rows if None in row or None in row.values()] == []


def test_the_starter_catalog_is_large_and_world_wide(rows: Rows) -> None:
    slugs = {row["slug"] for row in rows}
    assert len(rows) >= 330
    well_known = "whatsapp google telegram alipay wechat vk kakaotalk line mercadolibre paytm mpesa careem gojek kaspi"
    assert set(well_known.split()) <= slugs


def test_a_slug_is_unique_and_well_formed(rows: Rows) -> None:
    slugs = [row["slug"] for row in rows]
    assert repeated(slugs) == []
    assert [slug for slug in slugs if not re.fullmatch(r"[a-z0-9_]{2,32}", slug)] == []


def test_the_reserved_slugs_are_left_to_the_code(rows: Rows) -> None:
    assert [row["slug"] for row in rows if row["slug"] == "any" or row["slug"].startswith("test_")] == []


def test_a_domain_is_a_plain_host_name_and_belongs_to_one_service(rows: Rows) -> None:
    domains = [row["domain"] for row in rows]
    assert [domain for domain in domains if not DOMAIN.fullmatch(domain)] == []
    assert repeated(domains) == []


def test_a_sender_could_stand_in_a_real_text(rows: Rows) -> None:
    senders = [sender for row in rows for sender in several(row["senders"])]
    assert [sender for sender in senders if not SENDER.fullmatch(sender)] == []
    assert [sender for sender in senders if sender.casefold().strip("*") in SAYS_NOTHING] == []


def test_every_service_can_be_told_by_its_sender(rows: Rows) -> None:
    assert [row["slug"] for row in rows if not several(row["senders"])] == []


def test_no_sender_could_mean_two_services(rows: Rows) -> None:
    senders = [(sender, row["slug"]) for row in rows for sender in several(row["senders"])]
    assert repeated(sender.casefold() for sender, _ in senders) == []
    wide = [(sender, slug) for sender, slug in senders if "*" in sender]
    collisions = [
        (pattern, sender)
        for (pattern, slug), (sender, other) in itertools.product(wide, senders)
        if slug != other and matches(pattern, sender.strip("*"))
    ]
    assert collisions == []


def test_a_spelling_means_two_services_only_where_one_sends_in_the_name_of_the_other(rows: Rows) -> None:
    # Within a row the name may be its domain ("Trip.com"), so each row's own spellings are counted once.
    spellings = [
        spelling
        for row in rows
        for spelling in {part.casefold() for part in [row["name"], row["domain"], *several(row["aliases"])]}
    ]
    shared = {"google", "microsoft", "uber", "яндекс", "yandex", "amazon", "facebook", "instagram"}
    assert set(repeated(spellings)) == shared


def test_an_alias_adds_something_to_the_name_and_the_domain(rows: Rows) -> None:
    assert [
        (row["slug"], alias)
        for row in rows
        for alias in several(row["aliases"])
        if alias.casefold() in (row["name"].casefold(), row["domain"]) or alias != alias.strip()
    ] == []


def test_aliases_come_in_the_scripts_that_texts_are_written_in(rows: Rows) -> None:
    aliases = "".join(row["aliases"] for row in rows)
    for script in (
        "[\u4e00-\u9fff]",
        "[\u30a0-\u30ff]",
        "[\uac00-\ud7af]",
        "[\u0400-\u04ff]",
        "[\u0600-\u06ff]",
        "[\u0900-\u097f]",
    ):
        assert re.search(script, aliases)
