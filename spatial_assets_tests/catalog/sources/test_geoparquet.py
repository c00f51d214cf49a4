"""Items of a stac-geoparquet file."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
import stac_geoparquet.arrow

from spatial_assets.errors import SettingsError
from spatial_assets_tests.catalog.scene_search import LATER, find, ids
from spatial_assets_tests.fixtures.scene_factory import item_of, write_scene


def test_a_stac_geoparquet_file_holds_the_same_scenes(tmp_path: Path) -> None:
    items = []
    for name, properties in (("a", {}), ("b", LATER)):
        write_scene(tmp_path / "s", item_of(name, **properties))
        items.append(item_of(name, **properties))
        items[-1]["bbox"] = [15.0, 45.1, 16.4, 46.0]
    table = stac_geoparquet.arrow.parse_stac_items_to_arrow(items).read_all()
    pq.write_table(table, tmp_path / "s" / "items.parquet")

    listed = find(tmp_path, tmp_path / "s" / "items.parquet")
    walked = find(tmp_path, tmp_path / "s")

    assert ids(listed) == ["a", "b"]
    assert [s.fingerprint for s in listed.scenes] == [s.fingerprint for s in walked.scenes]
    assert [s.bands for s in listed.scenes] == [s.bands for s in walked.scenes]


def test_a_damaged_geoparquet_file_is_a_settings_error(tmp_path: Path) -> None:
    (tmp_path / "items.parquet").write_bytes(b"PAR1 and then nothing")

    with pytest.raises(SettingsError, match="stac-geoparquet"):
        find(tmp_path, tmp_path / "items.parquet")
