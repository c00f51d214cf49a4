"""The stages of the chain, their order, and the stages that each depends on."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from spatial_assets.project import Project
from spatial_assets.stores.stage_facts import BY_BOUNDARY

RAW = "raw_tile"
REPROJECTED_RASTER = "reprojected_raster"
TILE_INDEX = "tile_index"

INDEX_RANGE = "index_range"
"""Check over all indices of a tile; it belongs to the first of them."""

CODE_VERSIONS = {
    "scene": "3",
    "raw_tile": "2",
    "reprojected_raster": "2",
    "index": "1",
    "statistics": "1",
    "tile_index": "1",
}
"""Part of every fingerprint; raise a number when the same input would give other bytes."""


def code_of(stage: str) -> str:
    """Return the key in `CODE_VERSIONS` of the code that makes a stage."""
    if stage in {RAW, REPROJECTED_RASTER, TILE_INDEX}:
        return stage
    return "statistics" if stage.endswith(BY_BOUNDARY) else "index"


def chain_of(project: Project) -> Chain:
    """Return the stages of a project."""
    return Chain(indices=tuple(project.indices.names), with_boundaries=bool(project.boundaries))


def by_boundary(index: str) -> str:
    """Return the name of the stage (asset, table) that holds an index's statistics."""
    return f"{index}{BY_BOUNDARY}"


@dataclass(frozen=True, kw_only=True)
class Chain:
    """The stages of one project, in the order in which a tile passes them."""

    indices: tuple[str, ...]
    """Names of the spectral indices."""

    with_boundaries: bool
    """True if the project has boundaries, and therefore statistics."""

    @property
    def stages(self) -> tuple[str, ...]:
        """All stage names, upstream first."""
        return (RAW, REPROJECTED_RASTER, *self.indices, *self.statistics, TILE_INDEX)

    @property
    def statistics(self) -> tuple[str, ...]:
        """The stages that read boundaries."""
        return tuple(by_boundary(name) for name in self.indices) if self.with_boundaries else ()

    def upstream_of(self, stage: str) -> tuple[str, ...]:
        """Return the stages whose stored results `stage` reads."""
        if stage == RAW:
            return ()
        if stage == REPROJECTED_RASTER:
            return (RAW,)
        if stage in self.indices:
            return (REPROJECTED_RASTER,)
        if stage == TILE_INDEX:
            return self.indices
        return tuple(name for name in self.indices if by_boundary(name) == stage)

    def blocked_by(self, stage: str, bad: Collection[str]) -> str | None:
        """Return the one of some bad stages for which `stage` cannot be made, or None.

        `tile_index` describes the indices that there are: it needs one that is good.
        """
        found = [name for name in self.upstream_of(stage) if name in bad]
        if stage == TILE_INDEX and len(found) < len(self.indices):
            return None
        return next(iter(found), None)

    def in_order(self, selected: Iterable[str]) -> tuple[str, ...]:
        """Return `selected` in chain order, without unknown names."""
        names = set(selected)
        return tuple(stage for stage in self.stages if stage in names)
