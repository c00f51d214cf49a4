"""Code location of a user who adds an asset; Dagster loads it as a file."""

# No `from __future__ import annotations`: Dagster reads the annotations of what it decorates.

import dagster as dg
import geopandas as gpd
import pandas as pd
import xarray as xr

from spatial_assets import definitions, tile_asset

EVERY_TICK = 5  # seconds; Dagster's default of 30 would only make a test longer


@tile_asset
def greenest(ndvi: xr.DataArray, boundaries: gpd.GeoDataFrame) -> pd.DataFrame:
    """The highest NDVI of a tile."""
    return pd.DataFrame({"greenest": [float(ndvi.max())], "boundaries": [len(boundaries)]})


follow = dg.AutomationConditionSensorDefinition(
    "default_automation_condition_sensor",
    target="*",
    minimum_interval_seconds=EVERY_TICK,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
defs = dg.Definitions.merge(definitions.defs, dg.Definitions(assets=[greenest], sensors=[follow]))
