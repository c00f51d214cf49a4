from __future__ import annotations

import hashlib
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatial_assets.errors import SettingsError, SourceUnavailableError, StoreError
from spatial_assets.retries import Backoff
from spatial_assets.stores import layout
from spatial_assets.stores.objects import location, store_errors
from spatial_assets.stores.objects.store import ObjectStore, checked, open_store

KEYS = {"AWS_ACCESS_KEY_ID": "AKNAME", "AWS_SECRET_ACCESS_KEY": "hush-hush"}


def test_what_was_put_is_read_back(store: ObjectStore) -> None:
    info = store.put("a/b c/é.bin", b"pixels")

    assert store.get("a/b c/é.bin") == b"pixels"
    assert info.size == 6
    assert info.sha256 == hashlib.sha256(b"pixels").hexdigest()


@pytest.mark.parametrize("part", [slice(2, 5), slice(0, 1), slice(4, None), slice(-3, None)])
def test_a_part_is_what_python_would_cut(store: ObjectStore, part: slice) -> None:
    store.put("a.bin", b"0123456789")

    assert store.find("a.bin", part=part) == b"0123456789"[part]
    assert store.find("absent.bin", part=part) is None


def test_a_head_has_the_size_and_etag_of_the_put(store: ObjectStore) -> None:
    put = store.put("a.bin", b"pixels")

    head = store.head("a.bin")

    assert head is not None
    assert (head.size, head.etag) == (put.size, put.etag)


def test_another_put_changes_the_etag(store: ObjectStore) -> None:
    first = store.put("a.bin", b"old pixels")

    second = store.put("a.bin", b"new pixels")

    assert first.etag != second.etag
    assert store.get("a.bin") == b"new pixels"


def test_an_object_in_many_parts_is_whole(store: ObjectStore) -> None:
    data = bytes(range(256)) * (80 * 1024)  # 20 MB: three parts

    put = store.put("big.bin", data)

    head = store.head("big.bin")
    assert store.get("big.bin") == data
    assert head is not None
    assert head.etag == put.etag


def test_what_is_absent_is_none_or_an_error_that_names_it(store: ObjectStore) -> None:
    assert store.head("nothing.bin") is None
    assert store.find("nothing.bin") is None
    with pytest.raises(StoreError, match=r"no such object") as caught:
        store.get("nothing.bin")
    assert store.uri("nothing.bin") in str(caught.value)


def test_deleting_twice_is_deleting_once(store: ObjectStore) -> None:
    store.put("a.bin", b"x")

    store.delete("a.bin")
    store.delete("a.bin")

    assert store.head("a.bin") is None


def test_a_listing_is_of_one_folder_and_in_order(store: ObjectStore) -> None:
    for path in ("tile/1/b.tif", "tile/1/a.tif", "tile/10/a.tif", "other.json"):
        store.put(path, b"x")

    assert [info.path for info in store.list("tile/1")] == ["tile/1/a.tif", "tile/1/b.tif"]
    assert len(store.list()) == 4
    assert store.list("absent") == ()


def test_only_the_first_create_wins(store: ObjectStore) -> None:
    assert store.create("a.json", b"first")
    assert not store.create("a.json", b"second")
    assert store.get("a.json") == b"first"


def test_a_create_whose_reply_was_lost_is_known_by_its_bytes(store: ObjectStore) -> None:
    assert store.create("a.json", b"mine")
    assert store.create("a.json", b"mine")


def test_of_many_creators_exactly_one_wins(store: ObjectStore) -> None:
    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(lambda n: store.create("a.json", f"{n}".encode()), range(64)))

    assert won.count(True) == 1
    assert store.get("a.json") == f"{won.index(True)}".encode()


def test_a_store_travels_by_its_url(store: ObjectStore) -> None:
    store.put("a.bin", b"x")

    twin = pickle.loads(pickle.dumps(store))  # noqa: S301 - our own bytes

    assert twin == store
    assert twin.get("a.bin") == b"x"


def test_a_store_shows_no_secret_and_carries_none_away() -> None:
    store = open_store("s3://bucket/prefix", env=KEYS)

    assert repr(store) == "ObjectStore('s3://bucket/prefix')"
    assert b"hush-hush" not in pickle.dumps(store)


def test_opening_a_store_creates_nothing(tmp_path: Path) -> None:
    open_store(str(tmp_path / "store"))

    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    "url",
    [
        "relative/folder",
        "",
        "s3://",
        "s3://name:secret@bucket/prefix",
        "s3://bucket/../other",
        "s3://bucket/prefix?versionId=1",
        "http://host/bucket",
        "gs://bucket",
    ],
)
def test_what_is_not_a_storage_url_is_refused_without_showing_secrets(url: str) -> None:
    with pytest.raises(SettingsError, match="not a storage URL") as caught:
        open_store(url)

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("endpoint", ["localhost:9000", "ftp://host", "http://me:hush@host"])
def test_an_endpoint_that_is_not_a_url_is_refused(endpoint: str) -> None:
    store = open_store("s3://bucket", env={**KEYS, "SPATIAL_ASSETS_S3_ENDPOINT": "http://host"})
    assert store.url == "s3://bucket"

    with pytest.raises(SettingsError, match="SPATIAL_ASSETS_S3_ENDPOINT") as caught:
        open_store("s3://bucket", env={**KEYS, "SPATIAL_ASSETS_S3_ENDPOINT": endpoint})
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    "path", ["", "/abs", "a//b", "a/", "../a", "a/../b", "./a", "a\\b", "a\nb", "a.tif#12"]
)
def test_a_path_that_could_leave_the_store_is_refused(path: str) -> None:
    with pytest.raises(StoreError, match="not an object path"):
        checked(path)


@given(st.text(min_size=1), st.text(min_size=1))
def test_any_scene_id_makes_one_safe_segment_of_its_own(first: str, second: str) -> None:
    paths = [layout.raw_tile("0231", scene, "red") for scene in (first, second)]

    assert all(checked(path).count("/") == 3 for path in paths)
    assert (paths[0] == paths[1]) == (first == second)


def test_a_server_that_is_away_is_worth_another_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(location, "RETRY_CONFIG", {"max_retries": 0})
    monkeypatch.setattr(store_errors, "BACKOFF", Backoff(first=0.01, largest=0.01, total=0.05))
    env = {**KEYS, "SPATIAL_ASSETS_S3_ENDPOINT": "http://127.0.0.1:9"}

    with pytest.raises(SourceUnavailableError, match=r"127\.0\.0\.1:9") as caught:
        open_store("s3://bucket", env=env).get("a")

    assert "hush-hush" not in str(caught.value)


@pytest.mark.servers
def test_a_wrong_key_is_refused_at_once(s3_environment: dict[str, str], s3_bucket: str) -> None:
    env = {**s3_environment, "AWS_SECRET_ACCESS_KEY": "hush-hush"}

    with pytest.raises(StoreError, match="access denied") as caught:
        open_store(f"s3://{s3_bucket}", env=env).put("a", b"x")

    assert "hush-hush" not in str(caught.value)


@pytest.mark.servers
def test_a_bucket_that_does_not_exist_is_named(s3_environment: dict[str, str]) -> None:
    store = open_store("s3://no-such-bucket/prefix", env=s3_environment)

    with pytest.raises(StoreError, match="that bucket 'no-such-bucket' exists"):
        store.get("a")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(StoreError, match="check that the folder"):
        open_store(str(tmp_path / "file")).put("a", b"x")
