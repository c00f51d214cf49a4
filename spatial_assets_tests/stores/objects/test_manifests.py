from __future__ import annotations

import logging
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spatial_assets.errors import StoreError
from spatial_assets.stores import layout
from spatial_assets.stores.objects.json import from_json
from spatial_assets.stores.objects.location import locate
from spatial_assets.stores.objects.manifests import (
    Settled,
    StageEntry,
    TileManifest,
    commit_manifest,
    head_from,
    intact,
    read_head,
    read_manifest,
    with_months,
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
unit_names = words.filter(bool) | st.sampled_from(["2023-08", "2023-08-11", "2024/districts"])
whole_facts = st.none() | st.builds(WholeStageFacts, features=st.dictionaries(words, words))


def entries(facts: st.SearchStrategy[UnitFacts | None]) -> st.SearchStrategy[StageEntry]:
    return st.builds(
        StageEntry,
        fingerprint=words,
        objects=st.lists(objects, max_size=3).map(tuple),
        facts=facts,
        released=st.booleans(),
    )


def stages(facts: st.SearchStrategy[UnitFacts | None]) -> st.SearchStrategy[dict[str, StageEntry]]:
    units = st.dictionaries(unit_names, entries(facts), max_size=3)
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
        {}, optional={name: stages(facts).filter(bool) for name, facts in facts_of_stage.items()}
    ),
)
STORED = Path(__file__).with_name("stored_manifest.json")
"""Manifest of a tile as a walk wrote it before entries had facts of their own classes."""


@settings(max_examples=60, deadline=None)
@given(
    manifest=manifests.filter(lambda m: "inf" not in repr(m)),
    months=st.sets(st.sampled_from(["2023-08", "2024", "2000-01"])),
)
def test_a_manifest_survives_the_trip_through_its_parts(
    manifest: TileManifest, months: set[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = open_store(str(tmp_path_factory.mktemp("store")))

    committed = commit_manifest(store, manifest)

    assert committed.stages == manifest.stages
    assert read_manifest(store, "0231") == committed
    head = read_head(store, "0231")
    assert head is not None
    some = with_months(store, head, months)
    assert some.unread == head.unread - months
    assert commit_manifest(store, some) == some  # what was not read stays
    assert read_manifest(store, "0231") == committed
    named = {info.path for info in store.list("manifest_parts")}
    assert named == set(committed.part_paths())


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


def test_a_manifest_of_the_first_schema_is_read_and_its_next_commit_says_the_same(
    folder_store: ObjectStore,
) -> None:
    folder_store.put(layout.manifest("1202302023"), STORED.read_bytes())

    manifest = read_manifest(folder_store, "1202302023")

    assert manifest is not None
    assert manifest.settled == {}  # nobody knows yet
    migrated = commit_manifest(folder_store, manifest)
    found = read_manifest(folder_store, "1202302023")
    assert found == migrated
    assert replace(found, versions=manifest.versions) == manifest
    document = from_json(folder_store.get(layout.manifest("1202302023")))
    assert (document["schema"], list(migrated.parts)) == (2, ["2023-08"])
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
    stage: str, unit: str, name: str, folder_store: ObjectStore
) -> None:
    document: dict[str, Any] = from_json(STORED.read_bytes())
    del document["stages"][stage][unit]["facts"][name]

    manifest = head_from(document, key="1202302023")
    commit_manifest(folder_store, manifest)

    found = read_manifest(folder_store, "1202302023")
    assert found is not None
    entry = found.entry(stage, unit)
    assert entry == manifest.entry(stage, unit)
    assert getattr(entry and entry.facts, name, None) is None


def test_equal_manifests_are_equal_bytes_in_whatever_order_they_were_made(
    folder_store: ObjectStore,
) -> None:
    one, two = period("1"), period("2")

    commit_manifest(folder_store, EMPTY.with_entry("a", "x", one).with_entry("b", "2023", two))
    before = {info.path: folder_store.get(info.path) for info in folder_store.list()}
    commit_manifest(folder_store, EMPTY.with_entry("b", "2023", two).with_entry("a", "x", one))

    assert {info.path: folder_store.get(info.path) for info in folder_store.list()} == before


def period(fingerprint: str) -> StageEntry:
    """One period of an index."""
    facts = IndexFacts(period=0, valid_fraction=0.5, observations=1.0, scenes=3, range=None)
    return StageEntry(fingerprint, facts=facts)


def season(*months: str) -> TileManifest:
    """A manifest with a period in each month, each settled."""
    manifest = EMPTY
    for month in months:
        manifest = manifest.with_entry("ndvi", month, period(f"of {month}"))
    return replace(manifest, settled={month: Settled(f"from {month}") for month in months})


def test_a_commit_writes_the_month_that_changed_and_the_head(folder_store: ObjectStore) -> None:
    commit_manifest(folder_store, season("2023-08", "2023-09"))
    before = {info.path: info.etag for info in folder_store.list()}
    head = read_head(folder_store, "0231")
    assert head is not None
    september = with_months(folder_store, head, ["2023-09"])

    committed = commit_manifest(
        folder_store, september.with_entry("ndvi", "2023-09", period("new"))
    )

    after = {info.path: info.etag for info in folder_store.list()}
    same = {path for path, etag in before.items() if after.get(path) == etag}
    assert same == {layout.manifest_part("0231", "2023-08", committed.parts["2023-08"].digest)}
    assert len(after) == 3
    assert committed.settled == {"2023-08": Settled("from 2023-08")}
    whole = read_manifest(folder_store, "0231")
    assert whole is not None
    assert {k: v.fingerprint for k, v in whole.units("ndvi").items()} == {
        "2023-08": "of 2023-08",
        "2023-09": "new",
    }


class DyingStore(ObjectStore):
    """A store whose writer is killed before the head."""

    def put(self, path: str, data: bytes) -> ObjectInfo:
        if path.startswith("manifests/"):
            raise KeyboardInterrupt
        return super().put(path, data)


def test_a_kill_before_the_head_leaves_the_tile_as_it_was(folder_store: ObjectStore) -> None:
    committed = commit_manifest(folder_store, season("2023-08", "2023-09"))
    changed = committed.with_entry("ndvi", "2023-08", period("new"))

    with pytest.raises(KeyboardInterrupt):
        commit_manifest(DyingStore(locate(folder_store.url), {}), changed)

    assert read_manifest(folder_store, "0231") == committed
    assert len(folder_store.list("manifest_parts")) == 3
    again = commit_manifest(folder_store, committed.with_entry("ndvi", "2023-08", period("newer")))
    assert {info.path for info in folder_store.list("manifest_parts")} == set(again.part_paths())


@pytest.mark.parametrize("data", [None, b"{}", b'{"tile":"9"}'])
def test_a_lost_part_is_reported_and_loses_its_month_alone(
    folder_store: ObjectStore, caplog: pytest.LogCaptureFixture, data: bytes | None
) -> None:
    committed = commit_manifest(folder_store, season("2023-08", "2023-09"))
    path = layout.manifest_part("0231", "2023-08", committed.parts["2023-08"].digest)
    folder_store.delete(path)
    if data is not None:
        folder_store.put(path, data)

    with caplog.at_level(logging.WARNING):
        assert read_manifest(folder_store, "0231") is None  # the whole is not known
    assert "2023-08 of tile 0231 counts as missing" in caplog.text
    head = read_head(folder_store, "0231")
    assert head is not None
    found = with_months(folder_store, head, head.unread)
    assert set(found.units("ndvi")) == set(found.settled) == {"2023-09"}


def test_units_of_a_month_that_was_not_read_are_never_replaced(folder_store: ObjectStore) -> None:
    commit_manifest(folder_store, season("2023-08"))
    head = read_head(folder_store, "0231")
    assert head is not None

    commit_manifest(folder_store, head.with_entry("savi", "2023-08", period("s")))

    whole = read_manifest(folder_store, "0231")
    assert whole is not None
    assert whole.stages.keys() == {"ndvi", "savi"}


def test_what_five_years_repeat_is_stored_once(folder_store: ObjectStore) -> None:
    folder_store.put(layout.manifest("1202302023"), STORED.read_bytes())
    first = read_manifest(folder_store, "1202302023")
    assert first is not None

    committed = commit_manifest(folder_store, first)

    part = folder_store.get(committed.part_paths()[0])  # with one scene
    assert all(wkt.encode() not in part for wkt in committed.crs.values())
    assert part.count(b'"transform"') == 2  # reflectance, and classes on another grid
    assert len(part) < 3_000  # of 10,526 bytes in one document


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
    [b"", b"{", b"[]", b"\xff", b'{"schema":1}', b'{"schema":2,"tile":"9","grid_id":"a"}'],
)
def test_a_damaged_manifest_counts_as_missing_and_is_reported(
    folder_store: ObjectStore, caplog: pytest.LogCaptureFixture, data: bytes
) -> None:
    folder_store.put(layout.manifest("0231"), data)

    with caplog.at_level(logging.WARNING):
        assert read_manifest(folder_store, "0231") is None
    assert "0231.json is damaged" in caplog.text


def test_a_manifest_of_a_newer_version_is_refused(folder_store: ObjectStore) -> None:
    folder_store.put(layout.manifest("0231"), b'{"schema":3,"tile":"0231"}')

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
