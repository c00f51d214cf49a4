"""Keys of assets in Dagster, and the tag that names the project of an event, a run or an asset.

A Dagster instance finds events by key alone, so projects that share one have keys with a prefix.
"""

from __future__ import annotations

from collections.abc import Mapping

import dagster as dg

from spatial_assets.project import Project
from spatial_assets.project.sections.identity import PROJECT_TAG

RUN_KEYS_TAG = "spatial_assets/keys"
"""Tag of runs: prefix of the keys, and name of the project; Dagster finds runs by it quickly."""


def asset_key(project: Project, asset: str) -> dg.AssetKey:
    """Return the key of an asset of the project."""
    return dg.AssetKey(project.asset_path(asset))


def asset_name(project: Project, key: dg.AssetKey) -> str:
    """Return the name of an asset by its key; of a foreign asset, the key as Dagster shows it."""
    return project.asset_of_path(key.path)


def project_tags(project: Project) -> Mapping[str, str]:
    """Return the tag of everything that belongs to the project."""
    return {PROJECT_TAG: project.name}


def run_keys(project: Project) -> str:
    """Return the value of RUN_KEYS_TAG: the prefix, a colon, and the name of the project."""
    return f"{'/'.join(project.project.asset_prefix)}:{project.name}"


def run_tags(project: Project) -> Mapping[str, str]:
    """Return the tags of a run of the project."""
    return {**project_tags(project), RUN_KEYS_TAG: run_keys(project)}


def is_foreign(project: Project, tags: Mapping[str, str] | None) -> bool:
    """Return True if the tags of an event or a run name another project.

    Events of earlier versions have no such tag, and count as the project's own.
    """
    return (tags or {}).get(PROJECT_TAG, project.name) != project.name
