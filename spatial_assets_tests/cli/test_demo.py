"""`demo` builds everything from nothing through Dagster, reports it, and does not repeat work."""

from __future__ import annotations

import contextlib
import io
import os
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from click.testing import Result
from dagster import AssetKey, DagsterInstance
from PIL import Image

from spatial_assets.cli.demo_run.dagster_run import LogFollower, dagster_home
from spatial_assets.cli.demo_run.folder import INPUTS, demo_folder, ensure_inputs, prepare_folder
from spatial_assets.cli.local_run.progress import LineDisplay
from spatial_assets.errors import SettingsError
from spatial_assets.project import Project, load_project
from spatial_assets.project.loading import DEMO_FOLDER
from spatial_assets.stores.tables.connect import open_database

Run = Callable[..., Result]

PROGRAM = Path(sys.executable).with_name("spatial-assets")
STAGES = ("raw_tile", "reprojected_raster", "ndvi", "ndvi_by_boundary", "tile_index")
CORRUPT = "S2A_34TBR_20230725_0_L2A"
PATIENCE = 240.0  # under 60 s on an idle machine; the tests of four people share two cores


@dataclass(frozen=True)
class Made:
    """A demo that was made."""

    folder: Path
    stdout: str
    stderr: str
    cpu_seconds: float
    """CPU seconds of the ended child processes: unlike wall time, independent of other work."""

    @property
    def project(self) -> Project:
        return load_project(self.folder, {})


def make(folder: Path) -> Made:
    """Run the command as a user does, without variables that name a project."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SPATIAL_ASSETS", "DAGSTER"))}
    began = cpu_seconds()
    done = subprocess.run(
        [PROGRAM, "demo", folder],
        env=kept,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return Made(folder, done.stdout, done.stderr, cpu_seconds() - began)


def cpu_seconds() -> float:
    """CPU seconds of all ended children of this process."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The demo, made from nothing."""
    return make(tmp_path_factory.mktemp("demo") / "new")


@pytest.fixture(scope="module")
def second(first: Made) -> Made:
    """The demo, made once more where it was."""
    return make(first.folder)


def test_every_tile_of_every_stage_is_materialized_in_dagster(first: Made) -> None:
    keys = set(first.project.partitioning.keys)

    with DagsterInstance.from_config(str(first.folder / ".dagster_home")) as instance:
        made = {stage: instance.get_materialized_partitions(AssetKey(stage)) for stage in STAGES}
        boundaries = instance.get_latest_materialization_event(AssetKey("boundaries"))
        runs = instance.get_runs()

    assert made == dict.fromkeys(STAGES, keys)
    assert boundaries is not None
    assert [run.status.value for run in runs][-1] == "SUCCESS"


def test_the_cube_opens_in_xarray_with_two_months_of_ndvi(first: Made) -> None:
    cube = xr.open_zarr(first.folder / "data" / "ndvi.zarr", chunks=None)

    june, july = (cube["ndvi"].sel(time=f"2023-{month}").squeeze() for month in ("06", "07"))
    for month in (june, july):
        assert float(month.notnull().mean()) > 0.9
        assert 0.5 < float(month.median()) < 0.9
        assert float(month.min()) >= -1
    assert not np.allclose(june, july, equal_nan=True)
    assert cube["ndvi"].sizes["time"] == 2  # of an empty future nothing is stored


def test_the_tables_have_rows_and_the_bad_scene_is_in_quarantine(first: Made) -> None:
    project = first.project
    with open_database(project.database_url) as database:
        database.ensure_schema(project.boundaries, project.indices.names)
        districts = database.rows("ndvi_by_boundary_merged", where={"period": "2023-07"})
        bad = database.rows("quarantine", where={"released_at": None})
        features = database.rows("boundaries")

    assert len(districts) == len(features) == 10
    assert all(0.3 < float(str(row["mean"])) < 0.9 for row in districts)
    assert all(0.99 < float(str(row["covered_fraction"])) < 1.001 for row in districts)
    assert [(row["kind"], row["subject"], row["reason"]) for row in bad] == [
        ("scene", CORRUPT, "size_mismatch")
    ]


def test_results_and_bad_tiles_are_printed(first: Made) -> None:
    assert "24 materialized" in first.stdout
    assert f"{first.folder}/data/ndvi.zarr" in first.stdout
    assert "boundaries 10, ndvi_by_boundary_merged 20, tile_index 48" in first.stdout
    assert f"scene {CORRUPT} is in quarantine (size_mismatch)" in first.stdout
    assert "2023-06-15 was overcast" in first.stdout
    assert "1 feature repaired (self_intersection)" in first.stdout


def test_progress_is_printed_with_the_time_left(first: Made) -> None:
    assert "tiles, from raw pixels to tables ..." in first.stderr
    assert re.search(r"12 of 24, last \d+ materialized; about \d+ s left", first.stderr)
    assert "DEBUG" not in first.stderr + first.stdout


def test_the_picture_is_one(first: Made) -> None:
    (told,) = re.findall(r"^NDVI, 2023-07: (.+)$", first.stdout, flags=re.MULTILINE)

    picture = Image.open(told)

    assert picture.format == "PNG"
    assert picture.width > 700
    assert len(picture.convert("RGB").getcolors(2**24) or ()) > 50


def test_the_two_lines_of_python_work(first: Made) -> None:
    _, _, told = first.stdout.partition("In Python")
    lines = "\n".join(line.strip() for line in told.splitlines()[1:3])

    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(lines, {})  # noqa: S102 - what a user would paste

    assert 0.5 < float(printed.getvalue()) < 0.8


def test_the_way_into_dagster_names_this_project_and_its_records(first: Made) -> None:
    (told,) = re.findall(r"^In Dagster: (.+)$", first.stdout, flags=re.MULTILINE)

    assert f"SPATIAL_ASSETS_PROJECT={first.folder}" in told
    assert f"DAGSTER_HOME={first.folder}/.dagster_home" in told
    assert told.endswith("dagster dev -m spatial_assets.definitions")


def test_a_second_time_everything_is_unchanged_at_less_cost(first: Made, second: Made) -> None:
    assert "Scenes and boundaries: already there." in second.stderr
    assert "24 unchanged" in second.stdout
    assert second.cpu_seconds < first.cpu_seconds


def test_the_inputs_alone_start_no_run(run: Run, tmp_path: Path) -> None:
    prepare_folder(tmp_path / "demo")
    for name in INPUTS:
        (tmp_path / "demo" / name).mkdir()

    result = run("demo", tmp_path / "demo", "--inputs-only")

    assert result.exit_code == 0
    assert "Scenes and boundaries: already there." in result.stderr
    assert {path.name for path in (tmp_path / "demo").iterdir()} == {"project.toml", *INPUTS}


def test_another_project_is_never_touched(run: Run, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").touch()
    before = sorted(tmp_path.rglob("*"))

    mine = run("demo", folder)
    by_variable = run("demo", SPATIAL_ASSETS_PROJECT=str(folder))
    full = run("demo", tmp_path / "photos")

    assert "is not the demo's" in mine.stderr
    assert "is not the demo's" in by_variable.stderr
    assert "is not empty and holds no demo" in full.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_the_place_is_the_folder_named_else_the_checkout_else_a_new_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert demo_folder(Path("here")) == tmp_path / "here"
    assert demo_folder(None, is_checkout=True) == DEMO_FOLDER
    assert demo_folder(None, is_checkout=False) == tmp_path / "demo"


def test_inputs_are_made_once_and_whole_or_not_at_all(tmp_path: Path) -> None:
    prepare_folder(tmp_path / "demo")

    def fill(folder: Path) -> None:
        (folder / "scenes").mkdir()
        (folder / "boundaries").mkdir()

    def break_off(folder: Path) -> None:
        fill(folder)
        raise OSError(28, "No space left on device")

    with pytest.raises(SettingsError, match="No space left"):
        ensure_inputs(tmp_path / "demo", break_off)
    left = {path.name for path in (tmp_path / "demo").iterdir()}

    assert left == {"project.toml"}
    assert ensure_inputs(tmp_path / "demo", fill)
    assert not ensure_inputs(tmp_path / "demo", break_off)


def test_a_dagster_that_cannot_start_is_an_error_that_names_its_log(
    first: Made, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text("no_such_key: 1\n")
    copy = tmp_path / "copy"
    shutil.copytree(first.folder, copy, ignore=shutil.ignore_patterns("data", ".dagster_home"))

    done = subprocess.run(
        [PROGRAM, "demo", copy],
        env={**os.environ, "DAGSTER_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )

    assert done.returncode == 1
    assert f"see its log: {home}/demo.log" in done.stderr
    assert "no_such_key" in (home / "demo.log").read_text()


def test_a_home_of_the_users_own_is_left_as_it_is(first: Made, tmp_path: Path) -> None:
    named = {"DAGSTER_HOME": str(tmp_path / "home")}

    assert dagster_home(first.project, named) == tmp_path / "home"
    assert list((tmp_path / "home").iterdir()) == []
    assert "enabled: false" in (dagster_home(first.project, {}) / "dagster.yaml").read_text()


def test_the_log_of_a_run_moves_the_meter() -> None:
    said: list[str] = []
    follower = LogFollower(LineDisplay(said.append, clock=lambda: 0.0), tiles=2)
    head = "2026-11-22 04:47:53 +0000 - dagster - INFO - __ASSET_JOB - 8ebd - tile_chain - "

    follower.read('... - STEP_START - Started execution of step "tile_chain".\n')
    follower.read(f"{head}1 of 2 tiles, last 0231 materialized; about 48 s left\n")
    follower.read(f"{head}2 of 2 tiles, last 0232 quarantined; about 0 s left\n")
    follower.read(f"{head}2 tiles: 1 materialized, 1 quarantined\n")

    assert said == [
        "tiles, from raw pixels to tables ...",
        "  1 of 2, last 0231 materialized",
        "  2 of 2, last 0232 quarantined",
    ]
    assert follower.tile_counts == "1 materialized, 1 quarantined"
