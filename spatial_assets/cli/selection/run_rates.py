"""How fast the last runs were, from the rows of `run_log`. Pure.

Nothing is made up: where no run has computed a tile, there is no rate.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from spatial_assets.stores.rows import Row

RATE_RUNS = 10
"""Runs that a rate is taken from: enough to even out one bad night, few enough to follow change."""


@dataclass(frozen=True)
class RunRate:
    """What a tile took."""

    seconds: float
    """Of one worker for a tile: the median over runs."""

    runs: int
    """That it is taken from."""

    workers: int

    def duration(self, tiles: int) -> float:
        """Seconds for that many tiles, with all workers busy."""
        return self.seconds * tiles / min(self.workers, max(tiles, 1))


@dataclass(frozen=True)
class Throughput:
    """What the last runs got done, whatever they did."""

    tiles_per_hour: float
    runs: int


def run_rate(rows: Iterable[Row], *, stages: Sequence[str], workers: int | None) -> RunRate | None:
    """The rate of the last runs of these stages; None: there was none.

    Args:
        rows: of `run_log`.
        stages: that all of them were made in those runs, and no others.
        workers: that those runs had; None: as many as the last one had, as of a cluster.
    """
    alike = _recent(row for row in rows if row["stages"] == list(stages))
    if workers is None and alike:
        workers = int(str(alike[-1]["workers"]))
    recent = [row for row in alike if int(str(row["workers"])) == workers][-RATE_RUNS:]
    if not recent or workers is None:
        return None
    each = [float(str(row["seconds"])) / int(str(row["computed"])) for row in recent]
    return RunRate(seconds=median(each), runs=len(recent), workers=workers)


def recent_throughput(rows: Iterable[Row]) -> Throughput | None:
    """Tiles computed in an hour of the last runs; None: no run has computed any."""
    recent = _recent(rows)[-RATE_RUNS:]
    lasted = sum((_lasted(row) for row in recent), timedelta())
    if lasted <= timedelta():
        return None
    computed = sum(int(str(row["computed"])) for row in recent)
    return Throughput(tiles_per_hour=computed / (lasted / timedelta(hours=1)), runs=len(recent))


def _recent(rows: Iterable[Row]) -> list[Row]:
    """The runs that computed something, in their order."""
    useful = (row for row in rows if int(str(row["computed"])) > 0)
    return sorted(useful, key=lambda row: str(row["started_at"]))


def _lasted(row: Row) -> timedelta:
    """From the beginning of a run to its end, or to when it was last heard of."""
    began, ended = row["started_at"], row["ended_at"] or row["written_at"]
    if not (isinstance(began, datetime) and isinstance(ended, datetime)):
        return timedelta()
    return ended - began
