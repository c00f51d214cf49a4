"""Tiles of unfinished runs, read off the tags of the runs.

Dagster knows the tiles of a run of assets, but not those of a run of a region's job.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import dagster as dg

from spatial_assets.assets.asset_keys import asset_key, is_foreign
from spatial_assets.assets.run_tiles import PARTITION_TAG, RANGE_END_TAG, RANGE_START_TAG
from spatial_assets.assets.specs import TILE_GROUP
from spatial_assets.automation.range_jobs import (
    FIRST_TILE_TAG,
    LAST_TILE_TAG,
    region_job_name,
)
from spatial_assets.automation.tile_quarantined import TileExclusion
from spatial_assets.pipeline.stages import RAW
from spatial_assets.project import Project

UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


@dataclass(frozen=True, eq=False)
class TileInRegionRun(TileExclusion):
    """True for tiles of an unfinished run, of the job of a region too."""

    project: Project

    @property
    def name(self) -> str:
        """Name in the style of Dagster's own conditions."""
        return "tile_in_region_run"

    @property
    def description(self) -> str:
        """Description shared by all conditions of this class."""
        return "In an unfinished run of the job of a region"

    def get_label(self) -> str:
        """Return the label for the automation tab."""
        return "excluded: in a run of a region's job"

    def tiles(self, context: dg.AutomationContext[dg.AssetKey]) -> Collection[str]:
        """Return the tiles that are being computed."""
        return tiles_in_progress(context.asset_graph_view.instance, self.project)


def tiles_in_progress(instance: dg.DagsterInstance, project: Project) -> set[str]:
    """Return the tiles of all unfinished runs of the project."""
    jobs = {TILE_GROUP, *(region_job_name(region) for region in project.regions)}
    runs = instance.get_runs(dg.RunsFilter(statuses=UNFINISHED))
    key = asset_key(project, RAW)
    tile_runs = (
        run
        for run in runs
        if not is_foreign(project, run.tags)
        and (run.job_name in jobs or key in (run.asset_selection or ()))
    )
    keys = project.tile_keys
    positions = {key: position for position, key in enumerate(keys)}
    spans = (span_of(run.tags, positions) for run in tile_runs)
    return {tile for span in spans for tile in keys[span]}


def span_of(tags: Mapping[str, str], positions: Mapping[str, int]) -> slice:
    """Return the positions of a run's tiles; an empty slice if they are not in the area.

    Args:
        tags: tags of the run.
        positions: tile key -> its position among all tiles.
    """
    one = tags.get(PARTITION_TAG, "")
    first = tags.get(RANGE_START_TAG, tags.get(FIRST_TILE_TAG, one))
    last = tags.get(RANGE_END_TAG, tags.get(LAST_TILE_TAG, one))
    if first not in positions or last not in positions:
        return slice(0)
    return slice(positions[first], positions[last] + 1)
