"""Assets selected by --select, split into stages of the tile chain and assets of boundary sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import click

from spatial_assets.pipeline.stages import chain_of
from spatial_assets.project import Project


@dataclass(frozen=True)
class AssetSelection:
    """Assets that a command works on."""

    stages: tuple[str, ...]
    """Stages of the tile chain, upstream first."""

    boundaries: tuple[str, ...]
    """Assets of boundary sets, upstream first within each set."""

    is_explicit: bool = True
    """False if no asset was named, which selects all."""


def boundary_assets(name: str) -> tuple[str, str, str]:
    """Return the assets of one boundary set, upstream first."""
    return (f"raw_{name}", f"validated_{name}", name)


def select_assets(project: Project, names: Sequence[str]) -> AssetSelection:
    """Select the assets of these names, or all assets if no name is given.

    A name may have the prefix of `[project] asset_prefix`, as Dagster shows it.

    Raises:
        BadParameter: the project has no such asset.
    """
    stages = chain_of(project).stages
    boundaries = tuple(asset for each in project.boundaries for asset in boundary_assets(each.name))
    given = [project.asset_of_path(name.split("/")) for name in names]
    selected = tuple(given) or (*stages, *boundaries)
    unknown = [name for name in selected if name not in {*stages, *boundaries}]
    if unknown:
        message = f"{', '.join(unknown)}: not an asset of {project.file}, which has "
        message += ", ".join((*stages, *boundaries))
        raise click.BadParameter(message, param_hint="--select")
    return AssetSelection(
        stages=tuple(name for name in stages if name in selected),
        boundaries=tuple(name for name in boundaries if name in selected),
        is_explicit=bool(names),
    )
