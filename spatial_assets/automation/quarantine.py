"""Tiles that went wrong, as the database has them, and the condition that leaves them alone.

To Dagster a tile in quarantine and one that failed are the same: planned, not materialized.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TypeAlias

import dagster as dg

from spatial_assets.assets.internals import EntitySubset
from spatial_assets.pipeline.outcome import State
from spatial_assets.project import Project
from spatial_assets.stores.database import Database, open_database
from spatial_assets.stores.relational import RelationalDatabase
from spatial_assets.stores.transactions import Transaction

Tiles: TypeAlias = Callable[[], Collection[str]]
"""Some tiles, as they are at the moment of the call."""

PATIENCE_SECONDS = 20.0  # for a database that others hold; Dagster gives a tick 60


@dataclass(frozen=True, eq=False)
class TileQuarantined(dg.AutomationCondition[dg.AssetKey]):
    """True for tiles in quarantine: their input is bad in a way that trying again cannot change."""

    quarantined: Tiles
    """Asked at every tick, never at import."""

    @property
    def name(self) -> str:
        """In the manner of Dagster's own conditions."""
        return "tile_quarantined"

    @property
    def description(self) -> str:
        """What is said of every condition of this kind."""
        return "In quarantine until the input changes or a person releases it"

    def get_label(self) -> str:
        """What the automation tab says."""
        return "in quarantine"

    @property
    def requires_cursor(self) -> bool:
        """Nothing is remembered."""
        return False

    def evaluate(
        self, context: dg.AutomationContext[dg.AssetKey]
    ) -> dg.AutomationResult[dg.AssetKey]:
        """The candidates that are in quarantine."""
        return dg.AutomationResult(context, among_candidates(context, self.quarantined()))


def among_candidates(
    context: dg.AutomationContext[dg.AssetKey], tiles: Collection[str]
) -> EntitySubset[dg.AssetKey]:
    """Those of `tiles` that the condition is asked about; not one that the area has no more."""
    view, definition = context.asset_graph_view, context.partitions_def
    if definition is None:
        return context.get_empty_subset()
    known = set(tiles).intersection(definition.get_partition_keys())
    chosen = view.get_subset_from_partition_keys(
        key=context.key, partitions_def=definition, partition_keys=known
    )
    return context.candidate_subset.compute_intersection(chosen)


def quarantined_tiles(project: Project) -> Collection[str]:
    """The tiles in quarantine that nobody released.

    Raises:
        DatabaseError: the database does not answer. It is then not known which they are, so
            nothing may be asked for.
    """
    with _database(project) as database:
        held = {
            str(row["subject"])
            for row in _rows(database, "quarantine", project, released_at=None, kind="tile")
        }
        return held & _in_state(database, project, State.QUARANTINED)


def failed_tiles(project: Project) -> Collection[str]:
    """The tiles of which a stage failed when it was last tried.

    Raises:
        DatabaseError: the database does not answer.
    """
    with _database(project) as database:
        return _in_state(database, project, State.FAILED)


def _database(project: Project) -> Database:
    return open_database(project.database_url, pool_size=1, lock_timeout=PATIENCE_SECONDS)


def _in_state(database: Database, project: Project, state: State) -> set[str]:
    found = _rows(database, "tile_state", project, state=str(state))
    return {str(row["tile"]) for row in found}


def _rows(
    database: Database, table: str, project: Project, **where: object
) -> list[dict[str, object]]:
    """Rows of this grid; none where there is no such table yet."""
    if isinstance(database, RelationalDatabase):
        known = database.within(_relations, write=False)
        if table not in known:
            return []
    return database.rows(table, where={"grid_id": project.grid_id, **where})


def _relations(transaction: Transaction) -> dict[str, dict[str, str]]:
    return transaction.relations()
