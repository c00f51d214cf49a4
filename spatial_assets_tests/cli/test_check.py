"""`check` tests each service and setting that a run needs, and fails if one does not work."""

from __future__ import annotations

import secrets
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import psycopg
import pytest
from click.testing import Result
from sqlalchemy.engine import make_url

from spatial_assets.assets.asset_keys import run_tags
from spatial_assets.cli.diagnosis import libraries, machine
from spatial_assets.project import load_project
from spatial_assets.project.sections.identity import IdentitySettings
from spatial_assets.stores.objects.store import open_store
from spatial_assets.stores.objects.store_claim import claim_store
from spatial_assets_tests.fixtures.claimants import claimant
from spatial_assets_tests.stores.objects.careless_s3 import careless_s3

Run = Callable[..., Result]

ROWS = (
    *("project file", "GDAL", "PROJ", "storage", "database", "project name"),
    *("tables", "scene cache", "catalogue", "clear sky", "memory", "disk"),
)


def row(result: Result, what: str) -> str:
    """The line of the table about `what`."""
    return next(line for line in result.output.splitlines() if line.strip("│ ").startswith(what))


def add(folder: Path, text: str) -> None:
    with (folder / "project.toml").open("a", encoding="utf-8") as file:
        file.write(text)


def test_all_is_well_with_a_project_on_local_ground(run: Run, folder: Path) -> None:
    result = run("--project", folder, "check")

    assert result.exit_code == 0, result.output
    for what in ROWS:
        assert " ok " in row(result, what)
    assert "6 partitions (tiles, level 8)" in row(result, "project file")
    assert ": 1 items" in row(result, "catalogue")
    assert "240 m round clouds and 0 m round shadows" in row(result, "clear sky")
    assert "spatial" in row(result, "database")


def test_checking_the_storage_leaves_nothing_behind(run: Run, folder: Path) -> None:
    run("--project", folder, "check")

    assert [path for path in (folder / "data").rglob("*") if path.is_file()] == []


def test_a_broken_storage_fails_with_a_remedy_and_the_rest_is_still_checked(
    run: Run, folder: Path
) -> None:
    (folder / "data").write_text("not a folder", encoding="utf-8")
    add(folder, '[database]\nurl = "duckdb:///spatial.duckdb"\n')

    result = run("--project", folder, "check")

    assert result.exit_code == 1
    assert "FAILED" in row(result, "storage")
    assert "$SPATIAL_ASSETS_STORAGE_URL" in row(result, "storage")
    assert " ok " in row(result, "database")
    assert "Error: 1 of " in result.output


def test_a_file_that_is_no_database_fails(run: Run, folder: Path) -> None:
    (folder / "spatial.duckdb").write_text("not a database" * 1000, encoding="utf-8")
    add(folder, '[database]\nurl = "duckdb:///spatial.duckdb"\n')

    result = run("--project", folder, "check")

    assert result.exit_code == 1
    assert "FAILED" in row(result, "database")


def test_a_wrong_project_file_fails_and_the_environment_is_still_checked(
    run: Run, folder: Path
) -> None:
    add(folder, "[grdi]\n")

    result = run("--project", folder, "check")

    assert result.exit_code == 1
    assert "did you mean 'grid'?" in row(result, "project file")
    assert " ok " in row(result, "GDAL")
    assert " ok " in row(result, "PROJ")
    assert "storage" not in result.output


def test_a_level_that_does_not_fit_the_shards_fails(run: Run, folder: Path) -> None:
    file = folder / "project.toml"
    text = file.read_text(encoding="utf-8").replace("level = 8", "level = 9")
    file.write_text(text, encoding="utf-8")

    assert "grid.level = 9" in row(run("--project", folder, "check"), "project file")


@pytest.mark.parametrize("catalog", ["nowhere", "empty"])
def test_a_catalogue_without_items_fails(run: Run, folder: Path, catalog: str) -> None:
    (folder / "empty").mkdir()
    file = folder / "project.toml"
    text = file.read_text(encoding="utf-8").replace('"scenes"', f'"{catalog}"')
    file.write_text(text, encoding="utf-8")

    result = run("--project", folder, "check")

    assert result.exit_code == 1
    assert "FAILED" in row(result, "catalogue")
    assert str(folder / catalog) in row(result, "catalogue")


def test_boundaries_are_opened_and_need_a_crs_and_their_key(run: Run, folder: Path) -> None:
    import geopandas as gpd  # noqa: PLC0415
    import shapely  # noqa: PLC0415

    frame = gpd.GeoDataFrame({"region_id": ["a"]}, geometry=[shapely.box(15, 45, 16, 46)])
    frame.set_crs(4326).to_file(folder / "good.gpkg")
    frame.set_crs(4326).drop(columns="region_id").assign(x=1).to_file(folder / "no_key.gpkg")
    for name in ("good", "no_key", "gone"):
        table = f'name = "{name}"\nsource = "{name}.gpkg"\nkey = "region_id"\n'
        add(folder, f"[[boundaries]]\n{table}")

    result = run("--project", folder, "check")

    assert result.exit_code == 1
    assert " ok " in row(result, "boundaries 'good'")
    assert "WGS 84" in row(result, "boundaries 'good'")
    assert "FAILED" in row(result, "boundaries 'no_key'")
    assert "FAILED" in row(result, "boundaries 'gone'")


def test_a_region_without_a_tile_fails_and_the_others_are_counted(run: Run, folder: Path) -> None:
    add(folder, "[regions.moon]\ntiles = ['0*']\n[regions.all]\ntiles = ['*']\n")

    result = run("--project", folder, "check")

    assert result.exit_code == 1
    assert "FAILED" in row(result, "region 'moon'")
    assert "has no tile there" in " ".join(result.output.split())
    assert "6 tiles" in row(result, "region 'all'")


def test_a_tile_that_does_not_fit_a_worker_fails_with_the_arithmetic(folder: Path) -> None:
    add(folder, "[compute]\nmemory_mb = 400\ngdal_cache_mb = 256\n")

    finding = machine.memory(load_project(folder, {}), available_mb=8000)

    assert not finding.passed
    assert "of 1024 x 1024 pixels needs about 636 of 400 MB" in finding.detail
    assert "2 workers x 400 MB = 800 MB of 8000 MB" in finding.detail
    assert "finer [grid] level" in finding.remedy


def test_workers_that_do_not_fit_the_machine_together_fail(folder: Path) -> None:
    finding = machine.memory(load_project(folder, {}), available_mb=3000)

    assert not finding.passed
    assert "2 workers x 2048 MB = 4096 MB of 3000 MB" in finding.detail


def test_a_full_disk_fails_with_the_arithmetic(folder: Path) -> None:
    finding = machine.disk(load_project(folder, {}), free_mb=10)

    assert not finding.passed
    assert "10 MB free for 6 million pixels x 4 bytes x 1 indices = 24 MB" in finding.detail


def test_disk_is_no_question_on_s3(folder: Path) -> None:
    project = load_project(folder, {"SPATIAL_ASSETS_STORAGE_URL": "s3://bucket"})

    assert machine.disk(project, free_mb=0).passed


def test_the_data_of_another_proj_is_found_out(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "proj.db") as database:
        database.execute("CREATE TABLE metadata (key TEXT, value TEXT)")
        rows = [("DATABASE.LAYOUT.VERSION.MAJOR", "1"), ("DATABASE.LAYOUT.VERSION.MINOR", "0")]
        database.executemany("INSERT INTO metadata VALUES (?, ?)", rows)
    database.close()
    code = (
        "from spatial_assets.cli.diagnosis.libraries import proj\n"
        "finding = proj()\n"
        "print(finding.passed, finding.remedy)"
    )

    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env={"PROJ_DATA": str(tmp_path)},
    )

    assert done.stdout.startswith(f"False unset $PROJ_DATA = {tmp_path}")


def test_a_harmless_variable_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROJ_DATA", raising=False)

    finding = libraries.proj({"GDAL_DATA": "/somewhere"})

    assert finding.passed
    assert "despite $GDAL_DATA = /somewhere" in finding.detail


@pytest.mark.servers
def test_a_real_postgis_and_a_real_s3_pass(
    run: Run, folder: Path, postgis_url: str, s3_bucket: str, s3_environment: dict[str, str]
) -> None:
    result = run(
        "--project",
        folder,
        "check",
        SPATIAL_ASSETS_DATABASE_URL=postgis_url,
        SPATIAL_ASSETS_STORAGE_URL=f"s3://{s3_bucket}/prefix",
        **s3_environment,
    )

    assert result.exit_code == 0, result.output
    assert "POSTGIS" in row(result, "database")
    assert f"s3://{s3_bucket}/prefix: written, read and deleted; created once only" in row(
        result, "storage"
    )
    assert "not on this machine" in row(result, "disk")


@pytest.mark.parametrize(
    ("access", "result_word", "code"),
    [
        pytest.param("download", "FAILED", 1, id="whole-files-need-it"),
        pytest.param("stream", "warning", 0, id="ranges-do-not"),
    ],
)
def test_a_cache_that_cannot_be_written_is_named(
    run: Run, folder: Path, access: str, result_word: str, code: int
) -> None:
    file = folder / "project.toml"
    text = file.read_text(encoding="utf-8")
    # below a file: not even root can write there
    file.write_text(text.replace("[time]", f'access = "{access}"\n[time]'), encoding="utf-8")

    result = run("--project", folder, "check", SPATIAL_ASSETS_CACHE="project.toml/cache")

    assert result.exit_code == code, result.output
    assert result_word in row(result, "scene cache")
    assert "$SPATIAL_ASSETS_CACHE" in " ".join(result.output.split())


def test_dagsters_folders_are_checked_where_the_environment_names_them(
    run: Run, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("not a folder")

    result = run("--project", folder, "check", DAGSTER_LOGS=str(tmp_path / "file" / "logs"))

    assert result.exit_code == 1
    assert "FAILED" in row(result, "$DAGSTER_LOGS")


@pytest.mark.servers
def test_a_user_who_may_only_read_the_database_fails(
    run: Run, folder: Path, postgis_url: str
) -> None:
    url = make_url(postgis_url)
    admin = url.set(drivername="postgresql").render_as_string(hide_password=False)
    role = f"reader_{secrets.token_hex(4)}"
    reader = url.set(username=role, password=role).render_as_string(hide_password=False)
    with psycopg.connect(admin) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{role}'".encode())

    denied = run("--project", folder, "check", SPATIAL_ASSETS_DATABASE_URL=reader)
    allowed = run("--project", folder, "check", SPATIAL_ASSETS_DATABASE_URL=postgis_url)

    with psycopg.connect(admin) as connection:
        left = "SELECT relname FROM pg_class WHERE relname LIKE 'written_by_check%'"
        assert connection.execute(left).fetchall() == []
        connection.execute(f"DROP ROLE {role}".encode())
    assert denied.exit_code == 1
    assert " ok " in row(denied, "database")
    assert "FAILED" in row(denied, "tables")
    assert " ok " in row(allowed, "tables")


def test_a_store_that_ignores_conditions_fails(run: Run, folder: Path) -> None:
    with careless_s3() as environment:
        url = "s3://bucket/prefix"
        result = run("--project", folder, "check", SPATIAL_ASSETS_STORAGE_URL=url, **environment)

    assert result.exit_code == 1
    assert "FAILED" in row(result, "storage")
    assert "ignores If-None-Match" in " ".join(result.output.split())


@pytest.mark.servers
def test_keys_that_the_store_does_not_know_fail_and_are_not_shown(
    run: Run, folder: Path, s3_bucket: str, s3_environment: dict[str, str]
) -> None:
    env = {**s3_environment, "AWS_SECRET_ACCESS_KEY": "hunter2"}
    url = f"s3://{s3_bucket}"

    result = run("--project", folder, "check", SPATIAL_ASSETS_STORAGE_URL=url, **env)

    assert result.exit_code == 1
    assert "FAILED" in row(result, "storage")
    assert "hunter2" not in result.output


def test_a_store_of_another_project_fails_with_the_remedies(run: Run, folder: Path) -> None:
    add(folder, '[project]\nname = "b"\n')
    claim_store(open_store(str(folder / "data")), claimant("a"))

    result = run("--project", folder, "check")

    assert result.exit_code == 1
    found = row(result, "project name")
    assert "FAILED" in found
    assert "Error: 1 of " in result.output
    assert "belongs to project" in result.output


def test_another_project_with_the_same_keys_in_dagster_is_a_warning(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "dagster_home"
    home.mkdir()
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    other = load_project(folder, {}).model_copy(update={"project": IdentitySettings(name="a")})
    with dg.DagsterInstance.from_config(str(home)) as instance:
        noted = instance.create_run_for_job(dg.GraphDefinition("tiles").to_job())
        instance.add_run_tags(noted.run_id, dict(run_tags(other)))

    result = run("--project", folder, "check")

    assert result.exit_code == 0, result.output
    found = row(result, "Dagster events")
    assert "warning" in found
    assert "a made raw_tile" in found
    assert "asset_prefix" in found
