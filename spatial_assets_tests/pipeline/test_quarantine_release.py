"""Released quarantines are judged again with any input; repeated failures are recorded again."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from spatial_assets.catalog import find_scenes
from spatial_assets.catalog.rasters import gdal_datasets
from spatial_assets.pipeline.engines.engine import InlineEngine
from spatial_assets.pipeline.outcome import State
from spatial_assets.pipeline.quarantine import Quarantine
from spatial_assets.project import Project
from spatial_assets.stores.tables.connect import open_database
from spatial_assets_tests.fixtures.pipeline_runs import (
    NOON,
    changed_objects,
    failure_of,
    rows,
    run_tiles,
    states,
    store_of,
    stored_objects,
)
from spatial_assets_tests.fixtures.two_zone_project import (
    EAST,
    FILES,
    SOUTH,
    TWO_TILES,
    WEST,
    write_catalog,
    write_project,
)

LATER = NOON + dt.timedelta(days=1)


@pytest.fixture
def project(catalog: Path, tmp_path: Path) -> Project:
    """Two tiles, nothing made yet."""
    return write_project(tmp_path / "project", catalog, area={"bbox": TWO_TILES})


@contextmanager
def quarantine(project: Project) -> Iterator[Quarantine]:
    with open_database(project.database_url) as database:
        yield Quarantine(grid_id=project.grid_id, store=store_of(project), database=database)


def release(project: Project, *subjects: str) -> set[str]:
    """Let go; what went."""
    with quarantine(project) as held:
        gone = held.release(held.rows(subjects=subjects), now=NOON)
        return {str(row["subject"]) for row in gone}


def damage(path: Path) -> bytes:
    """Overwrite a file with bytes of the same size and age; return the good ones."""
    good, facts = path.read_bytes(), path.stat()
    path.write_bytes(b"\0" * len(good))
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    return good


def mend(path: Path, good: bytes) -> None:
    facts = path.stat()
    path.write_bytes(good)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def test_a_released_tile_is_read_again_though_no_fingerprint_changed(
    catalog: Path, project: Project
) -> None:
    goods = {path: damage(path) for path in catalog.glob("*/*.tif")}
    first, other = run_tiles(project)
    for path, good in goods.items():
        mend(path, good)
    standing = run_tiles(project)

    gone = release(project, first)
    after = run_tiles(project)

    assert states(standing) == {State.QUARANTINED}
    assert gone == {first, *(folder.name for folder in catalog.iterdir())}
    assert after[first].state is State.MATERIALIZED
    # its scenes are good again, and with them the input of the other tile has changed
    assert after[other].state is State.MATERIALIZED


def test_a_released_tile_that_is_still_bad_goes_back_with_a_new_first_seen(
    catalog: Path, project: Project
) -> None:
    for path in catalog.glob("*/*.tif"):
        damage(path)
    first, other = run_tiles(project)
    release(project, first)

    outcomes = run_tiles(project, now=LATER)

    assert not outcomes[first].already_quarantined
    assert failure_of(outcomes[first])[0] == "no_usable_scene"
    seen = {row["subject"]: row for row in rows(project, "quarantine") if row["kind"] == "tile"}
    assert seen[first]["first_seen"] == LATER
    assert seen[other]["first_seen"] == NOON
    assert seen[first]["released_at"] is None
    stored = json.loads(store_of(project).get(f"quarantine/tile/{first}.json"))
    assert stored["first_seen"] == LATER.isoformat()


def test_blocks_that_could_not_be_read_are_read_again_for_a_released_tile(
    catalog: Path, project: Project
) -> None:
    # One scene, whose files open and whose blocks do not decode: nothing of the raw stage failed.
    for folder in catalog.iterdir():
        if folder.name != WEST.id:
            shutil.rmtree(folder)
    run_tiles(project)
    path = catalog / WEST.id / FILES["red"]
    good = damage_blocks(path)
    first, _ = run_tiles(project)
    mend(path, good)
    gdal_datasets.close_all()  # this process would still know the blocks that it saw
    release(project, first)

    outcomes = run_tiles(project, keys=[first])

    assert outcomes[first].state is State.MATERIALIZED
    (check,) = [each for each in outcomes[first].checks if each.check == "source_intact"]
    assert check.verdict.passed


def damage_blocks(path: Path) -> bytes:
    """Everything but the header and the tags, at the start or the end of the file."""
    good = path.read_bytes()
    data = bytearray(good)
    data[4096:-4096] = b"\xff" * (len(data) - 8192)
    path.write_bytes(bytes(data))
    return good


def test_a_scene_in_quarantine_is_not_opened_again_until_it_is_released(
    catalog: Path, project: Project
) -> None:
    path = catalog / EAST.id / FILES["nir"]
    good = damage(path)
    run_tiles(project)
    mend(path, good)
    standing = run_tiles(project)
    ids = {row["subject"]: row["released_at"] for row in rows(project, "quarantine")}

    release(project, EAST.id)
    run_tiles(project)

    assert ids == {EAST.id: None}
    assert states(standing) == {State.UNCHANGED}
    (record,) = rows(project, "quarantine")
    assert record["released_at"] is not None
    assert store_of(project).find(f"quarantine/scene/{EAST.id}.json") is None


def test_a_temporarily_missing_scene_is_tried_at_every_run(catalog: Path, project: Project) -> None:
    path = catalog / EAST.id / FILES["nir"]
    good, facts = path.read_bytes(), path.stat()
    path.unlink()
    run_tiles(project)
    path.write_bytes(good)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))

    run_tiles(project)

    (record,) = rows(project, "quarantine")
    assert (record["reason"], record["released_at"] is None) == ("missing_object", False)


def test_what_is_met_again_is_seen_again_and_first_seen_stays(
    catalog: Path, project: Project
) -> None:
    for path in catalog.glob("*/*.tif"):
        damage(path)
    run_tiles(project)
    before = stored_objects(project)
    soon = NOON + dt.timedelta(minutes=5)

    run_tiles(project, now=soon)
    at_once = {row["last_seen"] for row in rows(project, "quarantine")}
    run_tiles(project, now=LATER)

    assert at_once == {NOON}  # not each bad scene each minute
    assert {row["last_seen"] for row in rows(project, "quarantine")} == {LATER}
    assert {row["first_seen"] for row in rows(project, "quarantine")} == {NOON}
    assert changed_objects(before, project) == set()


def test_a_record_holds_the_footprint_of_the_scene_and_its_judge(
    catalog: Path, project: Project
) -> None:
    damage(catalog / SOUTH.id / FILES["red"])
    run_tiles(project)

    (record,) = rows(project, "quarantine")

    scene = next(each for each in find_scenes(project).scenes if each.id == SOUTH.id)
    assert record["checksum"] == scene.fingerprint
    assert str(record["href"]).endswith(f"{SOUTH.id}.json")
    assert record["code_version"]
    evidence = record["evidence"]
    assert isinstance(evidence, dict)
    assert str(evidence["footprint"]).startswith("POLYGON")


def test_a_released_tile_leaves_no_object_that_its_manifest_does_not_name(
    catalog: Path, project: Project
) -> None:
    goods = {path: damage(path) for path in catalog.glob("*/*.tif")}
    first, _ = run_tiles(project)
    for path, good in goods.items():
        mend(path, good)
    release(project, first)
    again = run_tiles(project)

    walked = run_tiles(project, engine=InlineEngine())

    assert states(again) == {State.MATERIALIZED}
    assert states(walked) == {State.UNCHANGED}


def test_repaired_inputs_need_no_release(catalog: Path, project: Project) -> None:
    for path in catalog.glob("*/*.tif"):
        damage(path)
    run_tiles(project)
    write_catalog(catalog)

    assert states(run_tiles(project)) == {State.MATERIALIZED}
