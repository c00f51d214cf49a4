"""Boundaries on a real S3 server, downloaded with all files that belong to them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import geopandas as gpd
import pyogrio
import pytest

from spatial_assets.errors import SourceUnavailableError, StoreError, VectorError
from spatial_assets.geo.vectors.validate import validate_features
from spatial_assets.stores.objects.store import open_store
from spatial_assets.stores.vectors.read import ReadLimits, read_features
from spatial_assets_tests.fixtures.boundary_chain import boundary_chain, names_by_key
from spatial_assets_tests.fixtures.boundary_files import SQUARES, write

pytestmark = pytest.mark.servers


def keys_at(uri: str, env: Mapping[str, str]) -> list[str]:
    opened = read_features(uri, columns=["pid"], env=env)
    result = validate_features(opened.features, source_crs=opened.crs, key="pid")
    return [feature.key for feature in result.kept]


@pytest.fixture
def uploaded(
    tmp_path: Path, s3_bucket: str, s3_environment: Mapping[str, str]
) -> tuple[str, Mapping[str, str]]:
    """The s3:// folder with a file of every kind, and the environment that reaches it."""
    write(tmp_path / "a.gpkg", "GPKG")
    write(tmp_path / "a.fgb", "FlatGeobuf")
    write(tmp_path / "a.geojson", "GeoJSON")
    write(tmp_path / "a.shp", "ESRI Shapefile")
    write(tmp_path / "a.shp.zip", "ESRI Shapefile")
    gpd.GeoDataFrame({"pid": [1, 2, 3]}, geometry=SQUARES, crs=4326).to_parquet(
        tmp_path / "a.parquet"
    )
    url = f"s3://{s3_bucket}/boundaries"
    store = open_store(url, s3_environment)
    for file in tmp_path.iterdir():
        store.put(file.name, file.read_bytes())
    return url, s3_environment


@pytest.mark.parametrize(
    "name", ["a.gpkg", "a.fgb", "a.geojson", "a.shp", "a.shp.zip", "a.parquet"]
)
def test_a_file_on_s3_gives_the_same_features(
    uploaded: tuple[str, Mapping[str, str]], name: str
) -> None:
    url, env = uploaded

    assert sorted(keys_at(f"{url}/{name}", env)) == ["1", "2", "3"]


@pytest.mark.parametrize("name", ["a.shp", "a.tab", "a.shp.zip", "folder"])
def test_a_source_on_s3_goes_through_the_chain_with_its_parts(
    uploaded: tuple[str, Mapping[str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    url, env = uploaded
    for variable, value in env.items():
        monkeypatch.setenv(variable, value)
    made = tmp_path / "made"
    made.mkdir()
    write(made / "a.tab", "MapInfo File")
    write(made / "r.shp", "ESRI Shapefile")
    store = open_store(url, env)
    for file in made.iterdir():
        store.put(f"folder/{file.name}" if file.stem == "r" else file.name, file.read_bytes())
    chain = boundary_chain(tmp_path / "project", f"{url}/{name}", lines="columns = ['name']")

    assert chain.check().passed
    assert names_by_key(chain.run())["2"] == "Ørsted"


def test_keys_do_not_stay_in_the_process(
    uploaded: tuple[str, Mapping[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, env = uploaded
    keys_at(f"{url}/a.gpkg", env)  # from the environment of the process

    for name in env:
        monkeypatch.delenv(name)
    keys_at(f"{url}/a.gpkg", env)  # handed in

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_S3_ENDPOINT"):
        assert pyogrio.get_gdal_config_option(name) is None


def test_an_object_that_is_not_there_or_too_big_is_refused(
    uploaded: tuple[str, Mapping[str, str]],
) -> None:
    url, env = uploaded

    with pytest.raises(VectorError, match="no such object"):
        keys_at(f"{url}/nowhere.gpkg", env)
    with pytest.raises(VectorError, match="limit"):
        read_features(f"{url}/a.gpkg", columns=["pid"], limits=ReadLimits(file_bytes=10), env=env)


def test_a_wrong_secret_is_reported_as_such(uploaded: tuple[str, Mapping[str, str]]) -> None:
    url, env = uploaded

    with pytest.raises((StoreError, SourceUnavailableError), match=r"denied|403"):
        keys_at(f"{url}/a.gpkg", {**env, "AWS_SECRET_ACCESS_KEY": "wrong"})


def test_a_server_that_is_away_may_be_tried_again() -> None:
    env = {
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "SPATIAL_ASSETS_S3_ENDPOINT": "http://127.0.0.1:1",
    }

    with pytest.raises(SourceUnavailableError):
        keys_at("s3://bucket/a.gpkg", env)
