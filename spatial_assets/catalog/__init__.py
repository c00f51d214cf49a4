"""Scenes: found in a catalogue, parsed, inspected and read.

Modules that need GDAL or HTTP are not imported here.
"""

from spatial_assets.catalog.scene import (
    BandSource,
    Catalogue,
    RejectedScene,
    Scene,
    SceneVersion,
    SupersededScene,
)
from spatial_assets.catalog.sources.search import find_scenes

__all__ = [
    "BandSource",
    "Catalogue",
    "RejectedScene",
    "Scene",
    "SceneVersion",
    "SupersededScene",
    "find_scenes",
]
