"""Many rounds over one ground."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from chaos.ground import grounded
from chaos.kinds import schedule
from chaos.report import Progress, summary
from chaos.rounds import Result, Round, reference
from chaos.world import make_world


def campaign(numbers: Sequence[int], *, seed: int) -> tuple[dict[str, object], list[Result]]:
    """Play rounds by their numbers; the summary, and each result."""
    started = time.monotonic()
    kinds = schedule()
    results: list[Result] = []
    with (
        tempfile.TemporaryDirectory(prefix="spatial-assets-chaos-") as scratch,
        grounded() as ground,
    ):
        folder = Path(scratch)
        world = make_world(folder, ground)
        references = {
            remote: reference(ground, world, remote=remote)
            for remote in {kinds[number].remote for number in numbers} | {False}
        }
        progress = Progress(len(numbers))
        for number in numbers:
            result = Round(
                ground=ground,
                world=world,
                kind=kinds[number],
                number=number,
                seed=seed,
                scratch=folder,
                references=references,
            ).play()
            results.append(result)
            progress.count(result)
    return summary(results, seed=seed, seconds=time.monotonic() - started), results
