"""Reads what the database says of tiles; loaded at the first tick, with what reading takes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from spatial_assets.automation.records import Recorded
from spatial_assets.pipeline.freshness.outdated import pending_changes
from spatial_assets.pipeline.freshness.stage_inputs import inputs_from_rows
from spatial_assets.pipeline.outcome import State
from spatial_assets.pipeline.stages import RAW
from spatial_assets.project import Project
from spatial_assets.stores.rows import TileWanted
from spatial_assets.stores.tables.database import Database, open_database, rows_if_any

PATIENCE_SECONDS = 20.0  # for a database that others hold; Dagster gives a tick 60


def read_records(project: Project) -> Recorded:
    """Ask the project's database."""
    url = project.database_url
    with open_database(url, pool_size=1, lock_timeout=PATIENCE_SECONDS) as database:
        changed = _changed(database, project)
        in_force = _rows(database, "quarantine", project, released_at=None, kind="tile")
        held = {str(row["subject"]) for row in in_force}
        held &= _in_state(database, project, State.QUARANTINED)
        failed = _in_state(database, project, State.FAILED)
    return Recorded(quarantined=held - changed.get(RAW, {}).keys(), failed=failed, changed=changed)


def _changed(database: Database, project: Project) -> Mapping[str, Mapping[str, str]]:
    """Stage -> tile -> the change it is to follow."""
    wanted = [TileWanted(**row) for row in _rows(database, "tile_wanted", project)]  # type: ignore[arg-type]
    found: defaultdict[str, dict[str, str]] = defaultdict(dict)
    if wanted:
        tiles = sorted({each.tile for each in wanted})
        recipes = inputs_from_rows(_rows(database, "tile_inputs", project, tile=tiles))
        for each in pending_changes(wanted, recipes):
            found[each.stage][each.tile] = each.wanted
    return found


def _in_state(database: Database, project: Project, state: State) -> set[str]:
    found = _rows(database, "tile_state", project, state=str(state))
    return {str(row["tile"]) for row in found}


def _rows(
    database: Database, table: str, project: Project, **where: object
) -> list[dict[str, object]]:
    """Rows of this grid; none where there is no such table yet."""
    return rows_if_any(database, table, {"grid_id": project.grid_id, **where})
