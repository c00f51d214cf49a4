"""The whole chain on S3 and PostGIS: the same bytes and rows as in a folder and a file."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest

from spatial_assets.errors import LeaseHeldError
from spatial_assets.pipeline.engines.engine import ProcessEngine
from spatial_assets.pipeline.freshness.change_detection import ChangeDetector
from spatial_assets.pipeline.outcome import State
from spatial_assets.pipeline.run.tile_leases import MAX_PREPARED_TILES, TileLeases
from spatial_assets.project import Project, load_project
from spatial_assets.stores.objects.leases import acquire
from spatial_assets.stores.objects.store import open_store
from spatial_assets.stores.tables.connect import open_database
from spatial_assets_tests.fixtures.pipeline_runs import (
    NOON,
    pixels,
    rows,
    run_tiles,
    states,
    store_of,
)
from spatial_assets_tests.fixtures.two_zone_project import (
    SEPTEMBER,
    TWO_TILES,
    write_granule,
    write_project,
)

pytestmark = pytest.mark.servers


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@pytest.fixture
def served(
    catalog: Path,
    tmp_path: Path,
    s3_bucket: str,
    s3_environment: dict[str, str],
    postgis_url: str,
) -> Project:
    """Two tiles of the shared catalogue, on servers."""
    write_project(tmp_path / "served", catalog, area={"bbox": TWO_TILES})
    urls = {
        "SPATIAL_ASSETS_STORAGE_URL": f"s3://{s3_bucket}/product",
        "SPATIAL_ASSETS_DATABASE_URL": postgis_url,
    }
    return load_project(tmp_path / "served", {**s3_environment, **urls})


def test_servers_hold_what_a_folder_and_a_file_hold(
    served: Project, catalog: Path, tmp_path: Path
) -> None:
    local = write_project(tmp_path / "local", catalog, area={"bbox": TWO_TILES})
    assert states(run_tiles(local)) == {State.MATERIALIZED}
    engine = ProcessEngine(workers=2, gdal_cache_mb=64)

    assert states(run_tiles(served, engine=engine)) == {State.MATERIALIZED}

    assert pixels(served) == pixels(local)
    kept = ("tile", "index_name", "period", "valid_fraction", "observations", "scenes")
    told = [
        [[row[name] for name in kept] for row in rows(project, "tile_index")]
        for project in (served, local)
    ]
    assert told[0] == told[1]
    assert [row["state"] for row in rows(served, "tile_state")] == [
        row["state"] for row in rows(local, "tile_state")
    ]


def test_on_servers_too_nothing_is_made_twice(served: Project, catalog: Path) -> None:
    run_tiles(served)
    before = {info.path: info.etag for info in store_of(served).list()}

    assert states(run_tiles(served)) == {State.UNCHANGED}

    after = {info.path: info.etag for info in store_of(served).list()}
    written = {path for path in after if before.get(path) != after[path]}
    assert {path.split("/")[0] for path in written} <= {"leases"}
    write_granule(catalog, SEPTEMBER)
    assert State.MATERIALIZED in states(run_tiles(served))


def test_on_servers_too_an_arrival_is_noted_until_it_is_followed(
    served: Project, catalog: Path
) -> None:
    def wanted() -> list[str]:
        with open_database(served.database_url) as database:
            lookout = ChangeDetector(project=served, store=store_of(served), database=database)
            return [each.tile for each in lookout.record_scene_changes(now=NOON).pending]

    run_tiles(served)
    assert wanted() == []

    write_granule(catalog, SEPTEMBER)

    touched = wanted()
    assert 0 < len(touched) <= len(served.partitioning.keys)
    assert [row["tile"] for row in rows(served, "tile_wanted")] == touched
    run_tiles(served, keys=touched)
    assert wanted() == []
    assert rows(served, "tile_wanted") == []


def test_far_from_the_store_tiles_are_taken_before_their_turn_and_none_is_kept(
    served: Project,
) -> None:
    store, keys, asked = store_of(served), [f"12{n:02d}" for n in range(MAX_PREPARED_TILES + 4)], []
    acquire(store, f"tile/{keys[1]}", owner="another", ttl=dt.timedelta(minutes=1), clock=now)

    def each_key() -> Iterator[str]:
        for key in keys:
            asked.append(key)
            yield key

    with TileLeases(store, owner="ahead", clock=now) as leases:
        jobs = leases.prepare(each_key(), leases.take)
        first, take = next(jobs)
        assert (first, take()) == (keys[0], None)
        assert asked == keys[: MAX_PREPARED_TILES + 1]
        second, take = next(jobs)
        with pytest.raises(LeaseHeldError, match="another"):
            take()
        assert second == keys[1]

    for key in (keys[0], *keys[2:]):
        acquire(store, f"tile/{key}", owner="next", ttl=dt.timedelta(minutes=1), clock=now)


def test_near_the_store_a_tile_is_taken_in_its_turn(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))

    with TileLeases(store, owner="near", clock=now) as leases:
        jobs = leases.prepare(["1202", "1203"], leases.take)
        _, take = next(jobs)
        assert not store.list()
        take()

        acquire(store, "tile/1203", owner="another", ttl=dt.timedelta(minutes=1), clock=now)
        with pytest.raises(LeaseHeldError, match="near"):
            acquire(store, "tile/1202", owner="another", ttl=dt.timedelta(minutes=1), clock=now)
