from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path
from typing import Any

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
from spatial_assets.stores.stage_facts import (
    WHOLE_STAGE,
    IndexFacts,
    RawTileFacts,
    ReprojectedRasterFacts,
    StatisticsFacts,
    StoredScene,
    UnitFacts,
    WholeStageFacts,
)

EMPTY = TileManifest(grid_id="abc", tile="0231")

words = st.text(max_size=8)
objects = st.builds(
    ObjectInfo,
    path=words,
    size=st.integers(0, 2**40),
    etag=words,
    sha256=st.one_of(st.none(), words),
)
figures = st.dictionaries(words, st.one_of(st.integers(), st.floats(allow_nan=False), words))
shares = st.floats(0, 1)
scenes = st.builds(
    StoredScene,
    id=words,
    fingerprint=words,
    solar_day=st.dates().map(str),
    platform=words,
    granule=words,
    facts=figures,
    bands=st.lists(words, max_size=3).map(tuple),
    class_band=st.none() | words,
)
windows = st.dictionaries(words, st.tuples(*[st.integers(0, 9)] * 4))
periods = st.integers(0, 600)
facts_of_stage = {
    "raw_tile": st.builds(
        RawTileFacts,
        scene=scenes,
        windows=windows,
        unreadable=st.dictionaries(words, periods),
        readable_fraction=shares,
    ),
    "reprojected_raster": st.builds(
        ReprojectedRasterFacts, scene=scenes, alignment=st.none() | figures, valid_fraction=shares
    ),
    "ndvi": st.builds(
        IndexFacts,
        period=periods,
        valid_fraction=shares,
        observations=shares,
        range=st.none() | figures,
    ),
    "ndvi_by_boundary": st.builds(StatisticsFacts, period=periods),
    "tile_index": st.none(),
}
whole_facts = st.none() | st.builds(WholeStageFacts, features=st.dictionaries(words, words))


def entries(facts: st.SearchStrategy[UnitFacts | None]) -> st.SearchStrategy[StageEntry]:
    return st.builds(
        StageEntry,
        fingerprint=words,
        objects=st.lists(objects, max_size=3).map(tuple),
        facts=facts,
    )


def stages(facts: st.SearchStrategy[UnitFacts | None]) -> st.SearchStrategy[dict[str, StageEntry]]:
    units = st.dictionaries(words.filter(bool), entries(facts), max_size=3)
    return st.builds(
        lambda units, whole: units | whole,
        units,
        st.dictionaries(st.just(WHOLE_STAGE), entries(whole_facts), max_size=1),
    )


manifests = st.builds(
    TileManifest,
    grid_id=words,
    tile=st.just("0231"),
    stages=st.fixed_dictionaries(
        {}, optional={name: stages(facts) for name, facts in facts_of_stage.items()}
    ),
)
STORED = Path(__file__).with_name("stored_manifest.json")
"""Manifest of a tile as a walk wrote it before entries had facts of their own classes."""


@given(manifests.filter(lambda m: "inf" not in repr(m)))
def test_a_manifest_survives_the_trip_through_json(manifest: TileManifest) -> None:
    assert parsed(from_json(manifest.to_bytes()), key="0231") == manifest


def test_a_committed_manifest_is_read_back_with_the_versions_that_wrote_it(
    store: ObjectStore,
) -> None:
    info = store.put("raw_tile/0231/S2A/red.tif", b"pixels")
    facts = IndexFacts(period=0, valid_fraction=0.5, observations=1.5, scenes=3, range=None)
    entry = StageEntry("f1", (info,), facts)

    committed = commit_manifest(store, EMPTY.with_entry("ndvi", "2023-08", entry))

    assert read_manifest(store, "0231") == committed
    assert committed.entry("ndvi", "2023-08") == entry
    assert committed.facts("ndvi", IndexFacts)["2023-08"].valid_fraction == 0.5
    assert {"gdal", "proj", "geos", "zarr", "spatial-assets"} <= set(committed.versions)


def test_a_manifest_of_an_earlier_version_is_read_and_written_back_to_the_same_bytes() -> None:
    data = STORED.read_bytes()

    manifest = parsed(from_json(data), key="1202302023")

    assert manifest.to_bytes() == data
    raw = manifest.facts("raw_tile", RawTileFacts)["east_0810"]
    assert (raw.scene.platform, raw.scene.bands) == ("sentinel-2a", ("nir", "red"))
    assert raw.windows["red"] == (0, 1, 245, 355)
    assert raw.readable_fraction == 0.0
    assert manifest.scenes("raw_tile") == manifest.scenes("reprojected_raster")
    reprojected = manifest.facts("reprojected_raster", ReprojectedRasterFacts)["east_0810"]
    assert reprojected.alignment is not None
    assert reprojected.alignment["shape"] == "256 x 256"
    index = manifest.facts("ndvi", IndexFacts)["2023-08"]
    assert (index.period, index.scenes, index.valid_fraction) == (0, 4, 0.68218994140625)
    assert index.range is not None
    assert index.range["kept_pixels"] == 84774
    assert manifest.facts("ndvi_by_boundary", StatisticsFacts) == {
        "2023-08/districts": StatisticsFacts(period=0, rows=1, boundaries=1)
    }
    assert manifest.facts("raw_tile", WholeStageFacts)[WHOLE_STAGE].periods == (0,)
    assert manifest.facts("ndvi_by_boundary", WholeStageFacts)[WHOLE_STAGE].features == {
        "districts": "49227ae5db8f0325"
    }


@pytest.mark.parametrize(
    ("stage", "unit", "name"),
    [
        ("reprojected_raster", "east_0810", "alignment"),
        ("ndvi", "2023-08", "range"),
        ("raw_tile", WHOLE_STAGE, "periods"),
    ],
)
def test_facts_that_the_first_manifests_lack_are_not_made_up(
    stage: str, unit: str, name: str
) -> None:
    document: dict[str, Any] = from_json(STORED.read_bytes())
    del document["stages"][stage][unit]["facts"][name]

    manifest = parsed(document, key="1202302023")

    assert from_json(manifest.to_bytes()) == document


def test_equal_manifests_are_equal_bytes_in_whatever_order_they_were_made() -> None:
    one, two = StageEntry("1"), StageEntry("2")

    assert (
        EMPTY.with_entry("a", "x", one).with_entry("b", "y", two).to_bytes()
        == EMPTY.with_entry("b", "y", two).with_entry("a", "x", one).to_bytes()
    )


def test_a_unit_whose_objects_were_released_keeps_fingerprint_and_facts(
    folder_store: ObjectStore,
) -> None:
    written = folder_store.put("raw_tile/0231/s/red.tif", b"pixels")
    entry = StageEntry("f1", (written,), WholeStageFacts(periods=(1,)))
    folder_store.delete(written.path)

    released = entry.without_objects()

    commit_manifest(folder_store, EMPTY.with_entry("raw_tile", WHOLE_STAGE, released))
    found = read_manifest(folder_store, EMPTY.tile)
    assert found is not None
    assert found.entry("raw_tile", WHOLE_STAGE) == released
    assert (released.fingerprint, released.facts) == (entry.fingerprint, entry.facts)
    assert intact(folder_store, [released])
    assert not intact(folder_store, [entry])


def test_a_unit_that_was_not_released_is_stored_as_before() -> None:
    entry = StageEntry("f1")

    assert entry.to_document() == {"fingerprint": "f1", "objects": [], "facts": {}}
    assert entry.without_objects().to_document()["released"] is True


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
