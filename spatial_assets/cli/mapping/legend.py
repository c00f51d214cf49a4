"""What a map's colours mean, the same on paper and in a browser."""

from __future__ import annotations

from spatial_assets.cli.selection.standing import Standing
from spatial_assets.cli.shell.words import counted
from spatial_assets.project import Project

TICKS = (-0.2, 0.0, 0.2, 0.4, 0.6, 0.8)
MEANINGS = {"ndvi": {-0.2: "water", 0.2: "bare soil", 0.8: "dense leaves"}}
"""Of an index: what a value stands for."""

TROUBLE = {
    Standing.FAILED: (214, 69, 48),
    Standing.QUARANTINED: (232, 146, 22),
    Standing.MISSING: (120, 120, 120),
    Standing.EMPTY: (96, 130, 182),
}
"""Colour of a tile that is not all there; the others are seen through."""


def subtitle_of(project: Project) -> str:
    """How the values were made, and what the lines are."""
    time = project.time
    made = f"{time.composite} of the clear looks of each {time.period}"
    tiles = counted(len(project.partitioning.keys), "tile")
    return f"{made[0].upper()}{made[1:]}; {tiles}, each a partition of its own"
