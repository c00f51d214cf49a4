"""`tile_asset`: an asset of one's own, tile by tile, downstream of the chain.

import dagster as dg, pandas as pd, xarray as xr
from spatial_assets import definitions, tile_asset

@tile_asset
def greenest(ndvi: xr.DataArray) -> pd.DataFrame:
    return pd.DataFrame({"greenest": [float(ndvi.max())]})

defs = dg.Definitions.merge(definitions.defs, dg.Definitions(assets=[greenest]))
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg

from spatial_assets.assets.asset_metadata import OWNERS
from spatial_assets.io_managers import TILE_IO_MANAGER
from spatial_assets.partitions import tile_partitions
from spatial_assets.project import Project, load_project

GROUP = "tile_assets"
"""Not the chain's: `--partition-range` cannot take these along, since a tile is a run of theirs."""


def tile_asset(
    function: Callable[..., object] | None = None,
    *,
    project: Project | None = None,
    **options: Any,  # noqa: ANN401 - whatever dg.asset takes
) -> Any:  # noqa: ANN401 - the asset, or the decorator that makes it
    """Make an asset with the project's tiles as partitions, whose arguments load by name.

    `ndvi: xr.DataArray` is the tile's window of the cube (all periods, NaN for fill),
    `regions: gpd.GeoDataFrame` the boundary set of that name, `ndvi_by_boundary: pd.DataFrame`
    the tile's rows. A returned DataFrame is kept as Parquet, a DataArray with a CRS as GeoTIFF.
    It follows its inputs when their data changes, in a run of its own: in the chain's run it
    would be skipped whenever a tile is bad. As any asset of yours it waits until you turn on
    Dagster's `default_automation_condition_sensor`.

    Args:
        function: what makes the asset; its name is the asset's.
        project: default: the one that $SPATIAL_ASSETS_PROJECT names.
        **options: anything `dagster.asset` takes; they win.
    """
    if function is None:
        return lambda made: tile_asset(made, project=project, **options)
    defaults: Mapping[str, Any] = {
        "partitions_def": tile_partitions(project or load_project()),
        "io_manager_key": TILE_IO_MANAGER,
        # No backfill policy: that it is not the chain's puts it in runs of its own, one a tile
        "automation_condition": on_changed_data(),
        "group_name": GROUP,
        "owners": OWNERS,
    }
    return dg.asset(**{**defaults, **options})(function)


def on_changed_data() -> dg.AutomationCondition:
    """Due when an input's data changed or the tile was never tried, and no input is being made.

    Not `eager()`: it would follow every renewal of an unchanged tile. A tile whose last run
    failed waits for a change of its inputs, or for a person: else it would run again every tick.
    """
    changed = dg.AutomationCondition.any_deps_match(dg.AutomationCondition.data_version_changed())
    untried = dg.AutomationCondition.missing() & ~dg.AutomationCondition.execution_failed()
    return (
        (changed | untried).since_last_handled()
        & ~dg.AutomationCondition.any_deps_missing()
        & ~dg.AutomationCondition.any_deps_in_progress()
        & ~dg.AutomationCondition.in_progress()
    )
