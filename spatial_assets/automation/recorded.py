"""What the database says of tiles, as conditions need it: read once a tick, never at import.

To Dagster a tile in quarantine and one that failed are the same: planned, not materialized.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from spatial_assets.pipeline.outcome import State
from spatial_assets.pipeline.outdated import still_wanted
from spatial_assets.pipeline.recipes import recorded
from spatial_assets.pipeline.stages import RAW
from spatial_assets.project import Project
from spatial_assets.stores.database import Database, open_database, rows_if_any
from spatial_assets.stores.records import TileWanted

PATIENCE_SECONDS = 20.0  # for a database that others hold; Dagster gives a tick 60


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """Tiles that are not merely fresh or stale."""

    quarantined: Collection[str] = frozenset()
    """In quarantine, not released by a person, and of an input that is still the same."""

    failed: Collection[str] = frozenset()
    """Of which a stage failed when it was last tried."""

    changed: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Stage -> tile whose inputs changed -> what tells them from others."""


Records: TypeAlias = Callable[[dt.datetime], Recorded]
"""The moment of a tick -> what was recorded by then."""


class ProjectRecords:
    """What a project's database says; asked once by all conditions of a tick.

    Raises:
        DatabaseError: the database does not answer. It is then not known which tiles are in
            quarantine, so nothing may be asked for.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self._known: tuple[dt.datetime, Recorded] | None = None

    def __call__(self, moment: dt.datetime) -> Recorded:
        """What is recorded now, or was when the same tick asked before."""
        if self._known is None or self._known[0] != moment:
            self._known = (moment, read_records(self._project))
        return self._known[1]


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
        recipes = recorded(_rows(database, "tile_inputs", project, tile=tiles))
        for each in still_wanted(wanted, recipes):
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
