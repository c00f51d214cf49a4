"""The project that a command works on."""

from __future__ import annotations

from pathlib import Path

import click

from spatial_assets.project import Project, load_project


def chosen_folder() -> Path | None:
    """What the option --project says; None: the environment decides."""
    folder = click.get_current_context().find_root().params.get("project")
    return folder if isinstance(folder, Path) else None


def current_project() -> Project:
    """The project of the option --project, else of the environment.

    Raises:
        SettingsError: there is none, or it says something impossible.
    """
    return load_project(chosen_folder())
