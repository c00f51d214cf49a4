"""Every file of the messy samples as a band of a real scene: refused with a reason, or right."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.warp import transform_bounds

from spatial_assets.pipeline.outcome import State
from spatial_assets.project import Project
from spatial_assets_tests.fixtures import gdal_reference
from spatial_assets_tests.fixtures.pipeline_runs import (
    PIXELS,
    failure_of,
    read_cube,
    rows,
    run_tiles,
    states,
    store_of,
)
from spatial_assets_tests.fixtures.two_zone_project import FILES, Granule, write_project

pytestmark = pytest.mark.samples

FILL = gdal_reference.FILL
SCENE = "S2B_33TWL_20230813_0_L2A"
UNDER_THE_SCENE = [15.05, 45.2, 16.2, 46.0]
REFUSED = {
    "empty_0_bytes.tif": ("red", "not_a_raster"),
    "html_error_page.tif": ("red", "not_a_raster"),
    # what places it is in a sidecar, and sidecars are not read
    "jp2_disguised_as_SCL.tif": ("scl", "no_crs"),
    "no_crs_B08.tif": ("nir", "no_crs"),
    "no_geotransform_B08.tif": ("nir", "no_geotransform"),
    "pillow_crash-0c7e0e8e11ce787078f00b5b0ca409a167f070e0.tif": ("red", "no_crs"),
    "pillow_crash-1152ec2d1a1a71395b6f2ce6721c38924d025bf3.tif": ("nir", "no_crs"),
    "pillow_crash-2020-10-test.tif": ("scl", "absurd_header"),
    "pillow_seek_too_large.tif": ("red", "not_a_raster"),
    "rasterio_corrupt.tif": ("nir", "band_crs_differ"),
    "rasterio_rotated.tif": ("red", "no_crs"),
}


def scene_with(samples: Path, folder: Path, **files: Path) -> Project:
    """A project whose one scene is a real one, but for these files."""
    real = samples / "scenes" / "sentinel-2-l2a" / SCENE
    item = json.loads((real / f"{SCENE}.json").read_text())
    for name, file in FILES.items():
        asset = item["assets"][name]
        asset["href"] = str(files.get(name, real / file))
        for band in asset["raster:bands"]:
            band.pop("nodata", None)  # the file must be enough
    (folder / "catalog").mkdir()
    (folder / "catalog" / "item.json").write_text(json.dumps(item))
    return write_project(
        folder / "project",
        folder / "catalog",
        area={"bbox": UNDER_THE_SCENE},
        grid={"pixel_zoom": 10, "chunk": 512, "shard": 1024, "level": 8},
        scenes={"folders": [str(samples)]},
        time={"start": "2023-08-01", "end": "2023-08-31"},
    )


def expected(
    samples: Path, project: Project, *, nir: Path | None = None, classes: Path | None = None
) -> NDArray[np.int16]:
    bands = gdal_reference.sentinel(samples / "scenes" / "sentinel-2-l2a" / SCENE)
    bands = replace(bands, nir=nir or bands.nir, classes=classes or bands.classes)
    extent = project.partitioning.extent
    return gdal_reference.ndvi(
        bands, zoom=10, column=extent.column, row=extent.row, shape=extent.shape
    )


def test_every_messy_raster_has_its_test(samples: Path) -> None:
    tested = {*REFUSED, "truncated_B04.tif", "nodata_tag_missing_B08.tif", "SCL_240m_half_size.tif"}

    assert {path.name for path in (samples / "messy").glob("*.tif")} == tested


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_is_no_band_puts_its_scene_and_tiles_in_quarantine(
    name: str, samples: Path, tmp_path: Path
) -> None:
    band, reason = REFUSED[name]
    project = scene_with(samples, tmp_path, **{band: samples / "messy" / name})

    outcomes = run_tiles(project, stages=PIXELS)

    assert states(outcomes) == {State.QUARANTINED}
    records = {row["kind"]: row for row in rows(project, "quarantine")}
    assert records["scene"]["subject"] == SCENE
    assert records["scene"]["reason"] == reason
    assert len(str(records["scene"]["message"])) > 20
    for outcome in outcomes.values():
        assert failure_of(outcome)[0] == "no_usable_scene"
    assert not store_of(project).list("raw_tile")
    assert np.all(read_cube(project)[0] == FILL)


def test_a_truncated_file_gives_what_can_be_read_and_nothing_more(
    samples: Path, tmp_path: Path
) -> None:
    project = scene_with(samples, tmp_path, red=samples / "messy" / "truncated_B04.tif")

    outcomes = run_tiles(project, stages=PIXELS)

    values, _ = read_cube(project)
    whole = expected(samples, project)
    kept = values != FILL
    assert 0.1 < kept.sum() / (whole != FILL).sum() < 0.9
    assert np.mean(values[kept] == whole[kept]) > 0.995  # but for the edge of what was lost
    assert not np.any(kept & (whole == FILL))
    found = {outcome.state for outcome in outcomes.values()}
    assert State.MATERIALIZED in found
    assert found <= {State.MATERIALIZED, State.QUARANTINED}
    (lost,) = {
        check.verdict.passed
        for outcome in outcomes.values()
        for check in outcome.checks
        if check.check == "source_intact"
    }
    assert not lost


def test_fill_without_a_nodata_tag_never_becomes_ndvi(samples: Path, tmp_path: Path) -> None:
    crop = samples / "messy" / "nodata_tag_missing_B08.tif"
    with rasterio.open(crop) as file:
        assert file.nodata is None
        assert 0.05 < np.mean(file.read(1) == 0) < 0.95
    project = scene_with(samples, tmp_path, nir=crop)

    run_tiles(project, stages=PIXELS)

    values, _ = read_cube(project)
    wanted = expected(samples, project, nir=crop)
    assert np.count_nonzero(values != FILL) > 5_000
    assert np.mean((values != FILL) == (wanted != FILL)) > 0.9999
    both = (values != FILL) & (wanted != FILL)
    assert np.mean(values[both] == wanted[both]) > 0.999
    assert np.median(values[both]) > 6_000  # fill as reflectance 0 would be -1


def test_classes_of_half_the_size_are_taken_nearest(samples: Path, tmp_path: Path) -> None:
    coarse = samples / "messy" / "SCL_240m_half_size.tif"
    project = scene_with(samples, tmp_path, scl=coarse)

    run_tiles(project, stages=PIXELS)

    values, _ = read_cube(project)
    wanted = expected(samples, project, classes=coarse)
    either = (values != FILL) | (wanted != FILL)
    assert np.mean(((values != FILL) == (wanted != FILL))[either]) > 0.995
    both = (values != FILL) & (wanted != FILL)
    assert np.mean(values[both] == wanted[both]) > 0.999


def test_a_jpeg_that_breaks_off_is_no_crash_and_no_number(samples: Path, tmp_path: Path) -> None:
    """All bands from one file, so that nothing but its pixels is wrong."""
    corrupt = samples / "messy" / "rasterio_corrupt.tif"
    with rasterio.open(corrupt) as file:
        left, bottom, right, top = transform_bounds(file.crs, "OGC:CRS84", *file.bounds)
    item = Granule(id="corrupt").item()
    ring = [[left, bottom], [right, bottom], [right, top], [left, top], [left, bottom]]
    item["geometry"] = {"type": "Polygon", "coordinates": [ring]}
    item["properties"]["proj:epsg"] = 3857
    for asset in item["assets"].values():
        asset["href"] = str(corrupt)
    (tmp_path / "catalog").mkdir()
    (tmp_path / "catalog" / "item.json").write_text(json.dumps(item))
    project = write_project(
        tmp_path / "project",
        tmp_path / "catalog",
        area={"bbox": [left, bottom, right, top]},
        scenes={"folders": [str(samples)]},
        grid={"pixel_zoom": 18, "chunk": 256, "shard": 256, "level": 17},
    )

    outcomes = run_tiles(project, stages=PIXELS)

    assert State.FAILED not in states(outcomes)
    checks = [check for outcome in outcomes.values() for check in outcome.checks]
    refused = [row["reason"] for row in rows(project, "quarantine")]
    assert refused or not all(check.verdict.passed for check in checks)
