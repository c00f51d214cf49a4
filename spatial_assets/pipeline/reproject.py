"""The second stage: one scene's reflectance under a clear sky, on the tile's pixels.

Stored as int16 reflectance x 10,000 with fill where any band is unknown or the sky is not
clear; what is handed on is what is stored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from spatial_assets.errors import RasterError
from spatial_assets.geo.alignment import judge_alignment
from spatial_assets.geo.clearsky import ClearSky
from spatial_assets.geo.extent import judge_extent
from spatial_assets.geo.geobox import GeoBox, Window
from spatial_assets.geo.radiometry import (
    ALREADY_REFLECTANCE,
    FILL,
    REFLECTANCE_SCALE,
    fill_mask,
)
from spatial_assets.geo.warp import CalibratedBand, classes_on_band_grid
from spatial_assets.pipeline.raw import RawScene
from spatial_assets.pipeline.record import SceneRecord
from spatial_assets.pipeline.samplings import Samplings
from spatial_assets.stores import layout
from spatial_assets.stores.manifests import StageEntry
from spatial_assets.stores.objects import ObjectStore
from spatial_assets.stores.rasters import placement, read_geotiff, write_geotiff

STRIP_PIXELS = 1 << 20
"""Source pixels that are judged at a time."""


class MisplacedError(RasterError):
    """A raster about to be stored does not lie on the tile's pixels, or off its scene."""

    def __init__(self, scene: str, evidence: Mapping[str, float | int | str]) -> None:
        super().__init__(
            f"the pixels of scene {scene} would be stored where they do not belong: {evidence}; "
            "nothing was written: report it, with the item",
            reason="misplaced_pixels",
        )
        self.scene = scene
        self.evidence = evidence


def reproject(
    scene: SceneRecord, raw: RawScene, *, box: GeoBox, clear: ClearSky | None
) -> NDArray[np.int16]:
    """Warp the clear-sky reflectance of `scene` to `box`.

    Returns:
        Quantised reflectance, shape (band, row, column) in the order of `scene.bands`; a pixel
        is `FILL` in all bands unless it is valid in all of them and the sky is clear.
    """
    samplings = Samplings(scene, box)
    known = _clear_on_target(scene, raw, samplings, clear=clear)
    pixels = np.empty((len(scene.bands), *samplings.shape), dtype=np.int16)
    groups = samplings.bands_alike(scene.bands)
    for names in groups:
        samplings.of_band(names[0]).store(
            scene.of_band(names[0]).kernel,
            [_calibrated(scene, raw, name, clear=clear) for name in names],
            window=raw.bands[names[0]].window,
            stored=[pixels[scene.bands.index(name)] for name in names],
            known=known,
        )
    if len(groups) > 1:
        np.copyto(pixels, FILL, where=~known)
    return pixels


def _calibrated(
    scene: SceneRecord, raw: RawScene, name: str, *, clear: ClearSky | None
) -> CalibratedBand:
    """Pixels of one band, and what is known of them before the warp."""
    facts = scene.of_band(name)
    valid = _observed(scene, raw, name, clear=clear if facts.kernel == "average" else None)
    return CalibratedBand(raw.bands[name].pixels, valid, facts.calibration or ALREADY_REFLECTANCE)


def _clear_on_target(
    scene: SceneRecord, raw: RawScene, samplings: Samplings, *, clear: ClearSky | None
) -> NDArray[np.bool_]:
    """True where the class pixel that holds a target pixel's centre is clear sky."""
    averaged = any(scene.of_band(name).kernel == "average" for name in scene.bands)
    if clear is None or scene.class_band is None or averaged:
        return np.ones(samplings.shape, dtype=np.bool_)
    band = raw.bands[scene.class_band]
    sampling = samplings.of_band(scene.class_band)
    # judged before the warp: a class band mostly has fewer pixels than the target
    is_clear = clear.clear(band.pixels)
    return sampling.nearest(is_clear, window=band.window, fill_value=False)


def _observed(
    scene: SceneRecord, raw: RawScene, name: str, *, clear: ClearSky | None
) -> NDArray[np.bool_]:
    """True where a band's own pixel holds an observation, under a clear sky if `clear` is given.

    In strips: a scene much finer than the target has many more pixels than it.
    """
    band, facts = raw.bands[name], scene.of_band(name)
    valid = np.empty(band.window.shape, dtype=np.bool_)
    for strip in _strips(band.window):
        at = strip.slices_in(band.window)
        valid[at] = ~fill_mask(band.pixels[at], facts.nodata)
        if clear is not None and scene.class_band is not None:
            classes = raw.bands[scene.class_band]
            on_band = classes_on_band_grid(
                classes.pixels,
                classes.window,
                class_grid=scene.of_band(scene.class_band).grid,
                band_grid=facts.grid,
                band_window=strip,
                fill_value=clear.unobserved,
            )
            valid[at] &= clear.clear(on_band)
    return valid


def _strips(window: Window) -> Iterator[Window]:
    """`window` in strips of rows of about a million pixels."""
    rows = max(1, STRIP_PIXELS // window.width)
    for top in range(window.row, window.row_stop, rows):
        yield Window(window.column, top, window.width, min(rows, window.row_stop - top))


def store_reprojected(  # noqa: PLR0913 - the facts of a file, each by its name
    store: ObjectStore,
    key: str,
    *,
    scene: SceneRecord,
    pixels: NDArray[np.int16],
    box: GeoBox,
    owned: NDArray[np.bool_],
    fingerprint: str,
) -> StageEntry:
    """Write one GeoTIFF with all bands, and say what was written; `owned` has the tile's pixels.

    Raises:
        MisplacedError: the pixels lie where they cannot; nothing was written.
    """
    data = write_geotiff(
        pixels,
        transform=box.transform,
        crs=box.crs,
        nodata=FILL,
        bands=scene.bands,
        scale=REFLECTANCE_SCALE,
        tags={"scene": scene.id, "solar_day": scene.solar_day.isoformat()},
    )
    transform, shape, crs = placement(data)
    alignment = judge_alignment(transform, shape, crs=crs, wanted=box)
    valid = pixels[0] != FILL
    files = {name: scene.of_band(name).grid for name in scene.bands}
    extent = judge_extent(valid, owned=owned, box=box, files=files)
    if not (alignment.passed and extent.passed):
        raise MisplacedError(scene.id, {**alignment.evidence, **extent.evidence})
    written = store.put(layout.reprojected_raster(key, scene.id), data)
    facts = {
        "scene": scene.to_document(),
        "alignment": {**alignment.evidence, **extent.evidence},
        "valid_fraction": float(np.count_nonzero(valid & owned) / np.count_nonzero(owned)),
    }
    return StageEntry(fingerprint, (written,), facts)


def load_reprojected(store: ObjectStore, entry: StageEntry) -> NDArray[np.int16]:
    """Read back the pixels that `store_reprojected` wrote."""
    pixels: NDArray[np.int16] = read_geotiff(store.get(entry.objects[0].path)).pixels
    return pixels
