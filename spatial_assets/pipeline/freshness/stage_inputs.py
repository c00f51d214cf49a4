"""Inputs of each stage of a tile as hashes: scenes, settings and code, boundaries. Pure.

The hashes cover items of the catalogue, settings and features, which are cheap to check for every
tile. A tile with the same inputs need not be walked. If they differ, the walk finds out whether
that changes a pixel: its own fingerprints decide what is computed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from spatial_assets.pipeline.fingerprints import buffer_of, fingerprint, halo_of, rule_of
from spatial_assets.pipeline.stages import (
    CODE_VERSIONS,
    RAW,
    REPROJECTED_RASTER,
    TILE_INDEX,
    chain_of,
)
from spatial_assets.project import Project
from spatial_assets.stores.rows import TileInputs

if TYPE_CHECKING:
    from spatial_assets.catalog.scene import SceneVersion


InputsByStage = Mapping[str, "StageInputs"]
"""Stage -> its inputs."""


@dataclass(frozen=True, kw_only=True)
class StageInputs:
    """Hashes of the direct and indirect inputs of one stage of a tile."""

    scenes: str
    """Hash of the scenes that the catalogue has over the tile."""

    settings: str
    """Hash of the settings and code versions of this stage and of all before it."""

    boundaries: str = ""
    """Hash of the features that touch the tile; empty if the stage reads none."""

    def differs_by(self, other: StageInputs) -> tuple[str, ...]:
        """Return the names of the hashes that differ."""
        if self == other:
            return ()
        return tuple(
            each.name
            for each in fields(self)
            if getattr(self, each.name) != getattr(other, each.name)
        )


class SceneIndex:
    """Spatial index of the scenes of a catalogue."""

    def __init__(self, scene_versions: Iterable[SceneVersion]) -> None:
        known = [(each, each.footprint) for each in scene_versions]
        self._scenes = [(each, footprint) for each, footprint in known if footprint is not None]
        self._tree = shapely.STRtree([footprint for _, footprint in self._scenes])

    def over(self, area: BaseGeometry) -> tuple[SceneVersion, ...]:
        """Return the scenes whose footprints touch an area in lon/lat."""
        found = self._tree.query(area, predicate="intersects")
        return tuple(self._scenes[number][0] for number in sorted(found))

    def scenes_hash(self, area: BaseGeometry) -> str:
        """Hash the scenes over an area."""
        return self._hash(self._tree.query(area, predicate="intersects"))

    def scenes_hashes(self, areas: NDArray[np.object_]) -> list[str]:
        """Hash the scenes over each of many areas: neighbours share most of the work."""
        if not self._scenes:
            return [self._hash(np.empty(0, dtype=np.int64))] * len(areas)
        footprints = np.array([footprint for _, footprint in self._scenes], dtype=object)
        scenes, areas_found = shapely.STRtree(areas).query(footprints, predicate="intersects")
        order = np.lexsort((scenes, areas_found))
        ends = np.cumsum(np.bincount(areas_found, minlength=len(areas)))
        known: dict[bytes, str] = {}
        hashes = []
        for over in np.split(scenes[order], ends[:-1]):
            same = over.tobytes()
            if same not in known:
                known[same] = self._hash(over)
            hashes.append(known[same])
        return hashes

    def _hash(self, numbers: NDArray[np.int64]) -> str:
        found = (self._scenes[number][0] for number in numbers.tolist())
        return fingerprint("sky", sorted((each.id, each.version) for each in found))


def hash_of_boundaries(features: Mapping[str, str]) -> str:
    """Hash the fingerprints of the features that touch a tile, by set; empty without any set."""
    return fingerprint("features", sorted(features.items())) if features else ""


def inputs_row(
    inputs: InputsByStage, *, grid_id: str, tile: str, looked_at: datetime
) -> TileInputs:
    """Return the row of `tile_inputs` that `inputs_from_rows` reads."""
    document = {stage: asdict(each) for stage, each in sorted(inputs.items())}
    return TileInputs(grid_id=grid_id, tile=tile, inputs=document, looked_at=looked_at)


def inputs_from_rows(rows: Iterable[Mapping[str, object]]) -> dict[str, InputsByStage]:
    """Map each tile to the inputs it was last made from, from rows of `tile_inputs`."""
    found: dict[str, InputsByStage] = {}
    for row in rows:
        stages = row["inputs"]
        if isinstance(stages, Mapping):
            found[str(row["tile"])] = {
                str(stage): StageInputs(**hashes) for stage, hashes in stages.items()
            }
    return found


def inputs_by_stage(
    project: Project,
    *,
    scenes: str,
    boundaries: Mapping[str, str],
    selected: Iterable[str] | None = None,
    before: InputsByStage | None = None,
    code: Mapping[str, str] = CODE_VERSIONS,
) -> InputsByStage:
    """Return the inputs of the stages of a tile after some of them are made now.

    Args:
        project: its settings.
        scenes: see `SceneIndex.scenes_hash`; used if `raw_tile` is made.
        boundaries: stage that reads them -> see `hash_of_boundaries`.
        selected: the stages that are made; default: all.
        before: inputs of the other stages when they were made; stages that depend on unknown
            ones are left out.
        code: code versions by their keys; default: the present ones.
    """
    chain = chain_of(project)
    known = {stage: each for stage, each in (before or {}).items() if stage in chain.stages}
    made = chain.stages if selected is None else chain.in_order(selected)
    for stage in made:
        known.pop(stage, None)
        upstream = [known.get(name) for name in chain.upstream_of(stage)]
        if any(each is None for each in upstream):
            continue
        sources = [each for each in upstream if each is not None]
        known[stage] = StageInputs(
            scenes=scenes if stage == RAW else _combined([each.scenes for each in sources]),
            settings=fingerprint(
                stage, _settings_of(project, stage, code), [each.settings for each in sources]
            ),
            boundaries=boundaries.get(stage, ""),
        )
    return known


def stage_settings(project: Project) -> Mapping[str, str]:
    """Map each stage to the hash of the settings and code of this stage and of all before it."""
    inputs = inputs_by_stage(project, scenes="", boundaries={})
    return {stage: each.settings for stage, each in inputs.items()}


def _combined(hashes: Iterable[str]) -> str:
    """Combine hashes into one; equal hashes stay as they are."""
    found = sorted(set(hashes))
    return found[0] if len(found) == 1 else fingerprint("several", found)


def _settings_of(project: Project, stage: str, code: Mapping[str, str]) -> object:
    """Return the settings that a stage uses directly, and its code version, as JSON values."""
    clear = project.sensor.clear
    rule = rule_of(clear)
    if stage == RAW:
        most = project.checks.most_implausible_share
        return [
            code["scene"],
            code[RAW],
            project.bands,
            rule,
            most,
            *halo_of(clear),
        ]
    if stage == REPROJECTED_RASTER:
        return [code[REPROJECTED_RASTER], rule, *buffer_of(clear)]
    if stage == TILE_INDEX:
        return [code[TILE_INDEX]]
    if stage in project.indices.names:
        time, most = project.time, project.checks.quarantine_removed_share
        return [code["index"], time.composite, time.period, str(time.start), most]
    return [code["statistics"], [each.name for each in project.boundaries]]
