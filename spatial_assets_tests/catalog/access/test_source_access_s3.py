"""Scenes in a real S3 bucket: streamed with keys, presigned, downloaded, and refused without."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import boto3
import numpy as np
import pytest

from spatial_assets.catalog import Scene, find_scenes
from spatial_assets.catalog.access.address_classes import Proximity
from spatial_assets.catalog.access.allowed_places import AllowedPlaces
from spatial_assets.catalog.access.file_versions import with_fingerprint
from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets.catalog.cache.sparse_file import SPARSE_SUFFIX
from spatial_assets.catalog.rasters.gdal_datasets import close_all
from spatial_assets.catalog.rasters.inspect import inspect_scene
from spatial_assets.catalog.rasters.windows import read_window
from spatial_assets.catalog.scene import RejectedScene
from spatial_assets.catalog.scene_facts import SceneFacts
from spatial_assets.geo.grid.geobox import Window
from spatial_assets.project import Project
from spatial_assets_tests.fixtures.scene_factory import (
    FILES,
    clear_vegetation,
    project_in,
    quick_access,
    with_band,
    write_scene,
)
from spatial_assets_tests.servers.s3 import S3Server

pytestmark = pytest.mark.servers


@pytest.fixture
def _keys(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPATIAL_ASSETS_SOURCE_ACCESS_KEY_ID", s3_server.access_key)
    monkeypatch.setenv("SPATIAL_ASSETS_SOURCE_SECRET_ACCESS_KEY", s3_server.secret_key)


@pytest.fixture
def s3_access(tmp_path: Path, s3_server: S3Server) -> SourceAccess:
    return quick_access(tmp_path / "cache", endpoint=s3_server.endpoint, region=s3_server.region)


@pytest.fixture
def stored(tmp_path: Path, s3_server: S3Server, s3_bucket: str) -> Iterator[tuple[Scene, Project]]:
    """A scene whose item lies here and whose files lie in the bucket."""
    write_scene(tmp_path / "s", tiled=True, compress="deflate")
    project = project_in(tmp_path / "project", tmp_path / "s")
    (scene,) = find_scenes(project).scenes
    client = boto3.client(
        "s3",
        endpoint_url=s3_server.endpoint,
        aws_access_key_id=s3_server.access_key,
        aws_secret_access_key=s3_server.secret_key,
        region_name=s3_server.region,
    )
    for name, file in FILES.items():
        client.upload_file(str(tmp_path / "s" / file), s3_bucket, f"a b/{file}")
        scene = with_band(scene, name, href=f"s3://{s3_bucket}/a b/{file}", version=None)
    client.close()
    yield scene, project
    close_all()


def red_of(scene: Scene, facts: object, access: SourceAccess) -> np.ndarray:
    assert isinstance(facts, SceneFacts), facts
    pixels, readable = read_window(
        scene.bands["red"], facts.bands["red"], Window(3, 5, 40, 30), access
    )
    assert readable.all()
    return pixels


@pytest.mark.usefixtures("_keys")
@pytest.mark.parametrize(
    "how",
    [{"sign": "none"}, {"sign": "s3-presign"}, {"mode": "download"}],
    ids=["keys", "presigned", "downloaded"],
)
def test_a_scene_in_a_bucket_is_read(
    stored: tuple[Scene, Project], s3_access: SourceAccess, how: dict[str, str]
) -> None:
    scene, project = stored
    access = replace(s3_access, **how)  # type: ignore[arg-type]  # names of two literals

    known = with_fingerprint(scene, access)
    assert isinstance(known, Scene)
    pixels = red_of(known, inspect_scene(known, project, access), access)

    assert np.array_equal(pixels, clear_vegetation()["red"][5:35, 3:43])
    assert (known.bands["red"].version or "").endswith(str(_size(project)))


def _size(project: Project) -> int:
    return (project.root.parent / "s" / "B04.tif").stat().st_size


@pytest.mark.usefixtures("_keys")
@pytest.mark.parametrize("sign", ["none", "s3-presign"])
def test_an_object_that_is_not_there_is_a_bad_scene(
    stored: tuple[Scene, Project], s3_access: SourceAccess, sign: str
) -> None:
    scene, project = stored
    href = scene.bands["red"].href.replace("B04", "B99")
    access = replace(s3_access, sign=sign)  # type: ignore[arg-type]  # one of the literals

    found = inspect_scene(with_band(scene, "red", href=href), project, access)

    assert isinstance(found, RejectedScene)
    assert found.reason == "missing_object"


def test_without_keys_a_private_bucket_is_forbidden(
    stored: tuple[Scene, Project], s3_access: SourceAccess
) -> None:
    scene, project = stored

    found = inspect_scene(scene, project, s3_access)

    assert isinstance(found, RejectedScene)
    assert found.reason == "forbidden"


def test_wrong_keys_are_forbidden(
    stored: tuple[Scene, Project], s3_access: SourceAccess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPATIAL_ASSETS_SOURCE_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("SPATIAL_ASSETS_SOURCE_SECRET_ACCESS_KEY", "nothing")
    scene, project = stored

    found = inspect_scene(scene, project, replace(s3_access, sign="s3-presign"))

    assert isinstance(found, RejectedScene)
    assert found.reason == "forbidden"
    assert "Signature" not in found.message


@pytest.mark.usefixtures("_keys")
@pytest.mark.parametrize("sign", ["none", "s3-presign"])
def test_a_bucket_that_is_listed_is_read_wherever_its_server_is(
    stored: tuple[Scene, Project], s3_access: SourceAccess, sign: str
) -> None:
    scene, project = stored
    bucket = scene.bands["red"].href.split("/")[2]
    listed = AllowedPlaces(nearest=Proximity.PUBLIC, hosts=(f"s3://{bucket}",))
    access = replace(s3_access, sign=sign, allowed_places=listed)  # type: ignore[arg-type]  # a literal

    pixels = red_of(scene, inspect_scene(scene, project, access), access)

    assert np.array_equal(pixels, clear_vegetation()["red"][5:35, 3:43])
    assert list(access.cache_folder.glob(f"*{SPARSE_SUFFIX}"))
