"""A sequence of rounds on the same servers."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path

from chaos.inputs import WORKERS, write_inputs
from chaos.reference import reference
from chaos.report import Progress, summary
from chaos.rounds import Result, Round
from chaos.scenarios import Scenario, schedule
from chaos.servers import ChaosServers, running_servers

RoundFactory = Callable[[int, Scenario], Round]


def campaign(
    numbers: Sequence[int],
    *,
    seed: int,
    small: bool = False,
    keep: Callable[[dict[str, object]], None] = lambda _: None,
) -> tuple[dict[str, object], list[Result]]:
    """Run rounds by their numbers and return the summary and each result.

    Args:
        numbers: numbers of the rounds.
        seed: seed of the campaign.
        small: use a smaller area, and worker processes only where a worker is killed.
        keep: receives the summary so far after each round, so that an interrupt loses nothing.
    """
    started = time.monotonic()
    scenarios = schedule()
    results: list[Result] = []
    scratch = tempfile.TemporaryDirectory(prefix="spatial-assets-chaos-")
    with scratch as name, running_servers() as servers:
        remotes = {scenarios[number].remote for number in numbers} | {False}
        make = round_factory(servers, Path(name), remotes, seed=seed, small=small)
        progress = Progress(len(numbers))
        for number in numbers:
            results.append(make(number, scenarios[number]).run())
            progress.record(results[-1])
            keep(summary(results, seed=seed, seconds=time.monotonic() - started))
    return summary(results, seed=seed, seconds=time.monotonic() - started), results


def round_factory(
    servers: ChaosServers, folder: Path, remotes: set[bool], *, seed: int, small: bool
) -> RoundFactory:
    """Write the inputs, run once without faults, and return a factory of rounds."""
    inputs = write_inputs(folder, servers, small=small)
    shared = partial(
        Round,
        servers=servers,
        inputs=inputs,
        seed=seed,
        scratch=folder,
        references={remote: reference(servers, inputs, remote=remote) for remote in remotes},
    )

    @cache
    def by_dagster() -> RoundFactory:
        from chaos.dagster_runs import DagsterRound, reference_events  # noqa: PLC0415 - seconds

        make = partial(DagsterRound, **shared.keywords)
        scenario = next(each for each in schedule() if each.by_dagster)
        events = reference_events(make(scenario=scenario, number=0, events={}))
        return lambda number, scenario: make(scenario=scenario, number=number, events=events)

    def make(number: int, scenario: Scenario) -> Round:
        if scenario.by_dagster:
            return by_dagster()(number, scenario)
        workers = 0 if small and scenario.target != "worker" else WORKERS
        return shared(scenario=scenario, number=number, workers=workers)

    return make
