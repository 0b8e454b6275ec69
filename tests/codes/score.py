"""How many of our texts are read right, by kind and language: ``python -m tests.activations.score`` renews the page."""

import dataclasses
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from trunkline.catalog import services
from trunkline.codes import Brands, extract

FOLDER = Path(__file__).parent / "texts"
PAGE = Path(__file__).parents[2] / "docs" / "codes.md"
BEGIN, END = "<!-- score -->\n", "<!-- /score -->\n"
FEWEST_SHOWN = 15  # texts of a language that has a line of its own
OWN = [
    ("nimbus", "Nimbus", "nimbus.example", ["云帆", "Нимбус", "nimbus-mail.example"]),
    ("harborbank", "Harbor Bank", "harborbank.example", []),
]


@dataclasses.dataclass(slots=True)
class Score:
    """Texts with and without a code, and what became of them."""

    with_code: int = 0
    without_code: int = 0
    naming: int = 0  # texts that name a service of the catalog
    rightly_named: int = 0
    missed: list[str] = dataclasses.field(default_factory=list)
    mistaken: list[str] = dataclasses.field(default_factory=list)

    @property
    def exact(self) -> float:
        return 1 - len(self.missed) / max(1, self.with_code)

    @property
    def false_positives(self) -> float:
        return len(self.mistaken) / max(1, self.without_code)

    @property
    def named(self) -> float:
        return self.rightly_named / max(1, self.naming)


def of(rows: Sequence[dict[str, Any]]) -> dict[tuple[str, str], Score]:
    """The score by kind and language of rows {text, code, service, kind, lang}."""
    starter = [
        (row["slug"], row["name"], row["domain"], row["aliases"].split(";") if row["aliases"] else [])
        for row in services.starter_set()
    ]
    brands = Brands([*starter, *OWN])
    scores: dict[tuple[str, str], Score] = {}
    for row in rows:
        score = scores.setdefault((row["kind"], row["lang"]), Score())
        found = extract(row["text"], brands)
        if row["code"] is None:
            score.without_code += 1
            score.mistaken += [row["text"]] if found.code is not None else []
        else:
            score.with_code += 1
            score.missed += [row["text"]] if found.code != row["code"] else []
        if row["service"]:
            score.naming += 1
            score.rightly_named += found.service == row["service"]
    return scores


def total(scores: dict[tuple[str, str], Score], among: Iterable[tuple[str, str]] | None = None) -> Score:
    """The sum over some kinds and languages, or all."""
    whole = Score()
    for key in scores if among is None else among:
        part = scores[key]
        whole.with_code += part.with_code
        whole.without_code += part.without_code
        whole.naming += part.naming
        whole.rightly_named += part.rightly_named
        whole.missed += part.missed
        whole.mistaken += part.mistaken
    return whole


def table(scores: dict[tuple[str, str], Score]) -> str:
    """Two tables in Markdown: by kind, and by language."""
    parts = []
    for title, place in (("kind", 0), ("language", 1)):
        keys = sorted({key[place] for key in scores})
        lines = [f"| {title} | exact | wrongly read a code | service |", "| --- | --- | --- | --- |"]
        small: list[tuple[str, str]] = []
        for name in keys:
            own = [key for key in scores if key[place] == name]
            part = total(scores, own)
            if place == 1 and part.with_code + part.without_code < FEWEST_SHOWN:
                small += own
            else:
                lines.append(_line(name, part))
        if small:
            lines.append(_line(f"{len({key[1] for key in small})} others", total(scores, small)))
        lines.append(_line("**all**", total(scores)))
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _line(name: str, score: Score) -> str:
    exact = f"{score.with_code - len(score.missed)}/{score.with_code}" if score.with_code else ""
    wrong = f"{len(score.mistaken)}/{score.without_code}" if score.without_code else ""
    named = f"{score.rightly_named}/{score.naming}" if score.naming else ""
    return f"| {name} | {exact} | {wrong} | {named} |"


def main() -> None:
    rows = [
        json.loads(line)
        for name in ("rules.jsonl", "world.jsonl")
        for line in (FOLDER / name).read_text(encoding="utf-8").splitlines()
    ]
    scores = of(rows)
    whole = total(scores)
    page = PAGE.read_text(encoding="utf-8")
    head, tail = page[: page.index(BEGIN) + len(BEGIN)], page[page.index(END) :]
    PAGE.write_text(head + table(scores) + tail, encoding="utf-8")
    print(f"exact {whole.exact:.1%}, false positives {whole.false_positives:.1%}, service right {whole.named:.1%}")
    print(
        *(f"  missed: {text!r}" for text in whole.missed), *(f"  wrong: {text!r}" for text in whole.mistaken), sep="\n"
    )


if __name__ == "__main__":
    main()
