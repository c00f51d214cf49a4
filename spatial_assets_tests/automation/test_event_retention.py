"""The schedule, the job and the command that delete old events."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner

from spatial_assets import tile_asset
from spatial_assets.assets.asset_keys import run_tags
from spatial_assets.automation.event_retention import PRUNE_JOB, prune_scope
from spatial_assets.cli.app.group import main
from spatial_assets.definitions import build_definitions
from spatial_assets.project import Project
from spatial_assets.project.sections.identity import PROJECT_TAG
from spatial_assets_tests.fixtures.ten_village_project import ten_villages

YEAR_LATER = dt.timedelta(days=365)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Ten villages; no test makes one of them."""
    folder = tmp_path_factory.mktemp("retention")
    return ten_villages(folder / "project", folder / "catalog")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """$DAGSTER_HOME of this test."""
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def instance(project: Project, home: Path) -> Iterator[dg.DagsterInstance]:
    """An instance with three materializations of one tile of `raw_tile` and one of `mine`."""
    partitions = dg.StaticPartitionsDefinition(["1"])
    ours = [
        dg.asset(name=name, partitions_def=partitions)(nothing) for name in ("raw_tile", "mine")
    ]
    with dg.DagsterInstance.from_config(str(home)) as opened:
        for _ in range(3):
            dg.materialize(ours, instance=opened, partition_key="1", tags=dict(run_tags(project)))
        yield opened


def nothing() -> None:
    """Return nothing."""


def count(instance: dg.DagsterInstance, asset: str) -> int:
    return len(instance.fetch_materializations(dg.AssetKey(asset), limit=9).records)


def test_the_schedule_runs_the_job_for_the_assets_of_the_user_too(
    project: Project, instance: dg.DagsterInstance
) -> None:
    mine = tile_asset(nothing, project=project, name="mine")
    later = build_definitions(project, clock=lambda: dt.datetime.now(dt.UTC) + YEAR_LATER)
    defs = dg.Definitions.merge(later, dg.Definitions(assets=[mine]))
    repository = defs.get_repository_def()
    schedule = repository.get_schedule_def("prune_events_daily")
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    tick = dg.build_schedule_context(instance, repository_def=repository)

    (request,) = schedule.evaluate_tick(tick).run_requests or ()
    job = repository.get_job(PRUNE_JOB)
    done = job.execute_in_process(instance=instance, run_config=request.run_config)

    assert done.success
    assert (count(instance, "raw_tile"), count(instance, "mine")) == (1, 1)


def test_runs_count_by_their_project_and_else_by_their_assets(
    project: Project, tmp_path: Path
) -> None:
    names = ("raw_tile", "tile_index", "weather")
    defs = dg.Definitions(assets=[dg.asset(name=name)(nothing) for name in names])
    job, done = defs.resolve_implicit_global_asset_job_def(), dg.DagsterRunStatus.SUCCESS

    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:

        def run(*assets: str, status: dg.DagsterRunStatus = done, **tags: str) -> str:
            """Create a run of some assets, with the name of a project or without."""
            selected = frozenset(map(dg.AssetKey, assets))
            named = {PROJECT_TAG: tags["project"]} if tags else {}
            return instance.create_run_for_job(
                job, asset_selection=selected, status=status, tags=named
            ).run_id

        ours = [run("weather", project=project.name), run("raw_tile", "tile_index")]
        run("raw_tile", "weather")
        run("raw_tile", project="other")
        busy = run("raw_tile", status=dg.DagsterRunStatus.STARTED)
        later = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=1)

        scope = prune_scope(project, instance, before=later)
        before = prune_scope(project, instance, before=later - YEAR_LATER)

    assert sorted(scope.own_runs) == sorted(ours)
    assert scope.unfinished_runs == before.unfinished_runs == {busy}
    assert before.own_runs == []


def test_events_that_are_kept_have_neither_job_nor_schedule(project: Project) -> None:
    retention = project.retention.model_copy(update={"events": None})
    keeping = project.model_copy(update={"retention": retention})

    repository = build_definitions(keeping).get_repository_def()

    assert not repository.has_job(PRUNE_JOB)
    assert "prune_events_daily" not in {each.name for each in repository.schedule_defs}


def test_the_command_lists_first_and_deletes_with_yes(
    project: Project, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "spatial_assets.resources.now", lambda: dt.datetime.now(dt.UTC) + YEAR_LATER
    )

    def run(*options: str) -> str:
        arguments = ["--project", str(project.root), "prune", "--events", *options]
        done = CliRunner().invoke(main, arguments)
        assert not done.exit_code, done.output
        return done.output

    assert "Nothing to prune" in run("500d")
    listed = run()
    assert "Nothing was deleted" in listed
    assert count(instance, "raw_tile") == 3
    deleted = run("90 days", "--yes", "--vacuum")
    assert listed.splitlines()[:-1] == deleted.splitlines()[:-2]
    assert deleted.endswith("The event log was compacted.\n")
    assert (count(instance, "raw_tile"), count(instance, "mine")) == (1, 3)
    assert "Nothing to prune" in run("90d", "--yes")


@pytest.mark.parametrize(("age", "home_is_set"), [("0d", True), ("often", True), ("90d", False)])
def test_the_command_says_what_it_lacks(
    project: Project,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    age: str,
    home_is_set: bool,  # noqa: FBT001
) -> None:
    if not home_is_set:
        monkeypatch.delenv("DAGSTER_HOME")

    done = CliRunner().invoke(main, ["--project", str(project.root), "prune", "--events", age])

    assert home.exists()
    assert done.exit_code == 1
    assert ("wanted a number of days such as 90d" if home_is_set else "DAGSTER_HOME") in done.output
