"""Status of one tile, derived from its rows in the database. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from spatial_assets.pipeline.outcome import State
from spatial_assets.pipeline.quarantine_subjects import is_held
from spatial_assets.pipeline.stages import RAW, REPROJECTED_RASTER, TILE_INDEX
from spatial_assets.stores.rows import Row
from spatial_assets.stores.tables.tile_overviews import PixelsOverview, StateOverview


class TileStatus(StrEnum):
    """Status of a tile; the first that applies counts, so that every tile has one."""

    FAILED = "failed"
    QUARANTINED = "quarantined"
    MISSING = "missing"
    EMPTY = "empty"
    MATERIALIZED = "materialized"


@dataclass(frozen=True, kw_only=True)
class TileSummary:
    """Status and age of one tile of the area."""

    tile: str
    status: TileStatus
    stage: str = ""
    """Stage that failed, or the first that is missing; empty for a complete tile."""

    reason: str = ""
    message: str = ""
    is_held: bool = False
    """True if none of its indices can be made, because their input is in quarantine."""

    since: datetime | None = None
    """Time of the last change of status, UTC; None if the tile was never made."""

    refreshed_at: datetime | None = None
    """Time when its inputs were last checked, UTC; None if the tile was never made."""

    valid_fraction: float | None = None
    """Fraction of valid pixels of the first index in its newest period; None if never made."""


def summarize_tile(
    tile: str,
    states: Sequence[Row],
    *,
    stages: Sequence[str],
    pixels: PixelsOverview | None = None,
    checked_at: datetime | None = None,
    held: Collection[str] | None = None,
) -> TileSummary:
    """Summarize the status of a tile from its rows.

    Args:
        tile: key of the tile.
        states: its rows of `tile_state`.
        stages: stages that count, in chain order; at least one.
        pixels: its pixels of one index; None if none were made, or nobody asks for them.
        checked_at: time when its inputs were last checked; None if not recorded, which counts as
            the time when its pixels were made.
        held: subjects in quarantine of the tile; None: all its bad stages are. A stage that a
            user released is missing.
    """
    rows = {str(row["stage"]): row for row in states}
    subjects = (tile,) if held is None else held
    status, stage = _verdict(tile, rows, stages=stages, held=subjects)
    row = rows.get(stage, {})
    evidence = row.get("evidence")
    message = str(evidence.get("message", "")) if isinstance(evidence, Mapping) else ""
    reason = str(row.get("reason") or "")
    if status is TileStatus.MISSING and row.get("state") == State.QUARANTINED:
        message, reason = f"released from quarantine ({reason})", "released"
    since = [moment(rows[name]["since"]) for name in ([stage] if stage else stages) if name in rows]
    return TileSummary(
        tile=tile,
        status=status,
        stage=stage,
        reason=reason,
        message=message,
        is_held=status is TileStatus.QUARANTINED and _is_blocked(rows),
        since=max(since, default=None),
        refreshed_at=checked_at or (pixels and pixels.refreshed_at),
        valid_fraction=pixels and pixels.valid_fraction,
    )


def summarize_good_tile(
    tile: str,
    states: StateOverview | None,
    *,
    stages: Sequence[str],
    pixels: PixelsOverview | None = None,
    checked_at: datetime | None = None,
) -> TileSummary:
    """Summarize the status of a tile without a bad stage, as `summarize_tile` does from its rows.

    Args:
        tile: key of the tile.
        states: its states in short; None if it has none.
        stages: stages that count, in chain order; at least one.
        pixels: its pixels of one index; None if none were made, or nobody asks for them.
        checked_at: time when its inputs were last checked; None if not recorded.
    """
    good = 0 if states is None else states.good
    absent = next((name for bit, name in enumerate(stages) if not good >> bit & 1), "")
    status = TileStatus.MATERIALIZED
    if absent:
        status = TileStatus.MISSING
    elif states is not None and states.is_empty:
        status = TileStatus.EMPTY
    return TileSummary(
        tile=tile,
        status=status,
        stage=absent,
        since=None if absent or states is None else states.since,
        refreshed_at=checked_at or (pixels and pixels.refreshed_at),
        valid_fraction=pixels and pixels.valid_fraction,
    )


def _is_blocked(rows: Mapping[str, Row]) -> bool:
    """Return True if all indices wait for a quarantine to end, and `tile_index` with them."""
    deciding = (rows.get(stage, {}) for stage in (RAW, REPROJECTED_RASTER, TILE_INDEX))
    return any(row.get("state") == State.QUARANTINED for row in deciding)


def _verdict(
    tile: str, rows: Mapping[str, Row], *, stages: Sequence[str], held: Collection[str]
) -> tuple[TileStatus, str]:
    """Return the status and the first stage it applies to; empty for a complete tile."""
    known = [name for name in stages if name in rows]
    failed = [name for name in known if rows[name]["state"] == State.FAILED]
    if failed:
        return TileStatus.FAILED, failed[0]
    bad = [name for name in known if rows[name]["state"] == State.QUARANTINED]
    quarantined = [name for name in bad if is_held(tile, rows[name], held)]
    if quarantined:
        return TileStatus.QUARANTINED, quarantined[0]
    absent = [name for name in stages if name not in rows or name in bad]
    if absent:
        return TileStatus.MISSING, absent[0]
    is_empty = any(rows[name]["state"] == State.EMPTY for name in stages)
    return (TileStatus.EMPTY if is_empty else TileStatus.MATERIALIZED), ""


def moment(value: object) -> datetime:
    """Return a time from the database as a UTC-aware datetime."""
    if not isinstance(value, datetime):
        message = f"expected a datetime, got {value!r}"
        raise TypeError(message)
    return value if value.tzinfo else value.replace(tzinfo=UTC)
