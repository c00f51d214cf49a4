"""Ten tiles, a scene of its own in the middle of each: what is wrong with one is one tile's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyproj import Transformer

from spatial_assets.project import Project
from spatial_assets_tests.pipeline.world import Granule, write_granule, write_project

EDGE = 60
"""Pixels along the side of a village's scene, 80 m each."""


def ten_villages(folder: Path, catalog: Path, **tables: Mapping[str, object]) -> Project:
    """A project of ten tiles or more, and one scene for each of the first ten."""
    grid = {"pixel_zoom": 11, "chunk": 128, "shard": 256, "level": 11}
    project = write_project(folder, catalog, grid=grid, **tables)
    assert len(project.partitioning.keys) >= 10
    for tile in ten_tiles(project):
        write_granule(catalog, village(project, tile))
    return project


def ten_tiles(project: Project) -> tuple[str, ...]:
    """The tiles that have a village."""
    return tuple(project.partitioning.keys[:10])


def village(project: Project, tile: str, **changes: Any) -> Granule:  # noqa: ANN401 - any field
    """The scene in the middle of a tile; its id is `v` and the tile's key."""
    footprint = project.partitioning.tile(tile).footprint(project.pixel_grid)
    epsg = 32632 if footprint.centroid.x < 12 else 32633
    to_zone = Transformer.from_crs("OGC:CRS84", epsg, always_xy=True)
    x, y = to_zone.transform(footprint.centroid.x, footprint.centroid.y)
    settings: dict[str, Any] = {
        "id": f"v{tile}",
        "epsg": epsg,
        "left": round(x) - EDGE * 40.0,
        "top": round(y) + EDGE * 40.0,
        "columns": EDGE,
        "rows": EDGE,
        "wedge": 0,
        "seed": 7,
        **changes,
    }
    return Granule(**settings)
