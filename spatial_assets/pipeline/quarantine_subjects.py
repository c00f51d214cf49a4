"""Subjects of the quarantine of tiles: a tile as a whole, or one stage of it.

Pure, and light enough for every command and sensor; the records are made in `quarantine`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Container, Iterable, Mapping

from spatial_assets.pipeline.outcome import UPSTREAM
from spatial_assets.pipeline.stages import RAW, REPROJECTED_RASTER, Chain
from spatial_assets.stores.rows import Row


def tile_subject(tile: str, stage: str) -> str:
    """Return the subject of a quarantine: the tile, or `<tile>/<stage>` if other stages go on.

    All stages depend on `raw_tile` and `reprojected_raster`. Records of earlier versions name the
    tile for every stage.
    """
    return tile if stage in {RAW, REPROJECTED_RASTER} else f"{tile}/{stage}"


def tile_of_subject(subject: str) -> str:
    """Return the tile of a subject of kind `tile`."""
    return subject.partition("/")[0]


def stage_of_subject(subject: str) -> str:
    """Return the stage that a subject of kind `tile` names; empty if it is the tile."""
    return subject.partition("/")[2]


def is_in_force(subjects: Container[str], tile: str, stage: str) -> bool:
    """Return True if one of the subjects is a stage of a tile, or the tile as a whole."""
    return tile in subjects or tile_subject(tile, stage) in subjects


def is_held(tile: str, state: Row, subjects: Collection[str]) -> bool:
    """Return True if a stage in state `quarantined` is in quarantine, and was not released.

    Args:
        tile: its tile.
        state: its row of `tile_state`.
        subjects: those in quarantine of the tile.
    """
    if str(state["reason"] or "").startswith(UPSTREAM):
        return bool(subjects)
    return is_in_force(subjects, tile, str(state["stage"]))


def subjects_by_tile(records: Iterable[Row]) -> Mapping[str, Collection[str]]:
    """Map each tile to its subjects among some records, those of its stages included."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for row in records:
        if row["kind"] == "tile":
            subject = str(row["subject"])
            found[tile_of_subject(subject)].add(subject)
    return found


def held_tiles(states: Iterable[Row], records: Iterable[Row], chain: Chain) -> set[str]:
    """Return the tiles of which no index can be made, as their input is in quarantine.

    A tile of which one index is in quarantine and others are not is not among them.

    Args:
        states: rows of `tile_state` in state `quarantined`.
        records: records in force.
        chain: the stages of the project.
    """
    subjects = subjects_by_tile(records)
    bad: defaultdict[str, set[str]] = defaultdict(set)
    for row in states:
        tile = str(row["tile"])
        if row["stage"] in chain.stages and is_held(tile, row, subjects.get(tile, ())):
            bad[tile].add(str(row["stage"]))
    shared = {RAW, REPROJECTED_RASTER}
    return {tile for tile, stages in bad.items() if stages & shared or stages >= set(chain.indices)}
