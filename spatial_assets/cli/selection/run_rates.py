"""Speed of the last runs, from the rows of `run_log`; unknown until a run computed a tile. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from spatial_assets.stores.rows import Row

RATE_RUNS = 10
"""Runs that a rate is taken from: enough to outweigh one slow run, few enough to follow changes."""


@dataclass(frozen=True)
class RunRate:
    """Time that a tile took in the last runs."""

    seconds: float
    """Worker seconds per tile, median over the runs."""

    runs: int
    """Number of runs that it is taken from."""

    workers: int

    def duration(self, tiles: int) -> float:
        """Return the seconds for that many tiles, with all workers busy."""
        return self.seconds * tiles / min(self.workers, max(tiles, 1))


@dataclass(frozen=True)
class Throughput:
    """Tiles per hour of the last runs, of any stages."""

    tiles_per_hour: float
    runs: int


def run_rate(rows: Iterable[Row], *, stages: Sequence[str], workers: int | None) -> RunRate | None:
    """Return the rate of the last runs of these stages; None if there was no such run.

    Args:
        rows: rows of `run_log`.
        stages: runs count if they made exactly these stages.
        workers: runs count if they had this many workers; None for as many as the last run had,
            as on a cluster.
    """
    comparable = _recent(row for row in rows if row["stages"] == list(stages))
    if workers is None and comparable:
        workers = int(str(comparable[-1]["workers"]))
    recent = [row for row in comparable if int(str(row["workers"])) == workers][-RATE_RUNS:]
    if not recent or workers is None:
        return None
    seconds = [float(str(row["seconds"])) / int(str(row["computed"])) for row in recent]
    return RunRate(seconds=median(seconds), runs=len(recent), workers=workers)


def recent_throughput(rows: Iterable[Row]) -> Throughput | None:
    """Return the tiles per hour of the last runs; None if no run computed a tile."""
    recent = _recent(rows)[-RATE_RUNS:]
    elapsed = sum((_elapsed(row) for row in recent), timedelta())
    if elapsed <= timedelta():
        return None
    computed = sum(int(str(row["computed"])) for row in recent)
    return Throughput(tiles_per_hour=computed / (elapsed / timedelta(hours=1)), runs=len(recent))


def _recent(rows: Iterable[Row]) -> list[Row]:
    """Return the runs that computed a tile, oldest first."""
    computing = (row for row in rows if int(str(row["computed"])) > 0)
    return sorted(computing, key=lambda row: str(row["started_at"]))


def _elapsed(row: Row) -> timedelta:
    """Return the duration of a run, up to its last record if it has no end."""
    began, ended = row["started_at"], row["ended_at"] or row["written_at"]
    if not (isinstance(began, datetime) and isinstance(ended, datetime)):
        return timedelta()
    return ended - began
