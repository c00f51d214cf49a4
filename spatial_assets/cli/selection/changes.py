"""Tiles whose current inputs differ from those they were made from: scenes, settings, boundaries.

Searches the catalogue; opens no image and writes nothing. Boundaries count as last validated.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from spatial_assets.catalog import Catalogue
from spatial_assets.cli.app.open_project import OpenProject
from spatial_assets.geo.grid.pixel_grid import Tile
from spatial_assets.pipeline.failures import MissingInputError
from spatial_assets.pipeline.freshness.former_code import AcceptedCode, FormerCode
from spatial_assets.pipeline.freshness.outdated import HashByTile, outdated_stages
from spatial_assets.pipeline.freshness.stage_inputs import (
    SceneIndex,
    hash_of_boundaries,
    inputs_from_rows,
)
from spatial_assets.pipeline.tile.validated_boundaries import ValidatedBoundaries
from spatial_assets.stores.rows import Row

CHANGE_CAUSES = ("scenes", "settings", "boundaries")
"""Causes of a change, in the order in which they are reported."""

ChangedTiles = Mapping[str, tuple[str, ...]]
"""Tile -> its causes: of CHANGE_CAUSES, then `code: <stage>` for stages whose code changed."""


def changed_tiles(
    opened: OpenProject,
    catalogue: Catalogue,
    inputs: Iterable[Row],
    *,
    keys: Sequence[str],
    stages: Collection[str],
) -> ChangedTiles:
    """Find the tiles that were made from other inputs than the current ones.

    Args:
        opened: the project with its current settings.
        catalogue: current contents of the catalogue.
        inputs: rows of `tile_inputs`; a tile without a row was never made and is not changed.
        keys: tiles to compare.
        stages: stages that count.
    """
    scene_index, recorded = SceneIndex(catalogue.scene_versions), inputs_from_rows(inputs)
    boundary_hashes = current_boundary_hashes(opened)
    accepted = AcceptedCode.load(opened.store) if opened.has_store else AcceptedCode()
    former = FormerCode(opened.project, accepted)
    changed = {}
    for key in keys:
        if key not in recorded:
            continue
        outdated = outdated_stages(
            opened.project,
            key,
            before=recorded[key],
            scene_index=scene_index,
            boundary_hashes=boundary_hashes,
            former=former,
        )
        found = {cause for stage, causes in outdated.items() if stage in stages for cause in causes}
        if found:
            known = [cause for cause in CHANGE_CAUSES if cause in found]
            changed[key] = (*known, *sorted(found.difference(known)))
    return changed


def current_boundary_hashes(opened: OpenProject) -> HashByTile | None:
    """Return the hash of the validated boundaries by tile; None if a set is not validated."""
    if not opened.project.boundaries or not opened.has_store:
        return None
    validated = ValidatedBoundaries(opened.store, opened.project.pixel_grid)
    try:
        layers = [validated.layer(each.name) for each in opened.project.boundaries]
    except MissingInputError:
        return None

    def hash_of_tile(tile: Tile) -> str:
        return hash_of_boundaries(
            {layer.table: layer.fingerprint_of(layer.touching(tile)) for layer in layers}
        )

    return hash_of_tile
