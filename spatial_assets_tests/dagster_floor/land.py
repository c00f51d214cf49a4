"""The made-up villages with districts over them: what the Dagster tests materialize."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import geopandas as gpd
import shapely

from spatial_assets.project import Project
from spatial_assets_tests.pipeline.villages import ten_tiles, ten_villages, village
from spatial_assets_tests.pipeline.world import AREA, FILES, write_granule

MIDDLE = 12.0


def districts(path: Path) -> Path:
    """Two districts that share the 12th meridian."""
    west, south, east, north = AREA
    halves = [
        shapely.box(west, south, MIDDLE, north),
        shapely.box(MIDDLE, south, east, north),
    ]
    frame = gpd.GeoDataFrame(
        {"region_id": ["west", "east"], "name": ["West", "East"]}, geometry=halves, crs="EPSG:4326"
    )
    frame.to_file(path, driver="GPKG")
    return path


def villages(folder: Path, **tables: Mapping[str, object]) -> Project:
    """A project of ten tiles with a scene each, and two districts; all below `folder`."""
    settings = {
        "name": "boundaries",
        "source": str(districts(folder / "districts.gpkg")),
        "key": "region_id",
        "columns": ["name"],
    }
    return ten_villages(folder / "project", folder / "catalog", boundaries=settings, **tables)


def first(project: Project, count: int) -> tuple[str, ...]:
    """The keys of the first tiles with a village: neighbours along the curve."""
    return ten_tiles(project)[:count]


def ruin(project: Project, tile: str) -> None:
    """Make the files of a tile's only scene unreadable for good."""
    path = Path(project.catalog_url) / f"v{tile}" / FILES["red"]
    path.write_bytes(b"not a raster")


def widen(project: Project, tile: str) -> None:
    """Let a tile's scene fill most of it, for people who look at its picture."""
    narrow = village(project, tile)
    margin = narrow.columns / 2 * narrow.pixel
    wide = replace(
        narrow,
        left=narrow.left - margin,
        top=narrow.top + margin,
        columns=2 * narrow.columns,
        rows=2 * narrow.rows,
    )
    write_granule(Path(project.catalog_url), wide)


def rebuild(project: Project, tile: str, *, seed: int = 7) -> None:
    """Write a tile's scene anew; another seed has other fields."""
    write_granule(Path(project.catalog_url), village(project, tile, seed=seed))
