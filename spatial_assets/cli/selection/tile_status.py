"""How one tile stands: a verdict on what the database says of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from spatial_assets.pipeline.outcome import State
from spatial_assets.stores.rows import Row


class TileStatus(StrEnum):
    """Where a tile stands; the first that holds counts, so that each stands in one place."""

    FAILED = "failed"
    QUARANTINED = "quarantined"
    MISSING = "missing"
    EMPTY = "empty"
    MATERIALIZED = "materialized"


STATUS_OF_BAD_STATE = {
    State.FAILED: TileStatus.FAILED,
    State.QUARANTINED: TileStatus.QUARANTINED,
}


@dataclass(frozen=True, kw_only=True)
class TileSummary:
    """One tile of the area."""

    tile: str
    standing: TileStatus
    stage: str = ""
    """Where it went wrong, or what is missing first; empty where all is well."""

    reason: str = ""
    message: str = ""
    since: datetime | None = None
    """Since when it stands so, UTC; None: it was never made."""

    refreshed_at: datetime | None = None
    """When its inputs were last looked at, changed or not, UTC; None: it was never made."""

    valid_fraction: float | None = None
    """Share of valid pixels of the first index in its newest period; None: never made."""


def summarize_tile(
    tile: str,
    states: Sequence[Row],
    *,
    stages: Sequence[str],
    pixels: Sequence[Row] = (),
    looked_at: datetime | None = None,
    quarantined: bool = True,
) -> TileSummary:
    """How a tile stands.

    Args:
        tile: its key.
        states: its rows of `tile_state`.
        stages: those that count, in chain order; at least one.
        pixels: its rows of `tile_index` for one index.
        looked_at: when its inputs were; None: nobody noted it, so it is when its pixels were made.
        quarantined: False: a person released the tile, so that it is to be made again.
    """
    rows = {str(row["stage"]): row for row in states}
    refreshed_at = min((moment(row["refreshed_at"]) for row in pixels), default=None)
    standing, stage = _verdict(rows, stages)
    row = rows.get(stage, {})
    evidence = row.get("evidence")
    message = str(evidence.get("message", "")) if isinstance(evidence, Mapping) else ""
    reason = str(row.get("reason") or "")
    if standing is TileStatus.QUARANTINED and not quarantined:
        standing, message = TileStatus.MISSING, f"released from quarantine ({reason})"
        reason = "released"
    since = [moment(rows[name]["since"]) for name in ([stage] if stage else stages) if name in rows]
    return TileSummary(
        tile=tile,
        standing=standing,
        stage=stage,
        reason=reason,
        message=message,
        since=max(since, default=None),
        refreshed_at=looked_at or refreshed_at,
        valid_fraction=_valid_fraction(pixels),
    )


def _valid_fraction(pixels: Sequence[Row]) -> float | None:
    """Of the newest period; None where there is none."""
    newest = max(pixels, key=lambda row: str(row["period_start"]), default=None)
    return None if newest is None else float(str(newest["valid_fraction"]))


def _verdict(rows: Mapping[str, Row], stages: Sequence[str]) -> tuple[TileStatus, str]:
    """The standing, and the first stage it holds for; none where all is well."""
    for state, standing in STATUS_OF_BAD_STATE.items():
        bad = [name for name in stages if name in rows and rows[name]["state"] == state]
        if bad:
            return standing, bad[0]
    absent = [name for name in stages if name not in rows]
    if absent:
        return TileStatus.MISSING, absent[0]
    is_empty = any(rows[name]["state"] == State.EMPTY for name in stages)
    return (TileStatus.EMPTY if is_empty else TileStatus.MATERIALIZED), ""


def moment(value: object) -> datetime:
    """A time as the database gives it, UTC-aware."""
    if not isinstance(value, datetime):
        message = f"wanted a moment, got {value!r}"
        raise TypeError(message)
    return value if value.tzinfo else value.replace(tzinfo=UTC)
