"""Files left in a folder by a killed writer are removed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from spatial_assets.stores.objects.store import ObjectStore, open_store


def staged(path: Path, *, seconds_ago: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"half")
    os.utime(path, (time.time() - seconds_ago,) * 2)
    return path


@pytest.mark.parametrize("write", [ObjectStore.put, ObjectStore.create])
def test_the_next_writer_of_an_object_removes_what_was_abandoned(
    tmp_path: Path, write: Callable[[ObjectStore, str, bytes], object]
) -> None:
    old = [staged(tmp_path / "a" / f"x.tif#{n}", seconds_ago=60) for n in (1, 2)]
    others = [
        staged(tmp_path / "a" / "x.tif#3", seconds_ago=1),
        staged(tmp_path / "a" / "y.tif#1", seconds_ago=60),
        staged(tmp_path / "a" / "x.tif#note", seconds_ago=60),
    ]
    store = open_store(str(tmp_path))

    write(store, "a/x.tif", b"whole")

    assert store.get("a/x.tif") == b"whole"
    assert not any(path.exists() for path in old)
    assert all(path.exists() for path in others)


def test_what_somebody_is_writing_now_is_left_alone(tmp_path: Path) -> None:
    busy = staged(tmp_path / "x.tif#1", seconds_ago=1)

    open_store(str(tmp_path)).put("x.tif", b"whole")

    assert busy.exists()
