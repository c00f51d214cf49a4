"""What the chain makes, stage by stage, and what each stage stands on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from spatial_assets.project import Project

FEATURES = "features"
"""Where the facts of a stage say which boundaries touch the tile: set -> fingerprint."""

RAW = "raw_tile"
REPROJECTED_RASTER = "reprojected_raster"
TILE_INDEX = "tile_index"

INDEX_RANGE = "index_range"
"""The check of all indices of a tile; it belongs to the first of them."""

CODE_VERSIONS = {
    "scene": "2",
    "raw_tile": "1",
    "reprojected_raster": "1",
    "index": "1",
    "statistics": "1",
    "tile_index": "1",
}
"""Raise a number when the same input would give other bytes: it is part of every fingerprint."""


def chain_of(project: Project) -> Chain:
    """The stages of a project."""
    return Chain(indices=tuple(project.indices.names), with_boundaries=bool(project.boundaries))


def by_boundary(index: str) -> str:
    """Name of the stage (asset, table) that holds an index's statistics."""
    return f"{index}_by_boundary"


@dataclass(frozen=True, kw_only=True)
class Chain:
    """The stages of one project, in the order in which a tile passes them."""

    indices: tuple[str, ...]
    """Names of the spectral indices."""

    with_boundaries: bool
    """Whether the project names boundaries, so that statistics exist at all."""

    @property
    def stages(self) -> tuple[str, ...]:
        """All stage names, upstream first."""
        return (RAW, REPROJECTED_RASTER, *self.indices, *self.statistics, TILE_INDEX)

    @property
    def statistics(self) -> tuple[str, ...]:
        """The stages that read boundaries."""
        return tuple(by_boundary(name) for name in self.indices) if self.with_boundaries else ()

    def upstream_of(self, stage: str) -> tuple[str, ...]:
        """The stages whose stored results `stage` reads."""
        if stage == RAW:
            return ()
        if stage == REPROJECTED_RASTER:
            return (RAW,)
        if stage in self.indices:
            return (REPROJECTED_RASTER,)
        if stage == TILE_INDEX:
            return self.indices
        return tuple(name for name in self.indices if by_boundary(name) == stage)

    def in_order(self, selected: Iterable[str]) -> tuple[str, ...]:
        """`selected` in chain order, refusing nothing: unknown names are simply not there."""
        wanted = set(selected)
        return tuple(stage for stage in self.stages if stage in wanted)
