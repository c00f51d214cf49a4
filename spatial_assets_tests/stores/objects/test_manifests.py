from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatial_assets.errors import StoreError
from spatial_assets.stores import layout
from spatial_assets.stores.objects.json import from_json
from spatial_assets.stores.objects.manifests import (
    StageEntry,
    TileManifest,
    commit_manifest,
    intact,
    parsed,
    read_manifest,
)
from spatial_assets.stores.objects.store import ObjectInfo, ObjectStore, open_store

EMPTY = TileManifest(grid_id="abc", tile="0231")

words = st.text(max_size=8)
objects = st.builds(
    ObjectInfo,
    path=words,
    size=st.integers(0, 2**40),
    etag=words,
    sha256=st.one_of(st.none(), words),
)
entries = st.builds(
    StageEntry,
    fingerprint=words,
    objects=st.lists(objects, max_size=3).map(tuple),
    facts=st.dictionaries(words, st.one_of(st.integers(), st.floats(allow_nan=False), words)),
)
manifests = st.builds(
    TileManifest,
    grid_id=words,
    tile=st.just("0231"),
    stages=st.dictionaries(words, st.dictionaries(words, entries, max_size=3), max_size=3),
)


@given(manifests.filter(lambda m: "inf" not in repr(m)))
def test_a_manifest_survives_the_trip_through_json(manifest: TileManifest) -> None:
    assert parsed(from_json(manifest.to_bytes()), key="0231") == manifest


def test_a_committed_manifest_is_read_back_with_the_versions_that_wrote_it(
    store: ObjectStore,
) -> None:
    info = store.put("raw_tile/0231/S2A/red.tif", b"pixels")
    entry = StageEntry("f1", (info,), {"valid_fraction": 0.5})

    committed = commit_manifest(store, EMPTY.with_entry("raw_tile", "S2A", entry))

    assert read_manifest(store, "0231") == committed
    assert committed.entry("raw_tile", "S2A") == entry
    assert {"gdal", "proj", "geos", "zarr", "spatial-assets"} <= set(committed.versions)


def test_equal_manifests_are_equal_bytes_in_whatever_order_they_were_made() -> None:
    one, two = StageEntry("1"), StageEntry("2")

    assert (
        EMPTY.with_entry("a", "x", one).with_entry("b", "y", two).to_bytes()
        == EMPTY.with_entry("b", "y", two).with_entry("a", "x", one).to_bytes()
    )


def test_a_unit_taken_out_leaves_the_others() -> None:
    one, two = StageEntry("1"), StageEntry("2")
    manifest = EMPTY.with_entry("a", "x", one).with_entry("a", "y", two).with_entry("b", "", one)

    assert manifest.without("a", "x").units("a") == {"y": two}
    assert manifest.without("a").stages == {"b": {"": one}}
    assert manifest.without("a", "absent") == manifest
    assert EMPTY.stages == {}


def test_a_tile_without_manifest_is_missing(store: ObjectStore) -> None:
    assert read_manifest(store, "0231") is None


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"\xff", b'{"schema":1}', b'{"schema":1,"tile":"9","grid_id":"a"}'],
)
def test_a_damaged_manifest_counts_as_missing_and_is_reported(
    folder_store: ObjectStore, caplog: pytest.LogCaptureFixture, data: bytes
) -> None:
    folder_store.put(layout.manifest("0231"), data)

    with caplog.at_level(logging.WARNING):
        assert read_manifest(folder_store, "0231") is None
    assert "0231.json is damaged" in caplog.text


def test_a_manifest_of_a_newer_version_is_refused(folder_store: ObjectStore) -> None:
    folder_store.put(layout.manifest("0231"), b'{"schema":2,"tile":"0231"}')

    with pytest.raises(StoreError, match="a newer one"):
        read_manifest(folder_store, "0231")


def test_objects_are_intact_until_somebody_touches_them(store: ObjectStore) -> None:
    entry = StageEntry("f", (store.put("a.tif", b"pixels"), store.put("b.tif", b"more")))
    assert intact(store, [entry])

    store.put("b.tif", b"mere")
    assert not intact(store, [entry])

    store.put("b.tif", b"more")
    assert intact(store, [entry])

    store.delete("a.tif")
    assert not intact(store, [entry])


def test_a_folder_copied_elsewhere_is_still_intact(
    folder_store: ObjectStore, tmp_path: Path
) -> None:
    entry = StageEntry("f", (folder_store.put("a.tif", b"pixels"),))
    shutil.copytree(folder_store.url, tmp_path / "copy")
    os.utime(tmp_path / "copy" / "a.tif", (0, 0))

    assert intact(open_store(str(tmp_path / "copy")), [entry])
