"""The condition that excludes tiles in quarantine, and what conditions that exclude tiles share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection
from dataclasses import dataclass

import dagster as dg

from spatial_assets.automation.records import Records
from spatial_assets.instance.dagster_internals import EntitySubset


class TileExclusion(dg.AutomationCondition[dg.AssetKey]):
    """True for tiles that are read anew at every tick; it keeps no state."""

    @abstractmethod
    def tiles(self, context: dg.AutomationContext[dg.AssetKey]) -> Collection[str]:
        """Return the tiles to exclude; those that left the area are ignored."""

    @property
    def requires_cursor(self) -> bool:
        """False: the condition keeps no state."""
        return False

    def evaluate(
        self, context: dg.AutomationContext[dg.AssetKey]
    ) -> dg.AutomationResult[dg.AssetKey]:
        """Return the candidates to exclude."""
        return dg.AutomationResult(context, among_candidates(context, self.tiles(context)))


@dataclass(frozen=True, eq=False)
class TileQuarantined(TileExclusion):
    """True for tiles in quarantine: their input is bad, and a retry would not change that."""

    records: Records
    """Called at every tick, never at import."""

    @property
    def name(self) -> str:
        """Name in the style of Dagster's own conditions."""
        return "tile_quarantined"

    @property
    def description(self) -> str:
        """Description shared by all conditions of this class."""
        return "In quarantine until the input changes or a person releases it"

    def get_label(self) -> str:
        """Return the label for the automation tab."""
        return "excluded: in quarantine"

    def tiles(self, context: dg.AutomationContext[dg.AssetKey]) -> Collection[str]:
        """Return the tiles in quarantine."""
        return self.records(context.evaluation_time).quarantined


def among_candidates(
    context: dg.AutomationContext[dg.AssetKey], tiles: Collection[str]
) -> EntitySubset[dg.AssetKey]:
    """Return the candidates among `tiles`; tiles that left the area are ignored."""
    view, definition = context.asset_graph_view, context.partitions_def
    if definition is None:
        return context.get_empty_subset()
    known = set(tiles).intersection(definition.get_partition_keys())
    chosen = view.get_subset_from_partition_keys(
        key=context.key, partitions_def=definition, partition_keys=known
    )
    return context.candidate_subset.compute_intersection(chosen)
