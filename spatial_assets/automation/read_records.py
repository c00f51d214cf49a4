"""Read the records of tiles from the database.

A module of its own because it imports database libraries, which the first tick loads.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from spatial_assets.automation.records import Recorded
from spatial_assets.pipeline.freshness.outdated import pending_changes
from spatial_assets.pipeline.freshness.stage_inputs import inputs_from_rows
from spatial_assets.pipeline.outcome import State
from spatial_assets.pipeline.quarantine_subjects import held_tiles
from spatial_assets.pipeline.stages import RAW, chain_of
from spatial_assets.project import Project
from spatial_assets.stores.claims import Claimant
from spatial_assets.stores.rows import TileWanted
from spatial_assets.stores.tables.connect import open_database
from spatial_assets.stores.tables.database import Database

TICK_LOCK_TIMEOUT_SECONDS = 20.0  # for a database locked by others; Dagster gives a tick 60


def read_records(project: Project) -> Recorded:
    """Read the records of a project from its database."""
    url = project.database_url
    with open_database(url, pool_size=1, lock_timeout=TICK_LOCK_TIMEOUT_SECONDS) as database:
        database.verify_claim(Claimant.of(project))
        changed = _changed(database, project)
        unreleased = _rows(database, "quarantine", project, released_at=None, kind="tile")
        bad = _in_state(database, project, State.QUARANTINED)
        quarantined = held_tiles(bad, unreleased, chain_of(project))
        failed = {str(row["tile"]) for row in _in_state(database, project, State.FAILED)}
    return Recorded(
        quarantined=quarantined - changed.get(RAW, {}).keys(), failed=failed, changed=changed
    )


def _changed(database: Database, project: Project) -> Mapping[str, Mapping[str, str]]:
    """Return stage -> tile -> identifier of the change that the tile has yet to follow."""
    wanted = [TileWanted(**row) for row in _rows(database, "tile_wanted", project)]  # type: ignore[arg-type]
    found: defaultdict[str, dict[str, str]] = defaultdict(dict)
    if wanted:
        tiles = sorted({each.tile for each in wanted})
        inputs = inputs_from_rows(_rows(database, "tile_inputs", project, tile=tiles))
        for each in pending_changes(wanted, inputs):
            found[each.stage][each.tile] = each.wanted
    return found


def _in_state(database: Database, project: Project, state: State) -> list[dict[str, object]]:
    """Return the rows of the stages of this project in one state."""
    stages = list(chain_of(project).stages)
    return _rows(database, "tile_state", project, state=str(state), stage=stages)


def _rows(
    database: Database, table: str, project: Project, **where: object
) -> list[dict[str, object]]:
    """Return the rows of this grid; none if the table does not exist yet."""
    return database.rows_if_any(table, {"grid_id": project.grid_id, **where})
