"""Scenarios of faults, and the scenario of each round."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """Faults that a round injects."""

    name: str
    rounds: int
    """Number of rounds in a whole campaign."""

    s3: float = 0.0
    """Share of the requests to S3 that meet a fault."""

    database: float = 0.0
    """Share of the statements that meet a fault."""

    remote: bool = False
    """True: the scenes are in S3 too, and reading them meets the same faults."""

    target: str = ""
    """Target that is killed at a random moment: a process, a server, the disk; empty: none."""

    drivers: int = 1
    """Number of drivers that work on the same tiles at once."""

    by_dagster: bool = False
    """True: Dagster starts the runs, and its events are audited too."""

    @property
    def must_complete(self) -> bool:
        """True if the first run itself completes all tiles, because nothing kills it."""
        return not self.target and not self.database


SCENARIOS = (
    Scenario(name="s3", rounds=44, s3=0.2),
    Scenario(name="s3 and scenes", rounds=14, s3=0.2, remote=True),
    Scenario(name="database", rounds=36, database=0.02),
    Scenario(name="s3 and database", rounds=12, s3=0.1, database=0.01),
    Scenario(name="worker killed", rounds=18, target="worker"),
    Scenario(name="driver killed", rounds=30, target="driver"),
    Scenario(name="driver killed, s3", rounds=12, target="driver", s3=0.1, remote=True),
    Scenario(name="s3 server killed", rounds=10, target="s3"),
    Scenario(name="postgis killed", rounds=10, target="postgis"),
    Scenario(name="disk full", rounds=8, target="disk"),
    Scenario(name="two drivers", rounds=8, drivers=2),
    Scenario(name="two drivers, s3", rounds=6, drivers=2, s3=0.1),
    Scenario(name="dagster killed", rounds=8, target="any process", by_dagster=True),
)


SHORT_ROUNDS = 20
"""Number of rounds in a short campaign, which is part of the tests."""


def short() -> tuple[int, ...]:
    """Numbers of the first rounds without Dagster, whose rounds take long."""
    numbers = [number for number, scenario in enumerate(schedule()) if not scenario.by_dagster]
    return tuple(numbers[:SHORT_ROUNDS])


def schedule(seed: int = 0) -> tuple[Scenario, ...]:
    """Scenario of each round: all once in a random order, then again while rounds are left."""
    left = {scenario: scenario.rounds for scenario in SCENARIOS}
    order: list[Scenario] = []
    dice = random.Random(seed)
    while any(left.values()):
        turn = [scenario for scenario in SCENARIOS if left[scenario]]
        dice.shuffle(turn)
        for scenario in turn:
            left[scenario] -= 1
        order += turn
    return tuple(order)
