"""Satellite scenes to a governed NDVI cube and database tables, tile by tile, as Dagster assets."""

__version__ = "0.1.0"
