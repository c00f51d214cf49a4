"""Sampling of the bands of a scene on a target grid, with the shared parts computed once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from pyproj import CRS

from spatial_assets.geo.grid.geobox import GeoBox
from spatial_assets.geo.warp.scene_mask import GridWindow
from spatial_assets.geo.warp.warp import Kernel, Lattice, Sampling
from spatial_assets.pipeline.tile.scene_record import SceneRecord


@dataclass(frozen=True, eq=False)
class SamplingPass:
    """Bands that one pass over the target samples: same grid, same kernel."""

    names: tuple[str, ...]
    kernel: Kernel
    sampling: Sampling
    sampled: GridWindow
    """Grid of the bands, and the window of it that the kernel reaches."""


class SceneSampling:
    """Sampling of each band of one scene: one lattice, and one sampling for each source grid."""

    def __init__(self, scene: SceneRecord, box: GeoBox) -> None:
        self._scene = scene
        self._box = box
        self._lattice = _lattice(box, scene.of_band(scene.bands[0]).grid.crs)
        self._made: list[Sampling] = []

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of the target."""
        return self._box.window.shape

    def passes(self) -> list[SamplingPass] | None:
        """Return the passes that sample all reflectance bands; None: the scene does not overlap."""
        found: dict[tuple[int, Kernel], list[str]] = {}
        for name in self._scene.bands:
            key = (id(self.of_band(name)), self._scene.of_band(name).kernel)
            found.setdefault(key, []).append(name)
        passes = []
        for (_, kernel), names in found.items():
            sampling = self.of_band(names[0])
            window = sampling.source_window(kernel)
            if window is None:
                return None
            sampled = GridWindow(sampling.source, window)
            passes.append(SamplingPass(tuple(names), kernel, sampling, sampled))
        return passes

    def of_band(self, name: str) -> Sampling:
        """Return the sampling of a band, shared by the bands on its grid."""
        grid = self._scene.of_band(name).grid
        for sampling in self._made:
            if sampling.source == grid:
                return sampling
        self._made.append(Sampling.of(grid, self._box, lattice=self._lattice))
        return self._made[-1]


@lru_cache(maxsize=4)
def _lattice(box: GeoBox, crs: CRS) -> Lattice:
    """Return a lattice, shared by the stages and by the scenes of a tile in one CRS."""
    return Lattice.around(box, crs)
