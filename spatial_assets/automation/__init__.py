"""What is made without being asked for, and why: conditions and sensors.

Decisions are pure functions in pipeline/; here their facts are gathered and Dagster is told.
"""

from spatial_assets.automation.arrivals import arrival_sensors
from spatial_assets.automation.quarantine import TileQuarantined
from spatial_assets.automation.refresh import (
    SENSOR,
    chain_conditions,
    tile_automation,
    tile_refresh,
    with_conditions,
)
from spatial_assets.automation.tile_due import TileDue

__all__ = [
    "SENSOR",
    "TileDue",
    "TileQuarantined",
    "arrival_sensors",
    "chain_conditions",
    "tile_automation",
    "tile_refresh",
    "with_conditions",
]
