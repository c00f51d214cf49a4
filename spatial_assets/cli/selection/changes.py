"""Which tiles are not what their inputs are now, and why: scenes, settings, boundaries.

Only the catalogue is asked; no image is opened, and nothing is written. Boundaries count as they
were validated last.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from spatial_assets.catalog import Catalogue
from spatial_assets.cli.app.open_project import OpenProject
from spatial_assets.geo.grid.pixel_grid import Tile
from spatial_assets.pipeline.failures import MissingInputError
from spatial_assets.pipeline.freshness.outdated import HashByTile, outdated_stages
from spatial_assets.pipeline.freshness.stage_inputs import (
    SceneIndex,
    hash_of_boundaries,
    inputs_from_rows,
)
from spatial_assets.pipeline.tile.validated_boundaries import ValidatedBoundaries
from spatial_assets.stores.rows import Row

CHANGE_CAUSES = ("scenes", "settings", "boundaries")
"""In the order in which they are told."""

ChangedTiles = Mapping[str, tuple[str, ...]]
"""Tile -> why it is to be made again, of CHANGE_CAUSES."""


def changed_tiles(
    opened: OpenProject,
    catalogue: Catalogue,
    inputs: Iterable[Row],
    *,
    keys: Sequence[str],
    stages: Collection[str],
) -> ChangedTiles:
    """The tiles that were made from something else than what is there now.

    Args:
        opened: of the project whose settings hold now.
        catalogue: what it has now.
        inputs: rows of `tile_inputs`; a tile without one was never made, and is not changed.
        keys: the tiles to look at.
        stages: those that count.
    """
    sky, recipes = SceneIndex(catalogue.scene_versions), inputs_from_rows(inputs)
    features = current_features(opened)
    changed = {}
    for key in keys:
        if key not in recipes:
            continue
        found = outdated_stages(
            opened.project, key, before=recipes[key], scene_index=sky, boundary_hashes=features
        )
        named = {cause for stage, causes in found.items() if stage in stages for cause in causes}
        if named:
            changed[key] = tuple(cause for cause in CHANGE_CAUSES if cause in named)
    return changed


def current_features(opened: OpenProject) -> HashByTile | None:
    """The boundaries that touch a tile, as they are validated now; None where a set is not."""
    if not opened.project.boundaries or not opened.has_store:
        return None
    shelf = ValidatedBoundaries(opened.store, opened.project.pixel_grid)
    try:
        layers = [shelf.layer(each.name) for each in opened.project.boundaries]
    except MissingInputError:
        return None

    def touching(tile: Tile) -> str:
        return hash_of_boundaries(
            {layer.table: layer.fingerprint_of(layer.touching(tile)) for layer in layers}
        )

    return touching
