"""No command of a project changes a byte or a row of another one on the same store or database."""

# No `from __future__ import annotations`: Dagster reads the annotations of the user's asset.

from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from spatial_assets.automation.read_records import read_records
from spatial_assets.errors import ForeignProjectError
from spatial_assets.project import Project, load_project
from spatial_assets.stores import layout
from spatial_assets.stores.objects.store import open_store
from spatial_assets.stores.tables.connect import open_database
from spatial_assets.stores.tables.transactions import Transaction
from spatial_assets_tests.assets.user_assets import tile_asset_of
from spatial_assets_tests.fixtures.dagster_runs import BOUNDARIES, CHAIN, definitions, materialize
from spatial_assets_tests.fixtures.field_cases import run_command
from spatial_assets_tests.fixtures.snapshots import all_objects, all_rows
from spatial_assets_tests.fixtures.ten_village_project import districts
from spatial_assets_tests.fixtures.two_zone_project import TWO_TILES, write_catalog, write_project

STORE, DATABASE = "SPATIAL_ASSETS_STORAGE_URL", "SPATIAL_ASSETS_DATABASE_URL"
SHARED = [
    pytest.param((STORE,), id="store"),
    pytest.param((DATABASE,), id="database"),
    pytest.param((STORE, DATABASE), id="both"),
]
REFUSED = [
    ("materialize", "--workers", "0"),
    ("materialize", "--workers", "0", "--select", ",".join(BOUNDARIES)),
    ("prune",),
    ("prune", "--yes"),
    ("quarantine", "list"),
    ("quarantine", "release", "--kind", "scene"),
    ("plan",),
    ("plan", "--changed"),
    ("status",),
    ("status", "--verify"),
    ("map", "map.html"),
]
HARMLESS = [("check",), ("tiles",), ("env",), ("claim",)]


@dataclass(frozen=True)
class Ground:
    """The URLs of two projects, by variable."""

    first: dict[str, str]
    second: dict[str, str]

    def snapshot(self) -> tuple[object, object]:
        """Everything of the first project."""
        with open_database(self.first[DATABASE]) as database:
            return all_objects(open_store(self.first[STORE])), all_rows(database)


@pytest.fixture(params=["local", pytest.param("servers", marks=pytest.mark.servers)])
def urls(request: pytest.FixtureRequest, tmp_path: Path) -> list[dict[str, str]]:
    """A store and a database for each of two projects: in folders, and on real servers."""
    if request.param == "local":
        return [
            {STORE: str(tmp_path / name / "store"), DATABASE: f"duckdb:///{tmp_path}/{name}.duckdb"}
            for name in ("first", "second")
        ]
    request.getfixturevalue("s3_environment")
    bucket, url = request.getfixturevalue("s3_bucket"), request.getfixturevalue("postgis_url")
    return [
        {STORE: f"s3://{bucket}/{name}", DATABASE: f"{url}?schema={name}"}
        for name in ("first", "second")
    ]


def project(folder: Path, env: dict[str, str]) -> Project:
    """A project of one tile or two, with boundaries, in `folder`."""
    catalog = folder.parent / "catalog"
    if not catalog.exists():
        write_catalog(catalog)
        districts(folder.parent / "districts.gpkg")
    west, south, east, north = TWO_TILES
    middle = (west + east) / 2 if folder.name == "a" else west + 0.01
    box = [west, south, east if folder.name == "a" else middle, north]
    boundaries = {"name": "boundaries", "source": "../districts.gpkg", "key": "region_id"}
    write_project(folder, catalog, area={"bbox": box}, boundaries=boundaries)
    return load_project(folder, env)


def make_first(folder: Path, ground: Ground) -> None:
    """Materialize project `a`."""
    project(folder, ground.first)
    done = run_command(folder, "materialize", "--workers", "0", **ground.first)
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("shared", SHARED)
def test_no_command_of_a_second_project_changes_anything_of_the_first(
    tmp_path: Path, urls: list[dict[str, str]], shared: tuple[str, ...]
) -> None:
    first, second = urls
    ground = Ground(first, {**second, **{name: first[name] for name in shared}})
    make_first(tmp_path / "a", ground)
    before = ground.snapshot()
    folder = tmp_path / "b"
    b = project(folder, ground.second)
    assert set(b.tile_keys) < set(project(tmp_path / "a", ground.first).tile_keys)

    for command in REFUSED:
        done = run_command(folder, *command, **ground.second)

        assert done.exit_code == 1, command
        for told in ("belongs to project 'a'", "this is project 'b'", "Nothing was written"):
            assert told in done.output, (command, done.output)
    for command in HARMLESS:
        run_command(folder, *command, **ground.second)
    export = run_command(
        folder, "export", str(tmp_path / "x.tif"), "--period", "2023-08", **ground.second
    )
    assert export.exit_code == 1
    with dg.DagsterInstance.ephemeral() as instance:
        defs = definitions(b)
        for select in (BOUNDARIES[:1], BOUNDARIES, CHAIN):
            tiles = b.tile_keys if select == CHAIN else ()
            done_run = materialize(defs, instance, select, tiles=tiles)
            assert done_run.success == (shared == (DATABASE,) and select == BOUNDARIES[:1])
    if DATABASE in shared:
        with pytest.raises(ForeignProjectError):
            read_records(b)

    assert ground.snapshot() == before


def test_a_users_asset_is_not_stored_in_another_projects_store(
    tmp_path: Path, urls: list[dict[str, str]]
) -> None:
    first, second = urls
    ground = Ground(first, {**second, STORE: first[STORE]})
    make_first(tmp_path / "a", ground)
    before = ground.snapshot()
    b = project(tmp_path / "b", ground.second)

    def count() -> pd.DataFrame:
        return pd.DataFrame({"count": [1]})

    with dg.DagsterInstance.ephemeral() as instance:
        done = materialize(
            definitions(b, tile_asset_of(count, b)), instance, ["count"], tiles=b.tile_keys[:1]
        )

    assert not done.success
    assert ground.snapshot() == before


def test_a_second_project_is_at_home_in_its_own_store_and_schema(
    tmp_path: Path, urls: list[dict[str, str]]
) -> None:
    ground = Ground(*urls)
    make_first(tmp_path / "a", ground)
    before = ground.snapshot()
    project(tmp_path / "b", ground.second)

    done = run_command(tmp_path / "b", "materialize", "--workers", "0", **ground.second)
    pruned = run_command(tmp_path / "b", "prune", "--yes", **ground.second)

    assert (done.exit_code, pruned.exit_code) == (0, 0)
    assert ground.snapshot() == before


def test_a_project_takes_over_on_purpose(tmp_path: Path, urls: list[dict[str, str]]) -> None:
    first, _ = urls
    ground = Ground(first, first)
    make_first(tmp_path / "a", ground)
    project(tmp_path / "b", first)

    shown = run_command(tmp_path / "b", "claim", **first)
    taken = run_command(tmp_path / "b", "claim", "--yes", **first)
    later = [run_command(tmp_path / name, "status", **first).exit_code for name in ("a", "b")]

    assert shown.output.count("project 'a'") >= 2
    assert "Nothing was written" in shown.output
    assert taken.exit_code == 0
    assert later == [1, 0]


def test_a_product_of_an_earlier_version_is_claimed_and_nothing_is_computed_again(
    tmp_path: Path, urls: list[dict[str, str]]
) -> None:
    ground, first = Ground(*urls), tmp_path / "a"
    make_first(first, ground)
    store = open_store(ground.first[STORE])
    forget_claims(ground)
    before = {path: each for path, each in all_objects(store).items() if "lease" not in path}

    commands = (("status",), ("plan",), ("prune",), ("quarantine", "list"), ("claim",))
    read = [run_command(first, *command, **ground.first) for command in commands]
    claimed_by_reading = store.find(layout.PROJECT)
    done = run_command(first, "materialize", "--workers", "0", **ground.first)

    assert [each.exit_code for each in (*read, done)] == [0] * 6, done.output
    assert claimed_by_reading is None
    assert "2 tiles" in done.output
    assert "2 unchanged" in done.output
    after = {path: each for path, each in all_objects(store).items() if "lease" not in path}
    assert after.keys() - before.keys() == {layout.PROJECT}
    assert before.items() <= after.items()
    project(tmp_path / "b", ground.first)
    refused = run_command(tmp_path / "b", "materialize", "--workers", "0", **ground.first)
    assert "belongs to project 'a'" in refused.output


def forget_claims(ground: Ground) -> None:
    """Make the first project's store and database what an earlier version left."""

    def undo(transaction: Transaction) -> None:
        transaction.run("DROP TABLE project_claim")
        transaction.run("UPDATE schema_version SET version = 1")

    open_store(ground.first[STORE]).delete(layout.PROJECT)
    with open_database(ground.first[DATABASE]) as database:
        database.in_transaction(undo, write=True)
