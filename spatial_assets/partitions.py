"""The tiles as Dagster partitions: static, because they follow from a reviewed file.

Two machines with the same project file agree on them without a database.
"""

from __future__ import annotations

import dagster as dg

from spatial_assets.project import Project


def tile_partitions(project: Project) -> dg.StaticPartitionsDefinition:
    """Return one partition per tile, in curve order, so that neighbours form ranges of keys."""
    return dg.StaticPartitionsDefinition(list(project.tile_keys))
