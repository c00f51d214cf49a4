"""Inspection of a scene on a server that may fail."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from spatial_assets.catalog import find_scenes
from spatial_assets.catalog.access.source_access import SourceAccess
from spatial_assets.catalog.rasters.inspect import inspect_scene
from spatial_assets.catalog.scene import RejectedScene, Scene
from spatial_assets.catalog.scene_facts import SceneFacts
from spatial_assets.errors import SourceUnavailableError
from spatial_assets.project import Project
from spatial_assets_tests.fixtures.scene_factory import (
    item_of,
    project_in,
    write_scene,
)
from spatial_assets_tests.fixtures.web_server import WebServer


class TestBehindAServer:
    """The same scene on a server that may fail."""

    def served(self, tmp_path: Path, web: WebServer, access: SourceAccess) -> tuple[Scene, Project]:
        write_scene(web.folder / "scene")
        links = [{"rel": "item", "href": f"scene/{item_of()['id']}.json"}]
        catalogue = {"type": "Catalog", "stac_version": "1.0.0", "id": "c", "links": links}
        (web.folder / "catalog.json").write_text(json.dumps(catalogue))
        project = project_in(tmp_path / "project", f"{web.url}/catalog.json")
        (scene,) = find_scenes(project, access).scenes
        return scene, project

    def test_a_scene_is_streamed(
        self, tmp_path: Path, web: WebServer, access: SourceAccess
    ) -> None:
        scene, project = self.served(tmp_path, web, access)

        assert isinstance(inspect_scene(scene, project, access), SceneFacts)

    @pytest.mark.parametrize(("status", "reason"), [(404, "missing_object"), (403, "forbidden")])
    def test_a_file_that_cannot_be_had_is_a_record(
        self, tmp_path: Path, web: WebServer, access: SourceAccess, status: int, reason: str
    ) -> None:
        scene, project = self.served(tmp_path, web, access)
        web.always["/scene/B04.tif"] = status

        found = inspect_scene(scene, project, access)

        assert isinstance(found, RejectedScene)
        assert found.reason == reason

    def test_a_page_instead_of_a_raster_is_a_record(
        self, tmp_path: Path, web: WebServer, access: SourceAccess
    ) -> None:
        scene, project = self.served(tmp_path, web, access)
        (web.folder / "scene" / "B04.tif").write_text("<html>please log in</html>")

        found = inspect_scene(scene, project, access)

        assert isinstance(found, RejectedScene)
        assert found.reason == "page_instead_of_file"
        assert "please log in" in found.message

    @pytest.mark.parametrize("fault", [503, "reset"])
    def test_a_failing_server_is_unavailable(
        self,
        tmp_path: Path,
        web: WebServer,
        access: SourceAccess,
        fault: Any,  # noqa: ANN401
    ) -> None:
        scene, project = self.served(tmp_path, web, access)
        web.always["/scene/B04.tif"] = fault

        with pytest.raises(SourceUnavailableError):
            inspect_scene(scene, project, access)
