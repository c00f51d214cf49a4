"""The tiles as Dagster partitions: static, because they follow from a reviewed file.

Two machines that check out the same project file agree on them without asking a database.
"""

from __future__ import annotations

import dagster as dg

from spatial_assets.project import Project


def tile_partitions(project: Project) -> dg.StaticPartitionsDefinition:
    """One partition a tile, in the order of the curve: neighbours make contiguous key ranges."""
    return dg.StaticPartitionsDefinition(list(project.tile_keys))
