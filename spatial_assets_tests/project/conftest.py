"""A project folder from a piece of TOML."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from spatial_assets.errors import SettingsError
from spatial_assets.project import Project, load_project

AREA = "[area]\nbbox = [15.0, 45.06, 16.44, 46.95]\n"
SCENES = '[scenes]\ncatalog = "scenes"\nsensor = "sentinel-2-l2a"\n'

Load = Callable[..., Project]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load a project of the required tables, which may be replaced, and of what is added."""

    def load(
        added: str = "",
        *,
        area: str = AREA,
        scenes: str = SCENES,
        env: dict[str, str] | None = None,
    ) -> Project:
        (tmp_path / "project.toml").write_text(f"{area}{scenes}{added}", encoding="utf-8")
        return load_project(tmp_path, env or {})

    return load


@pytest.fixture
def refusal(load: Load, tmp_path: Path) -> Callable[..., str]:
    """The message with which a project file is refused, which always names the file."""

    def refusal(added: str = "", **tables: object) -> str:
        with pytest.raises(SettingsError) as refused:
            load(added, **tables)
        message = str(refused.value)
        for line in message.splitlines():
            assert str(tmp_path / "project.toml") in line or line.startswith("$")
            assert "; " in line or "did you mean" in line, "no remedy"
        return message

    return refusal
