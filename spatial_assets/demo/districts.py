"""The demo's districts: ten neighbours that share borders, one of them with an invalid outline."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyogrio
import pyogrio.raw
import shapely
from numpy.typing import NDArray
from pyproj import Transformer
from shapely.geometry.base import BaseGeometry

from spatial_assets.demo.landscape import to_lonlat
from spatial_assets.geo.lonlat import CRS84

CRS_CODE = "EPSG:3035"  # another CRS than that of the scenes
FRAME = (-19_300.0, -12_500.0, 19_300.0, 12_500.0)
"""Bounds of all districts in metres around the centre, within the area that scenes cover."""

DISTRICTS: dict[str, tuple[str, tuple[float, float], int]] = {
    "D01": ("Hrastovo", (-14_500.0, 8_500.0), 2_140),
    "D02": ("Gornji Lug", (-6_300.0, 9_600.0), 3_015),
    "D03": ("Stari Grad", (-2_000.0, 2_800.0), 28_460),
    "D04": ("Jezerac", (11_000.0, 7_600.0), 4_380),
    "D05": ("Bregi", (3_800.0, 9_900.0), 1_960),
    "D06": ("Ravnica", (-14_000.0, -1_000.0), 3_720),
    "D07": ("Donji Lug", (-10_500.0, -9_200.0), 2_580),
    "D08": ("Brod na Rijeci", (2_600.0, -7_200.0), 5_210),
    "D09": ("Dugo Polje", (9_600.0, -1_500.0), 3_305),
    "D10": ("Vrbanja", (14_800.0, -9_400.0), 2_875),
}
"""Id -> name, a point inside in metres east and north of the centre, and inhabitants."""

SELF_CROSSING_DISTRICT = "D06"
"""District whose outer border crosses itself, as after a slip while digitising."""


def write_districts(path: Path) -> None:
    """Write the districts as a GeoPackage with reproducible bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    outlines = [_projected(outline) for outline in district_outlines().values()]
    # Without this setting, the driver writes the current time into the file.
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": "2023-06-01T00:00:00.000Z"})
    try:
        pyogrio.raw.write(
            path,
            geometry=shapely.to_wkb(np.array(outlines)),
            fields=["region_id", "name", "inhabitants"],
            field_data=[
                np.array(list(DISTRICTS), dtype=object),
                np.array([name for name, _, _ in DISTRICTS.values()], dtype=object),
                np.array([people for _, _, people in DISTRICTS.values()], dtype=np.int64),
            ],
            layer="regions",
            driver="GPKG",
            geometry_type="Polygon",
            crs=CRS_CODE,
        )
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})


def district_outlines() -> dict[str, shapely.Polygon]:
    """Outlines by id, in metres east and north of the centre; one crosses itself."""
    points = np.array([point for _, point, _ in DISTRICTS.values()])
    frame = shapely.box(*FRAME)
    cells = shapely.voronoi_polygons(shapely.MultiPoint(points), extend_to=frame, only_edges=True)
    lines = shapely.union_all([shapely.intersection(cells, frame), frame.boundary])
    # Borders are bent before they are closed to polygons, so neighbours share every vertex.
    bent = shapely.transform(shapely.segmentize(lines, 350.0), _bent)
    pieces = shapely.get_parts(shapely.polygonize([shapely.node(bent)]))
    outlines = {}
    for key, point in zip(DISTRICTS, points, strict=True):
        outline = pieces[int(np.argmin(shapely.distance(pieces, shapely.Point(point))))]
        outlines[key] = _crossed(outline) if key == SELF_CROSSING_DISTRICT else outline
    return outlines


def _bent(xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Displace points by a function of their position, so that straight lines look surveyed."""
    x, y = xy.T / 1_000.0
    east = 230 * np.sin(1.7 * y + 0.4 * x) + 120 * np.sin(5.1 * y + 1.0) + 60 * np.sin(11.3 * y)
    north = 230 * np.sin(1.5 * x - 0.5 * y) + 120 * np.sin(4.7 * x + 2.0) + 60 * np.sin(12.1 * x)
    moved: NDArray[np.float64] = np.round(xy + np.column_stack([east, north]), 2)
    return moved


def _crossed(outline: BaseGeometry) -> shapely.Polygon:
    """Swap two vertices on the westernmost part of the outline, which makes a bow-tie."""
    ring = shapely.get_coordinates(outline)[:-1]
    west = int(np.argmin(ring[:, 0]))
    ring = np.roll(ring, len(ring) // 2 - west, axis=0)
    middle = len(ring) // 2
    before, after = ring[middle - 1], ring[middle + 1]
    out = np.array([-420.0, 0.0])
    swapped = [before * 0.2 + after * 0.8 + out, before * 0.8 + after * 0.2 + out]
    return shapely.Polygon(np.concatenate([ring[:middle], swapped, ring[middle + 1 :]]))


def _projected(outline: BaseGeometry) -> BaseGeometry:
    """Project an outline from metres around the centre to the CRS of the file."""
    transformer = Transformer.from_crs(CRS84, CRS_CODE, always_xy=True)

    def move(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack(transformer.transform(*to_lonlat(xy).T))

    moved: BaseGeometry = shapely.transform(outline, move)
    return moved
