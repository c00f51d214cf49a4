"""Inspection of the one scene of a folder, which must be accepted or rejected."""

from __future__ import annotations

from pathlib import Path

from spatial_assets.catalog import find_scenes
from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets.catalog.rasters.inspect import inspect_scene
from spatial_assets.catalog.scene import RejectedScene, Scene
from spatial_assets.catalog.scene_facts import SceneFacts
from spatial_assets.project import Project
from spatial_assets_tests.fixtures.scene_factory import (
    project_in,
)


def the_scene(tmp_path: Path, **scenes: object) -> tuple[Scene, Project]:
    project = project_in(tmp_path / "project", tmp_path / "s", **scenes)
    (scene,) = find_scenes(project).scenes
    return scene, project


def inspected(tmp_path: Path, access: SourceAccess, **scenes: object) -> SceneFacts | RejectedScene:
    scene, project = the_scene(tmp_path, **scenes)
    return inspect_scene(scene, project, access)


def accepted(tmp_path: Path, access: SourceAccess, **scenes: object) -> SceneFacts:
    found = inspected(tmp_path, access, **scenes)
    assert isinstance(found, SceneFacts), found
    return found


def refused(tmp_path: Path, access: SourceAccess, **scenes: object) -> RejectedScene:
    found = inspected(tmp_path, access, **scenes)
    assert isinstance(found, RejectedScene), found
    assert found.message
    return found
