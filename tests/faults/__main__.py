"""``python -m tests.faults [--rounds N] [NAME …]``: breaks what can be broken, and prints what came of it."""

import argparse
import sys

from tests.faults.faults import FAULTS
from tests.faults.rounds import Outcome, play

PURCHASES = 150
HEAD = ("fault", "round", "orders", "texts", "ends", "longest answer", "longest without", "healed after")


def main() -> None:
    parser = argparse.ArgumentParser(prog="faults", description="Inject faults under load, and judge what was told.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("name", nargs="*", choices=[*FAULTS, []], help="only these")
    chosen = parser.parse_args()
    print("  ".join(HEAD))
    for name in chosen.name or FAULTS:
        for place in range(chosen.rounds):
            print(line(FAULTS[name].what, place + 1, play(FAULTS[name], purchases=PURCHASES)), flush=True)
    print("Nothing that was acknowledged was lost, and nothing took effect twice.", file=sys.stderr)


def line(what: str, place: int, seen: Outcome) -> str:
    return "  ".join(
        (
            what.ljust(48), str(place), f"{seen.orders:5}", f"{seen.texts:5}", f"{seen.ends:5}",
            f"{seen.longest_answer:6.1f} s", f"{seen.longest_without:6.1f} s", f"{seen.healed_after:6.1f} s",
        )
    )  # fmt: skip


if __name__ == "__main__":
    main()
