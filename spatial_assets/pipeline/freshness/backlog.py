"""The backlog: tiles that are not as they should be, and whether they are too many.

The judgement is pure; `BacklogRecords.load` alone asks the database.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from spatial_assets.pipeline.outcome import UPSTREAM, State
from spatial_assets.project import Project
from spatial_assets.project.sections.freshness import Ages
from spatial_assets.stores.rows import Row
from spatial_assets.stores.tables.batches import moment
from spatial_assets.stores.tables.database import Database


class BacklogReason(StrEnum):
    """Why a tile is in the backlog; the first that holds counts."""

    FAILED = "failed"
    QUARANTINED = "quarantined"
    OVERDUE = "overdue"


@dataclass(frozen=True, kw_only=True)
class BacklogEntry:
    """A tile in the backlog."""

    tile: str
    trouble: BacklogReason
    since: datetime
    """When the trouble began, UTC."""

    reason: str
    """For people: the stage and its reason code, or how old the tile may grow."""


@dataclass(frozen=True, kw_only=True)
class BacklogRecords:
    """What the database says of a project's tiles."""

    looked_at: Mapping[str, datetime] = field(default_factory=dict)
    """Tile -> when its inputs were last looked at, changed or not, UTC; absent: never made."""

    bad: Sequence[Row] = ()
    """Rows of `tile_state` of stages that failed or are in quarantine."""

    held: frozenset[str] = frozenset()
    """Tiles in quarantine that nobody released."""

    scenes: int = 0
    """Scenes in quarantine that nobody released."""

    @classmethod
    def load(cls, database: Database, grid_id: str) -> BacklogRecords:
        """Read what is known."""
        looked = database.rows(
            "tile_inputs", where={"grid_id": grid_id}, columns=("tile", "looked_at")
        )
        states = [str(State.FAILED), str(State.QUARANTINED)]
        in_force = database.rows("quarantine", where={"grid_id": grid_id, "released_at": None})
        return cls(
            looked_at={str(row["tile"]): moment(row["looked_at"]) for row in looked},
            bad=database.rows("tile_state", where={"grid_id": grid_id, "state": states}),
            held=frozenset(str(row["subject"]) for row in in_force if row["kind"] == "tile"),
            scenes=len({str(row["subject"]) for row in in_force if row["kind"] == "scene"}),
        )


@dataclass(frozen=True, kw_only=True)
class Backlog:
    """All that is not as it should be, the longest standing first."""

    arrears: tuple[BacklogEntry, ...]
    tiles: int
    """Tiles of the area."""

    allowed: int
    """How many of them may be in the backlog."""

    never_made: int
    """Tiles that were never made: not in the backlog, which is of what once was as it should be."""

    scenes: int
    """Scenes in quarantine: not in the backlog, since their tiles are made from the others."""

    @property
    def passed(self) -> bool:
        """Whether the backlog is as small as it should be."""
        return len(self.arrears) <= self.allowed

    @property
    def counts(self) -> Mapping[str, int]:
        """The figures, by name."""
        counted = Counter(arrear.trouble for arrear in self.arrears)
        return {
            **{str(trouble): counted[trouble] for trouble in BacklogReason},
            "backlog": len(self.arrears),
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
    """What of `tiles` is in the backlog at a moment.

    Args:
        tiles: all tiles of the area; what is recorded of others does not count.
        records: what the database says.
        ages: tile -> how old it may grow; without one it is never overdue.
        allowed: how many may be in the backlog.
        now: UTC.
    """
    bad = _bad_stages(records)
    found = {
        arrear.tile: arrear
        for tile in tiles
        for arrear in (bad.get(tile) or _overdue(tile, records, ages=ages, now=now),)
        if arrear is not None
    }
    never = [tile for tile in tiles if tile not in records.looked_at and tile not in found]
    return Backlog(
        arrears=tuple(sorted(found.values(), key=lambda arrear: (arrear.since, arrear.tile))),
        tiles=len(tiles),
        allowed=allowed,
        never_made=len(never),
        scenes=records.scenes,
    )


def backlog_now(project: Project, database: Database, *, now: datetime) -> Backlog:
    """The backlog of a project."""
    tiles = project.tile_keys
    return backlog_of(
        tiles,
        BacklogRecords.load(database, project.grid_id),
        ages=project.tile_ages,
        allowed=project.freshness.backlog.allowed(len(tiles)),
        now=now,
    )


def _bad_stages(records: BacklogRecords) -> Mapping[str, BacklogEntry]:
    """Tile -> its worst stage: the one that failed, or is in quarantine, by itself."""
    found: dict[str, BacklogEntry] = {}
    for arrear in sorted(_bad_rows(records), key=_severity, reverse=True):
        found[arrear.tile] = arrear
    return found


def _bad_rows(records: BacklogRecords) -> Iterator[BacklogEntry]:
    for row in records.bad:
        tile, trouble = str(row["tile"]), BacklogReason(str(row["state"]))
        if trouble is BacklogReason.FAILED or tile in records.held:
            yield BacklogEntry(
                tile=tile,
                trouble=trouble,
                since=moment(row["since"]),
                reason=f"{row['stage']}: {row['reason'] or 'no reason noted'}",
            )


def _severity(arrear: BacklogEntry) -> tuple[bool, bool, datetime]:
    """Smaller is worse: failed, of itself rather than by what is upstream, and long ago."""
    return (
        arrear.trouble is not BacklogReason.FAILED,
        f": {UPSTREAM}" in arrear.reason,
        arrear.since,
    )


def _overdue(
    tile: str, records: BacklogRecords, *, ages: Mapping[str, Ages], now: datetime
) -> BacklogEntry | None:
    """A tile older than it should ever get."""
    looked, age = records.looked_at.get(tile), ages.get(tile)
    if looked is None or age is None or now - looked <= age.fail:
        return None
    return BacklogEntry(
        tile=tile,
        trouble=BacklogReason.OVERDUE,
        since=looked + age.fail,
        reason=f"last looked at {looked:%Y-%m-%d %H:%M} UTC",
    )
