"""From the project to the catalogue's answer: items found, read, de-duplicated, fingerprinted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from spatial_assets.catalog.access.file_versions import with_fingerprints
from spatial_assets.catalog.access.source_access import SourceAccess, source_access
from spatial_assets.catalog.scene import Catalogue, RejectedScene, Scene
from spatial_assets.catalog.sources.documents import ItemOrRejection
from spatial_assets.catalog.sources.sources import find_items
from spatial_assets.catalog.stac.candidates import (
    candidate_of,
    refused_candidate,
    scene_versions_of,
)
from spatial_assets.catalog.stac.duplicates import without_duplicates, without_namesakes
from spatial_assets.catalog.stac.item_filter import ItemFilter, item_filter_of
from spatial_assets.catalog.stac.items import RawItem, read_scene, rejected_item
from spatial_assets.errors import SceneError
from spatial_assets.geo.sensor_profile import SensorProfile
from spatial_assets.project import Project


def find_scenes(project: Project, access: SourceAccess | None = None) -> Catalogue:
    """Every scene that the project asks for, in the order of ids; the same answer, the same value.

    Args:
        project: whose catalogue, area and sensor.
        access: how to reach the source, when not as the project says.

    Raises:
        SettingsError: the catalogue is not there, or is none.
        SourceUnavailableError: the catalogue did not answer.
    """
    access = access or source_access(project)
    item_filter = item_filter_of(project)
    found = find_items(project.catalog_url, item_filter, access)
    read = list(read_found(found, project, item_filter))
    usable_items = [one for one in read if isinstance(one, Scene)]
    unread = [one for one in read if isinstance(one, RejectedScene)]
    scenes, superseded = without_duplicates(usable_items)
    # Before the files are looked up: what changes in between is then seen as a change, not missed.
    scene_versions = scene_versions_of(
        [*map(candidate_of, scenes), *map(refused_candidate, unread)]
    )
    looked_up = list(with_fingerprints(scenes, access))
    usable = tuple(scene for scene in looked_up if isinstance(scene, Scene))
    bad = [*unread, *(scene for scene in looked_up if isinstance(scene, RejectedScene))]
    rejected, replaced = without_namesakes(bad, usable)
    return Catalogue(
        scenes=usable,
        rejected=rejected,
        superseded=(*superseded, *replaced),
        scene_versions=scene_versions,
    )


def read_found(
    found: Iterable[ItemOrRejection], project: Project, item_filter: ItemFilter
) -> Iterator[Scene | RejectedScene]:
    """The wanted ones among items as scenes without fingerprints, or as records of why not."""
    sensor, needs = project.sensor, project.bands
    for item in found:
        if isinstance(item, RejectedScene):
            yield item
        elif item_filter.matches(item.document):
            yield _read(item, sensor, needs)


def _read(item: RawItem, sensor: SensorProfile, needs: Iterable[str]) -> Scene | RejectedScene:
    """The scene of one item, or the record of why there is none."""
    try:
        return read_scene(item, sensor, needs=needs)
    except SceneError as error:
        return rejected_item(item, error)
