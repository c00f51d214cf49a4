"""Checksums in items are compared with local files, whether they are streamed or downloaded."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets.catalog.rasters.inspect import inspect_scene
from spatial_assets.catalog.scene import RejectedScene
from spatial_assets.catalog.scene_facts import SceneFacts
from spatial_assets_tests.catalog.rasters.scene_inspection import the_scene
from spatial_assets_tests.fixtures.scene_factory import with_band, write_scene


def sha256_of(path: Path) -> str:
    """The multihash of a file, in hexadecimal."""
    return f"1220{hashlib.sha256(path.read_bytes()).hexdigest()}"


@pytest.mark.parametrize("mode", ["stream", "download"])
def test_a_damaged_local_file_is_refused_by_its_checksum(
    tmp_path: Path, access: SourceAccess, mode: Literal["stream", "download"]
) -> None:
    write_scene(tmp_path / "s")
    scene, project = the_scene(tmp_path)
    red = Path(scene.bands["red"].href)
    promised = with_band(scene, "red", checksum=sha256_of(red))
    access = replace(access, mode=mode)

    whole = inspect_scene(promised, project, access)
    data = bytearray(red.read_bytes())
    data[-1] ^= 1
    red.write_bytes(data)
    damaged = inspect_scene(promised, project, access)

    assert isinstance(whole, SceneFacts)
    assert isinstance(damaged, RejectedScene)
    assert damaged.reason == "checksum_mismatch"


def test_a_checksum_of_an_unknown_kind_refuses_nothing(
    tmp_path: Path, access: SourceAccess
) -> None:
    write_scene(tmp_path / "s")
    scene, project = the_scene(tmp_path)

    found = inspect_scene(with_band(scene, "red", checksum="ff00"), project, access)

    assert isinstance(found, SceneFacts)
