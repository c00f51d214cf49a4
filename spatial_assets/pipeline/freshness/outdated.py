"""Tiles whose scenes, settings or boundaries differ from those they were made from. Pure.

The facts come from the table `tile_inputs`, the catalogue and the validated boundaries; the
results go to the table `tile_wanted`, or to the user. A tile without recorded inputs was never
made and is not reported here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime

from spatial_assets.geo.grid.pixel_grid import Tile
from spatial_assets.pipeline.freshness.former_code import FormerCode
from spatial_assets.pipeline.freshness.stage_inputs import (
    InputsByStage,
    SceneIndex,
    inputs_by_stage,
)
from spatial_assets.pipeline.stages import RAW, chain_of
from spatial_assets.project import Project
from spatial_assets.stores.rows import TileWanted

HashByTile = Callable[[Tile], str]
"""Tile -> hash of the boundaries that touch it, see `hash_of_boundaries`."""


def outdated_stages(
    project: Project,
    tile: str,
    *,
    before: InputsByStage,
    scene_index: SceneIndex,
    boundary_hashes: HashByTile | None,
    former: FormerCode | None = None,
) -> dict[str, tuple[str, ...]]:
    """Map each outdated stage to what changed: `scenes`, `settings`, `boundaries`.

    If the settings differ by code versions alone, these stand for them as `code: <stage>`;
    accepted versions are no change.

    Args:
        project: the present settings.
        tile: its key.
        before: the inputs that the tile was made from.
        scene_index: the scenes in the catalogue now.
        boundary_hashes: of the boundaries as validated now; None: they are not validated, so
            that changes of boundaries are not reported.
        former: recognizes former code versions; kept by the caller for many tiles. Default:
            none is accepted.
    """
    former = former or FormerCode(project)
    found = project.partitioning.tile(tile)
    touching = boundary_hashes(found) if boundary_hashes else ""
    expected = inputs_by_stage(
        project,
        scenes=scene_index.scenes_hash(found.footprint(project.pixel_grid)),
        boundaries=dict.fromkeys(chain_of(project).statistics, touching),
    )
    ignored = set() if boundary_hashes else {"boundaries"}
    differing: dict[str, tuple[str, ...]] = {}
    for stage, made in before.items():
        if stage not in expected:
            continue
        names = [name for name in expected[stage].differs_by(made) if name not in ignored]
        if "settings" in names:
            names.remove("settings")
            if not former.is_accepted(tile, stage, made):
                names += former.causes(stage, made)
        differing[stage] = tuple(names)
    return {stage: names for stage, names in differing.items() if names}


def tiles_with_changed_scenes(
    project: Project,
    scene_index: SceneIndex,
    made_from: Mapping[str, InputsByStage],
    *,
    why: Mapping[str, str],
    now: datetime,
) -> Iterator[TileWanted]:
    """Yield a row for each tile whose scenes in the catalogue differ from those it was made from.

    Args:
        project: whose tiles.
        scene_index: the scenes in the catalogue now.
        made_from: tile -> the inputs it was made from.
        why: tile -> the change over it; other tiles are not checked.
        now: when the change was detected, UTC.
    """
    for tile, reason in why.items():
        if RAW not in made_from.get(tile, {}):
            continue
        footprint = project.partitioning.tile(tile).footprint(project.pixel_grid)
        found = scene_index.scenes_hash(footprint)
        if found != made_from[tile][RAW].scenes:
            yield _row(project, tile, RAW, version=found, why=reason, now=now)


def tiles_with_changed_boundaries(
    project: Project,
    boundary_hashes: HashByTile,
    made_from: Mapping[str, InputsByStage],
    *,
    now: datetime,
) -> Iterator[TileWanted]:
    """Yield a row for each tile and statistics stage that was made from other boundaries.

    Args:
        project: whose tiles.
        boundary_hashes: of the boundaries as validated now.
        made_from: tile -> the inputs it was made from.
        now: when the change was detected, UTC.
    """
    statistics = chain_of(project).statistics
    for tile, inputs in made_from.items():
        stages = [stage for stage in statistics if stage in inputs]
        touching = boundary_hashes(project.partitioning.tile(tile)) if stages else ""
        for stage in stages:
            if inputs[stage].boundaries != touching:
                why = "boundaries that touch it changed"
                yield _row(project, tile, stage, version=touching, why=why, now=now)


def pending_changes(
    rows: Iterable[TileWanted], made_from: Mapping[str, InputsByStage]
) -> list[TileWanted]:
    """Return those of `rows` that the tile has not been made from yet."""
    return [
        row for row in rows if row.wanted != _version_of(made_from.get(row.tile, {}), row.stage)
    ]


def _version_of(inputs: InputsByStage, stage: str) -> str | None:
    """Return the recorded hash that `TileWanted.wanted` is compared with."""
    found = inputs.get(stage)
    if found is None:
        return None
    return found.scenes if stage == RAW else found.boundaries


def _row(
    project: Project, tile: str, stage: str, *, version: str, why: str, now: datetime
) -> TileWanted:
    return TileWanted(
        grid_id=project.grid_id, tile=tile, stage=stage, wanted=version, why=why, since=now
    )
