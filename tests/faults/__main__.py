"""``python -m tests.faults [--rounds N] [NAME …]``: breaks what can be broken, and prints what came of it.

A whole run writes its table into docs/faults.md.
"""

import argparse
import pathlib
import sys
from collections.abc import Sequence

from tests.faults.faults import FAULTS, Fault
from tests.faults.rounds import Outcome, play

PURCHASES = 150
PAGE = pathlib.Path(__file__).parents[2] / "docs" / "faults.md"
MARK = "<!-- rounds -->"
HEAD = ("fault", "rounds", "orders", "texts", "ends", "longest answer", "without", "healed")


def main() -> None:
    parser = argparse.ArgumentParser(prog="faults", description="Inject faults under load, and judge what was told.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("name", nargs="*", choices=[*FAULTS, []], help="only these; the page is not written then")
    chosen = parser.parse_args()
    rows: list[tuple[str, ...]] = [HEAD]
    print("  ".join(HEAD))
    for name in chosen.name or FAULTS:
        fault = FAULTS[name]
        if why := fault.impossible():
            print(f"{fault.what}: {why}", file=sys.stderr)
            continue
        rows.append(row(fault, [play(fault, purchases=PURCHASES) for _ in range(chosen.rounds)]))
        print("  ".join(rows[-1]), flush=True)
    print("Nothing that was acknowledged was lost, and nothing took effect twice.", file=sys.stderr)
    if not chosen.name:
        before = PAGE.read_text("utf-8").partition(MARK)[0]
        lines = [f"| {' | '.join(cells)} |" for cells in (rows[0], ["---"] * len(HEAD), *rows[1:])]
        PAGE.write_text(before + "\n".join([MARK, *lines]) + "\n", encoding="utf-8")


def row(fault: Fault, seen: Sequence[Outcome]) -> tuple[str, ...]:
    return (
        fault.what,
        str(len(seen)),
        str(sum(each.orders for each in seen)),
        str(sum(each.texts for each in seen)),
        str(sum(each.ends for each in seen)),
        span([each.longest_answer for each in seen]),
        span([each.longest_without for each in seen]),
        span([each.healed_after for each in seen]),
    )


def span(seconds: Sequence[float]) -> str:
    return f"{min(seconds):.1f}–{max(seconds):.1f}"


if __name__ == "__main__":
    main()
