"""The condition that leaves tiles in quarantine alone."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import dagster as dg

from spatial_assets.assets.dagster_internals import EntitySubset
from spatial_assets.automation.records import Records


@dataclass(frozen=True, eq=False)
class TileQuarantined(dg.AutomationCondition[dg.AssetKey]):
    """True for tiles in quarantine: their input is bad in a way that trying again cannot change."""

    records: Records
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
        return "left alone: in quarantine"

    @property
    def requires_cursor(self) -> bool:
        """Nothing is remembered."""
        return False

    def evaluate(
        self, context: dg.AutomationContext[dg.AssetKey]
    ) -> dg.AutomationResult[dg.AssetKey]:
        """The candidates that are in quarantine."""
        held = self.records(context.evaluation_time).quarantined
        return dg.AutomationResult(context, among_candidates(context, held))


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
