"""The cluster for users: the setting, `check`, `env`, the command line and Dagster."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from spatial_assets.cli import main
from spatial_assets.definitions import build_definitions
from spatial_assets.errors import SettingsError
from spatial_assets.pipeline.engines.choice import chosen_engine
from spatial_assets.pipeline.engines.dask_engine import ClusterEngine
from spatial_assets.pipeline.engines.engine import ProcessEngine
from spatial_assets.pipeline.stages import chain_of
from spatial_assets.project import Project, load_project
from spatial_assets_tests.fixtures.dagster_runs import materialize, newest_metadata
from spatial_assets_tests.fixtures.pipeline_runs import store_of
from spatial_assets_tests.fixtures.two_zone_project import write_project
from spatial_assets_tests.servers.dask import Scheduler
from spatial_assets_tests.servers.process import free_port

Run = Callable[..., Result]


@pytest.fixture
def project(shared_catalog: Path, tmp_path: Path) -> Project:
    """Four tiles, not made yet, of a file that names no cluster."""
    return write_project(tmp_path / "people", shared_catalog)


@pytest.fixture
def run(project: Project, cluster: Scheduler) -> Run:
    """Run the command line with the cluster in the environment."""

    def run(*arguments: str, dask: str = cluster.address) -> Result:
        env = {
            "SPATIAL_ASSETS_PROJECT": str(project.root),
            "SPATIAL_ASSETS_DASK": dask,
            "SPATIAL_ASSETS_STORAGE_URL": None,
            "SPATIAL_ASSETS_DATABASE_URL": None,
            "COLUMNS": "2000",
        }
        return CliRunner().invoke(main, list(arguments), env=env)

    return run


def line(result: Result, start: str) -> str:
    """The row of a table that starts with `start`."""
    return next(each for each in result.output.splitlines() if each.strip("│ ").startswith(start))


@pytest.mark.parametrize(
    "address", ["scheduler:8786", "http://scheduler:8786", "tcp://scheduler", "tcp://me:pw@host:1"]
)
def test_what_is_no_address_of_a_scheduler_is_refused(project: Project, address: str) -> None:
    with pytest.raises(SettingsError, match=r"compute\.dask.*give .tcp://host:8786"):
        load_project(project.root, {"SPATIAL_ASSETS_DASK": address})


def test_the_environment_chooses_a_cluster_and_nothing_chooses_processes(project: Project) -> None:
    address = "tls://[::1]:8786"
    clustered = load_project(project.root, {"SPATIAL_ASSETS_DASK": address})

    def engine(of: Project) -> object:
        compute = of.compute
        return chosen_engine(
            of, store_of(of), workers=compute.workers, gdal_cache_mb=64, dask=compute.dask
        )

    assert clustered.origins["compute.dask"] == "$SPATIAL_ASSETS_DASK"
    chosen = engine(clustered)
    assert isinstance(chosen, ClusterEngine)
    assert (chosen.address, chosen.folders) == (address, (project.catalog_url,))
    assert isinstance(engine(project), ProcessEngine)


@pytest.mark.servers
def test_check_has_every_worker_try(run: Run) -> None:
    found = line(run("check"), "Dask cluster")

    assert "│ ok" in found
    assert "2 workers, all fit; each may use 4,096 MB" in found


@pytest.mark.servers
def test_check_and_env_report_that_no_scheduler_answers(run: Run) -> None:
    address = f"tcp://127.0.0.1:{free_port()}"

    checked, shown = run("check", dask=address), run("env", dask=address)

    assert checked.exit_code == 1
    assert "FAILED" in line(checked, "Dask cluster")
    assert f"no Dask scheduler answers at {address}" in line(checked, "Dask cluster")
    assert "not reachable" in line(shown, "Dask cluster")
    assert shown.exit_code == 0


@pytest.mark.servers
def test_tiles_are_made_from_the_command_line(run: Run, cluster: Scheduler) -> None:
    made = run("materialize")
    planned = run("plan")

    assert made.exit_code == 0, made.output
    assert "4 materialized" in made.output
    assert f"with 2 workers of the cluster at {cluster.address}" in planned.output
    assert "2 workers" in line(run("env"), "Dask cluster")
    assert "4 unchanged" in run("materialize", "--workers", "1").output


@pytest.mark.servers
def test_a_range_in_dagster_is_made_by_the_cluster(project: Project, cluster: Scheduler) -> None:
    clustered = load_project(project.root, {"SPATIAL_ASSETS_DASK": cluster.address})
    defs, tiles = build_definitions(clustered), clustered.partitioning.keys

    with dg.DagsterInstance.ephemeral() as instance:
        done = materialize(defs, instance, chain_of(clustered).stages, tiles=tiles)
        facts = [newest_metadata(instance, "ndvi", tile)["state"] for tile in tiles]

    assert done.success
    assert facts == ["materialized"] * 4
