"""``python -m bench [--quick] [NAME ...]``: prints the table, and writes docs/benchmarks.md after a whole run."""

import argparse
import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench import (
    audit,
    codes,
    hostile,
    ledger,
    memory,
    public,
    purchases,
    report,
    sending,
    status_polls,
    streams,
    texts,
    usage,
    verifying,
    webhooks,
)
from bench.stage import Stage

MEASURES: dict[str, Callable[[Stage], list[report.Figure]]] = {
    "polls": status_polls.measure,
    "public": public.measure,
    "purchases": purchases.measure,
    "texts": texts.measure,
    "verify": verifying.measure,
    "sending": sending.measure,
    "webhooks": webhooks.measure,
    "streams": streams.measure,
    "codes": codes.measure,
    "usage": usage.measure,
    "audit": audit.measure,
    "ledger": ledger.measure,
    "memory": memory.measure,
    "hostile": hostile.measure,
}
PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench", description="Measure speed and size.")
    parser.add_argument("--quick", action="store_true", help="shorter rounds and smaller fills: under two minutes")
    parser.add_argument("name", nargs="*", choices=[*MEASURES, []], help="only these; the page is not written then")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that everything started is stopped
    before = os.getloadavg()[0]
    directory = Path(tempfile.mkdtemp(prefix="trunkline-bench-"))
    try:
        figures: list[report.Figure] = []
        with contextlib.ExitStack() as stack:
            stage = Stage(directory, stack, quick=chosen.quick)
            facts = report.machine(directory, stage.postgres_version())
            for name in chosen.name or MEASURES:
                started = time.monotonic()
                with contextlib.ExitStack() as servers:
                    figures += MEASURES[name](stage.with_stack(servers))
                print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr)
        loads = (
            f"load average {before:.1f} when the run began, {os.getloadavg()[0]:.1f} when it ended (its own included)"
        )
        facts.append(loads)
        print("\n".join(facts), report.table(figures), sep="\n\n")
        if not chosen.name:
            PAGE.write_text(report.markdown(figures, facts, quick=chosen.quick), encoding="utf-8")
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
