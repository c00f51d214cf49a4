"""When tiles are due, and what that comes to for each window of [freshness]. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from spatial_assets.cli.selection.tile_status import TileStatus, TileSummary
from spatial_assets.project import Project

AGELESS_STATUSES = frozenset({TileStatus.FAILED, TileStatus.QUARANTINED})
"""How a tile stands for which age says nothing: trying again is a matter of its trouble."""


@dataclass(frozen=True, kw_only=True)
class FreshnessSummary:
    """The tiles of one window."""

    window: timedelta
    """The age from which they are due."""

    tiles: int
    """That have an age: made, and not in trouble."""

    due: int
    """Past the window by now."""

    next_due_at: datetime | None
    """When the oldest of the others will be past it, UTC; None: there are no others."""

    next_due: str
    """Key of that tile."""


def due_at(tile: TileSummary, project: Project) -> datetime | None:
    """When a tile is past its window; None: it was never made, or it is in trouble.

    Raises:
        SettingsError: the project has no window.
    """
    window = project.tile_window(tile.tile)
    if tile.refreshed_at is None or tile.standing in AGELESS_STATUSES:
        return None
    return tile.refreshed_at + window


def is_stale(tile: TileSummary, project: Project, *, now: datetime) -> bool:
    """Whether a tile was made, and looked at longer ago than its window allows.

    Raises:
        SettingsError: the project has no window.
    """
    due = due_at(tile, project)
    return due is not None and now > due


def freshness_by_max_age(
    tiles: Iterable[TileSummary], project: Project, *, now: datetime
) -> tuple[FreshnessSummary, ...]:
    """How the tiles of each window stand, the shortest first; nothing without a window."""
    if project.freshness.tiles is None:
        return ()
    moments: defaultdict[timedelta, list[tuple[datetime, str]]] = defaultdict(list)
    for tile in tiles:
        known = moments[project.tile_window(tile.tile)]
        due = due_at(tile, project)
        if due is not None:
            known.append((due, tile.tile))
    return tuple(_window(window, moments[window], now=now) for window in sorted(moments))


def _window(
    window: timedelta, moments: Iterable[tuple[datetime, str]], *, now: datetime
) -> FreshnessSummary:
    known = sorted(moments)
    later = [each for each in known if each[0] >= now]
    at, key = later[0] if later else (None, "")
    return FreshnessSummary(
        window=window,
        tiles=len(known),
        due=len(known) - len(later),
        next_due_at=at,
        next_due=key,
    )
