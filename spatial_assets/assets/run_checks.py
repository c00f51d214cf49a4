"""Checks made once per run, over all tiles: the tables that tiles add rows to.

They run within the chain's own step: a range run leaves no step output, so Dagster would skip a
check in a separate step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from spatial_assets.geo.verdict import Verdict
from spatial_assets.pipeline.outcome import CheckOutcome
from spatial_assets.pipeline.stages import TILE_INDEX, by_boundary
from spatial_assets.project import Project

if TYPE_CHECKING:
    from spatial_assets.stores.tables.database import Database
    from spatial_assets.stores.tables.inspection import TableFacts


NO_ORPHANS = "no_orphans"
PARTS_FIT = "parts_fit"
SAME_TILES = "same_tiles"
TABLE_IS_SOUND = "table_is_sound"
TABLE_IS_SOUND_DESCRIPTION = (
    "Columns and reference system are as declared, and a spatial query uses the spatial index."
)

MAX_COVERED_FRACTION = 1.001
"""Pixels cannot cover more than the boundary itself; the excess allows for curved long edges."""

MAX_EVIDENCE_NAMES = 20
"""Names listed in the evidence; the counts cover all of them."""


def judge_tables(project: Project, database: Database) -> Iterator[CheckOutcome]:
    """Judge the tables as they are at the end of a run."""
    found = database.rows(TILE_INDEX, columns=("grid_id", "tile"))
    verdict = judge_orphans(project, [(str(row["grid_id"]), str(row["tile"])) for row in found])
    yield CheckOutcome(check=NO_ORPHANS, stage=TILE_INDEX, verdict=verdict)
    sound = judge_table(database.inspect_table(TILE_INDEX))
    yield CheckOutcome(check=TABLE_IS_SOUND, stage=TILE_INDEX, verdict=sound)
    names = project.indices.names
    if len(names) > 1:
        index_rows = database.rows(TILE_INDEX, columns=("index_name", "tile", "period"))
        for index in names[1:]:
            verdict = judge_same_tiles(index_rows, index, than=names[0])
            yield CheckOutcome(check=SAME_TILES, stage=index, verdict=verdict)
    if not project.boundaries:
        return
    for index in names:
        stage = by_boundary(index)
        verdict = judge_parts(database.rows(f"{stage}_merged"))
        yield CheckOutcome(check=PARTS_FIT, stage=stage, verdict=verdict, severe=True)


def judge_table(facts: TableFacts) -> Verdict:
    """Judge that a table is as declared, and that spatial queries use its index."""
    used = {True: "used", False: "unused or missing", None: "not required"}
    return Verdict(
        passed=facts.is_sound,
        evidence={
            "differing_columns": "; ".join(facts.differing) or "none",
            "srids": ", ".join(map(str, facts.srids)) or "no rows",
            "spatial_index": used[facts.uses_index],
            "plan": facts.plan,
        },
    )


def judge_orphans(project: Project, tiles: Sequence[tuple[str, str]]) -> Verdict:
    """Judge that every row of `tile_index` belongs to this grid and to a tile of the area.

    Args:
        project: the project whose grid and tiles are expected.
        tiles: (grid, tile) of the rows.
    """
    known = set(project.tile_keys)
    of_other_grids = sorted({tile for grid, tile in tiles if grid != project.grid_id})
    gone = sorted({tile for grid, tile in tiles if grid == project.grid_id} - known)
    return Verdict(
        passed=not of_other_grids and not gone,
        evidence={
            "tiles": len(tiles),
            "of_another_grid": len(of_other_grids),
            "not_of_the_area": len(gone),
            "such_as": ", ".join([*of_other_grids, *gone][:MAX_EVIDENCE_NAMES]) or "none",
            "remedy": "spatial-assets prune removes tiles that left the area",
        },
    )


def judge_same_tiles(rows: Sequence[Mapping[str, object]], index: str, *, than: str) -> Verdict:
    """Judge that an index has the tiles and periods of another, whose range check covers both.

    Args:
        rows: rows of `tile_index`: index_name, tile, period.
        index: index to judge.
        than: index to compare it with.
    """
    found = {
        name: {(str(row["tile"]), str(row["period"])) for row in rows if row["index_name"] == name}
        for name in (index, than)
    }
    differing = sorted(found[index] ^ found[than])
    return Verdict(
        passed=not differing,
        evidence={
            "tiles_and_periods": len(found[index]),
            "differing": len(differing),
            "such_as": ", ".join(
                f"{tile} {period}" for tile, period in differing[:MAX_EVIDENCE_NAMES]
            )
            or "none",
            "compared_with": than,
        },
    )


def judge_parts(merged: Sequence[Mapping[str, object]]) -> Verdict:
    """Judge that the pixels of all tiles cover no boundary more than once.

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
            "over": ", ".join(sorted(over)[:MAX_EVIDENCE_NAMES]) or "none",
        },
    )
