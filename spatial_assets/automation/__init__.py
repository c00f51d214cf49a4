"""What is made without being asked for, and why: conditions and sensors.

Decisions are pure functions in pipeline/; here their facts are gathered and Dagster is told.
"""

from spatial_assets.automation.conditions import chain_conditions, tile_refresh, with_conditions
from spatial_assets.automation.sensors import SENSOR, arrival_sensors, tile_automation
from spatial_assets.automation.tile_due import TileDue
from spatial_assets.automation.tile_quarantined import TileQuarantined

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
