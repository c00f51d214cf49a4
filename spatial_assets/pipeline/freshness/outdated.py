"""Tiles whose scenes, settings or boundaries are not those they were made from. Pure.

Facts come from the table `tile_inputs`, the catalogue and the validated boundaries; what follows
goes to the table `tile_wanted`, or to a person. A tile of which nothing is recorded was never
made: that is another matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime

from spatial_assets.geo.grid.pixel_grid import Tile
from spatial_assets.pipeline.freshness.stage_inputs import InputsByStage, SceneIndex, recipe_of
from spatial_assets.pipeline.stages import RAW, chain_of
from spatial_assets.project import Project
from spatial_assets.stores.rows import TileWanted

Features = Callable[[Tile], str]
"""Tile -> hash of the boundaries that touch it, see `hash_of_boundaries`."""


def outdated_stages(
    project: Project,
    tile: str,
    *,
    before: InputsByStage,
    sky: SceneIndex,
    features: Features | None,
) -> dict[str, tuple[str, ...]]:
    """Stage -> what is not as it was made from: `scenes`, `settings`, `boundaries`.

    Args:
        project: whose settings hold now.
        tile: its key.
        before: what it was made from.
        sky: what the catalogue has now.
        features: of the boundaries as they are validated now; None: they are not, so that
            nothing is said of them.
    """
    found = project.partitioning.tile(tile)
    touching = features(found) if features else ""
    expected = recipe_of(
        project,
        scenes=sky.seen_from(found.footprint(project.pixel_grid)),
        boundaries=dict.fromkeys(chain_of(project).statistics, touching),
    )
    ignored = set() if features else {"boundaries"}
    differing = {
        stage: tuple(name for name in expected[stage].differs_by(made) if name not in ignored)
        for stage, made in before.items()
        if stage in expected
    }
    return {stage: names for stage, names in differing.items() if names}


def scenes_wanted(
    project: Project,
    sky: SceneIndex,
    recipes: Mapping[str, InputsByStage],
    *,
    why: Mapping[str, str],
    now: datetime,
) -> Iterator[TileWanted]:
    """The scenes that some tiles are to be made from.

    Args:
        project: whose tiles.
        sky: what the catalogue has now.
        recipes: what each tile was made from.
        why: tile -> what changed over it; no other tile is looked at.
        now: when that was seen, UTC.
    """
    for tile, told in why.items():
        if RAW not in recipes.get(tile, {}):
            continue
        seen = sky.seen_from(project.partitioning.tile(tile).footprint(project.pixel_grid))
        if seen != recipes[tile][RAW].scenes:
            yield _wanted(project, tile, RAW, wanted=seen, why=told, now=now)


def boundaries_wanted(
    project: Project, features: Features, recipes: Mapping[str, InputsByStage], *, now: datetime
) -> Iterator[TileWanted]:
    """The boundaries that the statistics of tiles are to be made from.

    Args:
        project: whose tiles.
        features: of the boundaries as they are validated now.
        recipes: what each tile was made from.
        now: when they were looked at, UTC.
    """
    statistics = chain_of(project).statistics
    for tile, recipe in recipes.items():
        stages = [stage for stage in statistics if stage in recipe]
        touching = features(project.partitioning.tile(tile)) if stages else ""
        for stage in stages:
            if recipe[stage].boundaries != touching:
                why = "boundaries that touch it changed"
                yield _wanted(project, tile, stage, wanted=touching, why=why, now=now)


def still_wanted(
    wanted: Iterable[TileWanted], recipes: Mapping[str, InputsByStage]
) -> list[TileWanted]:
    """Those of `wanted` that the tile has not been made from yet."""
    return [
        each for each in wanted if each.wanted != _made_from(recipes.get(each.tile, {}), each.stage)
    ]


def _made_from(recipe: InputsByStage, stage: str) -> str | None:
    """What `TileWanted.wanted` is compared with."""
    inputs = recipe.get(stage)
    if inputs is None:
        return None
    return inputs.scenes if stage == RAW else inputs.boundaries


def _wanted(
    project: Project, tile: str, stage: str, *, wanted: str, why: str, now: datetime
) -> TileWanted:
    return TileWanted(
        grid_id=project.grid_id, tile=tile, stage=stage, wanted=wanted, why=why, since=now
    )
