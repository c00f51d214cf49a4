"""Statistics of real regions, tile by tile and merged by the database, against exactextract."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest
from exactextract import exact_extract
from exactextract.raster import NumPyRasterSource
from numpy.typing import NDArray

from spatial_assets.pipeline.boundaries import BoundaryPipeline
from spatial_assets.pipeline.outcome import State
from spatial_assets.project import Project
from spatial_assets.stores.tables.connect import open_database
from spatial_assets_tests.fixtures.gdal_reference import FILL, HALF_WORLD
from spatial_assets_tests.fixtures.pipeline_runs import (
    NOON,
    changed_objects,
    computed_stages,
    read_cube,
    rows,
    run_tiles,
    states,
    store_of,
    stored_objects,
)
from spatial_assets_tests.fixtures.two_zone_project import write_project

pytestmark = pytest.mark.samples

SEMI_MAJOR, FLATTENING = 6378137.0, 1 / 298.257223563
E2 = FLATTENING * (2 - FLATTENING)
ZOOM = 10
PIXEL = 2 * HALF_WORLD / (256 * 2**ZOOM)


@dataclass(frozen=True)
class Computed:
    """The chain's answers over Slovenia, and the settings they follow from."""

    project: Project
    merged: dict[str, dict[str, Any]]
    """Region -> row of the view."""

    regions: dict[str, dict[str, Any]]
    """Region -> row of its table."""


def load_boundaries(project: Project) -> None:
    with open_database(project.database_url) as database:
        database.ensure_schema(project.boundaries, project.indices.names)
        for settings in project.boundaries:
            steps = BoundaryPipeline(
                project=project, settings=settings, store=store_of(project), clock=lambda: NOON
            )
            steps.fetch()
            steps.validate()
            steps.load(database)


@pytest.fixture(scope="module")
def computed(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Computed:
    project = write_project(
        tmp_path_factory.mktemp("slovenia"),
        samples / "scenes" / "sentinel-2-l2a",
        area={"bbox": [15.0, 45.06, 16.44, 46.95]},
        grid={"pixel_zoom": ZOOM, "chunk": 256, "shard": 512, "level": 9},
        time={"start": "2023-08-01", "end": "2023-08-31"},
        boundaries={
            "name": "regions",
            "source": str(samples / "boundaries" / "si_statistical_regions.gpkg"),
            "key": "region_id",
            "columns": ["name", "area_km2_register"],
        },
    )
    load_boundaries(project)
    assert states(run_tiles(project)) <= {State.MATERIALIZED, State.EMPTY}
    return Computed(
        project,
        {str(row["boundary_key"]): row for row in rows(project, "ndvi_by_boundary_merged")},
        {str(row["boundary_key"]): row for row in rows(project, "regions")},
    )


@pytest.fixture(scope="module")
def expected(computed: Computed, samples: Path) -> dict[str, dict[str, float]]:
    """Statistics of exactextract over the whole mosaic."""
    extent = computed.project.partitioning.extent
    values = read_cube(computed.project)[0].astype(np.float64)
    values[values == FILL] = np.nan
    frame = {
        "xmin": extent.column * PIXEL - HALF_WORLD,
        "xmax": extent.column_stop * PIXEL - HALF_WORLD,
        "ymin": HALF_WORLD - extent.row_stop * PIXEL,
        "ymax": HALF_WORLD - extent.row * PIXEL,
    }
    areas = np.broadcast_to(
        row_areas(extent.row, extent.row_stop)[:, np.newaxis], values.shape
    ).copy()
    regions = pyogrio.read_dataframe(samples / "boundaries" / "si_statistical_regions.gpkg")
    found = exact_extract(
        NumPyRasterSource(values / 1e4, name="ndvi", **frame),
        regions.to_crs(3857),
        ["weighted_mean", "weighted_stdev", "min", "max", "count", "weighted_sum"],
        weights=NumPyRasterSource(areas, name="area", **frame),
        include_cols=["region_id"],
        output="pandas",
    )
    return {str(int(row["region_id"])): dict(row) for _, row in found.iterrows()}


def row_areas(first: int, stop: int) -> NDArray[np.float64]:
    """True areas in m2 of pixels of web-mercator, by row: scaled by both radii of curvature."""
    y = HALF_WORLD - (np.arange(first, stop) + 0.5) * PIXEL
    latitude = 2 * np.arctan(np.exp(y / SEMI_MAJOR)) - np.pi / 2
    s2 = np.sin(latitude) ** 2
    along_meridian = (1 - E2) / (1 - E2 * s2) ** 1.5
    along_parallel = 1 / np.sqrt(1 - E2 * s2)
    return np.asarray(PIXEL**2 * np.cos(latitude) ** 2 * along_meridian * along_parallel)


def test_merged_statistics_are_those_of_the_whole_mosaic(
    computed: Computed, expected: dict[str, dict[str, float]]
) -> None:
    seen = {key: row for key, row in computed.merged.items() if row["weight"] > 0}

    means = [abs(row["mean"] / expected[key]["weighted_mean"] - 1) for key, row in seen.items()]
    print(f"{len(seen)} regions, means differ by at most {max(means):.1e}")  # noqa: T201 - with -s
    assert len(seen) >= 5
    assert max(row["tiles"] for row in seen.values()) >= 2
    for key, row in seen.items():
        wanted = expected[key]
        assert row["mean"] == pytest.approx(wanted["weighted_mean"], rel=1e-6)
        assert row["std"] == pytest.approx(wanted["weighted_stdev"], rel=1e-6)
        assert row["pixels"] == pytest.approx(wanted["count"], rel=1e-6)
        assert row["mean"] * row["weight"] == pytest.approx(wanted["weighted_sum"], rel=1e-6)
        assert (row["min"], row["max"]) == pytest.approx((wanted["min"], wanted["max"]), abs=1e-6)


def test_regions_out_of_sight_have_no_mean_rather_than_a_zero(computed: Computed) -> None:
    unseen = [row for row in computed.merged.values() if row["weight"] == 0]

    assert all(row["mean"] is None for row in unseen)


def test_areas_are_those_of_the_register(computed: Computed) -> None:
    off = [
        abs(float(row["area_m2"]) / 1e6 / float(row["area_km2_register"]) - 1)
        for row in computed.regions.values()
    ]
    print(f"areas differ by at most {max(off):.1e}")  # noqa: T201 - with -s
    assert len(computed.regions) == 12
    for row in computed.regions.values():
        register = float(row["area_km2_register"])
        assert row["area_m2"] / 1e6 == pytest.approx(register, rel=1e-3), row["name"]


def test_a_region_wholly_in_the_product_is_covered_to_the_pixel(computed: Computed) -> None:
    inside = [row for row in computed.merged.values() if row["covered_fraction"] > 0.99]

    assert len(inside) >= 2
    for row in inside:
        assert row["covered_fraction"] == pytest.approx(1.0, abs=1e-5)
        own = float(computed.regions[row["boundary_key"]]["area_km2_register"])
        assert row["area_total"] / 1e6 == pytest.approx(own, rel=1e-3)


def test_a_changed_boundary_recomputes_the_statistics_it_reaches_and_no_pixel(
    computed: Computed, samples: Path, tmp_path: Path
) -> None:
    project = computed.project
    regions = pyogrio.read_dataframe(samples / "boundaries" / "si_statistical_regions.gpkg")
    posavska = regions["name"] == "Posavska"
    regions.loc[posavska, "geometry"] = regions.loc[posavska, "geometry"].buffer(-1000)
    source = tmp_path / "regions.gpkg"
    pyogrio.write_dataframe(regions, source)
    smaller = write_project(
        project.root,
        samples / "scenes" / "sentinel-2-l2a",
        area={"bbox": list(project.area.bbox or ())},
        grid=project.grid.model_dump(mode="json"),
        time={"start": "2023-08-01", "end": "2023-08-31"},
        boundaries={
            "name": "regions",
            "source": str(source),
            "key": "region_id",
            "columns": ["name", "area_km2_register"],
        },
    )
    load_boundaries(smaller)
    stored = stored_objects(smaller)

    outcomes = run_tiles(smaller)

    touched = computed_stages(outcomes)
    assert touched
    assert set(touched) < set(project.partitioning.keys)
    assert all(stages == {"ndvi_by_boundary"} for stages in touched.values())
    assert {path.split("/")[0] for path in changed_objects(stored, smaller)} == {
        "manifests",
        "manifest_parts",
    }
    merged: dict[str, dict[str, Any]] = {
        str(row["boundary_key"]): row for row in rows(smaller, "ndvi_by_boundary_merged")
    }
    (key,) = regions.loc[posavska, "region_id"].astype(str)
    assert merged[key]["area_total"] < computed.merged[key]["area_total"] * 0.9
    others = [other for other in merged if other != key]
    assert all(merged[other]["mean"] == computed.merged[other]["mean"] for other in others)
