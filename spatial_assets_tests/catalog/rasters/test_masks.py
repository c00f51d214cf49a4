"""Masks of files: every kind, for every type of pixel, counts as in GDAL, however it is read."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags

from spatial_assets.catalog.access.file_versions import version_of
from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets.catalog.rasters.gdal_datasets import close_all, gdal_settings, open_dataset
from spatial_assets.catalog.rasters.headers import can_occur, nodata_of
from spatial_assets.catalog.rasters.masks import MaskedPixels, masks_of, read_masked
from spatial_assets.catalog.rasters.opening import as_local
from spatial_assets.catalog.rasters.windows import read_window
from spatial_assets.catalog.scene import BandSource
from spatial_assets.catalog.scene_facts import SceneFacts
from spatial_assets.errors import SceneError, SourceUnavailableError
from spatial_assets.geo.grid.geobox import Window
from spatial_assets.geo.radiometry import fill_mask
from spatial_assets_tests.catalog.noise_rasters import LAYOUTS, facts_of, noise
from spatial_assets_tests.fixtures.scene_factory import source_of, write_raster
from spatial_assets_tests.fixtures.web_server import WebServer

ROWS, COLUMNS = 40, 56
WHOLE = Window(0, 0, COLUMNS, ROWS)
DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")
KINDS = ("none", "internal", "file", "file of each band", "alpha")
NODATA = (None, 0.0, 7.0, -9999.0, 70_000.0, 255.0, float("nan"), float("inf"), 1e300)

_numbers = itertools.count()


@dataclass(frozen=True, kw_only=True)
class Case:
    """One file, and the band of it that is read."""

    kind: str
    dtype: str
    bands: int
    index: int
    interleave: str
    of_file: float | None
    """Fill value that the file declares, if its type has it."""

    of_item: float | None
    seed: int

    @property
    def type_(self) -> np.dtype[Any]:
        return np.dtype(self.dtype)

    @property
    def file_nodata(self) -> float | None:
        has_it = self.of_file is not None and can_occur(self.of_file, self.type_)
        return self.of_file if has_it else None

    @property
    def nodata(self) -> float | None:
        """The fill value that counts: the item's, else the file's; 0 is fill of integers anyway."""
        if self.of_item is None or not can_occur(self.of_item, self.type_):
            return self.file_nodata
        is_zero = self.of_item == 0 and self.type_.kind != "f"
        return self.of_item if self.file_nodata is None or not is_zero else self.file_nodata

    def arrays(self) -> tuple[NDArray[Any], NDArray[np.uint8]]:
        """Pixels and masks, shape (band, row, column)."""
        random = np.random.default_rng(self.seed)
        pixels = random.integers(0, 12, (self.bands, ROWS, COLUMNS)).astype(self.type_)
        if self.type_.kind == "f":
            pixels[random.random(pixels.shape) < 0.1] = np.nan
        return pixels, np.where(random.random(pixels.shape) < 0.3, 0, 100).astype(np.uint8)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    bands = draw(st.integers(1, 3))
    return Case(
        kind=draw(st.sampled_from(KINDS)),
        dtype=draw(st.sampled_from(DTYPES)),
        bands=bands,
        index=draw(st.integers(1, bands)),
        interleave=draw(st.sampled_from(["pixel", "band"])),
        of_file=draw(st.sampled_from(NODATA)),
        of_item=draw(st.sampled_from(NODATA)),
        seed=draw(st.integers(0, 9)),
    )


def write_masked(
    path: Path,
    pixels: NDArray[Any],
    masks: NDArray[np.uint8],
    *,
    kind: str,
    **profile: Any,  # noqa: ANN401 - rasterio's options
) -> Path:
    """A file whose bands have masks of a kind; where there is one for all, it is the first."""
    if kind == "alpha":
        pixels = np.concatenate([pixels, masks[:1].astype(pixels.dtype)])
    write_raster(path, pixels, photometric="minisblack", **profile)
    if kind == "alpha":
        with rasterio.open(path, "r+") as file:
            others = [ColorInterp.undefined] * (len(pixels) - 2)
            file.colorinterp = [ColorInterp.gray, *others, ColorInterp.alpha]
    if kind in ("internal", "file"):
        place = rasterio.Env(GDAL_TIFF_INTERNAL_MASK=kind == "internal")
        with place, rasterio.open(path, "r+") as file:
            file.write_mask(masks[0])
    if kind == "file of each band":
        mask_file = write_raster(path.with_name(f"{path.name}.msk"), masks)
        with rasterio.open(mask_file, "r+") as file:
            file.update_tags(**{f"INTERNAL_MASK_FLAGS_{n}": 0 for n in range(1, len(masks) + 1)})
    return path


def observed(source: BandSource, access: SourceAccess) -> tuple[MaskedPixels, NDArray[np.bool_]]:
    """Pixels as the product reads them, and True where they count as observed."""
    with gdal_settings(access):
        local = as_local(source, access)
        dataset = open_dataset(local, access)
        nodata, masks = nodata_of(dataset, local), masks_of(dataset, local, access)
        dtype = dataset.dtypes[source.index - 1]
    facts = replace(facts_of(local, access), masks=masks, dtype=dtype)
    pixels = read_masked(source, facts, WHOLE, access)
    return pixels, pixels.observed & ~fill_mask(pixels.values, nodata)


def by_gdal(case: Case, folder: Path) -> NDArray[np.bool_]:
    """True where GDAL calls a pixel valid by the mask, and by the fill value, each alone."""
    pixels, masks = case.arrays()
    with_mask = write_masked(folder / f"{next(_numbers)}.tif", pixels, masks, kind=case.kind)
    with_fill = write_raster(folder / f"{next(_numbers)}.tif", pixels, nodata=case.nodata)
    with rasterio.open(with_mask) as file:
        valid = file.read_masks(case.index) != 0
        if case.kind == "alpha" and MaskFlags.alpha not in file.mask_flag_enums[case.index - 1]:
            # GDAL masks by an alpha band of unsigned integers that is the second or the fourth.
            valid = file.read(file.count) != 0
        elif case.kind != "none":
            assert not valid.all(), "a mask that masks nothing would prove nothing"
    with rasterio.open(with_fill) as file:
        valid &= file.read_masks(case.index) != 0
    values = pixels[case.index - 1]
    # NaN, and DN 0 of integers, are fill whatever is declared.
    return np.asarray(valid & (np.isfinite(values) if values.dtype.kind == "f" else values != 0))


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cases())
def test_a_pixel_is_observed_where_gdal_says_so(
    web: WebServer, access: SourceAccess, case: Case
) -> None:
    pixels, masks = case.arrays()
    path = write_masked(
        web.folder / f"{next(_numbers)}.tif",
        pixels,
        masks,
        kind=case.kind,
        nodata=case.file_nodata,
        interleave=case.interleave,
    )
    local = source_of(path, index=case.index, nodata=case.of_item)
    remote = replace(local, href=f"{web.url}/{path.name}")
    expected = by_gdal(case, web.folder)

    found, valid = observed(local, access)

    assert np.array_equal(found.values, pixels[case.index - 1], equal_nan=case.type_.kind == "f")
    assert np.array_equal(valid, expected)
    if not case.kind.startswith("file"):  # a file beside a remote one is not looked for
        remote = replace(remote, version=version_of(remote, access))
        for mode in ("stream", "download"):
            assert np.array_equal(observed(remote, replace(access, mode=mode))[1], expected)
    close_all()


@pytest.mark.parametrize(("value", "tag"), [(222, "nan"), (222, "inf"), (2222, "-999")])
def test_a_value_that_no_pixel_can_have_masks_nothing(
    tmp_path: Path, access: SourceAccess, value: int, tag: str
) -> None:
    pixels = np.full((ROWS, COLUMNS), 5, dtype=np.uint16)
    path = write_raster(tmp_path / "a.tif", pixels, nodata=value)
    text = f"{value}\0".encode()
    assert path.read_bytes().count(text) == 1
    path.write_bytes(path.read_bytes().replace(text, f"{tag}\0".encode()))

    found, valid = observed(source_of(path, nodata=70_000.0), access)

    assert valid.all()
    assert (found.values == 5).all()


def test_a_mask_file_that_belongs_to_another_raster_is_refused(
    tmp_path: Path, access: SourceAccess
) -> None:
    path = write_raster(tmp_path / "a.tif", np.ones((ROWS, COLUMNS), dtype=np.uint16))
    write_raster(tmp_path / "a.tif.msk", np.ones((ROWS, 8), dtype=np.uint8))

    with pytest.raises(SceneError) as caught:
        observed(source_of(path), access)

    assert caught.value.reason == "bad_mask"


def test_a_mask_that_cannot_be_found_for_damage_is_no_absent_mask(
    tmp_path: Path, access: SourceAccess
) -> None:
    pixels = np.full((1, ROWS, COLUMNS), 5, dtype=np.uint16)
    masks = np.zeros_like(pixels, dtype=np.uint8)
    path = write_masked(tmp_path / "a.tif", pixels, masks, kind="internal")
    data = bytearray(path.read_bytes())
    first = int.from_bytes(data[4:8], "little")
    entries = int.from_bytes(data[first : first + 2], "little")
    at = first + 2 + 12 * entries  # where the offset of the next directory, the mask's, stands
    second = int.from_bytes(data[at : at + 4], "little")
    data[second : second + 2] = b"\xff\xff"
    path.write_bytes(data)

    with pytest.raises(SceneError) as caught:
        observed(source_of(path), access)

    assert caught.value.reason == "bad_mask"


def test_a_changed_mask_file_is_another_version(tmp_path: Path, access: SourceAccess) -> None:
    path = write_raster(tmp_path / "a.tif", np.ones((ROWS, COLUMNS), dtype=np.uint16))
    without = version_of(source_of(path), access)

    mask = write_raster(tmp_path / "a.tif.msk", np.ones((ROWS, COLUMNS), dtype=np.uint8))
    first = version_of(source_of(path), access)
    mask.write_bytes(mask.read_bytes() + b"\0")

    assert len({without, first, version_of(source_of(path), access)}) == 3


def test_a_mask_that_does_not_arrive_is_no_damage(web: WebServer, access: SourceAccess) -> None:
    pixels = noise()
    masks = np.random.default_rng(1).integers(0, 2, (1, *pixels.shape), dtype=np.uint8)
    path = write_masked(
        web.folder / "a.tif", pixels[np.newaxis], masks, kind="internal", **LAYOUTS["tiled-256"]
    )
    source = source_of(f"{web.url}/{path.name}")
    source = replace(source, version=version_of(source, access))
    facts = replace(facts_of(source, access), masks=("internal",))
    whole = Window(0, 0, pixels.shape[1], pixels.shape[0])
    read_window(source, facts, whole, access)

    web.always[f"/{path.name}"] = 503
    with pytest.raises(SourceUnavailableError):
        read_masked(source, facts, whole, access)
    del web.always[f"/{path.name}"]
    close_all()

    assert np.array_equal(read_masked(source, facts, whole, access).observed, masks[0] != 0)


def test_windows_read_without_a_mask_that_now_counts_are_read_again(
    tmp_path: Path, access: SourceAccess
) -> None:
    path = write_raster(tmp_path / "a.tif", np.ones((ROWS, COLUMNS), dtype=np.uint16))
    plain = facts_of(source_of(path), access)
    masked = replace(plain, masks=("internal",))
    facts = SceneFacts(id="a", fingerprint="f", bands={"p": plain, "m": masked}, figures={})
    stored = json.loads(facts.to_json())["bands"]

    assert plain.has_layout_of(stored["p"])
    assert masked.has_layout_of(stored["m"])
    assert not masked.has_layout_of(stored["p"])
    assert not plain.has_layout_of(stored["m"])
    assert "masks" not in stored["p"], "records of files without masks stay as they were"
