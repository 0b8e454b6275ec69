"""What was measured, as a table on the screen and as docs/benchmarks.md."""

import dataclasses
import os
import platform
import statistics
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

FSYNCS = 200


@dataclasses.dataclass(frozen=True)
class Figure:
    """One figure: a number from each round, and what it should be."""

    what: str
    rounds: Sequence[float]
    target: float
    at_most: bool = False  # the target is a ceiling, not a floor
    unit: str = ""  # of what is no ratio
    raw: str = ""  # the two sides of a ratio, or how the number came about

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)

    @property
    def met(self) -> bool:
        return self.median <= self.target if self.at_most else self.median >= self.target

    def cells(self) -> tuple[str, str, str, str, str, str]:
        spread = f"{self._show(min(self.rounds))}–{self._show(max(self.rounds))}" if len(self.rounds) > 1 else ""
        target = f"{'≤' if self.at_most else '≥'} {self._show(self.target)}"
        return self.what, self._show(self.median), spread, target, "yes" if self.met else "no", self.raw

    def _show(self, value: float) -> str:
        digits = f"{value:.3f}" if not self.unit else f"{value:,.1f}" if value < 100 else f"{value:,.0f}"
        return digits + self.unit if self.unit.startswith("/") else f"{digits} {self.unit}".rstrip()


HEAD = ("what", "median", "min–max", "target", "met", "how")


def per_second(name: str, rounds: Sequence[float]) -> str:
    return f"{name} {statistics.median(rounds):,.0f}/s"


def table(figures: Iterable[Figure]) -> str:
    rows = [HEAD, *(figure.cells() for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines)


def machine(directory: Path, postgres: str) -> list[str]:
    """What of the machine the figures depend on; nothing that names it."""
    return [
        f"{os.cpu_count()} cores ({platform.machine()}), {platform.system()}",
        f"Python {platform.python_version()}, PostgreSQL {postgres}",
        f"one fdatasync of 8 KiB where the database stands: {_fsync_microseconds(directory):.0f} µs (median)",
    ]


def _fsync_microseconds(directory: Path) -> float:
    times = []
    probe = directory / "fsync-probe"
    handle = os.open(probe, os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        for _ in range(FSYNCS):
            started = time.perf_counter()
            os.pwrite(handle, b"x" * 8192, 0)
            os.fsync(handle) if sys.platform == "darwin" else os.fdatasync(handle)
            times.append((time.perf_counter() - started) * 1e6)
    finally:
        os.close(handle)
        probe.unlink()
    return statistics.median(times)


def markdown(figures: Iterable[Figure], facts: Iterable[str], *, quick: bool) -> str:
    rows = [HEAD, tuple("---" for _ in HEAD), *(figure.cells() for figure in figures)]
    lines = [
        "# Benchmarks",
        "",
        f"Written by `make bench{' QUICK=1' if quick else ''}`, and never asserted: figures vary with the machine and",
        "with what else runs on it. Both sides of a ratio are measured in turn within one run; the table shows the",
        "median of the rounds.",
        "",
        *(f"- {fact}" for fact in facts),
        "",
        *("| " + " | ".join(row) + " |" for row in rows),
        "",
    ]
    return "\n".join(lines)
