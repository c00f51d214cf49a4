"""Assets of a project with `[project] asset_prefix`: keys, dependencies, checks, arguments."""

# No `from __future__ import annotations`: Dagster reads the annotations of these assets.

from pathlib import Path

import dagster as dg
import geopandas as gpd
import pandas as pd
import pytest
import xarray as xr

from spatial_assets.assets.run_tiles import RANGE_END_TAG, RANGE_START_TAG
from spatial_assets.automation.tiles_in_progress import (
    tiles_in_progress,
)
from spatial_assets.definitions import build_definitions
from spatial_assets.project import Project
from spatial_assets.project.sections.identity import PROJECT_TAG, IdentitySettings
from spatial_assets_tests.assets.user_assets import tile_asset_of
from spatial_assets_tests.fixtures.dagster_runs import BOUNDARIES, CHAIN, definitions, materialize
from spatial_assets_tests.fixtures.ten_village_project import districts
from spatial_assets_tests.fixtures.two_zone_project import TWO_TILES, write_catalog, write_project

pytestmark = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning:rioxarray")

PREFIX = ["team", "a"]


@pytest.fixture(scope="module")
def prefixed(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project of two tiles with boundaries and a prefix of two parts."""
    folder = tmp_path_factory.mktemp("prefixed")
    write_catalog(folder / "catalog")
    districts(folder / "districts.gpkg")
    return write_project(
        folder / "project",
        folder / "catalog",
        area={"bbox": TWO_TILES},
        project={"name": "a", "asset_prefix": PREFIX},
        boundaries={"name": "boundaries", "source": "../districts.gpkg", "key": "region_id"},
    )


@pytest.fixture(scope="module")
def defs(prefixed: Project) -> dg.Definitions:
    """Its definitions."""
    return build_definitions(prefixed)


def test_every_key_has_the_prefix_and_every_asset_the_tag(defs: dg.Definitions) -> None:
    graph = defs.resolve_asset_graph()

    assert {key.to_user_string() for key in graph.get_all_asset_keys()} == {
        f"team/a/{name}" for name in (*CHAIN, *BOUNDARIES)
    }
    assert {tuple(key.asset_key.path[:-1]) for key in graph.asset_check_keys} == {("team", "a")}
    assert all(node.tags[PROJECT_TAG] == "a" for node in graph.asset_nodes)


def test_jobs_and_sensors_find_the_assets(defs: dg.Definitions) -> None:
    graph = defs.resolve_asset_graph()

    for name, assets in (("tiles", CHAIN), ("boundaries", BOUNDARIES)):
        job = defs.resolve_job_def(name)
        assert {key.path[-1] for key in job.asset_layer.executable_asset_keys} == set(assets)
        assert job.tags[PROJECT_TAG] == "a"
    statistics = graph.get(dg.AssetKey([*PREFIX, "ndvi_by_boundary"]))
    assert {key.to_user_string() for key in statistics.parent_keys} == {
        "team/a/ndvi",
        "team/a/validated_boundaries",
    }


def test_a_users_asset_takes_its_arguments_by_name(prefixed: Project) -> None:
    seen: dict[str, object] = {}

    def summary(ndvi: xr.DataArray, boundaries: gpd.GeoDataFrame) -> pd.DataFrame:
        seen.update(pixels=ndvi.size, boundaries=len(boundaries))
        return pd.DataFrame({"pixels": [ndvi.size]})

    def doubled(summary: pd.DataFrame) -> None:
        seen.update(doubled=2 * int(summary["pixels"][0]))

    assets = [
        tile_asset_of(summary, prefixed, deps=["raw_tile"]),
        tile_asset_of(doubled, prefixed, ins={"summary": dg.AssetIn(key=[*PREFIX, "summary"])}),
    ]
    select = [f"team/a/{name}" for name in (*BOUNDARIES, *CHAIN, "summary", "doubled")]

    with dg.DagsterInstance.ephemeral() as instance:
        done = materialize(
            definitions(prefixed, *assets), instance, select, tiles=prefixed.tile_keys[:1]
        )
        made = {key.to_user_string() for key in instance.all_asset_keys()}

    assert done.success
    assert made == set(select)
    assert seen["boundaries"] == 2
    assert seen["doubled"] == 2 * int(str(seen["pixels"]))
    stored = Path(prefixed.storage_url) / "tile_assets" / "summary"
    assert stored.is_dir()
    assert {dep.asset_key.to_user_string() for dep in next(iter(assets[0].specs)).deps} == {
        "team/a/raw_tile",
        "team/a/ndvi",
        "team/a/boundaries",
    }


def test_runs_of_other_projects_are_not_in_progress_here(prefixed: Project) -> None:
    tiles = prefixed.tile_keys
    own = {PROJECT_TAG: "a", RANGE_START_TAG: tiles[0], RANGE_END_TAG: tiles[0]}
    foreign = {PROJECT_TAG: "b", RANGE_START_TAG: tiles[1], RANGE_END_TAG: tiles[1]}
    job = dg.GraphDefinition("tiles").to_job()

    with dg.DagsterInstance.ephemeral() as instance:
        for tags in (own, foreign):
            run = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
            instance.add_run_tags(run.run_id, tags)

        assert tiles_in_progress(instance, prefixed) == {tiles[0]}


def test_without_a_prefix_keys_are_as_they_always_were(prefixed: Project) -> None:
    plain = prefixed.model_copy(update={"project": IdentitySettings()})

    keys = build_definitions(plain).resolve_asset_graph().get_all_asset_keys()

    assert {key.to_user_string() for key in keys} == {*CHAIN, *BOUNDARIES}
