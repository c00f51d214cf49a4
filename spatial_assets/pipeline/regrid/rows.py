"""Rows of tiles after the time axis moved: its start is one of the settings they were made with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta

from spatial_assets.pipeline.freshness.stage_inputs import (
    InputsByStage,
    inputs_from_rows,
    inputs_row,
    stage_settings,
)
from spatial_assets.project import Project
from spatial_assets.stores.cube.regrid import CubeMove
from spatial_assets.stores.rows import RowChange, TileInputs, Upsert
from spatial_assets.stores.tables.database import Database

BEFORE_AXIS = "before_time_axis"
"""Reason of the quarantine of scenes that are older than the time axis."""

TILES_PER_CHANGE = 5_000


def inputs_on_new_axis(project: Project, database: Database, axis: CubeMove) -> Iterator[RowChange]:
    """Yield the recorded inputs of tiles with the settings of the new start.

    Only hashes that differ by the start alone are replaced: a tile that is due for another setting
    stays due. If scenes were left out as older than the axis, nothing is replaced: with an earlier
    start they may be used, and the runs of the tiles find out.
    """
    if axis.shift == 0:
        return
    where = {"grid_id": project.grid_id}
    left_out = {"kind": "scene", "reason": BEFORE_AXIS, "released_at": None}
    if axis.shift > 0 and database.rows("quarantine", {**where, **left_out}, columns=["subject"]):
        return
    renamed = _renamed_settings(project, axis)
    rows = database.rows("tile_inputs", where)
    times = {str(row["tile"]): row["looked_at"] for row in rows}
    changed: list[TileInputs] = []
    for tile, inputs in inputs_from_rows(rows).items():
        moved = _moved(inputs, renamed)
        at = times[tile]
        if moved != inputs and isinstance(at, datetime):
            changed.append(inputs_row(moved, grid_id=project.grid_id, tile=tile, looked_at=at))
    for first in range(0, len(changed), TILES_PER_CHANGE):
        yield Upsert("tile_inputs", changed[first : first + TILES_PER_CHANGE])


def _moved(inputs: InputsByStage, renamed: dict[tuple[str, str], str]) -> InputsByStage:
    return {
        stage: replace(each, settings=renamed.get((stage, each.settings), each.settings))
        for stage, each in inputs.items()
    }


def _renamed_settings(project: Project, axis: CubeMove) -> dict[tuple[str, str], str]:
    """Map the stage and hash of settings under the old start to the hash under the new one.

    The old start was any day of the first stored period, or not set.
    """
    now = stage_settings(project)
    first, last = axis.old.periods.first_day(0), axis.old.periods.last_day(0)
    days: list[date | None] = [None, *_days(first, last)]
    renamed: dict[tuple[str, str], str] = {}
    for day in days:
        time = project.time.model_copy(update={"start": day})
        before = stage_settings(project.model_copy(update={"time": time}))
        renamed |= {(stage, settings): now[stage] for stage, settings in before.items()}
    return renamed


def _days(first: date, last: date) -> Iterator[date]:
    day = first
    while day <= last:
        yield day
        day += timedelta(days=1)


def states_of_fewer_units(
    database: Database, grid_id: str, whole: Mapping[tuple[str, str], tuple[str, str]]
) -> Iterator[RowChange]:
    """Yield the states of stages that lost units, so that their rows count as present.

    Args:
        database: holds the states.
        grid_id: of the project.
        whole: (tile, stage) -> fingerprint of the whole stage before and after.
    """
    rows = database.rows("tile_state", {"grid_id": grid_id}) if whole else []
    changed: list[Mapping[str, object]] = []
    for row in rows:
        before, after = whole.get((str(row["tile"]), str(row["stage"])), ("", ""))
        if before and row["fingerprint"] == before != after:
            changed.append({**row, "fingerprint": after})
    for first in range(0, len(changed), TILES_PER_CHANGE):
        yield Upsert("tile_state", changed[first : first + TILES_PER_CHANGE])
