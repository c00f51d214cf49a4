"""The sample data through the public entry points: six good scenes, Landsat, and messy files."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from spatial_assets.catalog import find_scenes
from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets.catalog.rasters.inspect import inspect_scene
from spatial_assets.catalog.scene import RejectedScene
from spatial_assets.catalog.scene_facts import SceneFacts
from spatial_assets.geo.radiometry import Calibration
from spatial_assets_tests.catalog.rasters.scene_inspection import accepted, refused
from spatial_assets_tests.fixtures.scene_factory import (
    FILES,
    project_in,
    with_band,
)

MESSY = {
    "jp2_disguised_as_SCL.tif": {"no_crs"},  # its CRS is in a sidecar, and sidecars are not read
    "no_crs_B08.tif": {"no_crs"},
    "no_geotransform_B08.tif": {"no_geotransform"},
    "empty_0_bytes.tif": {"not_a_raster"},
    "html_error_page.tif": {"not_a_raster"},
    "rasterio_rotated.tif": {"no_crs", "rotated"},
    "pillow_crash-0c7e0e8e11ce787078f00b5b0ca409a167f070e0.tif": {"no_crs"},
    "pillow_crash-1152ec2d1a1a71395b6f2ce6721c38924d025bf3.tif": {"no_crs"},
    "pillow_crash-2020-10-test.tif": {"absurd_header"},
    "pillow_seek_too_large.tif": {"not_a_raster"},
    "rasterio_corrupt.tif": {"band_crs_differ"},
}
USABLE = {
    "truncated_B04.tif": "red",
    "nodata_tag_missing_B08.tif": "nir",
    "SCL_240m_half_size.tif": "scl",
}
REAL = "S2B_33TWL_20230813_0_L2A"


@pytest.mark.samples
class TestOnRealScenes:
    """Through the public entry points, on the sample data."""

    def copied(self, samples: Path, tmp_path: Path) -> Path:
        return Path(shutil.copytree(samples / "scenes" / "sentinel-2-l2a" / REAL, tmp_path / "s"))

    def test_the_six_sentinel_scenes_are_plausible(
        self, samples: Path, tmp_path: Path, access: SourceAccess
    ) -> None:
        project = project_in(tmp_path / "project", samples / "scenes" / "sentinel-2-l2a")

        found = find_scenes(project)
        facts = [inspect_scene(scene, project, access) for scene in found.scenes]

        assert len(facts) == 6
        assert found.rejected == ()
        for one in facts:
            assert isinstance(one, SceneFacts)
            assert one.warnings == ()
            assert 0.75 <= (one.figures["ndvi_median"] or 0) <= 0.90

    def test_a_wrong_offset_on_the_six_is_implausible(
        self, samples: Path, tmp_path: Path, access: SourceAccess
    ) -> None:
        project = project_in(tmp_path / "project", samples / "scenes" / "sentinel-2-l2a")

        for scene in find_scenes(project).scenes:
            wrong = scene
            for name in ("red", "nir"):
                wrong = with_band(wrong, name, calibration=Calibration(0.0001, -0.1))
            found = inspect_scene(wrong, project, access)
            assert isinstance(found, RejectedScene)
            assert found.reason == "radiometry_implausible"
            assert 0.77 <= float(str(found.evidence["implausible_share"])) <= 0.98

    def test_the_landsat_scene_is_found_beside_its_old_item(
        self, samples: Path, tmp_path: Path, access: SourceAccess
    ) -> None:
        project = project_in(
            tmp_path / "project",
            samples / "scenes" / "landsat-c2-l2",
            sensor="landsat-c2-l2",
            datetime=None,
        )
        project = project.model_copy()
        project.__dict__["area_geometry"] = with_area(-76.0, 0.5, -75.0, 1.5)

        found = find_scenes(project)
        facts = inspect_scene(found.scenes[0], project, access)

        assert [scene.id for scene in found.scenes] == ["LC08_L2SP_008059_20191201_20200825_02_T1"]
        assert found.rejected == ()
        assert isinstance(facts, SceneFacts)
        assert facts.bands["qa_pixel"].block == (8, 512)

    @pytest.mark.parametrize("name", sorted(MESSY))
    def test_a_messy_raster_is_refused_with_its_reason(
        self, samples: Path, tmp_path: Path, access: SourceAccess, name: str
    ) -> None:
        folder = self.copied(samples, tmp_path)
        target = "SCL.tif" if "SCL" in name else "B08.tif"
        shutil.copy(samples / "messy" / name, folder / target)

        assert refused(tmp_path, access).reason in MESSY[name]

    @pytest.mark.parametrize("name", sorted(USABLE))
    def test_a_messy_raster_that_is_still_of_use_is_used(
        self, samples: Path, tmp_path: Path, access: SourceAccess, name: str
    ) -> None:
        folder = self.copied(samples, tmp_path)
        shutil.copy(samples / "messy" / name, folder / FILES[USABLE[name]])

        facts = accepted(tmp_path, access)

        assert 0.75 <= (facts.figures["ndvi_median"] or 0) <= 0.90

    def test_every_messy_raster_is_tested(self, samples: Path) -> None:
        names = {path.name for path in (samples / "messy").glob("*.tif")}

        assert names == set(MESSY) | set(USABLE)


def with_area(west: float, south: float, east: float, north: float) -> object:
    import shapely  # noqa: PLC0415

    return shapely.box(west, south, east, north)
