"""Looking into a scene: what is refused at the door, and what is kept of the rest."""

from __future__ import annotations

import json
import pickle
import shutil
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine

from spatial_assets.catalog import find_scenes
from spatial_assets.catalog.access import SourceAccess
from spatial_assets.catalog.facts import SceneFacts
from spatial_assets.catalog.inspect import inspect_scene
from spatial_assets.catalog.scene import RejectedScene, Scene
from spatial_assets.errors import SourceUnavailableError
from spatial_assets.geo.radiometry import Calibration
from spatial_assets.project import Project
from spatial_assets_tests.catalog.making import (
    FILES,
    ORIGIN,
    PIXEL,
    item_of,
    meadow,
    project_in,
    with_band,
    write_raster,
    write_scene,
)
from spatial_assets_tests.catalog.web import Web

NORTH_UP = Affine(PIXEL, 0.0, ORIGIN[0], 0.0, -PIXEL, ORIGIN[1])


def the_scene(tmp_path: Path, **scenes: object) -> tuple[Scene, Project]:
    project = project_in(tmp_path / "project", tmp_path / "s", **scenes)
    (scene,) = find_scenes(project).scenes
    return scene, project


def inspected(tmp_path: Path, access: SourceAccess, **scenes: object) -> SceneFacts | RejectedScene:
    scene, project = the_scene(tmp_path, **scenes)
    return inspect_scene(scene, project, access)


def accepted(tmp_path: Path, access: SourceAccess, **scenes: object) -> SceneFacts:
    found = inspected(tmp_path, access, **scenes)
    assert isinstance(found, SceneFacts), found
    return found


def refused(tmp_path: Path, access: SourceAccess, **scenes: object) -> RejectedScene:
    found = inspected(tmp_path, access, **scenes)
    assert isinstance(found, RejectedScene), found
    assert found.message
    return found


def test_a_good_scene_is_described(tmp_path: Path, access: SourceAccess) -> None:
    write_scene(tmp_path / "s")

    facts = accepted(tmp_path, access)

    assert set(facts.bands) == {"red", "nir", "scl"}
    red = facts.bands["red"]
    assert red.grid.crs.to_epsg() == 32633
    assert red.grid.transform == NORTH_UP
    assert (red.grid.width, red.grid.height) == (64, 64)
    assert (red.dtype, red.nodata, red.driver) == ("uint16", 0.0, "GTiff")
    assert red.kernel == "bilinear"
    assert red.calibration == Calibration(0.0001, 0.0)
    assert facts.bands["scl"].calibration is None
    assert facts.figures["clear_sample_pixels"] == 64 * 64
    assert facts.warnings == ()


def test_facts_survive_json_and_pickle(tmp_path: Path, access: SourceAccess) -> None:
    write_scene(tmp_path / "s")
    facts = accepted(tmp_path, access)
    odd = replace(facts.bands["red"], nodata=float("inf"), calibration=None)
    facts = replace(facts, bands={**facts.bands, "odd": odd})

    assert SceneFacts.from_json(facts.to_json()) == facts
    assert json.loads(facts.to_json())["id"] == facts.id
    assert pickle.loads(pickle.dumps(facts)) == facts  # noqa: S301 - our own bytes


def no_crs(folder: Path) -> None:
    write_raster(folder / "B08.tif", meadow()["nir"], crs=None)


def no_geotransform(folder: Path) -> None:
    write_raster(folder / "B08.tif", meadow()["nir"], transform=None)


def rotated(folder: Path) -> None:
    write_raster(folder / "B08.tif", meadow()["nir"], transform=NORTH_UP @ Affine.rotation(10))


def other_zone(folder: Path) -> None:
    write_raster(folder / "B08.tif", meadow()["nir"], crs="EPSG:32632")


def complex_numbers(folder: Path) -> None:
    write_raster(folder / "B08.tif", meadow()["nir"].astype(np.complex64))


def float_classes(folder: Path) -> None:
    write_raster(folder / "SCL.tif", meadow()["scl"].astype(np.float32))


def empty(folder: Path) -> None:
    (folder / "B08.tif").write_bytes(b"")


def page(folder: Path) -> None:
    (folder / "B08.tif").write_text("<html><body>503 Slow Down</body></html>")


def other_files(folder: Path) -> None:
    """A VRT under a TIFF's name would make GDAL read any file it names."""
    other = folder / "B04.tif"
    (folder / "B08.tif").write_text(
        f"<VRTDataset rasterXSize='64' rasterYSize='64'><VRTRasterBand dataType='UInt16' band='1'>"
        f"<SimpleSource><SourceFilename>{other}</SourceFilename></SimpleSource>"
        f"</VRTRasterBand></VRTDataset>"
    )


def header_only(folder: Path) -> None:
    (folder / "B08.tif").write_bytes(b"II*\x00\x08\x00\x00\x00")


def tiff_tags(**tags: int) -> bytes:
    """A TIFF of nothing but a directory of long tags."""
    numbers = {"width": 256, "height": 257, "bits": 258, "offset": 273, "rows": 278, "count": 279}
    entries = sorted((numbers[name], value) for name, value in tags.items())
    body = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    return b"II*\x00\x08\x00\x00\x00" + struct.pack("<H", len(entries)) + body + b"\x00" * 4


def bomb(folder: Path) -> None:
    """A few bytes that claim a terabyte in one strip."""
    header = tiff_tags(
        width=1_000_000, height=1_000_000, bits=8, offset=100, rows=1_000_000, count=9
    )
    (folder / "B08.tif").write_bytes(header)


def too_wide(folder: Path) -> None:
    header = tiff_tags(width=2_000_000_000, height=1, bits=8, offset=100, rows=1, count=9)
    (folder / "B08.tif").write_bytes(header)


@pytest.mark.parametrize(
    ("spoil", "reasons"),
    [
        (no_crs, {"no_crs"}),
        (no_geotransform, {"no_geotransform"}),
        (rotated, {"rotated"}),
        (other_zone, {"band_crs_differ"}),
        (complex_numbers, {"bad_dtype"}),
        (float_classes, {"bad_dtype"}),
        (empty, {"not_a_raster"}),
        (page, {"not_a_raster"}),
        (other_files, {"not_a_raster"}),
        (header_only, {"not_a_raster"}),
        (bomb, {"absurd_header", "not_a_raster"}),
        (too_wide, {"absurd_header", "not_a_raster"}),
    ],
)
def test_a_bad_file_is_refused_with_its_reason(
    tmp_path: Path, access: SourceAccess, spoil: Callable[[Path], None], reasons: set[str]
) -> None:
    write_scene(tmp_path / "s")
    (tmp_path / "s" / "B08.tif").unlink()
    write_raster(tmp_path / "s" / "B08.tif", meadow()["nir"])
    spoil(tmp_path / "s")

    assert refused(tmp_path, access).reason in reasons


def test_a_band_that_the_file_does_not_have_is_missing(
    tmp_path: Path, access: SourceAccess
) -> None:
    write_scene(tmp_path / "s")
    scene, project = the_scene(tmp_path)

    found = inspect_scene(with_band(scene, "red", index=2), project, access)

    assert isinstance(found, RejectedScene)
    assert found.reason == "missing_band"


def test_shifted_grids_and_other_resolutions_are_kept_band_by_band(
    tmp_path: Path, access: SourceAccess
) -> None:
    write_scene(tmp_path / "s")
    shifted = NORTH_UP @ Affine.translation(0, 0.75)
    write_raster(tmp_path / "s" / "B08.tif", meadow()["nir"], transform=shifted)
    coarse = NORTH_UP @ Affine.scale(2)
    write_raster(tmp_path / "s" / "SCL.tif", meadow()["scl"][::2, ::2], transform=coarse)

    facts = accepted(tmp_path, access)

    assert facts.bands["nir"].grid.transform == shifted
    assert facts.bands["scl"].grid.transform == coarse
    assert facts.figures["clear_sample_pixels"] == 64 * 64 - 64, "the first row has no NIR"


def test_a_south_up_raster_is_sampled_where_it_lies(tmp_path: Path, access: SourceAccess) -> None:
    bands = meadow()
    bands["scl"][:32] = 9
    write_scene(tmp_path / "s", pixels=bands)
    south_up = Affine(PIXEL, 0.0, ORIGIN[0], 0.0, PIXEL, ORIGIN[1] - 64 * PIXEL)
    flipped = bands["scl"][::-1].copy()
    write_raster(tmp_path / "s" / "SCL.tif", flipped, transform=south_up)
    bands["red"][:32] = 0  # fill exactly where it is cloudy
    write_raster(tmp_path / "s" / "B04.tif", bands["red"])

    facts = accepted(tmp_path, access)

    assert facts.figures["clear_sample_pixels"] == 32 * 64
    assert facts.bands["scl"].grid.transform.e > 0


@pytest.mark.parametrize(
    ("item", "file", "expected"),
    [
        pytest.param(0, None, 0.0, id="item-only"),
        pytest.param(None, 65535, 65535.0, id="file-only"),
        pytest.param(0, 65535, 65535.0, id="0-is-fill-anyway"),
        pytest.param(7, 65535, 7.0, id="the-item-wins"),
    ],
)
def test_the_fill_value_comes_from_the_item_else_the_file(
    tmp_path: Path, access: SourceAccess, item: float | None, file: float | None, expected: float
) -> None:
    write_scene(tmp_path / "s")
    write_raster(tmp_path / "s" / "B04.tif", meadow()["red"], nodata=file)
    scene, project = the_scene(tmp_path)

    facts = inspect_scene(with_band(scene, "red", nodata=item), project, access)

    assert isinstance(facts, SceneFacts)
    assert facts.bands["red"].nodata == expected


def test_coarse_targets_are_averaged_and_the_classes_reach_as_far(
    tmp_path: Path, access: SourceAccess
) -> None:
    fine = Affine(10.0, 0.0, ORIGIN[0], 0.0, -10.0, ORIGIN[1])
    write_scene(tmp_path / "s", transform=fine)
    write_raster(tmp_path / "s" / "SCL.tif", meadow()["scl"], transform=fine @ Affine.scale(10))

    facts = accepted(tmp_path, access)

    assert {band.kernel for band in facts.bands.values()} == {"average"}


def test_a_wrong_offset_is_implausible(tmp_path: Path, access: SourceAccess) -> None:
    item = item_of(**{"earthsearch:boa_offset_applied": False})
    write_scene(tmp_path / "s", item)

    found = refused(tmp_path, access)

    assert found.reason == "radiometry_implausible"
    assert found.evidence["implausible_share"] == 1.0
    assert found.evidence["calibration"] == {"nir": [0.0001, -0.1], "red": [0.0001, -0.1]}
    json.dumps(found.evidence)


def test_a_handful_of_clear_pixels_is_not_judged(tmp_path: Path, access: SourceAccess) -> None:
    bands = meadow()
    bands["scl"][:] = 9
    bands["scl"].flat[:499] = 4
    write_scene(tmp_path / "s", item_of(**{"earthsearch:boa_offset_applied": False}), pixels=bands)

    assert accepted(tmp_path, access).figures == {"clear_sample_pixels": 499}


def test_a_missed_offset_is_a_warning_only(tmp_path: Path, access: SourceAccess) -> None:
    bands = meadow()
    bands["red"] += 1000
    bands["nir"] += 1000
    write_scene(tmp_path / "s", pixels=bands)

    assert accepted(tmp_path, access).warnings == ("offset_maybe_missed",)


@pytest.mark.parametrize("baseline", ["03.01", None])
def test_an_old_baseline_has_no_offset_to_miss(
    tmp_path: Path, access: SourceAccess, baseline: str | None
) -> None:
    bands = meadow()
    bands["red"] += 1000
    write_scene(tmp_path / "s", item_of(**{"s2:processing_baseline": baseline}), pixels=bands)

    assert accepted(tmp_path, access).warnings == ()


def test_an_item_with_another_crs_than_its_files_is_a_warning(
    tmp_path: Path, access: SourceAccess
) -> None:
    write_scene(tmp_path / "s", item_of(**{"proj:epsg": 32634}))

    assert accepted(tmp_path, access).warnings == ("item_crs_differs",)


@pytest.mark.parametrize(
    ("factor", "reason"), [(0.0001, None), (1.0, "radiometry_unknown")], ids=["reflectance", "dn"]
)
def test_float_pixels_must_be_reflectance(
    tmp_path: Path, access: SourceAccess, factor: float, reason: str | None
) -> None:
    bands = {name: band.astype(np.float32) * np.float32(factor) for name, band in meadow().items()}
    bands["scl"] = meadow()["scl"]
    write_scene(tmp_path / "s", pixels=bands)

    found = inspected(tmp_path, access)

    if reason is None:
        assert isinstance(found, SceneFacts)
        assert found.bands["red"].calibration is None
        assert found.figures["ndvi_median"] == pytest.approx(0.818, abs=0.01)
    else:
        assert isinstance(found, RejectedScene)
        assert found.reason == reason


def test_a_large_scene_is_sampled_by_sixteen_windows(tmp_path: Path, access: SourceAccess) -> None:
    write_scene(tmp_path / "s", pixels=meadow(1100, 1200), tiled=True, compress="deflate")

    facts = accepted(tmp_path, access)

    assert facts.figures["clear_sample_pixels"] == 16 * 128 * 128


def test_a_scene_with_a_damaged_part_is_judged_by_the_rest(
    tmp_path: Path, access: SourceAccess
) -> None:
    write_scene(tmp_path / "s", pixels=meadow(1000, 1000), compress="deflate", tiled=True)
    path = tmp_path / "s" / "B04.tif"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    pixels = accepted(tmp_path, access).figures["clear_sample_pixels"]

    assert pixels is not None
    assert 0 < pixels < 1_000_000


def test_overviews_are_never_read(tmp_path: Path, access: SourceAccess) -> None:
    write_scene(tmp_path / "s", pixels=meadow(1100, 1200), tiled=True)
    import rasterio  # noqa: PLC0415

    with rasterio.open(tmp_path / "s" / "B04.tif", "r+") as file:
        file.build_overviews([2, 4])
    with rasterio.open(tmp_path / "s" / "B04.tif", "r+", OVERVIEW_LEVEL=0) as overview:
        overview.write(np.full((1, *overview.shape), 60_000, dtype=np.uint16))

    assert accepted(tmp_path, access).figures["implausible_share"] == 0.0


class TestBehindAServer:
    """The same through a server that may be in trouble."""

    def served(self, tmp_path: Path, web: Web, access: SourceAccess) -> tuple[Scene, Project]:
        write_scene(web.folder / "scene")
        links = [{"rel": "item", "href": f"scene/{item_of()['id']}.json"}]
        catalogue = {"type": "Catalog", "stac_version": "1.0.0", "id": "c", "links": links}
        (web.folder / "catalog.json").write_text(json.dumps(catalogue))
        project = project_in(tmp_path / "project", f"{web.url}/catalog.json")
        (scene,) = find_scenes(project, access).scenes
        return scene, project

    def test_a_scene_is_streamed(self, tmp_path: Path, web: Web, access: SourceAccess) -> None:
        scene, project = self.served(tmp_path, web, access)

        assert isinstance(inspect_scene(scene, project, access), SceneFacts)

    @pytest.mark.parametrize(("status", "reason"), [(404, "missing_object"), (403, "forbidden")])
    def test_a_file_that_cannot_be_had_is_a_record(
        self, tmp_path: Path, web: Web, access: SourceAccess, status: int, reason: str
    ) -> None:
        scene, project = self.served(tmp_path, web, access)
        web.always["/scene/B04.tif"] = status

        found = inspect_scene(scene, project, access)

        assert isinstance(found, RejectedScene)
        assert found.reason == reason

    def test_a_page_instead_of_a_raster_is_a_record(
        self, tmp_path: Path, web: Web, access: SourceAccess
    ) -> None:
        scene, project = self.served(tmp_path, web, access)
        (web.folder / "scene" / "B04.tif").write_text("<html>please log in</html>")

        found = inspect_scene(scene, project, access)

        assert isinstance(found, RejectedScene)
        assert found.reason == "not_a_raster"
        assert "please log in" in found.message

    @pytest.mark.parametrize("trouble", [503, "reset"])
    def test_a_server_in_trouble_is_away(
        self,
        tmp_path: Path,
        web: Web,
        access: SourceAccess,
        trouble: Any,  # noqa: ANN401
    ) -> None:
        scene, project = self.served(tmp_path, web, access)
        web.always["/scene/B04.tif"] = trouble

        with pytest.raises(SourceUnavailableError):
            inspect_scene(scene, project, access)


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
