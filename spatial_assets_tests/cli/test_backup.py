"""Backup and restore as docs/operations.md describes them, by its own commands."""

from __future__ import annotations

import shlex
import sqlite3
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import dagster as dg
from click.testing import Result

from spatial_assets.project import load_project
from spatial_assets.stores.tables.connect import open_database
from spatial_assets_tests.servers.postgis import PostgisServer, postgres_programs

Run = Callable[..., Result]

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
HERE = ("--workers", "0")
DATABASE_URL = "SPATIAL_ASSETS_DATABASE_URL"


def command(program: str, words: Mapping[str, str]) -> list[str]:
    """The command of the page that begins with `program`, with other words in place of some."""
    section = PAGE.read_text().partition("## Backup and restore")[2].partition("\n## ")[0]
    (found,) = [line for line in section.splitlines() if line.startswith(program)]
    assert set(words) <= set(shlex.split(found)), found
    return [words.get(word, word) for word in shlex.split(found)]


def test_a_folder_and_a_duckdb_file_are_copied_and_restored(
    run: Run, four_tile_project: Path, tmp_path: Path
) -> None:
    project = load_project(four_tile_project, {})
    run("--project", four_tile_project, "materialize", *HERE)
    status = run("--project", four_tile_project, "status", "--json").stdout
    file = project.database_url.removeprefix("duckdb:///")

    copies = {"data/spatial.duckdb": file, "backup/": f"{tmp_path}/"}
    subprocess.run(command("cp --preserve", copies), check=True)
    folders = {"data/.": f"{project.storage_url}/.", "backup/data": str(tmp_path / "backup")}
    subprocess.run(command("cp --archive", folders), check=True)
    subprocess.run(["rm", "-r", project.storage_url], check=True)
    subprocess.run(["cp", "--archive", tmp_path / "backup", project.storage_url], check=True)
    subprocess.run(["cp", tmp_path / Path(file).name, file], check=True)

    restored = run("--project", four_tile_project, "status", "--json", "--verify")
    assert "materialized" in status
    assert '"missing": 0' in restored.stdout
    assert "4 unchanged" in run("--project", four_tile_project, "materialize", *HERE).output


def test_a_dump_of_postgis_that_is_older_than_the_store_catches_up(
    run: Run,
    four_tile_project: Path,
    tmp_path: Path,
    postgis_url: str,
    postgis_server: PostgisServer,
) -> None:
    programs, dump = postgres_programs(), str(tmp_path / "product.dump")
    keys = load_project(four_tile_project, {}).tile_keys
    env = {DATABASE_URL: postgis_url}
    run("--project", four_tile_project, "materialize", "--tiles", keys[0], *HERE, **env)
    plain = postgis_url.replace("+psycopg", "")
    words = {"--file=product.dump": f"--file={dump}", "$POSTGRES_URL": plain}
    dumping = command("pg_dump", words)
    dumping[0] = str(programs.folder / "pg_dump")
    subprocess.run(dumping, check=True, env={**programs.environment})
    run("--project", four_tile_project, "materialize", *HERE, **env)

    name = f"{plain.rpartition('/')[2]}_restored"
    with postgis_server.connect("postgres") as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
    try:
        url = f"{plain.rpartition('/')[0]}/{name}"
        words = {"--dbname=$POSTGRES_URL": f"--dbname={url}", "product.dump": dump}
        restoring = command("pg_restore", words)
        restoring[0] = str(programs.folder / "pg_restore")
        subprocess.run(restoring, check=True, env={**programs.environment})
        env = {DATABASE_URL: postgis_server.url(name)}
        rebuild = ("rebuild", "--database", "--yes", *HERE)
        done = run("--project", four_tile_project, *rebuild, **env)
        assert "rows of 3 tiles" in done.output
        project = load_project(four_tile_project, env)
        with open_database(project.database_url) as database:
            database.ensure_schema(project.boundaries, project.indices.names)
            rows = database.rows("ndvi_by_boundary")
            assert {row["tile"] for row in database.rows("tile_index")} == set(keys)
            assert rows
            last = max(database.rows("run_log"), key=lambda row: str(row["started_at"]))
            assert last["bytes_read"] == 0  # no image was opened
    finally:
        with postgis_server.connect("postgres") as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def test_the_event_log_in_sqlite_is_copied_while_it_is_open(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "home")) as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization("raw_tile", partition="0"))
        (file,) = (tmp_path / "home").rglob("index.db")
        copy = tmp_path / "copy.db"
        line = {"$DAGSTER_HOME/history/runs/index.db": str(file), "backup/index.db": str(copy)}
        subprocess.run(command(".venv/bin/python", line), check=True, cwd=PAGE.parents[1])

    with sqlite3.connect(copy) as connection:
        (count,) = connection.execute("SELECT count(*) FROM event_logs").fetchone()
    assert count == 1
