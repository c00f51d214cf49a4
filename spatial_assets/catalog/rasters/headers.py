"""Checks of a band file's header before any pixel is read."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from affine import Affine
from pyproj import CRS
from pyproj.exceptions import CRSError
from rasterio._err import CPLE_BaseError
from rasterio.enums import ColorInterp, Interleaving

from spatial_assets.catalog.rasters.gdal_datasets import Dataset
from spatial_assets.catalog.scene import BandSource
from spatial_assets.errors import RasterError, SceneError
from spatial_assets.geo.warp.source_grid import SourceGrid
from spatial_assets.project.secrets import mask_secrets

MAX_SIDE_PIXELS = 1 << 20  # a Sentinel-2 tile has 10,980 columns, a global mosaic at 100 m 400,752
MAX_BANDS = 1024
MAX_BLOCK_MB = 256  # decoded: GDAL allocates a whole block to read one pixel of it
MIN_BYTES_PER_BLOCK = 4  # offset and byte count as shorts, even of a sparse block
MAX_DRIFT_PIXELS = 1e-3  # pixels from one side of the file to the other
PIXEL_TYPES = frozenset(
    {"uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"}
)


def grid_of(dataset: Dataset, source: BandSource, *, size: int | None) -> SourceGrid:
    """Return the pixel grid of a file.

    Args:
        dataset: open.
        source: whose band it is.
        size: of the file in bytes, if known.

    Raises:
        SceneError: `absurd_header`, `missing_band`, `bad_dtype`, `no_crs`, `no_geotransform`,
            `rotated`.
    """
    _require_sane(dataset, source, size=size)
    transform, shown = dataset.transform, mask_secrets(source.href)
    if dataset.crs is None or not dataset.crs.wkt:
        raise SceneError(
            f"{shown} has no CRS, and none is assumed; write one into the file", reason="no_crs"
        )
    if transform == Affine.identity() or not all(map(math.isfinite, tuple(transform)[:6])):
        raise SceneError(
            f"{shown} has no geotransform; write one into the file", reason="no_geotransform"
        )
    if _is_rotated(transform, width=dataset.width, height=dataset.height):
        raise SceneError(
            f"{shown} is rotated (geotransform {tuple(transform)[:6]}); warp it to a straight grid",
            reason="rotated",
        )
    try:
        return SourceGrid(
            transform=Affine(transform.a, 0.0, transform.c, 0.0, transform.e, transform.f),
            width=dataset.width,
            height=dataset.height,
            crs=CRS.from_user_input(dataset.crs.wkt),
        )
    except CRSError as error:
        raise SceneError(
            f"{shown} has a CRS that PROJ rejects: {error}", reason="no_crs"
        ) from error
    except RasterError as error:
        raise SceneError(f"{shown}: {error}", reason="no_geotransform") from error


def _is_rotated(transform: Affine, *, width: int, height: int) -> bool:
    """Return True if a geotransform rotates or skews the grid by more than rounding errors."""
    drift = max(abs(transform.b) * height, abs(transform.d) * width)
    return drift > MAX_DRIFT_PIXELS * max(abs(transform.a), abs(transform.e))


def nodata_of(dataset: Dataset, source: BandSource) -> float | None:
    """Return the fill value: of the item, else of the file; only one that a pixel can have.

    DN 0 of an integer band is always fill, so a declared 0 gives way to another value.
    """
    dtype = np.dtype(dataset.dtypes[source.index - 1])
    values = [value for value in _declared_nodata(dataset, source) if can_occur(value, dtype)]
    if is_float(dataset, source):
        return values[0] if values else None
    return next((value for value in values if value != 0), values[0] if values else None)


def has_impossible_nodata(dataset: Dataset, source: BandSource) -> bool:
    """Return True if item or file declare a fill value that no pixel can have."""
    dtype = np.dtype(dataset.dtypes[source.index - 1])
    return not all(can_occur(value, dtype) for value in _declared_nodata(dataset, source))


def _declared_nodata(dataset: Dataset, source: BandSource) -> list[float]:
    """Return the fill values of the item and of the file, as far as they declare any."""
    declared = (source.nodata, dataset.nodatavals[source.index - 1])
    return [float(value) for value in declared if value is not None]


def can_occur(value: float, dtype: np.dtype[Any]) -> bool:
    """Return True if a pixel of a type can have a value: 255.5 and NaN are no integers."""
    if np.issubdtype(dtype, np.floating):
        return not math.isfinite(value) or abs(value) <= np.finfo(dtype).max
    limits = np.iinfo(dtype)
    return math.isfinite(value) and value == int(value) and limits.min <= value <= limits.max


def is_float(dataset: Dataset, source: BandSource) -> bool:
    """Return True if the pixels are floating-point numbers."""
    return bool(np.issubdtype(np.dtype(dataset.dtypes[source.index - 1]), np.floating))


def require_only_band(dataset: Dataset, source: BandSource) -> None:
    """Refuse a file of several bands if nothing says which of them is meant.

    Raises:
        SceneError: `ambiguous_band`.
    """
    if not source.is_numbered and len(data_bands(dataset)) > 1:
        raise SceneError(
            f"{mask_secrets(source.href)} has {dataset.count} bands, and nothing says which of "
            f"them is {source.name!r}: name it by number, {source.name} = "
            '{ asset = "...", band = 1 } in [scenes.sensor] bands',
            reason="ambiguous_band",
        )


def data_bands(dataset: Dataset) -> list[int]:
    """Return the numbers, from 1, of the bands that are not alpha."""
    kinds = enumerate(band_kinds(dataset)[0], start=1)
    return [number for number, kind in kinds if kind != ColorInterp.alpha]


def band_kinds(dataset: Dataset) -> tuple[tuple[ColorInterp, ...], CPLE_BaseError | None]:
    """Return what GDAL takes each band for, and the last error that GDAL had before.

    rasterio raises here what went wrong in an earlier call, a mere warning included.
    """
    try:
        return dataset.colorinterp, None
    except CPLE_BaseError as error:
        return dataset.colorinterp, error


def require_one_crs(grids: Iterable[tuple[str, SourceGrid]]) -> None:
    """Refuse bands of one scene in different CRSs.

    Raises:
        SceneError: `band_crs_differ`.
    """
    (first_name, first), *others = grids
    for name, grid in others:
        if not same_crs(first.crs, grid.crs):
            raise SceneError(
                f"band {name} is in {crs_name(grid.crs)}, band {first_name} in "
                f"{crs_name(first.crs)}; all bands of a scene need one CRS",
                reason="band_crs_differ",
            )


def same_crs(one: CRS, other: CRS) -> bool:
    """Return True if two CRSs place the same x and y at the same location."""
    if one == other or one.equals(other, ignore_axis_order=True):
        return True
    code = one.to_epsg()
    return code is not None and code == other.to_epsg()


def crs_name(crs: CRS) -> str:
    """Return the EPSG code of a CRS if it has one, else its name."""
    code = crs.to_epsg()
    return f"EPSG:{code}" if code else str(crs.name)


def _require_sane(dataset: Dataset, source: BandSource, *, size: int | None) -> None:
    """Refuse a header that would cost far more than the file is worth, or lacks the band."""
    shown = mask_secrets(source.href)
    width, height, count = dataset.width, dataset.height, dataset.count
    if not (0 < width <= MAX_SIDE_PIXELS and 0 < height <= MAX_SIDE_PIXELS and count <= MAX_BANDS):
        raise SceneError(
            f"{shown} claims {width} x {height} pixels and {count} bands; at most "
            f"{MAX_SIDE_PIXELS} x {MAX_SIDE_PIXELS} pixels and {MAX_BANDS} bands are accepted",
            reason="absurd_header",
        )
    if source.index > count:
        raise SceneError(
            f"{shown} has {count} bands; the item refers to number {source.index}",
            reason="missing_band",
        )
    dtype = dataset.dtypes[source.index - 1]
    if dtype not in PIXEL_TYPES:
        raise SceneError(f"{shown} holds {dtype} pixels; expected real numbers", reason="bad_dtype")
    _require_sane_blocks(dataset, source, size=size)


def _require_sane_blocks(dataset: Dataset, source: BandSource, *, size: int | None) -> None:
    """Refuse blocks that would fill the memory, or more blocks than the file can hold."""
    shown, number = mask_secrets(source.href), source.index - 1
    rows, columns = dataset.block_shapes[number]
    is_pixel_interleaved = dataset.interleaving == Interleaving.pixel
    values = rows * columns * (dataset.count if is_pixel_interleaved else 1)
    megabytes = values * np.dtype(dataset.dtypes[number]).itemsize >> 20
    if megabytes > MAX_BLOCK_MB:
        raise SceneError(
            f"{shown} has blocks of {columns} x {rows} pixels, {megabytes} MB each; "
            f"at most {MAX_BLOCK_MB} MB are decoded at once: tile the file",
            reason="absurd_header",
        )
    blocks = math.ceil(dataset.height / rows) * math.ceil(dataset.width / columns)
    if dataset.driver == "GTiff" and size is not None and size < blocks * MIN_BYTES_PER_BLOCK:
        raise SceneError(
            f"{shown} claims {blocks} blocks, more than its {size} bytes can list",
            reason="absurd_header",
        )
