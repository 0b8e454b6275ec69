"""What the pages for newcomers say of the code is so."""

import itertools
import pathlib
import re
import tomllib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
OF_THE_HOUSE = [
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    *(ROOT / "docs").glob("architecture.md"),
    *(ROOT / "docs").glob("glossary.md"),
    *(ROOT / "docs" / "contributing").glob("*.md"),
]
FILE = re.compile(r"`((?:src|tests|docs)/[\w./-]+\.\w+)`")
LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")


def test_the_picture_in_contributing_is_that_of_the_contract_on_imports() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    [layers] = [each["layers"] for each in contracts if each.get("containers") == ["trunkline"]]
    picture = (ROOT / "CONTRIBUTING.md").read_text().partition("## The house")[2].split("```")[1]
    assert [re.split(r"\s{2,}", line)[0] for line in picture.strip().splitlines()] == layers


@pytest.mark.parametrize("page", OF_THE_HOUSE, ids=lambda page: page.name)
def test_a_file_that_a_page_names_exists(page: pathlib.Path) -> None:
    assert [name for name in FILE.findall(page.read_text()) if not (ROOT / name).exists()] == []


def test_a_link_between_pages_leads_somewhere() -> None:
    pages = itertools.chain(ROOT.glob("*.md"), (ROOT / "docs").rglob("*.md"))
    broken = [
        f"{page.relative_to(ROOT)}: {link}"
        for page in pages
        for link in LINK.findall(page.read_text())
        if not (page.parent / link).exists()
    ]
    assert broken == []


def test_each_term_of_the_glossary_stands_in_it_once() -> None:
    rows = re.findall(r"^\| \*\*(.+?)\*\*", (ROOT / "docs" / "glossary.md").read_text(), re.MULTILINE)
    terms = [term for row in rows for term in row.split(", ")]
    assert len(terms) > 30
    assert sorted(terms) == sorted(set(terms))
