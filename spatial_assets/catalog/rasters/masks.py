"""Masks that a file has beside its fill values: its own, alpha bands, and a `.msk` file beside it.

A pixel that any of them excludes was not observed, as in GDAL's `GetMaskBand`; unlike there, they
count together, and with the fill value. A `.msk` file counts beside a local file only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags

from spatial_assets.catalog.access.file_versions import MASK_SUFFIX
from spatial_assets.catalog.access.hrefs import is_remote
from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets.catalog.rasters.gdal_datasets import Dataset, cached_raster_of, gdal_settings
from spatial_assets.catalog.rasters.headers import band_kinds
from spatial_assets.catalog.rasters.opening import as_local, open_or_explain
from spatial_assets.catalog.rasters.windows import read_blocks, require_same
from spatial_assets.catalog.scene import BandSource
from spatial_assets.catalog.scene_facts import BandFacts
from spatial_assets.errors import SceneError
from spatial_assets.geo.grid.geobox import Window
from spatial_assets.project.secrets import mask_secrets

INTERNAL_MASK: Final = "internal"
ALPHA_BAND: Final = "alpha:"
MASK_FILE: Final = "file:"
CE_FAILURE: Final = 3
"""GDAL's class of errors that are more than a warning."""

PER_DATASET: Final = int(MaskFlags.per_dataset)


@dataclass(frozen=True, eq=False)
class MaskedPixels:
    """Pixels of a window, shape (row, column), and what is known of them."""

    values: NDArray[Any]
    readable: NDArray[np.bool_]
    """True where the pixel, and every mask of it, could be read."""

    observed: NDArray[np.bool_]
    """True where it could be read, and no mask excludes it; a fill value is not judged here."""


def masks_of(dataset: Dataset, source: BandSource, access: SourceAccess) -> tuple[str, ...]:
    """Return the masks of a band: "internal", "alpha:4", "file:1" with the band that is the mask.

    Call within `gdal_settings`.

    Raises:
        SceneError: `bad_mask`: a mask cannot be read, or is none of this file.
        SourceUnavailableError: the archive did not answer.
    """
    kinds, _ = band_kinds(dataset)
    flags = set(dataset.mask_flag_enums[source.index - 1])
    cached_raster = cached_raster_of(source, access)
    if cached_raster is not None:
        cached_raster.raise_failure()  # GDAL takes a directory that did not arrive for the last one
    found = []
    if MaskFlags.alpha not in flags and flags not in ({MaskFlags.all_valid}, {MaskFlags.nodata}):
        found.append(INTERNAL_MASK)
    else:
        _require_whole(dataset, source)
    found += [
        f"{ALPHA_BAND}{number}"
        for number, kind in enumerate(kinds, start=1)
        if kind == ColorInterp.alpha and number != source.index
    ]
    if not is_remote(source.href) and Path(f"{source.href}{MASK_SUFFIX}").exists():
        found.append(f"{MASK_FILE}{_band_of_mask_file(dataset, source, access)}")
    return tuple(found)


def _require_whole(dataset: Dataset, source: BandSource) -> None:
    """Refuse a file in which GDAL could not look for a mask, just now.

    Raises:
        SceneError: `bad_mask`.
    """
    _, error = band_kinds(dataset)
    if error is not None and error.error >= CE_FAILURE:
        raise SceneError(
            f"{mask_secrets(source.href)} has a part that GDAL cannot read, and that may be its "
            f"mask: {error}; repair the file",
            reason="bad_mask",
        )


def read_masked(
    source: BandSource, facts: BandFacts, window: Window, access: SourceAccess
) -> MaskedPixels:
    """Read the pixels of `window` in the file's own type, with its masks.

    Args:
        source: the band.
        facts: found in its file at the inspection of the scene.
        window: absolute pixel indices of the file, within it.
        access: how the file is reached.

    Raises:
        SourceUnavailableError: the archive did not answer.
        SceneError: the file is gone, or has changed.
    """
    source = as_local(source, access)
    with gdal_settings(access):
        require_same(open_or_explain(source, access), facts, source)
        return read_masked_blocks(source, facts.masks, window=window, access=access)


def read_masked_blocks(
    source: BandSource, masks: tuple[str, ...], *, window: Window, access: SourceAccess
) -> MaskedPixels:
    """Read as `read_masked`, from a source that is open; call within `gdal_settings`."""
    dataset = open_or_explain(source, access)
    values, readable = read_blocks(source, dataset, window=window, access=access)
    observed = readable
    for mask in masks:
        place = _source_of(mask, source)
        dataset = open_or_explain(place, access)
        layer, is_known = read_blocks(
            place, dataset, window=window, access=access, is_mask=mask == INTERNAL_MASK
        )
        readable = readable & is_known
        observed = observed & is_known & (layer != 0)
    return MaskedPixels(values, readable, observed)


def _source_of(mask: str, source: BandSource) -> BandSource:
    """Return the band that a mask is read from."""
    if mask == INTERNAL_MASK:
        return source
    if mask.startswith(ALPHA_BAND):
        return replace(source, index=int(mask.removeprefix(ALPHA_BAND)))
    return _mask_file(source, index=int(mask.removeprefix(MASK_FILE)))


def _mask_file(source: BandSource, *, index: int = 1) -> BandSource:
    """Return a band of the mask file beside a source."""
    href = f"{source.href}{MASK_SUFFIX}"
    return replace(source, href=href, index=index, checksum=None, size=None, version=None)


def _band_of_mask_file(dataset: Dataset, source: BandSource, access: SourceAccess) -> int:
    """Return the number of the band of the mask file that is the mask of a source.

    One for all bands where GDAL's flags say so, else one for each.

    Raises:
        SceneError: `bad_mask`: the file has other pixels, or no such band; or as in opening.
    """
    beside = _mask_file(source)
    mask = open_or_explain(beside, access)
    flags = str(mask.tags().get("INTERNAL_MASK_FLAGS_1", PER_DATASET))
    is_for_all = not flags.isdigit() or bool(int(flags) & PER_DATASET)
    number = 1 if is_for_all else source.index
    if mask.shape != dataset.shape or number > mask.count:
        raise SceneError(
            f"{mask_secrets(beside.href)} has {mask.count} bands of {mask.width} x {mask.height} "
            f"pixels, which is no mask of band {source.index} of {dataset.width} x "
            f"{dataset.height} pixels; remove it, or make it again",
            reason="bad_mask",
        )
    return number
