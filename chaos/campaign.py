"""Many rounds over one ground."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path

from chaos.ground import Ground, grounded
from chaos.kinds import Kind, schedule
from chaos.reference import reference
from chaos.report import Progress, summary
from chaos.rounds import Result, Round
from chaos.world import WORKERS, make_world

Maker = Callable[[int, Kind], Round]


def campaign(
    numbers: Sequence[int],
    *,
    seed: int,
    small: bool = False,
    keep: Callable[[dict[str, object]], None] = lambda _: None,
) -> tuple[dict[str, object], list[Result]]:
    """Play rounds by their numbers; the summary, and each result.

    Args:
        numbers: of the rounds.
        seed: of the campaign.
        small: a smaller world, and workers only where they are what is struck.
        keep: is given the summary so far after each round: who breaks off keeps what was found.
    """
    started = time.monotonic()
    kinds = schedule()
    results: list[Result] = []
    scratch = tempfile.TemporaryDirectory(prefix="spatial-assets-chaos-")
    with scratch as name, grounded() as ground:
        remotes = {kinds[number].remote for number in numbers} | {False}
        make = rounds_of(ground, Path(name), remotes, seed=seed, small=small)
        progress = Progress(len(numbers))
        for number in numbers:
            results.append(make(number, kinds[number]).play())
            progress.count(results[-1])
            keep(summary(results, seed=seed, seconds=time.monotonic() - started))
    return summary(results, seed=seed, seconds=time.monotonic() - started), results


def rounds_of(ground: Ground, folder: Path, remotes: set[bool], *, seed: int, small: bool) -> Maker:
    """Make the world and the runs without faults; what makes a round of a number and a kind."""
    world = make_world(folder, ground, small=small)
    shared = partial(
        Round,
        ground=ground,
        world=world,
        seed=seed,
        scratch=folder,
        references={remote: reference(ground, world, remote=remote) for remote in remotes},
    )

    @cache
    def by_dagster() -> Maker:
        from chaos.dagster_runs import DagsterRound, reference_events  # noqa: PLC0415 - seconds

        make = partial(DagsterRound, **shared.keywords)
        kind = next(kind for kind in schedule() if kind.by_dagster)
        events = reference_events(make(kind=kind, number=0, events={}))
        return lambda number, kind: make(kind=kind, number=number, events=events)

    def make(number: int, kind: Kind) -> Round:
        if kind.by_dagster:
            return by_dagster()(number, kind)
        workers = 0 if small and kind.blow != "worker" else WORKERS
        return shared(kind=kind, number=number, workers=workers)

    return make
