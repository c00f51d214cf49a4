"""`crs` in [[boundaries]] states the CRS of a file that has none; it never overrules one."""

from __future__ import annotations

from pathlib import Path

import pytest

from spatial_assets.errors import VectorError
from spatial_assets.stores.vectors.read import read_features
from spatial_assets_tests.fixtures.boundary_chain import boundary_chain
from spatial_assets_tests.fixtures.boundary_files import SQUARES, write


def without_crs(folder: Path) -> Path:
    path = write(folder / "a.shp", "ESRI Shapefile")
    (folder / "a.prj").unlink()
    return path


def test_a_stated_crs_is_used_and_named_in_check_and_metadata(tmp_path: Path) -> None:
    path = without_crs(tmp_path)
    chain = boundary_chain(tmp_path / "project", path, lines="crs = 'EPSG:4326'")

    finding = chain.check()
    facts = chain.validate().facts

    note = "the file declares no CRS; crs = 'EPSG:4326' is stated in [[boundaries]]"
    assert finding.passed
    assert finding.detail.endswith(f"; warning: {note}")
    assert facts["warnings"] == [note]
    assert facts["crs"] == "WGS 84"
    assert facts["bounds"] == [15.0, 46.0, 17.5, 46.5]
    assert len(SQUARES) == facts["kept"]


def test_a_crs_that_the_file_declares_too_is_no_doubt(tmp_path: Path) -> None:
    path = write(tmp_path / "a.gpkg", "GPKG", crs="EPSG:32633")

    assert read_features(str(path), columns=["pid"], crs="EPSG:32633").notes == ()


def test_a_crs_that_contradicts_the_file_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.gpkg", "GPKG", crs="EPSG:32633")

    with pytest.raises(VectorError, match=r"declares the CRS 'WGS 84 / UTM zone 33N', but crs ="):
        read_features(str(path), columns=["pid"], crs="EPSG:3794")


def test_a_crs_that_proj_does_not_know_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VectorError, match="PROJ has none"):
        read_features(str(without_crs(tmp_path)), columns=["pid"], crs="EPSG:999999")


def test_without_one_the_setting_is_named_as_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(VectorError, match=r"no CRS.*`crs` in \[\[boundaries\]\].*never guessed"):
        read_features(str(without_crs(tmp_path)), columns=["pid"])
