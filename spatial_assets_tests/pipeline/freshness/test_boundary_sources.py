"""Sources of boundary sets that changed: one that cannot be read hides none of the others."""

from __future__ import annotations

from pathlib import Path

from spatial_assets.pipeline.freshness.change_detection import ChangeDetector
from spatial_assets.project import load_project
from spatial_assets.stores.objects.store import open_store
from spatial_assets.stores.tables.connect import open_database
from spatial_assets_tests.fixtures.boundary_chain import NOON, PROJECT
from spatial_assets_tests.fixtures.boundary_files import write

SETS = """
[[boundaries]]
name = "gone"
source = "nowhere.gpkg"
key = "pid"
[[boundaries]]
name = "there"
source = "a.gpkg"
key = "pid"
"""


def test_a_source_that_cannot_be_read_is_named_and_hides_no_change(tmp_path: Path) -> None:
    write(tmp_path / "a.gpkg", "GPKG")
    (tmp_path / "project.toml").write_text(PROJECT + SETS, encoding="utf-8")
    project = load_project(tmp_path, {})

    with open_database(project.database_url) as database:
        detector = ChangeDetector(
            project=project, store=open_store(project.storage_url), database=database
        )
        sources = detector.newer_sources(now=NOON)

    assert set(sources.versions) == {"there"}
    assert set(sources.unreadable) == {"gone"}
    assert "no such file" in sources.unreadable["gone"]
