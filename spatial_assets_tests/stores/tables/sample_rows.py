"""Boundaries, statistics and states that are short and easy to check by eye."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime

import shapely

from spatial_assets.stores.rows import BoundarySet, QuarantineRecord, TileState

GRID = "0123456789ab"
NOON = datetime(2023, 8, 31, 12, tzinfo=UTC)
REGIONS = BoundarySet(
    name="regions",
    key="region_id",
    columns=("name", "people", "founded"),
    types={"people": "integer", "founded": "date"},
)
AUGUST = {"grid_id": GRID, "tile": "1202", "period": "2023-08"}


def region(key: str, *, area: float = 100.0, west: float = 15.0) -> dict[str, object]:
    """A square of a tenth of a degree."""
    return {
        "region_id": key,
        "name": f"Region {key}",
        "people": 12,
        "founded": date(1991, 6, 25),
        "geometry": shapely.box(west, 46.0, west + 0.1, 46.1),
        "area_m2": area,
        "feature_fingerprint": f"fingerprint of {key}",
        "source": "regions.gpkg",
    }


def part(boundary: str = "a", /, **other: object) -> dict[str, object]:
    """Contribution of a tile to a boundary: 4 pixels of 10 m2, one of them invalid."""
    return {
        "boundary_table": "regions",
        "boundary_key": boundary,
        "period_start": date(2023, 8, 1),
        "pixels": 4.0,
        "weight": 30.0,
        "sum": 15.0,
        "sum_squares": 7.5,
        "min": 0.5,
        "max": 0.5,
        "area_total": 40.0,
        **other,
    }


def tile_row(index_name: str = "ndvi", /, **other: object) -> dict[str, object]:
    """An entry of the tile index."""
    return {
        "index_name": index_name,
        "period_start": date(2023, 8, 1),
        "valid_fraction": 0.75,
        "observations": 2.5,
        "scenes": 3,
        "uri": "data/ndvi.zarr",
        "fingerprint": "f",
        "geometry": shapely.box(15, 46, 16, 47),
        "refreshed_at": NOON,
        **other,
    }


def state(
    tile: str = "1202", *, since: datetime = NOON, evidence: Mapping[str, object] | None = None
) -> TileState:
    """A tile that was quarantined."""
    return TileState(
        grid_id=GRID,
        tile=tile,
        stage="ndvi",
        state="quarantined",
        reason="implausible_reflectance",
        evidence=evidence or {},
        fingerprint="f",
        since=since,
    )


def bad_scene(subject: str = "S2A_33TWM", *, seen: datetime = NOON) -> QuarantineRecord:
    """A scene that cannot be read."""
    return QuarantineRecord(
        grid_id=GRID,
        kind="scene",
        subject=subject,
        reason="unreadable",
        message="block 3 of B04.tif does not decode; fetch it again",
        evidence={"block": 3},
        href="scenes/B04.tif",
        checksum="1220aa",
        code_version="0.1.0",
        first_seen=seen,
        last_seen=seen,
    )
