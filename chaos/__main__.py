"""`make chaos` runs the whole campaign; `python -m chaos --round N` repeats one of its rounds."""

from __future__ import annotations

import argparse
import sys

from chaos.campaign import campaign
from chaos.report import RESULTS, table, write
from chaos.scenarios import schedule, short


def main() -> int:
    """Run the requested rounds and return 0 if nothing was found."""
    total = len(schedule())
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--rounds", type=int, default=total, help=f"rounds to run, of {total}")
    parser.add_argument("--short", action="store_true", help="run the short campaign of the tests")
    parser.add_argument(
        "--round",
        type=int,
        action="append",
        help="round to repeat; may be repeated",
    )
    parser.add_argument("--kind", help="run only rounds of this scenario")
    parser.add_argument("--seed", type=int, default=1, help="seed of the campaign")
    given = parser.parse_args()
    numbers = given.round or (short() if given.short else range(min(given.rounds, total)))
    numbers = [each for each in numbers if given.kind in {None, schedule()[each].name}]
    again = bool(given.round)
    document, results = campaign(
        numbers, seed=given.seed, small=given.short, keep=(lambda _: None) if again else write
    )
    print(table(document, results))
    if not again:
        print(f"Wrote the results to:\n{RESULTS}")
    return 0 if all(result.good for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
