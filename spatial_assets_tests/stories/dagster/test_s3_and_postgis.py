"""Product on S3 and PostGIS, Dagster on Postgres: same pixels and rows, no secret printed."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import dagster as dg
import numpy as np
import pytest
from psycopg import sql
from sqlalchemy.engine import make_url

from spatial_assets.project import load_project
from spatial_assets.stores.cube.cube import read_window
from spatial_assets.stores.objects.store import ObjectStore, open_store
from spatial_assets.stores.rows import BoundarySet
from spatial_assets.stores.tables.connect import open_database
from spatial_assets_tests.fixtures.dagster_runs import (
    BOUNDARIES,
    CHAIN,
    definitions,
    materialize,
    newest_materialization,
    newest_metadata,
    newest_observation,
)
from spatial_assets_tests.fixtures.ten_village_project import (
    first_tiles,
    make_unreadable,
    ten_villages_with_districts,
)
from spatial_assets_tests.servers.postgis import PostgisServer
from spatial_assets_tests.servers.process import REPOSITORY
from spatial_assets_tests.servers.s3 import S3Server
from spatial_assets_tests.stories.dagster.asset_materialize_command import Command, DagsterProject

pytestmark = pytest.mark.servers

TABLES = ("ndvi_by_boundary", "boundaries", "tile_index", "tile_state")
DISTRICTS = [BoundarySet(name="boundaries", key="region_id", columns=("name",))]
PASSING = {"refreshed_at", "since", "uri"}
"""Columns that are not of the data: when, and where."""


@dataclass(frozen=True)
class Ground:
    """A project on real servers, and the secrets that it must never print."""

    site: DagsterProject
    store: ObjectStore
    done: Command
    """The range run of four tiles, one of them bad."""

    secrets: tuple[str, ...]
    postgis: PostgisServer
    dagster_database: str


@pytest.fixture(scope="module")
def ground(
    s3_server: S3Server, postgis_server: PostgisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ground]:
    folder = tmp_path_factory.mktemp("ground")
    project, name = ten_villages_with_districts(folder), f"t_{secrets.token_hex(6)}"
    make_unreadable(project, first_tiles(project, 4)[2])
    s3_server.make_bucket(name.replace("_", "-"))
    with postgis_server.connect("postgres") as connection:
        for database in (name, f"{name}_dagster"):
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
    home = folder / "dagster_home"
    home.mkdir()
    (home / "dagster.yaml").write_bytes(
        (REPOSITORY / "deploy" / "dagster-postgres.yaml").read_bytes()
    )
    dagster_url = make_url(postgis_server.url(f"{name}_dagster"))
    environment = {
        **s3_server.environment,
        "SPATIAL_ASSETS_STORAGE_URL": f"s3://{name.replace('_', '-')}/product",
        "SPATIAL_ASSETS_DATABASE_URL": postgis_server.url(name),
        "DAGSTER_POSTGRES_URL": dagster_url.set(drivername="postgresql+psycopg2").render_as_string(
            hide_password=False
        ),
        "DAGSTER_LOGS": str(folder / "logs"),
    }
    site = DagsterProject(load_project(project.root, environment), home, environment)
    yield Ground(
        site=site,
        store=open_store(site.project.storage_url, environment),
        done=site.materialize([*BOUNDARIES, *CHAIN], *first_tiles(project, 4)),
        secrets=(s3_server.secret_key, postgis_server.password),
        postgis=postgis_server,
        dagster_database=f"{name}_dagster",
    )
    with postgis_server.connect("postgres") as connection:
        for database in (name, f"{name}_dagster"):
            drop = sql.SQL("DROP DATABASE {} WITH (FORCE)")
            connection.execute(drop.format(sql.Identifier(database)))


@pytest.fixture
def remote(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """The instance on Postgres."""
    for name, value in ground.site.environment.items():
        monkeypatch.setenv(name, value)
    with ground.site.instance() as instance:
        yield instance


def test_a_range_run_on_real_servers_is_noted_in_postgres(
    ground: Ground, remote: dg.DagsterInstance
) -> None:
    good, _, bad, other = first_tiles(ground.site.project, 4)

    assert ground.done.code == 1, ground.done.output
    assert "1 of 4 tiles need attention" in ground.done.output
    assert newest_materialization(remote, "tile_index", bad) is None
    assert newest_observation(remote, "raw_tile", bad)["reason"] == "no_usable_scene"
    for tile in (good, other):
        assert (
            newest_metadata(remote, "ndvi", tile)["dagster/uri"] == f"{ground.store.url}/ndvi.zarr"
        )
        assert (
            "#ndvi_by_boundary" in newest_metadata(remote, "ndvi_by_boundary", tile)["dagster/uri"]
        )
    assert not list(ground.site.home.glob("**/*.db"))


def test_pixels_and_rows_are_those_of_a_folder_and_duckdb(ground: Ground, tmp_path: Path) -> None:
    elsewhere = {
        "SPATIAL_ASSETS_STORAGE_URL": str(tmp_path / "data"),
        "SPATIAL_ASSETS_DATABASE_URL": f"duckdb:///{tmp_path}/spatial.duckdb",
    }
    local = load_project(ground.site.project.root, elsewhere)
    with dg.DagsterInstance.ephemeral() as instance:
        materialize(definitions(local), instance, BOUNDARIES)
        materialize(definitions(local), instance, CHAIN, tiles=first_tiles(local, 4))

    for period in (0, 1):
        here, there = (
            read_window(store, "ndvi", period=period, window=local.partitioning.extent)
            for store in (open_store(local.storage_url), ground.store)
        )
        np.testing.assert_array_equal(here[0], there[0])
        np.testing.assert_array_equal(here[1], there[1])
    for table in TABLES:
        assert table_of(local.database_url, table) == table_of(
            ground.site.environment["SPATIAL_ASSETS_DATABASE_URL"], table
        )


def table_of(url: str, table: str) -> list[dict[str, object]]:
    with open_database(url) as database:
        database.ensure_schema(DISTRICTS, ["ndvi"])
        rows = database.rows(table)
    return [{name: value for name, value in row.items() if name not in PASSING} for row in rows]


def everything_told(ground: Ground) -> Iterator[tuple[str, str]]:
    """(location, text) of all readable output of a run."""
    yield "output", ground.done.output
    with ground.postgis.connect(ground.dagster_database) as connection:
        tables = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        ).fetchall()
        for (table,) in tables:
            name = sql.Identifier(str(table))
            for (row,) in connection.execute(
                sql.SQL("SELECT {0}::text FROM {0}").format(name)
            ).fetchall():
                yield f"table {table}", str(row)
    for path in Path(ground.site.environment["DAGSTER_LOGS"]).rglob("*"):
        if path.is_file():
            yield str(path), path.read_text(errors="replace")
    for info in ground.store.list():
        yield info.path, ground.store.get(info.path).decode("latin-1")


def test_no_secret_is_in_any_event_log_object_or_output(ground: Ground) -> None:
    texts = list(everything_told(ground))

    places = {where for where, _ in texts}
    assert {"output", "table event_logs", "table runs", "table asset_check_executions"} <= places
    assert any("no_usable_scene" in text for where, text in texts if where == "table event_logs")
    assert any(where.endswith(".err") for where in places)
    assert any(where.startswith("manifests/") for where in places)
    for secret in ground.secrets:
        assert not [where for where, text in texts if secret in text]


@pytest.mark.parametrize("variable", ["SPATIAL_ASSETS_DATABASE_URL", "AWS_SECRET_ACCESS_KEY"])
def test_a_refused_login_reveals_no_secret(ground: Ground, variable: str) -> None:
    wrong = "planted-and-wrong"
    right = ground.site.environment[variable]
    login = right.replace(ground.postgis.password, wrong) if "://" in right else wrong
    environment = {**ground.site.environment, variable: login}
    site = replace(ground.site, environment=environment)

    done = site.materialize(["raw_tile"], *first_tiles(site.project, 2))

    assert done.code == 1
    texts = list(everything_told(replace(ground, done=done)))
    for secret in (*ground.secrets, wrong):
        assert not [where for where, text in texts if secret in text]
