"""Newest materialization of each tile, without those of other projects under the same keys.

Dagster finds events by asset key alone. Where two projects without a prefix share an instance, the
tag of each event tells whose it is; the tags of runs tell whether there is another project at all,
which is one query. Where there is none, no event needs to be read.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from typing import TypeAlias

import dagster as dg

from spatial_assets.assets.asset_keys import RUN_KEYS_TAG, is_foreign, run_keys
from spatial_assets.assets.events import materializations
from spatial_assets.assets.specs import TILE_CHECKS
from spatial_assets.instance.event_log_advice import event_log_advice
from spatial_assets.project import Project, load_project

LatestEvents: TypeAlias = Callable[[dg.DagsterInstance, dg.AssetKey], Mapping[str, int]]
"""Function from an asset to the id of the newest materialization of each of its tiles."""

logger = logging.getLogger(__name__)


def latest_events(instance: dg.DagsterInstance, key: dg.AssetKey) -> Mapping[str, int]:
    """Return tile -> id of its newest materialization, whichever project made it."""
    return instance.get_latest_storage_id_by_partition(
        key, dg.DagsterEventType.ASSET_MATERIALIZATION
    )


def projects_with_these_keys(instance: dg.DagsterInstance, project: Project) -> set[str]:
    """Return the other projects whose runs made assets under the same keys as this project's."""
    prefix = run_keys(project).removesuffix(project.name)
    tags = dict(instance.get_run_tags([RUN_KEYS_TAG], value_prefix=prefix))
    found = tags.get(RUN_KEYS_TAG, set())
    names = {value.removeprefix(prefix) for value in found if value.startswith(prefix)}
    return names - {project.name}


class OwnEvents:
    """The project's own newest materialization of each tile; what was read is remembered."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._own: dict[str, int] = {}
        self._seen = 0
        """Id of the newest event that was read."""

    def __call__(self, instance: dg.DagsterInstance, key: dg.AssetKey) -> Mapping[str, int]:
        """Return tile -> id of its newest materialization by this project."""
        newest = latest_events(instance, key)
        others = projects_with_these_keys(instance, self._project) if newest else set()
        if not others:
            return newest
        logger.warning(
            "events of %s under the key %s are not project %s's, and are ignored; set "
            "[project] asset_prefix in one of them",
            ", ".join(sorted(others)),
            key.to_user_string(),
            self._project.name,
        )
        self._read(instance, key, newest)
        return {tile: event for tile, event in self._own.items() if tile in newest}

    def _read(
        self, instance: dg.DagsterInstance, key: dg.AssetKey, newest: Mapping[str, int]
    ) -> None:
        """Read the events since the last time, the newest first."""
        found: dict[str, int] = {}
        filters = dg.AssetRecordsFilter(key, after_storage_id=self._seen or None)
        for record in materializations(instance, filters):
            event, tile = record.asset_materialization, record.partition_key
            if event and tile and tile not in found and not is_foreign(self._project, event.tags):
                found[tile] = record.storage_id
            if not self._seen and found.keys() >= newest.keys():
                break  # older events change nothing
        self._own |= found
        self._seen = max(self._seen, *newest.values())


def main() -> None:
    """Print facts of the instance in $DAGSTER_HOME that `check` reports, as JSON.

    `projects`: the other projects with this project's keys; `advice`: on its event log, or null.
    """
    project = load_project()
    with dg.DagsterInstance.get() as instance:
        advice = event_log_advice(
            instance,
            tiles=min(len(project.tile_keys), project.compute.max_tiles_per_run),
            checks=TILE_CHECKS,
            key_length=max(map(len, project.tile_keys)),
        )
        others = sorted(projects_with_these_keys(instance, project))
    print(json.dumps({"projects": others, "advice": advice}))  # noqa: T201


if __name__ == "__main__":
    main()
