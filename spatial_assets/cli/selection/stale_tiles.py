"""Times when tiles are due, and a summary for each maximum age of [freshness]. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from spatial_assets.cli.selection.tile_status import TileStatus, TileSummary
from spatial_assets.project import Project


@dataclass(frozen=True, kw_only=True)
class FreshnessSummary:
    """Tiles with the same maximum age."""

    max_age: timedelta
    """Age from which they are due."""

    tiles: int
    """Number of tiles with an age: made, not failed, and not wholly in quarantine."""

    due: int
    """Number of tiles older than `max_age`."""

    next_due_at: datetime | None
    """Time when the oldest of the others will be due, UTC; None if there are no others."""

    next_due: str
    """Key of that tile."""


def due_at(tile: TileSummary, project: Project) -> datetime | None:
    """Return when a tile is due; None if it was never made, failed or is wholly in quarantine.

    The error of such a tile decides when it is retried. One of which a single index is in
    quarantine is due as any other.

    Raises:
        SettingsError: the project sets no maximum age.
    """
    max_age = project.tile_window(tile.tile)
    if tile.refreshed_at is None or tile.status is TileStatus.FAILED or tile.is_held:
        return None
    return tile.refreshed_at + max_age


def is_stale(tile: TileSummary, project: Project, *, now: datetime) -> bool:
    """Return True if a tile's inputs were last checked longer ago than its maximum age.

    Raises:
        SettingsError: the project sets no maximum age.
    """
    due = due_at(tile, project)
    return due is not None and now > due


def freshness_by_max_age(
    tiles: Iterable[TileSummary], project: Project, *, now: datetime
) -> tuple[FreshnessSummary, ...]:
    """Summarize the tiles of each maximum age, shortest first; empty if none is set."""
    if project.freshness.tiles is None:
        return ()
    due_times: defaultdict[timedelta, list[tuple[datetime, str]]] = defaultdict(list)
    for tile in tiles:
        known = due_times[project.tile_window(tile.tile)]
        due = due_at(tile, project)
        if due is not None:
            known.append((due, tile.tile))
    return tuple(_summary(age, due_times[age], now=now) for age in sorted(due_times))


def _summary(
    max_age: timedelta, due_times: Iterable[tuple[datetime, str]], *, now: datetime
) -> FreshnessSummary:
    known = sorted(due_times)
    later = [each for each in known if each[0] >= now]
    at, key = later[0] if later else (None, "")
    return FreshnessSummary(
        max_age=max_age,
        tiles=len(known),
        due=len(known) - len(later),
        next_due_at=at,
        next_due=key,
    )
