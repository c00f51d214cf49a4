"""`prune` removes indices, boundary sets and periods that left the project, and nothing else."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from spatial_assets.cli import main
from spatial_assets.project import Project, load_project
from spatial_assets.stores.objects.leases import lease
from spatial_assets.stores.objects.manifests import TileManifest, read_manifest
from spatial_assets.stores.objects.store import ObjectStore, open_store
from spatial_assets.stores.tables.connect import open_database
from spatial_assets.stores.tables.database import Database
from spatial_assets.stores.tables.transactions import Transaction
from spatial_assets_tests.fixtures.answering_catalogue import (
    Answer,
    AnsweringCatalogue,
    centre,
    project_of_one_tile,
)

MAX_KILLS = 40
SETS = """
[[boundaries]]
name = "regions"
source = "regions.geojson"
key = "id"
"""
PARKS = SETS.replace("regions", "parks")
BOTH_INDICES = '\n[indices]\nnames = ["ndvi", "savi"]\n'


@dataclass
class Product:
    """A project folder of one tile, and the command line."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments: str) -> Result:
        result = CliRunner().invoke(
            main,
            ["--project", str(self.folder), *arguments],
            env={"COLUMNS": "2000", "SPATIAL_ASSETS_STORAGE_URL": None, **self.env},
        )
        assert result.exit_code == 0, result.output + result.stderr
        return result

    def materialize(self) -> None:
        self.run("materialize", "--workers", "0")

    def edit(self, old: str, new: str) -> None:
        file = self.folder / "project.toml"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    @property
    def project(self) -> Project:
        return load_project(self.folder, self.env)

    @property
    def store(self) -> ObjectStore:
        return open_store(self.project.storage_url)

    @property
    def manifest(self) -> TileManifest:
        found = read_manifest(self.store, self.project.partitioning.keys[0])
        assert found is not None
        return found

    def paths(self, start: str = "") -> dict[str, bytes]:
        return {
            info.path: self.store.get(info.path)
            for info in self.store.list()
            if info.path.startswith(start) and not info.path.startswith(("leases/", "spatial."))
        }

    def relations(self) -> set[str]:
        with open_database(self.project.database_url) as database:
            return set(database.relations())

    def rows(self, table: str) -> list[dict[str, object]]:
        """All rows of a table, without times and places of this copy."""
        project = self.project
        with open_database(project.database_url) as database:
            database.declare_tables(project.boundaries, project.indices.names)
            rows = database.rows_if_any(table, {})
        return [
            {
                name: value
                for name, value in row.items()
                if not isinstance(value, dt.datetime) and name not in {"source", "uri"}
            }
            for row in rows
        ]


def write_features(path: Path, *, with_nothing: bool = False) -> None:
    """Write one square round the tile, and on request a feature without geometry."""
    lon, lat = centre()
    corners = [(-0.01, -0.01), (0.01, -0.01), (0.01, 0.01), (-0.01, 0.01), (-0.01, -0.01)]
    ring = [[lon + x, lat + y] for x, y in corners]
    square = {"type": "Polygon", "coordinates": [ring]}
    shapes = {"whole": square, **({"nothing": None} if with_nothing else {})}
    features = [
        {"type": "Feature", "properties": {"id": key}, "geometry": shape}
        for key, shape in shapes.items()
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def make(root: Path, **env: str) -> Product:
    """Materialize a project of two indices, two boundary sets and two periods."""
    catalogue = AnsweringCatalogue(root)
    catalogue.lay_out(Answer())
    made = Product(project_of_one_tile(root).root, env)
    write_features(made.folder / "regions.geojson")
    write_features(made.folder / "parks.geojson", with_nothing=True)
    with (made.folder / "project.toml").open("a") as file:
        file.write(BOTH_INDICES + SETS + PARKS)
    made.materialize()
    return made


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Product:
    """The project that each test starts from a copy of."""
    return make(tmp_path_factory.mktemp("products"))


@pytest.fixture
def made(template: Product, tmp_path: Path) -> Product:
    """A copy of the materialized project."""
    return Product(Path(shutil.copytree(template.folder, tmp_path / template.folder.name)))


@pytest.fixture(params=["duckdb", "postgis"])
def on_each_database(request: pytest.FixtureRequest, made: Product, tmp_path: Path) -> Product:
    """A materialized project on DuckDB, and one on PostGIS."""
    if request.param == "duckdb":
        return made
    url = request.getfixturevalue("postgis_url")
    return make(tmp_path / "on_postgis", SPATIAL_ASSETS_DATABASE_URL=url)


def test_an_index_that_left_is_listed_then_removed_then_made_again(
    on_each_database: Product,
) -> None:
    made = on_each_database
    before, statistics = made.paths("savi.zarr/"), made.rows("savi_by_boundary")
    everything, ndvi = made.paths(), made.rows("ndvi_by_boundary")
    made.edit(BOTH_INDICES, "")

    listed = made.run("prune").output

    assert "index savi, not in the project file:" in listed
    assert "MB, 8 rows, savi_by_boundary, savi_by_boundary_merged" in listed  # 4 + 2 + 2 states
    assert "Nothing was removed" in listed
    assert made.paths() == everything

    made.run("prune", "--yes")

    assert before
    assert made.paths("savi.zarr/") == {}
    assert "savi" not in made.manifest.stages
    assert not [name for name in made.relations() if "savi" in name]
    assert {row["index_name"] for row in made.rows("tile_index")} == {"ndvi"}
    assert not [row for row in made.rows("tile_state") if "savi" in str(row["stage"])]
    assert made.rows("ndvi_by_boundary") == ndvi
    assert "Nothing to prune" in made.run("prune").output

    with (made.folder / "project.toml").open("a") as file:
        file.write(BOTH_INDICES)
    made.materialize()
    assert made.paths("savi.zarr/savi/") == {
        path: data for path, data in before.items() if path.startswith("savi.zarr/savi/")
    }
    assert made.rows("savi_by_boundary") == statistics


def test_a_boundary_set_that_left_is_removed_with_table_files_statistics_and_quarantine(
    on_each_database: Product,
) -> None:
    made = on_each_database
    parks, statistics = made.rows("parks"), made.rows("ndvi_by_boundary")
    assert [row["subject"] for row in made.rows("quarantine")] == ["parks/nothing"]
    made.edit(PARKS, "")

    listed = made.run("prune").output

    assert "boundary set parks, not in the project file: 4 objects of 0.0 MB, 5 rows, parks" in (
        listed
    )
    assert "parks" in made.relations()

    made.run("prune", "--yes")

    assert parks
    assert "parks" not in made.relations()
    assert not [path for path in made.paths() if "parks" in path]
    assert {row["boundary_table"] for row in made.rows("ndvi_by_boundary")} == {"regions"}
    assert made.rows("ndvi_by_boundary_merged")
    assert made.rows("quarantine") == []
    assert not [
        unit for units in made.manifest.stages.values() for unit in units if "parks" in unit
    ]
    assert "Nothing to prune" in made.run("prune").output

    with (made.folder / "project.toml").open("a") as file:
        file.write(PARKS)
    made.materialize()
    assert made.rows("parks") == parks
    assert made.rows("ndvi_by_boundary") == statistics


def test_a_period_that_is_asked_for_no_longer_is_removed_and_does_not_come_back(
    on_each_database: Product,
) -> None:
    made = on_each_database
    september = {path: data for path, data in made.paths().items() if "/c/1/" in path}
    made.edit("[scenes]", '[scenes]\ndatetime = "2023-09-01/2023-09-30"')

    listed = made.run("prune").output
    made.run("prune", "--yes")

    assert "of periods outside [scenes] datetime, in 1 tile" in listed
    assert "1 period with their rows: 2023-08" in listed
    for table in ("tile_index", "ndvi_by_boundary", "savi_by_boundary"):
        assert {row["period"] for row in made.rows(table)} == {"2023-09"}
    assert not [path for path in made.paths() if "/c/0/" in path and "/time/" not in path]
    assert set(made.manifest.scenes("raw_tile")) == {"d", "e"}
    assert "no longer asked for" not in made.run("status").output
    assert "Nothing to prune" in made.run("prune").output
    made.materialize()
    assert {path: data for path, data in made.paths().items() if "/c/1/" in path} == september
    assert {row["period"] for row in made.rows("tile_index")} == {"2023-09"}


def test_tiles_that_no_run_visits_are_released_by_prune(made: Product) -> None:
    shards = made.paths("ndvi.zarr/")
    with (made.folder / "project.toml").open("a") as file:
        file.write('\n[retention]\nraw_tile = 1\nreprojected_raster = "30 days"\n')

    listed = made.run("prune").output
    made.run("prune", "--yes")

    assert "in raw_tile that [retention] releases, in 1 tile" in listed
    assert "in reprojected_raster that [retention] releases, in 1 tile" in listed
    assert {path.split("/")[2] for path in made.paths("raw_tile/")} == {"d", "e"}
    assert made.paths("reprojected_raster/") == {}
    assert made.paths("ndvi.zarr/") == shards
    status = made.run("status", "--verify").output
    assert "materialized" in status
    assert "missing" not in status
    assert "Nothing to prune" in made.run("prune").output


@pytest.mark.parametrize("command", [("prune", "--yes"), ("materialize", "--workers", "0")])
def test_an_old_period_is_removed_by_prune_or_a_run_and_not_made_again(
    made: Product, command: tuple[str, ...]
) -> None:
    with (made.folder / "project.toml").open("a") as file:
        file.write("\n[retention]\nperiods = 1\n")

    listed = made.run("prune").output
    made.run(*command)
    made.materialize()

    assert "of periods that [retention] periods keeps no longer, in 1 tile" in listed
    for table in ("tile_index", "ndvi_by_boundary", "savi_by_boundary"):
        assert {row["period"] for row in made.rows(table)} == {"2023-09"}
    assert "Nothing to prune" in made.run("prune").output


def test_plan_counts_what_was_released_and_is_read_again(made: Product) -> None:
    """An index of the same bands needs the scenes of the released period, and no other."""
    made.edit('names = ["ndvi", "savi"]', 'names = ["ndvi"]')
    with (made.folder / "project.toml").open("a") as file:
        file.write("\n[retention]\nraw_tile = 1\nreprojected_raster = 1\n")
    made.materialize()
    catalog = Path(made.project.catalog_url)
    files = sum(path.stat().st_size for path in catalog.glob("[abc]/*.tif"))

    nothing = planned(made)
    made.edit('names = ["ndvi"]', 'names = ["ndvi", "savi"]')
    for_an_index = planned(made)

    assert nothing["scenes_to_read"] == 0
    assert for_an_index["scenes_to_read"] == 3
    assert files / 2 < for_an_index["bytes_to_read"] <= files  # the share over the tile


def test_plan_names_the_periods_that_retention_removes(made: Product) -> None:
    with (made.folder / "project.toml").open("a") as file:
        file.write("\n[retention]\nperiods = 1\n")

    text = made.run("plan").output

    assert "[retention] removes 1 period: 2023-08" in text
    assert planned(made)["expired_periods"] == ["2023-08"]
    made.materialize()
    assert planned(made)["expired_periods"] == []
    assert planned(made)["scenes_to_read"] == 0
    exported = made.run("export", str(made.folder / "out.tif"), "--period", "2023-08").output
    assert "removed by [retention] periods" in exported


def planned(made: Product) -> dict[str, Any]:
    """The plan of all tiles."""
    found: dict[str, Any] = json.loads(made.run("plan", "--json").stdout)
    return found


def test_a_region_leaves_nothing(made: Product) -> None:
    lon, lat = centre()
    region = f"\n[regions.coast]\nbbox = [{lon - 0.1}, {lat - 0.1}, {lon + 0.1}, {lat + 0.1}]\n"
    with (made.folder / "project.toml").open("a") as file:
        file.write(region)
    made.materialize()
    made.edit(region, "")

    assert "Nothing to prune" in made.run("prune").output


def test_tables_that_only_look_like_ours_are_left_alone(on_each_database: Product) -> None:
    made = on_each_database

    def copy_tables(transaction: Transaction) -> None:
        transaction.run("CREATE TABLE parks_backup AS SELECT * FROM parks")
        transaction.run("CREATE TABLE old_by_boundary AS SELECT * FROM ndvi_by_boundary")
        transaction.run("CREATE TABLE validated_notes (text text)")

    with open_database(made.project.database_url) as database:
        database.in_transaction(copy_tables, write=True)
    made.edit(PARKS, "")
    made.edit(BOTH_INDICES, "")

    made.run("prune", "--yes")

    assert {"parks_backup", "old_by_boundary", "validated_notes"} <= made.relations()
    assert not {"parks", "savi_by_boundary"} & made.relations()


def test_a_view_of_somebody_else_keeps_the_index_that_it_reads(
    postgis_url: str, tmp_path: Path
) -> None:
    made = make(tmp_path, SPATIAL_ASSETS_DATABASE_URL=postgis_url)
    view = "CREATE VIEW of_somebody AS SELECT * FROM savi_by_boundary_merged"
    with open_database(postgis_url) as database:
        database.in_transaction(lambda open_: open_.run(view), write=True)
    made.edit(BOTH_INDICES, "")

    result = made.run("prune", "--yes")

    assert "index savi is kept" in result.output
    assert "of_somebody" in result.output
    assert {"of_somebody", "savi_by_boundary_merged"} <= made.relations()
    assert made.paths("savi.zarr/")
    assert "index savi, not in the project file" in made.run("prune").output


def test_an_index_of_a_tile_that_a_run_works_on_is_kept(made: Product) -> None:
    key = made.project.partitioning.keys[0]
    made.edit(BOTH_INDICES, "")
    before = made.paths()

    with lease(
        made.store,
        f"tile/{key}",
        owner="another run",
        ttl=dt.timedelta(hours=1),
        clock=lambda: dt.datetime.now(dt.UTC),
    ):
        output = made.run("prune", "--yes").output

    assert f"tile {key} is skipped" in output
    assert "index savi is kept until no tile is skipped" in output
    assert made.paths() == before
    assert "savi_by_boundary" in made.relations()


class KilledError(BaseException):
    """The process ends here."""


def dying_after(writes: int, killed: pytest.MonkeyPatch) -> None:
    """Let the process end instead of its next write or deletion after so many."""
    left = [writes]

    def counted(work: Callable[..., object]) -> Callable[..., object]:
        def write(self: object, *arguments: object, **options: object) -> object:
            if not str(next(iter(arguments), "")).startswith("leases/"):
                if not left[0]:
                    raise KilledError
                left[0] -= 1
            return work(self, *arguments, **options)

        return write

    for kind, name in (
        (ObjectStore, "put"),
        (ObjectStore, "delete"),
        (Database, "commit"),
        (Database, "drop"),
    ):
        killed.setattr(kind, name, counted(getattr(kind, name)))


@pytest.mark.parametrize("first", [0, 1])
def test_a_prune_killed_anywhere_is_finished_by_the_next_and_loses_nothing(
    made: Product, monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    """All that left comes back afterwards, and is as it was."""
    shards = {path: data for path, data in made.paths().items() if "/c/" in path}
    tables = {name: made.rows(name) for name in ("tile_index", "ndvi_by_boundary", "parks")}
    complete = (made.folder / "project.toml").read_text()
    made.edit(BOTH_INDICES, "")
    made.edit(PARKS, "")
    made.edit("[scenes]", '[scenes]\ndatetime = "2023-09-01/2023-09-30"')

    for writes in range(first, MAX_KILLS, 2):
        with monkeypatch.context() as killed, suppress(KilledError):
            dying_after(writes, killed)
            made.run("prune", "--yes")
            break
    else:
        pytest.fail("prune never ended")

    assert "Nothing to prune" in made.run("prune").output
    assert not [path for path in made.paths() if "savi" in path or "parks" in path]
    (made.folder / "project.toml").write_text(complete)
    made.materialize()
    assert {path: data for path, data in made.paths().items() if "/c/" in path} == shards
    assert {name: made.rows(name) for name in tables} == tables
