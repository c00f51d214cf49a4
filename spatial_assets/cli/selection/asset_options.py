"""Which assets a command works on: `--select`, split into stages of the chain and boundary sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import click

from spatial_assets.pipeline.stages import chain_of
from spatial_assets.project import Project


@dataclass(frozen=True)
class AssetSelection:
    """What was selected."""

    stages: tuple[str, ...]
    """Stages of the chain, upstream first."""

    boundaries: tuple[str, ...]
    """Assets of boundary sets."""

    is_named: bool = True
    """False: nothing was named, so it is everything."""


def boundary_assets(name: str) -> tuple[str, str, str]:
    """The assets of one boundary set, upstream first."""
    return (f"raw_{name}", f"validated_{name}", name)


def select_assets(project: Project, names: Sequence[str]) -> AssetSelection:
    """The assets of these names; all of them where none is named.

    Raises:
        BadParameter: an asset is not of this project.
    """
    stages = chain_of(project).stages
    steps = tuple(step for each in project.boundaries for step in boundary_assets(each.name))
    wanted = tuple(names) or (*stages, *steps)
    unknown = [name for name in wanted if name not in {*stages, *steps}]
    if unknown:
        message = f"{', '.join(unknown)}: no asset of {project.file}, which has "
        message += ", ".join((*stages, *steps))
        raise click.BadParameter(message, param_hint="--select")
    return AssetSelection(
        stages=tuple(name for name in stages if name in wanted),
        boundaries=tuple(name for name in steps if name in wanted),
        is_named=bool(names),
    )
