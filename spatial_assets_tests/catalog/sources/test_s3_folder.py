"""A folder of STAC items in a real S3 bucket: searched, and watched by its listing."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from spatial_assets.catalog import find_scenes
from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets.catalog.changes import Snapshot, poll
from spatial_assets.errors import SettingsError, SourceUnavailableError
from spatial_assets.project import Project
from spatial_assets_tests.catalog.changes.stac_api_server import CHECKSUM
from spatial_assets_tests.catalog.scene_search import LATER, ids, reasons
from spatial_assets_tests.fixtures.scene_factory import item_of, project_in, quick_access
from spatial_assets_tests.fixtures.web_server import Fault, WebServer
from spatial_assets_tests.servers.s3 import S3Server

pytestmark = pytest.mark.servers

NOW = dt.datetime(2023, 9, 1, tzinfo=dt.UTC)


PAGE = """<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult><Name>b</Name><Prefix>s/</Prefix><KeyCount>1</KeyCount><MaxKeys>1000</MaxKeys>
<IsTruncated>false</IsTruncated><Contents><Key>s/a.json</Key>
<LastModified>2023-08-19T00:00:00.000Z</LastModified><ETag>"1"</ETag><Size>9</Size></Contents>
</ListBucketResult>"""


class Bucket:
    """A bucket as its owner fills it."""

    def __init__(self, server: S3Server, name: str) -> None:
        self.name = name
        self.client = boto3.client(
            "s3",
            endpoint_url=server.endpoint,
            aws_access_key_id=server.access_key,
            aws_secret_access_key=server.secret_key,
            region_name=server.region,
        )

    def put(self, key: str, item: dict[str, Any] | str) -> None:
        body = item if isinstance(item, str) else json.dumps(item)
        self.client.put_object(Bucket=self.name, Key=key, Body=body.encode())

    def remove(self, key: str) -> None:
        self.client.delete_object(Bucket=self.name, Key=key)


@pytest.fixture
def bucket(
    s3_server: S3Server, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bucket]:
    """A bucket with two items, one of them deep down, and other things; and its keys."""
    monkeypatch.setenv("SPATIAL_ASSETS_SOURCE_ACCESS_KEY_ID", s3_server.access_key)
    monkeypatch.setenv("SPATIAL_ASSETS_SOURCE_SECRET_ACCESS_KEY", s3_server.secret_key)
    bucket = Bucket(s3_server, s3_bucket)
    bucket.put("some items/a.json", item("a"))
    bucket.put("some items/2023/08/b.json", item("b", **LATER))
    bucket.put("some items/notes.txt", "no item")
    bucket.put("some items/.hidden/c.json", item("c"))
    bucket.put("some items elsewhere/d.json", item("d"))
    yield bucket
    bucket.client.close()


@pytest.fixture
def access(tmp_path: Path, s3_server: S3Server) -> SourceAccess:
    """Access to that server."""
    return quick_access(tmp_path / "cache", endpoint=s3_server.endpoint, region=s3_server.region)


def item(name: str, **properties: object) -> dict[str, Any]:
    """An item with checksums, so that no file is requested."""
    made = item_of(name, **properties)
    for asset in made["assets"].values():
        asset["file:checksum"] = CHECKSUM
    return made


def project_of(tmp_path: Path, bucket: Bucket, prefix: str = "some items/") -> Project:
    return project_in(tmp_path / "project", f"s3://{bucket.name}/{prefix}")


@pytest.mark.parametrize("prefix", ["some items/", "some items"])
def test_a_bucket_is_searched_to_its_depths(
    tmp_path: Path, bucket: Bucket, access: SourceAccess, prefix: str
) -> None:
    bucket.put("some items/torn.json", "{")

    catalogue = find_scenes(project_of(tmp_path, bucket, prefix), access)

    assert ids(catalogue) == ["a", "b"]
    assert reasons(catalogue) == {"torn": "bad_json"}
    red = catalogue.scenes[1].bands["red"].href
    assert red == f"s3://{bucket.name}/some items/2023/08/B04.tif"


def test_a_bucket_is_seen_to_change(tmp_path: Path, bucket: Bucket, access: SourceAccess) -> None:
    project = project_of(tmp_path, bucket)
    first = poll(project, None, access=access, now=NOW)
    bucket.put("some items/a.json", item("a", **{"proj:epsg": 32634}))
    bucket.put("some items/new.json", item("new", datetime="2023-08-20T10:00:00Z"))
    bucket.remove("some items/2023/08/b.json")

    stored = Snapshot.from_bytes(first.to_bytes())
    second = poll(project, stored, access=access, now=NOW)

    assert [one.id for one in second.changes_since(first)] == ["a", "b", "new"]
    assert second.scene_versions == find_scenes(project, access).scene_versions


def test_objects_that_did_not_change_are_not_read_again(
    tmp_path: Path, bucket: Bucket, access: SourceAccess
) -> None:
    project = project_of(tmp_path, bucket)
    first = poll(project, None, access=access, now=NOW)
    blank = tuple(replace(document, candidates=()) for document in first.documents)
    bucket.put("some items/a.json", item("a", **{"proj:epsg": 32634}))

    second = poll(project, replace(first, documents=blank), access=access, now=NOW)

    assert [one.id for one in first.scene_versions] == ["a", "b"]
    assert [one.id for one in second.scene_versions] == ["a"]


def test_a_prefix_without_anything_is_a_mistake(
    tmp_path: Path, bucket: Bucket, access: SourceAccess
) -> None:
    with pytest.raises(SettingsError, match="holds no objects"):
        find_scenes(project_of(tmp_path, bucket, "some item/"), access)


def test_a_bucket_that_is_not_there_is_a_mistake(
    tmp_path: Path, bucket: Bucket, access: SourceAccess
) -> None:
    bucket.name += "-not"

    with pytest.raises(SettingsError, match="the bucket does not exist"):
        find_scenes(project_of(tmp_path, bucket), access)


@pytest.mark.parametrize("keys", ["none", "wrong"])
def test_a_bucket_that_may_not_be_listed_is_a_mistake(
    tmp_path: Path,
    bucket: Bucket,
    access: SourceAccess,
    monkeypatch: pytest.MonkeyPatch,
    keys: str,
) -> None:
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.setenv(f"SPATIAL_ASSETS_SOURCE_{name}", "" if keys == "none" else "wrong-key")

    with pytest.raises(SettingsError, match="may not be listed") as refused:
        find_scenes(project_of(tmp_path, bucket), access)

    assert "wrong-key" not in str(refused.value)


def test_a_bucket_that_does_not_answer_is_away(
    tmp_path: Path, bucket: Bucket, access: SourceAccess
) -> None:
    away = replace(access, endpoint="http://127.0.0.1:9")

    with pytest.raises(SourceUnavailableError, match="could not be listed"):
        find_scenes(project_of(tmp_path, bucket), away)


@pytest.mark.parametrize("fault", [503, "reset", "truncate"])
def test_a_listing_that_breaks_off_is_begun_again(
    tmp_path: Path, web: WebServer, fault: Fault
) -> None:
    (web.folder / "b").write_text(PAGE)
    web.faults["/b"] = [fault]
    web.routes["/b/s/a.json"] = lambda _: (200, json.dumps(item("a")).encode())
    access = quick_access(tmp_path / "cache", endpoint=web.url)
    project = project_in(tmp_path / "project", "s3://b/s")

    snapshot = poll(project, None, access=access, now=NOW)

    assert [one.id for one in snapshot.scene_versions] == ["a"]
    assert len(web.asked_for("/b")) == 2
