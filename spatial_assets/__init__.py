"""Satellite scenes to a governed NDVI cube and database tables, tile by tile, as Dagster assets."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spatial_assets.assets.tile_asset import tile_asset


__version__ = "0.1.0"
__all__ = ["__version__", "tile_asset"]


def __getattr__(name: str) -> object:
    """Import `tile_asset`, and Dagster with it, only on first use."""
    if name == "tile_asset":
        return import_module("spatial_assets.assets.tile_asset").tile_asset
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
