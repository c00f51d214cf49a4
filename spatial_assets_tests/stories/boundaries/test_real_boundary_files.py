"""Real boundaries files, and the damaged ones, through the public functions."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from affine import Affine
from exactextract import exact_extract
from exactextract.raster import NumPyRasterSource
from pyproj import CRS

from spatial_assets.errors import VectorError
from spatial_assets.geo.grid.geobox import GeoBox, Window
from spatial_assets.geo.vectors.areas import pixel_areas
from spatial_assets.geo.vectors.coverage import coverage_report
from spatial_assets.geo.vectors.features import ValidatedFeatures
from spatial_assets.geo.vectors.to_lonlat import project_boundaries
from spatial_assets.geo.vectors.zonal_statistics import boundary_parts, merge_parts
from spatial_assets_tests.fixtures.boundary_files import read

pytestmark = pytest.mark.samples

# the pixel grid of web-mercator zoom 10, 152.9 m
SIZE = 2.0 * np.pi * 6_378_137.0 / 256 / 2**10
ORIGIN = Affine(SIZE, 0.0, -np.pi * 6_378_137.0, 0.0, -SIZE, np.pi * 6_378_137.0)
MERCATOR = CRS("EPSG:3857")


@pytest.fixture
def regions(samples: Path) -> ValidatedFeatures:
    path = samples / "boundaries" / "si_statistical_regions.gpkg"
    return read(path, key="region_id", columns=("name", "area_km2_register"))


def test_messy_parcels_keep_one_clean_and_one_repaired_feature(samples: Path) -> None:
    result = read(samples / "messy" / "parcels_messy.geojson", columns=())

    assert [(f.key, [d.reason for d in f.repairs]) for f in result.kept] == [
        ("0", []),
        ("1", ["unclosed_ring"]),
    ]
    assert [(f.index, f.key, f.reason) for f in result.quarantined] == [
        (2, "2", "null_geometry"),
        (3, "3", "wrong_type"),
        (4, "4", "axes_swapped"),
        (5, "0", "duplicate_key"),
    ]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("truncated.geojson", "not complete GeoJSON"),
        ("shp_missing_prj/countries.shp", "no CRS"),
        ("shp_missing_prj", "no CRS"),
        ("shp_missing_dbf/countries.shp", r"the \.dbf of countries\.shp is missing"),
        ("shp_missing_dbf", r"the \.dbf of countries\.shp is missing"),
        ("empty_0_bytes.tif", "empty"),
        ("html_error_page.tif", "GDAL cannot read"),
        ("truncated_B04.tif", "GDAL cannot read"),
    ],
)
def test_a_damaged_file_is_refused_with_its_reason(samples: Path, path: str, message: str) -> None:
    with pytest.raises(VectorError, match=message):
        read(samples / "messy" / path, key="name", columns=())


@pytest.mark.parametrize("path", ["shp_missing_shx/countries.shp", "shp_missing_shx"])
def test_a_shapefile_that_lost_its_index_is_recovered_whole(samples: Path, path: str) -> None:
    result = read(samples / "messy" / path, key="name", columns=("iso_a3",))

    assert len(result.kept) == 177
    assert "Côte d'Ivoire" in {feature.key for feature in result.kept}


def test_areas_of_the_regions_match_their_register(regions: ValidatedFeatures) -> None:
    assert len(regions.kept) == 12
    assert (regions.repaired, regions.quarantined) == (0, ())
    for feature in regions.kept:
        registered = feature.properties["area_km2_register"]
        assert feature.area_m2 / 1e6 == pytest.approx(registered, rel=1e-3)


def test_the_regions_tile_their_country_once(regions: ValidatedFeatures) -> None:
    report = coverage_report([f.key for f in regions.kept], [f.geometry for f in regions.kept])

    assert (report.overlaps, report.gaps, report.features_with_invalid_edges) == ((), (), 0)


def test_the_invalid_districts_of_new_york_are_all_repaired(samples: Path) -> None:
    path = samples / "boundaries" / "nyc_community_districts_18_invalid.gpkg"

    result = read(path, key="fid", columns=())

    assert (len(result.kept), result.repaired, result.quarantined) == (71, 18, ())
    assert all(shapely.is_valid(feature.geometry) for feature in result.kept)
    frame = gpd.read_file(path)
    planar = frame.geometry.make_valid(method="structure").area.to_numpy()
    areas = np.array([feature.area_m2 for feature in result.kept])
    np.testing.assert_allclose(
        areas, planar, rtol=1e-3
    )  # UTM's scale is off by at most 0.4 per mille


@pytest.mark.parametrize(
    ("name", "key", "area", "kept", "quarantined"),
    [
        ("si_eurocrops_2021.zip", "ID", ("AREA", 1.0), 100, {}),
        ("se_crop_fields_2023.zip", "blockid", ("faststalld", 1e4), 9, {"duplicate_key": 1}),
        ("hr_arkod_land_parcels.gpkg", "id", ("area", 1.0), 100, {}),
    ],
)
def test_real_parcels_have_the_area_of_their_register(
    samples: Path,
    name: str,
    key: str,
    area: tuple[str, float],
    kept: int,
    quarantined: dict[str, int],
) -> None:
    column, unit = area

    result = read(samples / "boundaries" / name, key=key, columns=(column,))

    assert (len(result.kept), result.report["reasons"]) == (kept, quarantined)
    registered = sum(float(str(f.properties[column])) * unit for f in result.kept)
    assert sum(f.area_m2 for f in result.kept) == pytest.approx(registered, rel=0.01)


def test_countries_of_the_world_cover_its_land(samples: Path) -> None:
    result = read(samples / "boundaries" / "ne_110m_countries", key="name", columns=())

    assert (len(result.kept), result.quarantined) == (177, ())
    assert sum(f.area_m2 for f in result.kept) == pytest.approx(147.4e12, rel=0.01)


def test_statistics_over_split_tiles_match_exactextract_on_the_mosaic(
    regions: ValidatedFeatures,
) -> None:
    west, south, east, north = project_boundaries([shapely.box(13.3, 45.4, 16.7, 46.9)], MERCATOR)[
        0
    ].bounds
    left, top = (round(v) for v in ~ORIGIN @ (west, north))
    right, bottom = (round(v) for v in ~ORIGIN @ (east, south))
    mosaic = Window(left, top, right - left, bottom - top)
    rng = np.random.default_rng(5)
    values = rng.uniform(-0.2, 0.95, mosaic.shape)
    valid = rng.uniform(size=mosaic.shape) > 0.3
    geometries = project_boundaries([f.geometry for f in regions.kept], MERCATOR)
    features = [(f.key, g) for f, g in zip(regions.kept, geometries, strict=True)]

    parts = []
    for column in range(mosaic.column, mosaic.column_stop, 512):
        for row in range(mosaic.row, mosaic.row_stop, 512):
            window = Window(column, row, 512, 512).intersection(mosaic)
            assert window is not None
            at = window.slices_in(mosaic)
            parts += boundary_parts(
                values[at],
                valid[at],
                geobox=GeoBox(window, ORIGIN, MERCATOR),
                owned=np.ones(window.shape, dtype=bool),
                features=features,
            )

    box = GeoBox(mosaic, ORIGIN, MERCATOR)
    extent = dict(zip(("xmin", "ymin", "xmax", "ymax"), box.bounds, strict=True))
    frame = gpd.GeoDataFrame(
        {"key": [f.key for f in regions.kept]},
        geometry=[f.geometry for f in regions.kept],
        crs=4326,
    ).to_crs(3857)
    oracle = exact_extract(
        NumPyRasterSource(
            np.where(valid, values, np.nan), nodata=np.nan, srs_wkt=frame.crs.to_wkt(), **extent
        ),
        frame,
        ["weighted_mean", "count"],
        weights=NumPyRasterSource(np.array(pixel_areas(box)), srs_wkt=frame.crs.to_wkt(), **extent),
        include_cols=["key"],
        output="pandas",
    ).set_index("key")
    merged = merge_parts(parts)
    assert len(parts) > len(merged) == 12
    for part in merged:
        assert part.mean == pytest.approx(oracle["weighted_mean"][part.key], rel=1e-6)
        assert part.pixels == pytest.approx(oracle["count"][part.key], rel=1e-6)


def test_the_parts_of_a_region_cover_its_own_area(regions: ValidatedFeatures) -> None:
    region = regions.kept[0]
    (geometry,) = project_boundaries([region.geometry], MERCATOR)
    west, south, east, north = geometry.bounds
    left, top = (int(v) - 1 for v in ~ORIGIN @ (west, north))
    right, bottom = (int(v) + 2 for v in ~ORIGIN @ (east, south))
    window = Window(left, top, right - left, bottom - top)

    (part,) = boundary_parts(
        np.zeros(window.shape),
        np.ones(window.shape, dtype=bool),
        geobox=GeoBox(window, ORIGIN, MERCATOR),
        owned=np.ones(window.shape, dtype=bool),
        features=[(region.key, geometry)],
    )

    assert part.area_total == pytest.approx(region.area_m2, rel=1e-7)
