"""Search of a catalogue, and a summary of the result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spatial_assets.catalog import Catalogue, find_scenes
from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets_tests.fixtures.scene_factory import (
    FOOTPRINT,
    project_in,
)

LATER = {"datetime": "2023-08-23T10:08:08Z"}


def ids(catalogue: Catalogue) -> list[str]:
    return [scene.id for scene in catalogue.scenes]


def reasons(catalogue: Catalogue) -> dict[str, str]:
    return {scene.id: scene.reason for scene in catalogue.rejected}


def shifted(degrees: float) -> dict[str, Any]:
    ring = [[lon + degrees, lat] for lon, lat in FOOTPRINT["coordinates"][0]]
    return {"type": "Polygon", "coordinates": [ring]}


def find(tmp_path: Path, catalog: str | Path, **scenes: object) -> Catalogue:
    access = scenes.pop("use", None)
    assert access is None or isinstance(access, SourceAccess)
    return find_scenes(project_in(tmp_path / "project", catalog, **scenes), access)
