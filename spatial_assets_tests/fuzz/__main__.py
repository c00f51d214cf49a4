"""`make fuzz`: damaged inputs by the thousand; `--case KIND SEED`: one of them again."""

from __future__ import annotations

import argparse
import json
import sys

from spatial_assets_tests.fuzz.campaign import Case, cases, play_all, summary
from spatial_assets_tests.fuzz.targets import TARGETS
from spatial_assets_tests.servers.process import REPOSITORY

RESULTS = REPOSITORY / "test-results" / "fuzz.json"


def main() -> int:
    """Run the requested cases and return 0 if nothing was found."""
    parser = argparse.ArgumentParser(
        prog="python -m spatial_assets_tests.fuzz", description=__doc__
    )
    parser.add_argument("--count", type=int, default=2400, help="cases, the kinds in turn")
    parser.add_argument("--seed", type=int, default=1, help="of the campaign")
    parser.add_argument("--case", nargs=2, action="append", metavar=("KIND", "SEED"), default=[])
    given = parser.parse_args()
    again = [Case(kind, seed) for kind, seed in given.case]
    results = []
    for played in play_all(again or cases(given.count, given.seed)):
        results.append(played)
        if played.finding or again:
            sys.stdout.write(
                f"{played.case.kind} {played.case.seed}: {played.answer}\n{played.finding}\n"
            )
        if len(results) % 200 == 0:
            sys.stdout.write(f"{len(results)} cases\n")
            sys.stdout.flush()
    document = summary(results, given.seed)
    if not again:
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(document, indent=2) + "\n")
    sys.stdout.write(json.dumps({**document, "findings": len(document["findings"])}, indent=2))  # type: ignore[arg-type]
    sys.stdout.write(f"\n{len(TARGETS)} kinds of inputs; written to {RESULTS}\n")
    return 1 if document["findings"] else 0


if __name__ == "__main__":
    sys.exit(main())
