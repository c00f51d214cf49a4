"""What each stage of a tile follows from: scenes, settings and code, boundaries. Pure.

Hashes of causes, which are cheap to know of every tile: an item of the catalogue, a line of the
project file, a feature. Whether they reach a pixel is found out by the walk, whose fingerprints
say what must be computed; a tile whose causes are what they were need not be walked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING

import shapely
from shapely.geometry.base import BaseGeometry

from spatial_assets.pipeline.fingerprints import fingerprint, rule_of
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
"""Stage -> what it follows from."""


@dataclass(frozen=True, kw_only=True)
class StageInputs:
    """What a stage of a tile follows from, near and far."""

    scenes: str
    """Of what the catalogue has where the tile is."""

    settings: str
    """Of the settings and code versions of this stage and of all before it."""

    boundaries: str = ""
    """Of the features that touch the tile; empty where the stage reads none."""

    def differs_by(self, other: StageInputs) -> tuple[str, ...]:
        """Which of them differ, by name."""
        if self == other:
            return ()
        return tuple(
            each.name
            for each in fields(self)
            if getattr(self, each.name) != getattr(other, each.name)
        )


class SceneIndex:
    """Everything that a catalogue has, to be asked what is over a place."""

    def __init__(self, scene_versions: Iterable[SceneVersion]) -> None:
        known = [(each, each.footprint) for each in scene_versions]
        self._placed = [(each, footprint) for each, footprint in known if footprint is not None]
        self._tree = shapely.STRtree([footprint for _, footprint in self._placed])

    def over(self, place: BaseGeometry) -> tuple[SceneVersion, ...]:
        """The sightings that touch a place in lon/lat; one without a place touches none."""
        found = self._tree.query(place, predicate="intersects")
        return tuple(self._placed[number][0] for number in sorted(found))

    def scenes_hash(self, place: BaseGeometry) -> str:
        """Hash of the sightings over a place."""
        return fingerprint("sky", sorted((each.id, each.version) for each in self.over(place)))


def hash_of_boundaries(features: Mapping[str, str]) -> str:
    """Of the features that touch a tile: set -> their fingerprint; empty where there is no set."""
    return fingerprint("features", sorted(features.items())) if features else ""


def inputs_row(
    inputs_of_stages: InputsByStage, *, grid_id: str, tile: str, looked_at: datetime
) -> TileInputs:
    """The row of `tile_inputs` that `inputs_from_rows` reads."""
    inputs = {stage: asdict(each) for stage, each in sorted(inputs_of_stages.items())}
    return TileInputs(grid_id=grid_id, tile=tile, inputs=inputs, looked_at=looked_at)


def inputs_from_rows(rows: Iterable[Mapping[str, object]]) -> dict[str, InputsByStage]:
    """Tile -> what it was last made from, out of rows of `tile_inputs`."""
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
) -> InputsByStage:
    """What the stages of a tile follow from when they are made now.

    Args:
        project: its settings.
        scenes: see `SceneIndex.seen_from`; it counts where `raw_tile` is made.
        boundaries: stage that reads them -> see `hash_of_boundaries`.
        selected: the stages that are made; default: all.
        before: what the other stages followed from, when they were made; where that is not
            known, what stands on them is not known either and is left out.
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
            scenes=scenes if stage == RAW else _of_all([each.scenes for each in sources]),
            settings=fingerprint(
                stage, _settings_of(project, stage), [each.settings for each in sources]
            ),
            boundaries=boundaries.get(stage, ""),
        )
    return known


def _of_all(hashes: Iterable[str]) -> str:
    """One hash for several; that of equal ones is theirs."""
    found = sorted(set(hashes))
    return found[0] if len(found) == 1 else fingerprint("several", found)


def _settings_of(project: Project, stage: str) -> object:
    """The settings that reach a stage directly, and its code; JSON values."""
    rule = rule_of(project.sensor.clear)
    if stage == RAW:
        most = project.checks.most_implausible_share
        return [CODE_VERSIONS["scene"], CODE_VERSIONS[RAW], project.bands, rule, most]
    if stage == REPROJECTED_RASTER:
        return [CODE_VERSIONS[REPROJECTED_RASTER], rule]
    if stage == TILE_INDEX:
        return [CODE_VERSIONS[TILE_INDEX]]
    if stage in project.indices.names:
        time, most = project.time, project.checks.quarantine_removed_share
        return [CODE_VERSIONS["index"], time.composite, time.period, str(time.start), most]
    return [CODE_VERSIONS["statistics"], [each.name for each in project.boundaries]]
