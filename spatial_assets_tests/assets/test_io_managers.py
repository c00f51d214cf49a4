"""Messages of the IO manager that need no run."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from spatial_assets.io_managers import TileIOManager
from spatial_assets.project import Project
from spatial_assets.project.sections.retention import RetentionSettings
from spatial_assets.resources import DatabaseResource, StoreResource
from spatial_assets_tests.fixtures.two_zone_project import write_project


def refusal(project: Project) -> str:
    """The message with which `raw_tile` is refused as an argument."""
    database = DatabaseResource(url=project.database_url)
    manager = TileIOManager(project, StoreResource(url=project.storage_url), database)
    with (
        dg.build_input_context(asset_key=dg.AssetKey("raw_tile")) as context,
        pytest.raises(dg.DagsterInvariantViolationError) as caught,
    ):
        manager.load_input(context)
    return str(caught.value)


def test_files_that_retention_deletes_are_named_with_their_setting(tmp_path: Path) -> None:
    project = write_project(tmp_path, tmp_path / "scenes")
    limits = RetentionSettings.model_validate({"raw_tile": "30 days"})

    kept, released = refusal(project), refusal(project.model_copy(update={"retention": limits}))

    assert "[retention]" not in kept
    assert kept.removesuffix("raw_tile") != kept
    assert "those of old periods are deleted by [retention] raw_tile" in released
