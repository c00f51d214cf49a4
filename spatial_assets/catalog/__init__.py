"""Scenes: found in a catalogue, understood, inspected and read.

The pieces that need GDAL or HTTP are imported where they are used: this package is light.
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
