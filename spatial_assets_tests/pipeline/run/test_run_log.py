"""Each run leaves a row of what it did, also one cut short, and none fails because of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest

from spatial_assets.errors import DatabaseError
from spatial_assets.pipeline.engines.engine import Engine, InlineEngine
from spatial_assets.pipeline.outcome import StageOutcome, State, TileOutcome
from spatial_assets.pipeline.run.run_log import KEPT_RUNS, RunLog
from spatial_assets.project import Project
from spatial_assets.stores.rows import RowChange
from spatial_assets.stores.tables.connect import open_database
from spatial_assets.stores.tables.database import Database
from spatial_assets.stores.tables.duckdb.database import DuckDatabase
from spatial_assets_tests.fixtures.pipeline_runs import NOON, PIXELS, rows, run_tiles, store_of
from spatial_assets_tests.fixtures.two_zone_project import (
    EAST,
    FILES,
    TWO_TILES,
    WEST,
    write_catalog,
    write_project,
)


class Clock:
    """Clock that advances by a step at each reading."""

    def __init__(self, step: dt.timedelta) -> None:
        self._step = step
        self._time = NOON

    def __call__(self) -> dt.datetime:
        self._time += self._step
        return self._time


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Two tiles under one scene."""
    catalog = write_catalog(tmp_path / "catalog", [EAST])
    return write_project(tmp_path / "project", catalog, area={"bbox": TWO_TILES})


def outcome(tile: str, state: State, *, seconds: float = 0.0, read: int = 0) -> TileOutcome:
    stage = StageOutcome(stage="raw_tile", state=state, fingerprint="f", facts={"bytes_read": read})
    return TileOutcome(tile=tile, stages=(stage,), seconds=seconds)


def log_in(database: Database, **changes: object) -> RunLog:
    clock = changes.pop("clock", Clock(dt.timedelta(seconds=1)))
    return RunLog(
        database=database,
        grid_id="g",
        owner="test",
        stages=("raw_tile",),
        workers=cast("int", changes.pop("workers", 3)),
        clock=clock,  # type: ignore[arg-type]
    )


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with open_database(f"duckdb:///{tmp_path / 'log.duckdb'}") as opened:
        opened.ensure_schema()
        yield opened


def test_a_run_records_its_owner_its_times_and_what_was_read(project: Project) -> None:
    outcomes = run_tiles(project, stages=PIXELS, now=Clock(dt.timedelta(seconds=1)))

    (row,) = rows(project, "run_log")
    stored = sum(info.size for info in store_of(project).list("raw_tile"))
    assert (row["grid_id"], row["owner"]) == (project.grid_id, "test")
    assert row["stages"] == list(PIXELS)
    assert row["tiles"] == {"materialized": 2}
    assert (row["computed"], row["workers"]) == (2, 1)
    assert row["seconds"] == pytest.approx(sum(each.seconds for each in outcomes.values()))
    assert row["bytes_read"] == stored > 0
    started, ended = row["started_at"], row["ended_at"]
    assert isinstance(started, dt.datetime)
    assert isinstance(ended, dt.datetime)
    assert NOON < started < ended


def test_what_is_unchanged_was_not_computed(project: Project) -> None:
    run_tiles(project, stages=PIXELS)
    run_tiles(project, stages=PIXELS, now=NOON + dt.timedelta(hours=1))

    again = max(rows(project, "run_log"), key=lambda row: str(row["started_at"]))
    assert again["tiles"] == {"unchanged": 2}
    assert (again["computed"], again["seconds"], again["bytes_read"]) == (0, 0.0, 0)


def test_only_good_tiles_count_as_computed(database: Database) -> None:
    ended = [
        outcome("0", State.MATERIALIZED, seconds=2.0, read=5),
        outcome("1", State.EMPTY, seconds=1.0, read=1),
        outcome("2", State.FAILED, seconds=60.0),
        outcome("3", State.QUARANTINED, seconds=9.0),
        outcome("4", State.UNCHANGED, seconds=0.5),
    ]

    assert list(log_in(database).of(each for each in ended)) == ended

    (row,) = database.rows("run_log")
    assert (row["computed"], row["seconds"], row["bytes_read"], row["workers"]) == (2, 3.0, 6, 3)
    assert row["tiles"] == {str(state): 1 for state in State}


def test_a_run_that_is_given_up_has_an_end_and_what_it_did(database: Database) -> None:
    closed: list[bool] = []

    def endless() -> Iterator[TileOutcome]:
        try:
            while True:
                yield outcome("0", State.MATERIALIZED)
        finally:
            closed.append(bool(database.rows("run_log", where={"ended_at": None})))

    noted = log_in(database).of(endless())  # type: ignore[arg-type]
    next(noted)
    noted.close()

    (row,) = database.rows("run_log")
    assert row["tiles"] == {"materialized": 1}
    assert row["ended_at"] is not None
    assert closed == [True]  # the run itself was over before it said so


def test_a_run_that_raises_has_an_end_too(database: Database) -> None:
    def broken() -> Iterator[TileOutcome]:
        yield outcome("0", State.MATERIALIZED)
        message = "the store is away"
        raise ConnectionError(message)

    with pytest.raises(ConnectionError, match="away"):
        list(log_in(database).of(broken()))  # type: ignore[arg-type]

    (row,) = database.rows("run_log")
    assert row["tiles"] == {"materialized": 1}
    assert row["ended_at"] is not None


@pytest.mark.parametrize(
    ("step", "known"),
    [
        pytest.param(dt.timedelta(minutes=1), {"materialized": 1}, id="as-it-goes"),
        pytest.param(dt.timedelta(milliseconds=1), {}, id="not-with-every-tile"),
    ],
)
def test_a_run_that_is_killed_leaves_what_it_did_until_shortly_before(
    database: Database, step: dt.timedelta, known: dict[str, int]
) -> None:
    tiles = (outcome(str(number), State.MATERIALIZED) for number in range(3))
    with closing(log_in(database, clock=Clock(step)).of(tiles)) as noted:
        next(noted)
        next(noted)  # a killed process gets no further than this

        (row,) = database.rows("run_log")

    assert row["tiles"] == known
    assert row["ended_at"] is None


def test_the_oldest_rows_are_forgotten(database: Database) -> None:
    moments = [NOON - dt.timedelta(hours=hours) for hours in range(KEPT_RUNS + 2)]
    old = [
        {
            "run": f"{number:04}",
            "owner": "test",
            "started_at": moment,
            "written_at": moment,
            "stages": [],
            "workers": 1,
            "tiles": {},
            "computed": 0,
            "seconds": 0.0,
            "bytes_read": 0,
        }
        for number, moment in enumerate(moments)
    ]
    database.replace_tile("run_log", {"grid_id": "g"}, old)
    database.replace_tile("run_log", {"grid_id": "another"}, old[-1:])

    list(log_in(database).of(outcome(tile, State.EMPTY) for tile in "0"))

    kept = database.rows("run_log", where={"grid_id": "g"})
    assert len(kept) == KEPT_RUNS
    assert min(cast("dt.datetime", row["started_at"]) for row in kept) == moments[KEPT_RUNS - 2]
    assert len(database.rows("run_log", where={"grid_id": "another"})) == 1


class Away(DuckDatabase):
    """A database that cannot be used when a run has begun."""

    def commit(self, changes: Sequence[RowChange]) -> None:
        message = f"{len(changes)} changes were not made: the database is away"
        raise DatabaseError(message)

    def rows(self, *_: object, **__: object) -> list[dict[str, object]]:
        message = "the database is away"
        raise DatabaseError(message)


def test_no_run_fails_because_it_cannot_be_noted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Away(str(tmp_path / "away.duckdb")) as away:
        noted = list(log_in(away).of(outcome(tile, State.MATERIALIZED) for tile in "01"))

    assert len(noted) == 2
    assert "run_log was not written; the run continues: 1 changes were not made" in caplog.text


def test_workers_are_those_of_the_engine(project: Project) -> None:
    class Pair(InlineEngine):
        workers = 2

    engine: Engine = Pair()
    run_tiles(project, stages=PIXELS, engine=engine)

    assert [row["workers"] for row in rows(project, "run_log")] == [2]


def test_a_bad_tile_is_counted(tmp_path: Path) -> None:
    catalog = write_catalog(tmp_path / "catalog", [WEST])
    project = write_project(tmp_path / "project", catalog, area={"bbox": TWO_TILES})
    (catalog / WEST.id / FILES["red"]).write_bytes(b"not a raster")

    run_tiles(project, stages=PIXELS)

    (row,) = rows(project, "run_log")
    assert set(cast("dict[str, int]", row["tiles"])) == {"quarantined"}
