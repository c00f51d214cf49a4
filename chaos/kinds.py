"""The kinds of rounds, and which round is of which kind."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What is done to a run."""

    name: str
    rounds: int
    """Of a whole campaign."""

    s3: float = 0.0
    """Share of the requests to S3 that are faulted."""

    database: float = 0.0
    """Share of the statements that are faulted."""

    remote: bool = False
    """True: the scenes are in S3 too, and what reads them meets the same faults."""

    blow: str = ""
    """What is struck at a random moment: a process, a server, the disk; empty: nothing."""

    drivers: int = 1
    """That work on the same tiles at once."""

    by_dagster: bool = False
    """True: the runs are Dagster's own, and what it was told is audited too."""

    @property
    def must_complete(self) -> bool:
        """Whether the run itself brings all tiles home: nothing happens that kills it."""
        return not self.blow and not self.database


KINDS = (
    Kind(name="s3", rounds=44, s3=0.2),
    Kind(name="s3 and scenes", rounds=14, s3=0.2, remote=True),
    Kind(name="database", rounds=36, database=0.02),
    Kind(name="s3 and database", rounds=12, s3=0.1, database=0.01),
    Kind(name="worker killed", rounds=18, blow="worker"),
    Kind(name="driver killed", rounds=30, blow="driver"),
    Kind(name="driver killed, s3", rounds=12, blow="driver", s3=0.1, remote=True),
    Kind(name="s3 server killed", rounds=10, blow="s3"),
    Kind(name="postgis killed", rounds=10, blow="postgis"),
    Kind(name="disk full", rounds=8, blow="disk"),
    Kind(name="two drivers", rounds=8, drivers=2),
    Kind(name="two drivers, s3", rounds=6, drivers=2, s3=0.1),
    Kind(name="dagster killed", rounds=8, blow="any process", by_dagster=True),
)


SHORT = 20
"""Rounds of a short campaign, which is part of the tests."""


def short() -> tuple[int, ...]:
    """The numbers of the first rounds of each kind but Dagster's, which take long."""
    numbers = [number for number, kind in enumerate(schedule()) if not kind.by_dagster]
    return tuple(numbers[:SHORT])


def schedule(seed: int = 0) -> tuple[Kind, ...]:
    """The kind of each round: each once, in a mixed order, then again while rounds are left."""
    left = {kind: kind.rounds for kind in KINDS}
    order: list[Kind] = []
    dice = random.Random(seed)
    while any(left.values()):
        turn = [kind for kind in KINDS if left[kind]]
        dice.shuffle(turn)
        for kind in turn:
            left[kind] -= 1
        order += turn
    return tuple(order)
