"""Inspection of a scene: reasons for rejection, and facts of accepted scenes."""

from __future__ import annotations

import json
import pickle
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from numpy.typing import NDArray

from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets.catalog.rasters.inspect import inspect_scene
from spatial_assets.catalog.rasters.windows import read_window
from spatial_assets.catalog.scene import RejectedScene
from spatial_assets.catalog.scene_facts import SceneFacts
from spatial_assets.geo.grid.geobox import Window
from spatial_assets.geo.radiometry import Calibration
from spatial_assets_tests.catalog.rasters.scene_inspection import accepted, refused, the_scene
from spatial_assets_tests.fixtures.scene_factory import (
    NORTH_UP,
    ORIGIN,
    PIXEL,
    clear_vegetation,
    item_of,
    with_band,
    write_item,
    write_raster,
    write_scene,
)


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
    write_raster(folder / "B08.tif", clear_vegetation()["nir"], crs=None)


def no_geotransform(folder: Path) -> None:
    write_raster(folder / "B08.tif", clear_vegetation()["nir"], transform=None)


def rotated(folder: Path) -> None:
    write_raster(
        folder / "B08.tif", clear_vegetation()["nir"], transform=NORTH_UP @ Affine.rotation(10)
    )


def other_zone(folder: Path) -> None:
    write_raster(folder / "B08.tif", clear_vegetation()["nir"], crs="EPSG:32632")


def complex_numbers(folder: Path) -> None:
    write_raster(folder / "B08.tif", clear_vegetation()["nir"].astype(np.complex64))


def float_classes(folder: Path) -> None:
    write_raster(folder / "SCL.tif", clear_vegetation()["scl"].astype(np.float32))


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
    numbers = {"width": 256, "height": 257, "bits": 258, "offset": 273, "samples": 277}
    numbers |= {"rows": 278, "count": 279, "planes": 284}
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


def too_many_bands(folder: Path) -> None:
    """65,535 bands in some hundred bytes."""
    header = tiff_tags(
        width=16, height=16, bits=8, offset=8, samples=65535, rows=16, count=256, planes=2
    )
    (folder / "B08.tif").write_bytes(header)


@pytest.mark.parametrize(
    ("damage", "reasons"),
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
        (too_many_bands, {"absurd_header"}),
    ],
)
def test_a_bad_file_is_refused_with_its_reason(
    tmp_path: Path, access: SourceAccess, damage: Callable[[Path], None], reasons: set[str]
) -> None:
    write_scene(tmp_path / "s")
    (tmp_path / "s" / "B08.tif").unlink()
    write_raster(tmp_path / "s" / "B08.tif", clear_vegetation()["nir"])
    damage(tmp_path / "s")

    assert refused(tmp_path, access).reason in reasons


def test_a_band_that_the_file_does_not_have_is_missing(
    tmp_path: Path, access: SourceAccess
) -> None:
    write_scene(tmp_path / "s")
    scene, project = the_scene(tmp_path)

    found = inspect_scene(with_band(scene, "red", index=2), project, access)

    assert isinstance(found, RejectedScene)
    assert found.reason == "missing_band"


class TestFileOfSeveralBands:
    """Red and near infrared are bands 2 and 4 of one file, the others are noise."""

    BANDS: ClassVar = {"red": {"asset": "image", "band": 2}, "nir": {"asset": "image", "band": 4}}

    @staticmethod
    def sensor(**bands: object) -> dict[str, object]:
        return {"name": "own", "scale": 0.0001, "offset": 0.0, "bands": bands}

    @staticmethod
    def write(folder: Path, interleave: str, **assets: object) -> dict[str, NDArray[np.uint16]]:
        noise = np.random.default_rng(0).integers(1, 9000, (2, 64, 64), dtype=np.uint16)
        known = clear_vegetation()
        pixels = np.stack([noise[0], known["red"], noise[1], known["nir"]])
        write_raster(folder / "image.tif", pixels, interleave=interleave, photometric="minisblack")
        item = item_of()
        write_item(folder, {**item, "assets": assets or {"image": {"href": "image.tif"}}})
        return known

    @pytest.mark.parametrize("interleave", ["pixel", "band"])
    def test_the_numbered_bands_are_read(
        self, tmp_path: Path, access: SourceAccess, interleave: str
    ) -> None:
        known = self.write(tmp_path / "s", interleave)

        facts = accepted(tmp_path, access, sensor=self.sensor(**self.BANDS))

        scene, _ = the_scene(tmp_path, sensor=self.sensor(**self.BANDS))
        for name, source in scene.bands.items():
            window = Window(3, 5, 20, 30)
            pixels, _ = read_window(source, facts.bands[name], window, access)
            assert np.array_equal(pixels, known[name][5:35, 3:23])
        assert facts.figures["ndvi_median"] == pytest.approx(0.818, abs=0.01)

    def test_another_number_is_another_fingerprint(self, tmp_path: Path) -> None:
        self.write(tmp_path / "s", "pixel")
        other = self.sensor(**self.BANDS | {"red": {"asset": "image", "band": 3}})

        assert (
            the_scene(tmp_path, sensor=self.sensor(**self.BANDS))[0].fingerprint
            != the_scene(tmp_path, sensor=other)[0].fingerprint
        )

    def test_a_band_without_a_number_is_refused(self, tmp_path: Path, access: SourceAccess) -> None:
        self.write(tmp_path / "s", "pixel", red={"href": "image.tif"}, nir={"href": "other.tif"})
        write_raster(tmp_path / "s" / "other.tif", clear_vegetation()["nir"])

        found = refused(tmp_path, access, sensor=self.sensor(red="red", nir="nir"))

        assert found.reason == "ambiguous_band"
        assert "4 bands" in found.message


def test_shifted_grids_and_other_resolutions_are_kept_band_by_band(
    tmp_path: Path, access: SourceAccess
) -> None:
    write_scene(tmp_path / "s")
    shifted = NORTH_UP @ Affine.translation(0, 0.75)
    write_raster(tmp_path / "s" / "B08.tif", clear_vegetation()["nir"], transform=shifted)
    coarse = NORTH_UP @ Affine.scale(2)
    write_raster(tmp_path / "s" / "SCL.tif", clear_vegetation()["scl"][::2, ::2], transform=coarse)

    facts = accepted(tmp_path, access)

    assert facts.bands["nir"].grid.transform == shifted
    assert facts.bands["scl"].grid.transform == coarse
    assert facts.figures["clear_sample_pixels"] == 64 * 64 - 64, "the first row has no NIR"


def test_a_south_up_raster_is_sampled_where_it_lies(tmp_path: Path, access: SourceAccess) -> None:
    bands = clear_vegetation()
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
    write_raster(tmp_path / "s" / "B04.tif", clear_vegetation()["red"], nodata=file)
    scene, project = the_scene(tmp_path)

    facts = inspect_scene(with_band(scene, "red", nodata=item), project, access)

    assert isinstance(facts, SceneFacts)
    assert facts.bands["red"].nodata == expected


def test_coarse_targets_are_averaged_and_the_classes_reach_as_far(
    tmp_path: Path, access: SourceAccess
) -> None:
    fine = Affine(10.0, 0.0, ORIGIN[0], 0.0, -10.0, ORIGIN[1])
    write_scene(tmp_path / "s", transform=fine)
    write_raster(
        tmp_path / "s" / "SCL.tif", clear_vegetation()["scl"], transform=fine @ Affine.scale(10)
    )

    facts = accepted(tmp_path, access)

    assert {band.kernel for band in facts.bands.values()} == {"average"}


def test_jpeg_2000_under_a_tiff_name_is_known_by_its_content(
    tmp_path: Path, access: SourceAccess
) -> None:
    write_scene(tmp_path / "s")
    path = tmp_path / "s" / "B08.tif"
    with rasterio.Env(GDAL_PAM_ENABLED=False):  # the georeference goes into the file itself
        rasterio.shutil.copy(
            path, tmp_path / "b.jp2", driver="JP2OpenJPEG", REVERSIBLE="YES", QUALITY="100"
        )
    path.write_bytes((tmp_path / "b.jp2").read_bytes())

    facts = accepted(tmp_path, access)

    assert facts.bands["nir"].driver == "JP2OpenJPEG"
    assert facts.bands["nir"].grid.transform == NORTH_UP
