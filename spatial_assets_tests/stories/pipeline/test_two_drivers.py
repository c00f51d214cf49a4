"""Concurrent drivers, and drivers that die: a tile has one writer, and nothing is partial."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest

from spatial_assets.errors import LeaseHeldError
from spatial_assets.pipeline.engines.engine import InlineEngine, Results
from spatial_assets.pipeline.outcome import State
from spatial_assets.pipeline.run.tile_leases import LEASE_TTL, TileLeases
from spatial_assets.pipeline.tile.task import TileTask
from spatial_assets.project import Project
from spatial_assets.stores.objects.leases import acquire
from spatial_assets.stores.objects.store import ObjectStore, open_store
from spatial_assets_tests.fixtures.pipeline_runs import (
    NOON,
    computed_stages,
    failure_of,
    pixels,
    read_cube,
    rows,
    run_tiles,
    states,
    store_of,
    stored_objects,
)
from spatial_assets_tests.fixtures.two_zone_project import TWO_TILES, write_project
from spatial_assets_tests.servers.process import REPOSITORY

Job = TypeVar("Job")
Result = TypeVar("Result")

FINE = {"pixel_zoom": 11, "chunk": 128, "shard": 256, "level": 11}
"""The area in a dozen tiles."""


def driver(project: Project, *, workers: int) -> subprocess.Popen[str]:
    """A driver in a process of its own."""
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "spatial_assets_tests.stories.pipeline.driver_process",
            str(project.root),
            str(workers),
        ],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def answer(process: subprocess.Popen[str]) -> dict[str, str]:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    found = json.loads(out)
    assert isinstance(found, dict)
    return found


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def test_two_drivers_at_once_make_what_one_makes(shared_catalog: Path, tmp_path: Path) -> None:
    alone = write_project(tmp_path / "alone", shared_catalog, grid=FINE)
    run_tiles(alone)
    project = write_project(tmp_path / "both", shared_catalog, grid=FINE)

    answers = [answer(each) for each in [driver(project, workers=1), driver(project, workers=0)]]

    tiles = set(project.partitioning.keys)
    for found in answers:
        assert set(found) == tiles
        assert set(found.values()) <= {"materialized", "unchanged"}
    done = [{tile for tile, state in each.items() if state == "materialized"} for each in answers]
    assert done[0] | done[1] == tiles
    assert pixels(project) == pixels(alone)
    keys = ("tile", "index_name", "period", "valid_fraction", "fingerprint")
    assert [[row[key] for key in keys] for row in rows(project, "tile_index")] == [
        [row[key] for key in keys] for row in rows(alone, "tile_index")
    ]
    assert {row["state"] for row in rows(project, "tile_state")} == {"materialized"}
    assert states(run_tiles(project, now=now())) == {State.UNCHANGED}


def test_a_driver_killed_in_the_middle_is_taken_over_and_only_the_rest_is_made(
    shared_catalog: Path, tmp_path: Path
) -> None:
    project = write_project(tmp_path / "project", shared_catalog, grid=FINE)
    process = driver(project, workers=0)
    manifests = Path(project.storage_url) / "manifests"
    deadline = time.monotonic() + 60
    while len(list(manifests.glob("*.json"))) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.wait()
    process.communicate()
    finished = {path.stem for path in manifests.glob("*.json")}
    tiles = set(project.partitioning.keys)
    assert 3 <= len(finished) < len(tiles)

    at_once = run_tiles(project, now=now())

    # what it had in hand when it died is its own until the lease runs out
    held = {tile for tile, outcome in at_once.items() if outcome.state is State.FAILED}
    assert len(held) <= 1
    for tile in held:
        assert failure_of(at_once[tile])[0] == "lease_held"
    assert set(computed_stages(at_once)) - held == tiles - finished - held

    later = run_tiles(project, now=now() + LEASE_TTL)

    assert set(computed_stages(later)) == held - finished
    assert states(later) <= {State.MATERIALIZED, State.UNCHANGED}
    whole = write_project(tmp_path / "whole", shared_catalog, grid=FINE)
    run_tiles(whole)
    assert np.array_equal(read_cube(project)[0], read_cube(whole)[0])
    assert set(pixels(project)) == set(pixels(whole))


class Clock:
    """A clock that is put forward by hand."""

    def __init__(self) -> None:
        self.time = NOON

    def __call__(self) -> dt.datetime:
        return self.time


class Interloper(InlineEngine):
    """A worker that takes an hour, in which another driver gets hold of its tile."""

    def __init__(self, store: ObjectStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def run(self, work: Callable[[Job], Result], jobs: Iterable[Job]) -> Results[Job, Result]:
        for job, result in super().run(work, jobs):
            if isinstance(job, TileTask):
                self._clock.time += dt.timedelta(hours=1)
                name = f"tile/{job.tile.key}"
                acquire(self._store, name, owner="other", ttl=LEASE_TTL, clock=self._clock)
            yield job, result


def test_a_driver_that_lost_its_lease_does_not_commit_the_tile(
    shared_catalog: Path, tmp_path: Path
) -> None:
    project = write_project(tmp_path / "project", shared_catalog, area={"bbox": TWO_TILES})
    key = project.partitioning.keys[0]
    clock = Clock()
    engine = Interloper(store_of(project), clock)

    outcomes = run_tiles(project, keys=[key], engine=engine, now=clock)

    assert failure_of(outcomes[key])[0] == "lease_held"
    assert not [path for path in stored_objects(project) if path.startswith("manifests/")]
    assert rows(project, "tile_index") == []


def test_a_lease_outlives_its_time_while_its_driver_lives(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    ttl = dt.timedelta(seconds=0.4)
    with TileLeases(store, owner="slow", clock=now, ttl=ttl, interval=0.05) as leases:
        leases.take("1202")
        time.sleep(1.0)
        with pytest.raises(LeaseHeldError, match="slow"):
            acquire(store, "tile/1202", owner="eager", ttl=ttl, clock=now)

    acquire(store, "tile/1202", owner="eager", ttl=ttl, clock=now)


def test_a_tile_that_another_driver_holds_is_waited_for(
    shared_catalog: Path, tmp_path: Path
) -> None:
    project = write_project(tmp_path / "project", shared_catalog, area={"bbox": TWO_TILES})
    first, second = project.partitioning.keys
    acquire(
        store_of(project),
        f"tile/{first}",
        owner="another driver",
        ttl=dt.timedelta(seconds=3),
        clock=now,
    )

    order = list(run_tiles(project, now=now, patience=30.0))

    assert order == [second, first]
