"""`tile_asset`: decorator for user assets, partitioned by tile, downstream of the chain.

import dagster as dg, pandas as pd, xarray as xr
from spatial_assets import definitions, tile_asset

@tile_asset
def greenest(ndvi: xr.DataArray) -> pd.DataFrame:
    return pd.DataFrame({"greenest": [float(ndvi.max())]})

defs = dg.Definitions.merge(definitions.defs, dg.Definitions(assets=[greenest]))
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

import dagster as dg

from spatial_assets.assets.asset_keys import asset_key, project_tags
from spatial_assets.assets.asset_metadata import OWNERS
from spatial_assets.io_managers import TILE_IO_MANAGER
from spatial_assets.partitions import tile_partitions
from spatial_assets.project import Project, load_project

USER_ASSET_GROUP = "tile_assets"
"""Not the chain's group: these assets run one tile per run, so `--partition-range` cannot include
them."""


def tile_asset(
    function: Callable[..., object] | None = None,
    *,
    project: Project | None = None,
    **options: Any,  # noqa: ANN401 - any option of dg.asset
) -> Any:  # noqa: ANN401 - the asset, or a decorator
    """Make an asset with the project's tiles as partitions, whose arguments are loaded by name.

    `ndvi: xr.DataArray` is the tile's window of the cube (all periods, NaN for fill),
    `regions: gpd.GeoDataFrame` is the boundary set of that name, `ndvi_by_boundary: pd.DataFrame`
    has the tile's rows. A returned DataFrame is stored as Parquet, a DataArray with a CRS as
    GeoTIFF.

    It is materialized again when the data of its inputs changes, in a run of its own: in the
    chain's run it would be skipped whenever a tile is bad. As for any user asset, Dagster's
    `default_automation_condition_sensor` must be turned on.

    Args:
        function: computes the asset, and gives it its name.
        project: default: the project that $SPATIAL_ASSETS_PROJECT names.
        **options: any option of `dagster.asset`; overrides the defaults.
    """
    if function is None:
        return lambda made: tile_asset(made, project=project, **options)
    project = project or load_project()
    defaults: dict[str, Any] = {
        "key_prefix": project.project.asset_prefix or None,
        "tags": project_tags(project),
        "partitions_def": tile_partitions(project),
        "io_manager_key": TILE_IO_MANAGER,
        # No backfill policy: as it differs from the chain's, Dagster starts a run for each tile
        "automation_condition": on_changed_data(),
        "group_name": USER_ASSET_GROUP,
        "owners": OWNERS,
    }
    if "key" in options:
        del defaults["key_prefix"]
    options["ins"] = {**prefixed_inputs(function, project), **options.get("ins", {})}
    options["deps"] = [prefixed(project, each) for each in options.get("deps") or ()]
    return dg.asset(**{**defaults, **options})(function)


def prefixed_inputs(function: Callable[..., object], project: Project) -> dict[str, dg.AssetIn]:
    """Return the keys of the arguments that are assets of the project, if it has a prefix."""
    if not project.project.asset_prefix:
        return {}
    names = set(signature(function).parameters).intersection(project.asset_names)
    return {name: dg.AssetIn(key=asset_key(project, name)) for name in names}


def prefixed(project: Project, dep: object) -> object:
    """Return the key of an asset of the project that is given by its name; else `dep` itself."""
    return asset_key(project, dep) if isinstance(dep, str) and dep in project.asset_names else dep


def on_changed_data() -> dg.AutomationCondition:
    """Return the condition: inputs changed or tile never attempted, and no input in progress.

    Not `eager()`, which would follow every renewal of an unchanged tile. A tile whose last run
    failed waits until its inputs change or a person runs it; otherwise it would run at every tick.
    """
    changed = dg.AutomationCondition.any_deps_match(dg.AutomationCondition.data_version_changed())
    untried = dg.AutomationCondition.missing() & ~dg.AutomationCondition.execution_failed()
    return (
        (changed | untried).since_last_handled()
        & ~dg.AutomationCondition.any_deps_missing()
        & ~dg.AutomationCondition.any_deps_in_progress()
        & ~dg.AutomationCondition.in_progress()
    )
