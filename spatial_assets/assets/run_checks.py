"""What is judged once a run, over all tiles: the tables that tiles add rows to.

Within the chain's own step, because a range run leaves no step output, and Dagster would skip a
check in a step of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from spatial_assets.geo.verdict import Verdict
from spatial_assets.pipeline.outcome import CheckOutcome
from spatial_assets.pipeline.stages import TILE_INDEX, by_boundary
from spatial_assets.project import Project
from spatial_assets.stores.database import Database

NO_ORPHANS = "no_orphans"
PARTS_FIT = "parts_fit"

MAX_COVERED_FRACTION = 1.001
"""A boundary's pixels cannot cover more than the boundary: the rest is the curve of long edges."""

SHOWN = 20
"""Names in an evidence; the rest is counted."""


def judge_tables(project: Project, database: Database) -> Iterator[CheckOutcome]:
    """Judge what the database holds at the end of a run."""
    found = database.rows(TILE_INDEX, columns=("grid_id", "tile"))
    verdict = judge_orphans(project, [(str(row["grid_id"]), str(row["tile"])) for row in found])
    yield CheckOutcome(check=NO_ORPHANS, stage=TILE_INDEX, verdict=verdict)
    if not project.boundaries:
        return
    for index in project.indices.names:
        stage = by_boundary(index)
        verdict = judge_parts(database.rows(f"{stage}_merged"))
        yield CheckOutcome(check=PARTS_FIT, stage=stage, verdict=verdict, severe=True)


def judge_orphans(project: Project, tiles: Sequence[tuple[str, str]]) -> Verdict:
    """Whether every row of `tile_index` is of this grid and of a tile that the area still has.

    Args:
        project: whose grid and tiles they should be.
        tiles: (grid, tile) of the rows.
    """
    known = set(project.partitioning.keys)
    of_other_grids = sorted({tile for grid, tile in tiles if grid != project.grid_id})
    gone = sorted({tile for grid, tile in tiles if grid == project.grid_id} - known)
    return Verdict(
        passed=not of_other_grids and not gone,
        evidence={
            "tiles": len(tiles),
            "of_another_grid": len(of_other_grids),
            "not_of_the_area": len(gone),
            "such_as": ", ".join([*of_other_grids, *gone][:SHOWN]) or "none",
            "remedy": "spatial-assets prune removes tiles that left the area",
        },
    )


def judge_parts(merged: Sequence[Mapping[str, object]]) -> Verdict:
    """Whether no boundary is covered more than once by the pixels of all tiles.

    Args:
        merged: rows of the view that adds up the parts.
    """
    covered = {
        f"{row['boundary_table']}/{row['boundary_key']} {row['period']}": float(
            str(row["covered_fraction"])
        )
        for row in merged
        if row["covered_fraction"] is not None
    }
    over = [name for name, share in covered.items() if share > MAX_COVERED_FRACTION]
    return Verdict(
        passed=not over,
        evidence={
            "boundaries": len(merged),
            "largest_covered_fraction": max(covered.values(), default=0.0),
            "allowed": MAX_COVERED_FRACTION,
            "over": ", ".join(sorted(over)[:SHOWN]) or "none",
        },
    )
