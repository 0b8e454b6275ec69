"""How fast texts are read: new ones, ones whose sender is known, and one made to be slow."""

import json
import time
from pathlib import Path

from bench import report
from bench.stage import Stage
from trunkline.catalog import services
from trunkline.codes import Brands, extract

TEXTS = Path(__file__).parents[1] / "tests" / "codes" / "texts" / "world.jsonl"
HOSTILE = ("XX1 ", "code\n1234\n", "code 1234 ", "验证码1", "1 ", "a.", "1-", "http://a", "12:12 ", "@a #")
KIB_64 = 65_536


def measure(stage: Stage) -> list[report.Figure]:
    texts = [json.loads(line)["text"] for line in TEXTS.read_text(encoding="utf-8").splitlines()]
    rows = [
        (row["slug"], row["name"], row["domain"], row["aliases"].split(";") if row["aliases"] else [])
        for row in services.starter_set()
    ]
    extract("", Brands(rows))  # loads the words
    unseen, known, slowest = [], [], []
    for _ in range(3 if stage.quick else 7):
        brands = Brands(rows)
        unseen.append(_rate(texts, brands))
        known.append(_rate(texts, brands))
        slowest.append(max(_milliseconds(unit * (KIB_64 // len(unit)), brands) for unit in HOSTILE))
    how = f"{len(texts):,} texts in 101 languages, by CPU time of one core"
    return [
        report.Figure("texts read, of senders not met before", unseen, 20_000, unit="/s", raw=how),
        report.Figure("texts read, of senders met before", known, 20_000, unit="/s", raw=how),
        report.Figure("a hostile text of 64 KiB", slowest, 10, at_most=True, unit="ms", raw="the slowest of ten"),
    ]


def _rate(texts: list[str], brands: Brands) -> float:
    started = time.process_time()
    for text in texts:
        extract(text, brands)
    return len(texts) / (time.process_time() - started)


def _milliseconds(text: str, brands: Brands) -> float:
    started = time.process_time()
    extract(text, brands)
    return (time.process_time() - started) * 1000
