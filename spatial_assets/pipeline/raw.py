"""The first stage: the pixels of each scene that a tile needs, as the archive has them.

Stored as GeoTIFF on the scene's own grid. What could not be read is stored as fill, and
what is handed on is what is stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from spatial_assets.catalog.access import SourceAccess
from spatial_assets.catalog.ahead import Wanted
from spatial_assets.catalog.hrefs import is_remote
from spatial_assets.catalog.reader import read_window
from spatial_assets.geo.clearsky import ClearSky
from spatial_assets.geo.geobox import GeoBox, Window
from spatial_assets.geo.scene_grids import class_window_of
from spatial_assets.pipeline.record import SceneRecord
from spatial_assets.pipeline.samplings import Samplings
from spatial_assets.stores import layout
from spatial_assets.stores.manifests import StageEntry
from spatial_assets.stores.objects import ObjectStore
from spatial_assets.stores.rasters import read_geotiff, write_geotiff


@dataclass(frozen=True, kw_only=True, eq=False)
class RawBand:
    """One band of one scene, read for one tile."""

    pixels: NDArray[Any]
    """Digital numbers or classes in the file's type, shape (rows, columns) of `window`."""

    window: Window
    """Absolute pixel indices of the band's file."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RawScene:
    """The bands of one scene, read for one tile."""

    bands: Mapping[str, RawBand]
    unreadable: Mapping[str, int]
    """Band -> pixels that could not be read; only bands that have some."""

    @property
    def nbytes(self) -> int:
        """Memory that the pixels take."""
        return sum(band.pixels.nbytes for band in self.bands.values())

    @property
    def readable_fraction(self) -> float:
        """Share of the pixels that could be read, of the worst band: a pixel needs every band."""
        return min(
            1.0 - self.unreadable.get(name, 0) / band.pixels.size
            for name, band in self.bands.items()
        )


def read_raw(
    scene: SceneRecord, box: GeoBox, *, access: SourceAccess, clear: ClearSky | None
) -> RawScene | None:
    """Read every band of `scene` that `box` needs; None where the scene does not reach it.

    Raises:
        SourceUnavailableError: the archive did not answer.
        SceneError: a file is not what it was when the scene was looked into.
    """
    bands: dict[str, RawBand] = {}
    unreadable: dict[str, int] = {}
    windows = raw_windows(scene, box)
    if windows is None:
        return None
    for name, window in windows.items():
        facts = scene.of_band(name)
        pixels, readable = read_window(scene.sources[name], facts, window, access=access)
        lost = int(readable.size - np.count_nonzero(readable))
        if lost:
            fill = _fill(scene, name, clear)
            pixels = np.where(readable, pixels, pixels.dtype.type(fill))
            unreadable[name] = lost
        bands[name] = RawBand(pixels=pixels, window=window)
    return RawScene(bands=bands, unreadable=unreadable)


def remote_windows(scenes: Iterable[SceneRecord], box: GeoBox) -> Iterator[Wanted]:
    """What `read_raw` will read of remote files for `box`, in this order."""
    for scene in scenes:
        if any(is_remote(source.href) for source in scene.sources.values()):
            for name, window in (raw_windows(scene, box) or {}).items():
                yield scene.sources[name], [window]


def raw_windows(scene: SceneRecord, box: GeoBox) -> dict[str, Window] | None:
    """Absolute windows of the files of `scene` that `box` needs, halo included; None: no overlap.

    The class band must also reach under every band pixel that is averaged.
    """
    windows: dict[str, Window] = {}
    samplings = Samplings(scene, box)
    for names in samplings.bands_alike(scene.files):
        kernel = scene.of_band(names[0]).kernel
        window = samplings.of_band(names[0]).source_window(kernel)
        if window is None:
            return None
        windows |= dict.fromkeys(names, window)
    if scene.class_band is None:
        return windows
    grid = scene.of_band(scene.class_band).grid
    for name in scene.bands:
        facts = scene.of_band(name)
        if facts.kernel == "average":
            under = class_window_of(grid, facts.grid, band_window=windows[name])
            if under is not None:
                windows[scene.class_band] = windows[scene.class_band].hull(under)
    return windows


def raw_bytes(scene: SceneRecord, windows: Mapping[str, Window]) -> int:
    """Memory that the pixels of `windows` take."""
    return sum(
        window.width * window.height * np.dtype(scene.of_band(name).dtype).itemsize
        for name, window in windows.items()
    )


def store_raw(
    store: ObjectStore, key: str, *, scene: SceneRecord, raw: RawScene, fingerprint: str
) -> StageEntry:
    """Write one GeoTIFF a band, and say what was written."""
    objects = []
    windows: dict[str, list[int]] = {}
    for name, band in raw.bands.items():
        facts = scene.of_band(name)
        shift = Affine.translation(band.window.column, band.window.row)
        data = write_geotiff(
            band.pixels[np.newaxis],
            transform=facts.grid.transform @ shift,
            crs=facts.grid.crs,
            nodata=facts.nodata,
            bands=(name,),
            tags={"scene": scene.id},
        )
        objects.append(store.put(layout.raw_tile(key, scene.id, name), data))
        w = band.window
        windows[name] = [w.column, w.row, w.width, w.height]
    facts_of_entry = {
        "scene": scene.to_document(),
        "windows": windows,
        "unreadable": dict(raw.unreadable),
        "readable_fraction": raw.readable_fraction,
    }
    return StageEntry(fingerprint, tuple(objects), facts_of_entry)


def load_raw(store: ObjectStore, entry: StageEntry) -> RawScene:
    """Read back what `store_raw` wrote."""
    windows: Mapping[str, list[int]] = entry.facts["windows"]  # type: ignore[assignment]
    unreadable: Mapping[str, int] = entry.facts["unreadable"]  # type: ignore[assignment]
    by_path = {info.path.rsplit("/", 1)[-1].removesuffix(".tif"): info for info in entry.objects}
    bands = {
        name: RawBand(
            pixels=read_geotiff(store.get(by_path[layout.segment(name)].path)).pixels[0],
            window=Window(*window),
        )
        for name, window in windows.items()
    }
    return RawScene(bands=bands, unreadable=unreadable)


def _fill(scene: SceneRecord, name: str, clear: ClearSky | None) -> float:
    """What stands for `not observed` in a band: its fill value, or a class that is not clear."""
    facts = scene.of_band(name)
    if name == scene.class_band and clear is not None:
        return clear.unobserved
    if facts.nodata is not None:
        return facts.nodata
    return float("nan") if np.issubdtype(np.dtype(facts.dtype), np.floating) else 0
