"""Assets that exist by the database and the store, as data versions of Dagster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from spatial_assets.cli.app.open_project import OpenProject
from spatial_assets.cli.selection.asset_options import boundary_assets
from spatial_assets.cli.selection.inventory import Inventory
from spatial_assets.pipeline.boundaries import BoundaryPipeline
from spatial_assets.pipeline.outcome import State
from spatial_assets.pipeline.stages import chain_of

GOOD_STATES = tuple(str(each) for each in (State.MATERIALIZED, State.EMPTY, State.UNCHANGED))
NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class MadeAsset:
    """A stage of a tile, or an asset of a boundary set, that exists."""

    data_version: str
    state: str
    """State in which it ended."""


@dataclass(frozen=True, kw_only=True)
class MadeAssets:
    """Everything of a project that exists."""

    sets: Mapping[str, MadeAsset]
    """Asset of a boundary set -> what was made, upstream first."""

    tiles: Mapping[str, Mapping[str, MadeAsset]]
    """Stage -> tile -> what was made, the tiles that were looked at longest ago first."""

    stale: int = 0
    """Number of tiles left out, as their inputs were last checked longer ago than allowed."""


def made_assets(opened: OpenProject, *, now: datetime) -> MadeAssets:
    """Read what exists: rows of good states whose tile has a manifest, and stored boundary sets.

    Stale tiles are left out: an event of now would make them fresh, and the run that is due of
    them reports them all the same.
    """
    project, inventory = opened.project, Inventory(opened)
    looked_at = {tile: found.looked_at for tile, found in inventory.inputs.items()}
    has_window = project.freshness.tiles is not None
    fresh = [
        tile
        for tile in inventory.keys_with_manifest
        if not has_window or looked_at.get(tile, NEVER) + project.tile_window(tile) >= now
    ]
    order = sorted(fresh, key=lambda tile: (looked_at.get(tile, NEVER), tile))
    where = {"grid_id": project.grid_id, "state": GOOD_STATES}
    rows = opened.database.rows_if_any(
        "tile_state", where, columns=("tile", "stage", "state", "fingerprint")
    )
    found = {
        (str(row["stage"]), str(row["tile"])): MadeAsset(str(row["fingerprint"]), str(row["state"]))
        for row in rows
        if row["fingerprint"]
    }
    return MadeAssets(
        sets=made_sets(opened),
        tiles={
            stage: {tile: found[stage, tile] for tile in order if (stage, tile) in found}
            for stage in chain_of(project).stages
        },
        stale=len(inventory.keys_with_manifest) - len(fresh),
    )


def made_sets(opened: OpenProject) -> dict[str, MadeAsset]:
    """Map the assets of boundary sets that exist to their data versions, upstream first."""
    found = {}
    for settings in opened.project.boundaries if opened.has_store else ():
        pipeline = BoundaryPipeline(
            project=opened.project, settings=settings, store=opened.store, clock=lambda: NEVER
        )
        raw, validated, table = boundary_assets(settings.name)
        versions = dict(zip((raw, validated), pipeline.stored_fingerprints(), strict=True))
        if opened.database.rows_if_any(settings.name, {}, columns=("boundary_key",)):
            versions[table] = versions[validated]
        for name, version in versions.items():
            if version:
                found[name] = MadeAsset(version, str(State.MATERIALIZED))
    return found
