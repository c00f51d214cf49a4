"""The backlog: tiles that are overdue, failed or in quarantine, against the number allowed.

The judgement is pure; only `BacklogRecords.load` reads the database.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from spatial_assets.pipeline.outcome import UPSTREAM, State
from spatial_assets.pipeline.quarantine_subjects import is_held, subjects_by_tile
from spatial_assets.pipeline.stages import chain_of
from spatial_assets.project import Project
from spatial_assets.project.sections.freshness import Ages
from spatial_assets.stores.rows import Row
from spatial_assets.stores.tables.batches import timestamp
from spatial_assets.stores.tables.database import Database


class BacklogReason(StrEnum):
    """Reason for which a tile is in the backlog; the first that holds counts."""

    FAILED = "failed"
    QUARANTINED = "quarantined"
    OVERDUE = "overdue"


@dataclass(frozen=True, kw_only=True)
class BacklogEntry:
    """A tile in the backlog."""

    tile: str
    reason: BacklogReason
    since: datetime
    """Start of the failure, quarantine or delay, UTC."""

    detail: str
    """The stage and its reason code, or the time of the last refresh, for the user."""


@dataclass(frozen=True, kw_only=True)
class BacklogRecords:
    """Records of a project's tiles in the database."""

    checked_at: Mapping[str, datetime] = field(default_factory=dict)
    """Tile -> when its inputs were last checked, changed or not, UTC; absent: never made."""

    bad: Sequence[Row] = ()
    """Rows of `tile_state` for stages that failed or are in quarantine."""

    held: Mapping[str, Collection[str]] = field(default_factory=dict)
    """Tile -> subjects in quarantine, not released: the tile, or stages of it."""

    scenes: int = 0
    """Number of scenes in quarantine, not released."""

    @classmethod
    def load(cls, database: Database, grid_id: str, *, stages: Sequence[str]) -> BacklogRecords:
        """Read the records of a grid, about these stages."""
        checked = database.rows(
            "tile_inputs", where={"grid_id": grid_id}, columns=("tile", "looked_at")
        )
        states = [str(State.FAILED), str(State.QUARANTINED)]
        in_force = database.rows("quarantine", where={"grid_id": grid_id, "released_at": None})
        return cls(
            checked_at={str(row["tile"]): timestamp(row["looked_at"]) for row in checked},
            bad=database.rows(
                "tile_state", where={"grid_id": grid_id, "state": states, "stage": list(stages)}
            ),
            held=subjects_by_tile(in_force),
            scenes=len({str(row["subject"]) for row in in_force if row["kind"] == "scene"}),
        )


@dataclass(frozen=True, kw_only=True)
class Backlog:
    """Tiles that need attention, oldest first."""

    entries: tuple[BacklogEntry, ...]
    tiles: int
    """Number of tiles in the area."""

    allowed: int
    """Largest number of them that may be in the backlog."""

    never_made: int
    """Number of tiles that were never made; the backlog holds only tiles that once were good."""

    scenes: int
    """Number of scenes in quarantine; not in the backlog, as other scenes serve their tiles."""

    @property
    def passed(self) -> bool:
        """True if the backlog is within the number allowed."""
        return len(self.entries) <= self.allowed

    @property
    def counts(self) -> Mapping[str, int]:
        """Figures by name."""
        counted = Counter(entry.reason for entry in self.entries)
        return {
            **{str(reason): counted[reason] for reason in BacklogReason},
            "backlog": len(self.entries),
            "allowed": self.allowed,
            "tiles": self.tiles,
            "never_made": self.never_made,
            "scenes_in_quarantine": self.scenes,
        }


def backlog_of(
    tiles: Sequence[str],
    records: BacklogRecords,
    *,
    ages: Mapping[str, Ages],
    allowed: int,
    now: datetime,
) -> Backlog:
    """Return the backlog among `tiles` at a moment.

    Args:
        tiles: all tiles of the area; records of other tiles are ignored.
        records: records in the database.
        ages: tile -> its age limits; a tile without them is never overdue.
        allowed: number of tiles that may be in the backlog.
        now: UTC.
    """
    bad = _bad_stages(records)
    found = {
        entry.tile: entry
        for tile in tiles
        for entry in (bad.get(tile) or _overdue(tile, records, ages=ages, now=now),)
        if entry is not None
    }
    never = [tile for tile in tiles if tile not in records.checked_at and tile not in found]
    return Backlog(
        entries=tuple(sorted(found.values(), key=lambda entry: (entry.since, entry.tile))),
        tiles=len(tiles),
        allowed=allowed,
        never_made=len(never),
        scenes=records.scenes,
    )


def backlog_now(project: Project, database: Database, *, now: datetime) -> Backlog:
    """Return the present backlog of a project."""
    tiles = project.tile_keys
    return backlog_of(
        tiles,
        BacklogRecords.load(database, project.grid_id, stages=chain_of(project).stages),
        ages=project.tile_ages,
        allowed=project.freshness.backlog.allowed(len(tiles)),
        now=now,
    )


def _bad_stages(records: BacklogRecords) -> Mapping[str, BacklogEntry]:
    """Map each bad tile to its worst stage: the one that failed or was quarantined itself."""
    found: dict[str, BacklogEntry] = {}
    for entry in sorted(_bad_rows(records), key=_severity, reverse=True):
        found[entry.tile] = entry
    return found


def _bad_rows(records: BacklogRecords) -> Iterator[BacklogEntry]:
    for row in records.bad:
        tile, reason = str(row["tile"]), BacklogReason(str(row["state"]))
        if reason is BacklogReason.FAILED or is_held(tile, row, records.held.get(tile, ())):
            yield BacklogEntry(
                tile=tile,
                reason=reason,
                since=timestamp(row["since"]),
                detail=f"{row['stage']}: {row['reason'] or 'no reason recorded'}",
            )


def _severity(entry: BacklogEntry) -> tuple[bool, bool, datetime]:
    """Sort key, worst first: failed, by itself rather than by its upstream, long ago."""
    return (
        entry.reason is not BacklogReason.FAILED,
        f": {UPSTREAM}" in entry.detail,
        entry.since,
    )


def _overdue(
    tile: str, records: BacklogRecords, *, ages: Mapping[str, Ages], now: datetime
) -> BacklogEntry | None:
    """Return the entry of a tile that exceeds its largest age, else None."""
    checked, age = records.checked_at.get(tile), ages.get(tile)
    if checked is None or age is None or now - checked <= age.fail:
        return None
    return BacklogEntry(
        tile=tile,
        reason=BacklogReason.OVERDUE,
        since=checked + age.fail,
        detail=f"last checked at {checked:%Y-%m-%d %H:%M} UTC",
    )
